"""The core: images in, changed tags out. It plans everything when it is made, and only computes in the tick.

The order of a tick is `take` each link, `set` what the engine knows, `derive`, `changed`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import Image, Kind, Quality
from drivers.reasons import reason_code
from engine.core.checking import Checked, ExpressionError, ExpressionFault, Formula, Known, check_expressions
from engine.core.convert import INTEGER_BOUNDS, converted_kind, is_identity
from engine.core.derived import Derived
from engine.core.diff import Diff
from engine.core.intake import Intake
from engine.core.shapes import Group, group
from engine.core.spec import Event, FromEngine, FromExpression, FromPoint, TagSpec
from engine.core.stand_ins import StandIns
from engine.core.table import Cells, Table, TagKind


class Core:
    """One table of tags, and all that happens to it in a tick."""

    def __init__(self, specs: Sequence[TagSpec], images: Sequence[Image]) -> None:
        """Plan the whole way of every tag. Raises `ExpressionError` with the faults of all expressions.

        A fault that is there only because a device has turned out to hold something else than its author thought, as a
        text where a number is wanted, ends nothing: its tag is bad, and the fault is the reason, and among `unfit`.
        """
        self._images = list(images)
        checked, self.unfit = _checked(specs, images)
        groups = group(checked)
        ordered, kinds = _layout(specs, images, checked, groups)
        starts = np.cumsum([0, *(len(image.kinds) for image in images)])
        own = [spec.name for spec in ordered if isinstance(spec.source, FromEngine)]
        cells = Cells(ordered, kinds, int(starts[-1]) + len(own))
        self._cells = cells
        self.table = Table(cells)
        self._set_sources(starts, own, checked)
        self._links = [
            Intake(cells, link, image, slice(int(starts[link]), int(starts[link + 1])))
            for link, image in enumerate(images)
        ]
        self._derived = Derived(cells, groups, {spec.name: row for row, spec in enumerate(ordered)})
        self._diff = Diff(cells)
        self._stand_ins = StandIns(cells, derived=False)
        self._derived_stand_ins = StandIns(cells, derived=True)
        self.unfit_stand_ins = (*self._stand_ins.unfit, *self._derived_stand_ins.unfit)
        """What is wrong with values that should stand in for bad ones, a sentence each."""
        self._simulated: dict[int, Any] = {}
        """row -> what its column is made to hold"""
        for fault in reversed(self.unfit):  # the first one is told
            cells.reason[self.table.row_of(fault.tag)] = reason_code(f"its expression does not fit: {fault.message}")

    def take(self, link: int) -> None:
        """Convert a link's image, as it is now, into the table."""
        self._links[link].take(self._images[link])

    def set(
        self,
        tag: str | int,
        value: bool | float | str | None,
        *,
        quality: Quality = Quality.GOOD,
        reason: str = "",
    ) -> None:
        """Give one of the engine's own tags, by name or row, a value; None leaves the last one and makes it bad.

        Raises `ValueError` for a tag that is not the engine's own, and for a value that does not fit its kind.
        """
        row = self.table.row_of(tag) if isinstance(tag, str) else tag
        cells = self._cells
        spec = cells.specs[row]
        if not isinstance(spec.source, FromEngine):
            raise ValueError(f"{spec.name!r} is fed by its device or expression and cannot be set")  # noqa: TRY004
        if value is None:
            quality = max(quality, Quality.BAD)
        else:
            kind, cell = cells.cell(row)
            cells.columns[kind][cell] = _fitting(spec, kind, value)
            cells.fresh_values.add(kind)
            cells.known[row] = True
        code = reason_code(reason or ("it has no value" if quality is Quality.BAD else ""))
        if cells.quality[row] != quality or cells.reason[row] != code:
            cells.quality[row] = quality
            cells.reason[row] = code
            cells.quality_turn += 1

    def simulate(self, tag: str, value: bool | float | str) -> None:
        """Show a value in the place of what the device says, from the next `derive` on, and mark it as simulated.

        The mark goes on to what is derived from it. Raises `ValueError` for a tag that no device feeds, and for a value
        that does not fit its kind.
        """
        row = self.table.row_of(tag)
        spec = self.table.specs[row]
        if not isinstance(spec.source, FromPoint):
            raise ValueError(f"{tag!r} is fed by no device and cannot be simulated")  # noqa: TRY004
        self._simulated[row] = _fitting(spec, self._cells.cell(row)[0], value)
        self._mark_simulated()

    def stop_simulating(self, tag: str) -> None:
        """Show again what the device says."""
        row = self.table.row_of(tag)
        if self._simulated.pop(row, None) is not None:
            self._mark_simulated()
            self._take_back(row)

    def derive(self, now: float) -> None:
        """Evaluate the derived tags at `now` (monotonic seconds), after what is too old has become stale."""
        self.age(now)
        if self._simulated:
            self._put_simulated()
        self._stand_ins.put()
        self._derived.evaluate(now)
        self._derived_stand_ins.put()

    def age(self, now: float) -> None:
        """Make stale what was last known to hold longer ago than its tag allows."""
        for link in self._links:
            if now > link.deadline:
                link.age(now)

    def grow_old(self, seconds: float) -> None:
        """Let what was read be older by so many seconds, which no clock has counted."""
        for link, image in zip(self._links, self._images, strict=True):
            image.received -= seconds
            link.take(image)
            link.deadline = -math.inf

    def changed(self, now: float) -> NDArray[np.intp]:
        """The rows to publish now, ascending; they count as published from here on."""
        return self._diff.changed(now)

    def reset(self, names: Iterable[str] = (), *, event: Event | None = None) -> None:
        """Let functions with a memory begin anew: in the tags named, and in all that an event resets."""
        reset_by_event = [
            spec.name
            for spec in self.table.specs
            if isinstance(spec.source, FromExpression) and event in spec.source.reset_on
        ]
        self._derived.reset([*names, *reset_by_event])

    def memory(self) -> bytes:
        """What functions with a memory would have to be told to go on in another process; `state` says what lasts.

        It takes some 40 us for 1,000 of them, and is to be kept with the run that it belongs to: what was remembered
        of one run is of no use to the next.
        """
        return self._derived.memory()

    def remember(self, memory: bytes) -> list[str]:
        """Go on from what `memory` once gave, before the first tick; the time between does not count.

        Only what still fits is taken: a tag of the same name, with the same expression and units. Returns a sentence on
        each of the others. Raises `ValueError` for bytes that are no memory.
        """
        return self._derived.remember(memory)

    def adopt(self, old: Core) -> None:
        """Take over from a core that was planned for other images: values, quality, what was published, memory.

        A tag whose kind has changed begins anew, and so does the memory of a tag whose expression has.
        """
        mine, theirs = self._cells, old._cells
        unfit = {fault.tag for fault in self.unfit}
        rows = [
            (row, old.table.row_of(name))
            for row, name in enumerate(self.table.names)
            if name in old.table
            and name not in unfit
            and mine.kinds[row] == theirs.kinds[there := old.table.row_of(name)]
            and list(mine.specs[row].choices) == list(theirs.specs[there].choices)
        ]
        if rows:
            here, there = np.array(rows, np.intp).T
            mine.adopt(theirs, here, there)
            self._diff.adopt(old._diff, here, there)
        self._derived.adopt(old._derived)
        for row, value in old._simulated.items():
            name, kind = old.table.names[row], theirs.cell(row)[0]
            if name in self.table and mine.cell(self.table.row_of(name))[0] is kind:
                self._simulated[self.table.row_of(name)] = value
        self._mark_simulated()

    def everything(self) -> NDArray[np.intp]:
        """All rows, for a snapshot."""
        return np.arange(len(self.table))

    def _put_simulated(self) -> None:
        cells = self._cells
        for row, value in self._simulated.items():
            kind, cell = cells.cell(row)
            cells.columns[kind][cell] = value
            cells.fresh_values.add(kind)
        rows = list(self._simulated)
        if cells.quality[rows].any():
            cells.quality[rows], cells.reason[rows], cells.known[rows] = Quality.GOOD, 0, True
            cells.quality_turn += 1

    def _mark_simulated(self) -> None:
        """Mark what is simulated, and all that rests on it."""
        cells = self._cells
        sources = np.zeros(cells.received.size, np.bool_)
        sources[cells.origin[list(self._simulated)]] = True
        if cells.leaves.size:
            cells.simulated[:] = np.logical_or.reduceat(sources[cells.leaves], cells.leaf_starts)
        cells.quality_turn += 1

    def _take_back(self, row: int) -> None:
        """Let the link of a row be taken as a whole, now."""
        source = self.table.specs[row].source
        if isinstance(source, FromPoint):
            self._links[source.link].forget()
            self.take(source.link)

    def _set_sources(self, starts: NDArray[np.intp], own: Sequence[str], checked: dict[str, Checked]) -> None:
        """Find out for each row on which sources it rests; what the engine sets itself is never old."""
        cells = self._cells
        first = int(starts[-1])
        own_source = {name: first + place for place, name in enumerate(own)}
        cells.received[first:] = np.inf
        leaves: dict[str, set[int]] = {}
        for spec in cells.specs:
            if isinstance(spec.source, FromPoint):
                leaves[spec.name] = {int(starts[spec.source.link]) + spec.source.row}
            elif isinstance(spec.source, FromEngine):
                leaves[spec.name] = {own_source[spec.name]}
        for fault in self.unfit:
            leaves[fault.tag] = set()
        for name, each in checked.items():
            leaves[name] = set[int]().union(*(leaves[tag] for tag in each.inputs))
        for row, spec in enumerate(cells.specs):
            if not isinstance(spec.source, FromExpression):
                cells.origin[row] = next(iter(leaves[spec.name]))
            elif not leaves[spec.name]:
                leaves[spec.name] = {cells.received.size - 1}
        sizes = [len(leaves[spec.name]) for spec in cells.specs]
        cells.leaf_starts = np.cumsum([0, *sizes[:-1]]).astype(np.intp)[: len(sizes)]
        cells.leaves = np.array([source for spec in cells.specs for source in sorted(leaves[spec.name])], np.intp)


