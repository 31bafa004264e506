"""The core: images in, changed tags out. It plans everything when it is made, and only computes in the tick.

The order of a tick is `take` each link, `set` what the engine knows, `derive`, `changed`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from drivers.contract import Image, Quality
from drivers.reasons import reason_code
from engine.core.checking import Checked, Known
from engine.core.column_values import column_value
from engine.core.derived import Derived
from engine.core.diff import Diff
from engine.core.intake import Intake
from engine.core.layout import check_specs, known_of, layout, set_sources
from engine.core.memory import Memory
from engine.core.shapes import group
from engine.core.simulation import Simulation
from engine.core.spec import Event, FromEngine, FromExpression, Simulated, TagSpec
from engine.core.stand_ins import StandIns
from engine.core.table import Cells, Table


class Core:
    """One table of tags, and all that happens to it in a tick."""

    def __init__(self, specs: Sequence[TagSpec], images: Sequence[Image]) -> None:
        """Plan the whole way of every tag. Raises `ExpressionError` with the faults of all expressions.

        A fault that is there only because a device has turned out to hold something else than its author thought, as a
        text where a number is wanted, ends nothing: its tag is bad, and the fault is the reason, and among `unfit`.
        """
        self._images = list(images)
        checked, self.unfit = check_specs(specs, images)
        guards, shown = _parted(specs, checked)
        groups, guarding = group(shown), group(_with_inputs(guards, checked))
        ordered, kinds = layout(specs, images, checked, [*groups, *guarding])
        starts = np.cumsum([0, *(len(image.kinds) for image in images)])
        own = [spec.name for spec in ordered if isinstance(spec.source, FromEngine)]
        cells = Cells(ordered, kinds, int(starts[-1]) + len(own))
        self._cells = cells
        self.table = Table(cells)
        set_sources(cells, starts, own, checked, self.unfit)
        self._links = [
            Intake(cells, link, image, slice(int(starts[link]), int(starts[link + 1])))
            for link, image in enumerate(images)
        ]
        row_of = {spec.name: row for row, spec in enumerate(ordered)}
        self._derived = Derived(cells, groups, row_of)
        self._guards = Derived(cells, guarding, row_of, put=guards)
        """What guards outputs, computed from what devices say, and for that all that it rests on."""
        self._guard_rows = [row_of[name] for name in guards]
        self._memory = Memory([*self._derived.remembering(), *self._guards.remembering()])
        self._diff = Diff(cells)
        self._stand_ins = StandIns(cells, derived=False)
        self._derived_stand_ins = StandIns(cells, derived=True)
        self.unfit_stand_ins = (*self._stand_ins.unfit, *self._derived_stand_ins.unfit)
        """What is wrong with values that should stand in for bad ones, a sentence each."""
        self._simulation = Simulation(
            cells, self.table, lambda: {spec.name: _known(spec, images, checked) for spec in specs}
        )
        self._asked = {spec.name: spec.simulated for spec in specs if spec.simulated is not None}
        self._now = 0.0
        self.unfit_simulations: list[str] = []
        """What did not fit when simulations were last taken over from the UOD or another core, a sentence each."""
        self._simulate_what_fits(self._asked)
        for fault in reversed(self.unfit):  # the first one is told
            cells.reason[self.table.row_of(fault.tag)] = reason_code(f"its expression does not fit: {fault.message}")

    def take(self, link: int) -> None:
        """Convert a link's image, as it is now, into the table."""
        self._simulation.lift()
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
            cells.columns[kind][cell] = column_value(spec, kind, value)
            cells.fresh_values.add(kind)
            cells.known[row] = True
        code = reason_code(reason or ("it has no value" if quality is Quality.BAD else ""))
        if cells.quality[row] != quality or cells.reason[row] != code:
            cells.quality[row] = quality
            cells.reason[row] = code
            cells.quality_turn += 1

    @property
    def simulated(self) -> Mapping[str, Simulated]:
        """The tags that are simulated, and by what."""
        return self._simulation.tags

    def simulate(self, tag: str, value: bool | float | str, *, drives_outputs: bool = False) -> None:
        """Show a value in the place of what the device says, from the next `derive` on, and mark it as simulated.

        The mark goes on to what is derived from it. What guards outputs does not see it, if not asked for. Raises
        `ValueError` for a tag that no device feeds, and for a value that does not fit its kind.
        """
        self._simulate({**self.simulated, tag: Simulated(value=value, drives_outputs=drives_outputs)})

    def simulate_by(self, tag: str, expression: str, *, drives_outputs: bool = False) -> None:
        """Show what an expression gives, in the unit of the tag, in the place of what the device says.

        It sees the tags as they are shown, its own too, and is one tick behind them. Raises `ValueError` for a tag that
        no device feeds or that is a text, and with all that is wrong with the expression.
        """
        self._simulate({**self.simulated, tag: Simulated(expr=expression, drives_outputs=drives_outputs)})

    def stop_simulating(self, tag: str) -> None:
        """Show again what the device says."""
        self._simulate({name: by for name, by in self.simulated.items() if name != tag})

    def simulate_as_authored(self) -> None:
        """Simulate what the author of the UOD asks for, and nothing else."""
        self._simulate_what_fits(self._asked)

    def derive(self, now: float) -> None:
        """Evaluate the derived tags at `now` (monotonic seconds), after what is too old has become stale."""
        self._now = now
        simulation = self._simulation
        simulation.lift()
        self.age(now)
        self._stand_ins.put()
        simulation.put(drives_outputs=True)
        self._guards.evaluate(now)
        simulation.put(drives_outputs=False)
        self._stand_ins.put()
        self._derived.evaluate(now)
        self._derived_stand_ins.put()
        simulation.look_ahead(now)

    def age(self, now: float) -> None:
        """Make stale what was last known to hold longer ago than its tag allows."""
        for link in self._links:
            if now > link.deadline:
                link.age(now)

    def grow_old(self, seconds: float) -> None:
        """Let what was read be older by so many seconds, which no clock has counted."""
        self._simulation.lift()
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
        for derived in (self._derived, self._guards):
            derived.reset([*names, *reset_by_event])

    def memory(self) -> bytes:
        """What functions with a memory would have to be told to go on in another process; `state` says what lasts.

        It takes some 40 us for 1,000 of them, and is to be kept with the run that it belongs to: what was remembered
        of one run is of no use to the next.
        """
        return self._memory.packed()

    def remember(self, memory: bytes) -> list[str]:
        """Go on from what `memory` once gave, before the first tick; the time between does not count.

        Only what still fits is taken: a tag of the same name, with the same expression and units. Returns a sentence on
        each of the others. Raises `ValueError` for bytes that are no memory.
        """
        lost = self._memory.take(memory)
        for derived in (self._derived, self._guards):
            derived.renew()
        return lost

    def adopt(self, old: Core) -> None:
        """Take over from a core that was planned for other images: values, quality, what was published, memory.

        A tag whose kind has changed begins anew, and so does the memory of a tag whose expression has.
        """
        self._simulation.lift()
        old._simulation.lift()
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
        self._guards.adopt(old._guards)
        self._now = old._now
        self._simulate_what_fits(old.simulated)

    def everything(self) -> NDArray[np.intp]:
        """All rows, for a snapshot."""
        return np.arange(len(self.table))

    def _simulate(self, tags: Mapping[str, Simulated]) -> None:
        if tags != self._simulation.tags:
            self._simulation.replace(tags, self._now)
            self._mark_simulated()

    def _simulate_what_fits(self, tags: Mapping[str, Simulated]) -> None:
        """Simulate these tags and no others, without those that do not fit what their devices have turned out to be."""
        self._simulate({})
        self.unfit_simulations.clear()
        for tag, by in tags.items():
            try:
                self._simulate({**self.simulated, tag: by})
            except (ValueError, KeyError) as error:
                self.unfit_simulations.append(f"{tag} is not simulated: {error}")

    def _mark_simulated(self) -> None:
        """Mark what is simulated, and all that rests on it."""
        cells = self._cells
        cells.simulated[:] = self._resting_on(self._simulation.rows())
        cells.simulated[self._guard_rows] = self._resting_on(self._simulation.rows(drives_outputs=True))[
            self._guard_rows
        ]
        cells.quality_turn += 1

    def _resting_on(self, rows: Sequence[int]) -> NDArray[np.bool_]:
        """(n,) whether each row is one of these, or rests on one."""
        cells = self._cells
        sources = np.zeros(cells.received.size, np.bool_)
        sources[cells.origin[list(rows)]] = True
        return np.logical_or.reduceat(sources[cells.leaves], cells.leaf_starts) if cells.leaves.size else sources[:0]


def _parted(specs: Sequence[TagSpec], checked: Mapping[str, Checked]) -> tuple[dict[str, Checked], dict[str, Checked]]:
    """The derived tags that guard outputs, and all others."""
    names = {spec.name for spec in specs if isinstance(spec.source, FromExpression) and spec.source.guards_outputs}
    guards = {name: each for name, each in checked.items() if name in names}
    return guards, {name: each for name, each in checked.items() if name not in names}


def _with_inputs(wanted: Mapping[str, Checked], checked: Mapping[str, Checked]) -> dict[str, Checked]:
    """These derived tags and all derived ones that they rest on, in the order of their dependency."""
    needed = set(wanted)
    for name in reversed(list(checked)):
        if name in needed:
            needed.update(checked[name].inputs)
    return {name: each for name, each in checked.items() if name in needed}


def _known(spec: TagSpec, images: Sequence[Image], checked: Mapping[str, Checked]) -> Known:
    known = known_of(spec, images)
    return replace(known, kind=checked[spec.name].kind) if spec.name in checked else known