def _fitting(spec: TagSpec, kind: TagKind, value: bool | float | str) -> Any:
    """A value as its column holds it. Raises `ValueError`."""
    match kind:
        case TagKind.CHOICE:
            words = list(spec.choices)
            if value in words:
                return words.index(str(value))
            if value in spec.choices.values():
                return list(spec.choices.values()).index(int(value))
            raise ValueError(f"{spec.name!r} has no choice {value!r}, only {', '.join(words)}")
        case TagKind.TEXT:
            return str(value)
        case TagKind.BOOL:
            return bool(value)
        case TagKind.INT | TagKind.UINT:
            low, high = INTEGER_BOUNDS[kind]
            if isinstance(value, str) or value != int(value) or not low <= int(value) <= high:
                raise ValueError(f"{spec.name!r} is a whole number from {low} to {high}, not {value!r}")
            return int(value)
        case TagKind.FLOAT | TagKind.FLOAT32:
            if isinstance(value, str) or not math.isfinite(value):
                raise ValueError(f"{spec.name!r} is a finite number, not {value!r}")
            return value


def _checked(
    specs: Sequence[TagSpec], images: Sequence[Image]
) -> tuple[dict[str, Checked], tuple[ExpressionFault, ...]]:
    """The derived tags that can be compiled, and the faults of those that cannot as their devices are."""
    formulas = {
        spec.name: Formula(spec.source.text, spec.unit, spec.source.ignore_quality, spec.source.is_condition)
        for spec in specs
        if isinstance(spec.source, FromExpression)
    }
    if not formulas:
        return {}, ()
    known = {spec.name: _known(spec, images) for spec in specs if not isinstance(spec.source, FromExpression)}
    checked, faults = check_expressions(known, formulas)
    if faults:
        points = {spec.name for spec in specs if isinstance(spec.source, FromPoint) and not spec.choices}
        open_minded = {name: replace(each, kind=None) if name in points else each for name, each in known.items()}
        _, lasting = check_expressions(open_minded, formulas)
        if lasting:
            raise ExpressionError(lasting)
    return checked, tuple(faults)


def _known(spec: TagSpec, images: Sequence[Image]) -> Known:
    kind = _kind(spec, images)
    if isinstance(spec.source, FromPoint) and not images[spec.source.link].learned[spec.source.row]:
        return unlearned(spec, kind)
    return Known(kind, spec.unit, tuple(spec.choices))


def unlearned(spec: TagSpec, kind: TagKind) -> Known:
    """What is known of a tag whose raw kind is not: words are words, and what is scaled is a number."""
    is_open = not spec.choices and is_identity(spec)
    return Known(None if is_open else kind, spec.unit, tuple(spec.choices))


def _kind(spec: TagSpec, images: Sequence[Image]) -> TagKind:
    match spec.source:
        case FromPoint(link, row):
            return converted_kind(spec, Kind(int(images[link].kinds[row])))
        case FromEngine(kind):
            return TagKind.CHOICE if spec.choices else TagKind(kind)
        case FromExpression():  # one that cannot be compiled, or else the checker would say
            return TagKind.FLOAT


def _layout(
    specs: Sequence[TagSpec], images: Sequence[Image], checked: dict[str, Checked], groups: Sequence[Group]
) -> tuple[list[TagSpec], list[TagKind]]:
    """Order the tags by kind; within a kind, what is converted and computed together stands together."""
    turn = {name: place for place, name in enumerate(name for each in groups for name in each.names)}

    def place(entry: tuple[TagSpec, TagKind]) -> tuple[int, ...]:
        spec, kind = entry
        match spec.source:
            case FromPoint(link, row):
                return kind, 0, link, int(images[link].kinds[row]), row
            case FromExpression():
                return kind, 1, turn.get(spec.name, len(turn))
            case FromEngine():
                return kind, 2

    entries = [(spec, checked[spec.name].kind if spec.name in checked else _kind(spec, images)) for spec in specs]
    entries.sort(key=place)
    return [spec for spec, _ in entries], [kind for _, kind in entries]
