"""Derived readings: expressions of one shape over different tags are one group, evaluated together.

Two expressions have the same shape when they differ in nothing but the tags and the numbers in them: `PT01 - PT02` and
`PT03 - PT04`, or `FT01 * 2` and `FT02 * 3`. A group of n costs as many array operations as one of its expressions has
operators. Groups are evaluated in the order of their dependency, in a workspace of float64 that holds what they read
(gathered from the table once a tick) and what they make.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import Quality
from drivers.reasons import NOT_READ, reason_code
from engine.core.arrays import as_slice
from engine.core.checking import Checked
from engine.core.expression import Call, Node, Number, SameText, Tag
from engine.core.functions import FUNCTIONS, Type
from engine.core.memory import Memory, Remembering
from engine.core.signal import TOO_LARGE, Bools, Signal, Tick, add_fault
from engine.core.state import State
from engine.core.table import Cells, TagKind

Evaluate = Callable[[Tick], Signal]

BAD_INPUT = reason_code("an input is bad")
DOUBTFUL = reason_code("uncertain: near the end of what the instrument can measure")


@dataclass(slots=True)
class Group:
    """Derived tags of one shape and one depth of dependency."""

    kind: TagKind
    ignore_quality: bool
    names: list[str] = field(default_factory=list[str])
    identities: list[str] = field(default_factory=list[str])
    """`Checked.identity` of each."""
    nodes: list[Node] = field(default_factory=list[Node])


def group(checked: Mapping[str, Checked]) -> list[Group]:
    """Group derived tags, given in the order of their dependency, so that each group only needs groups before it."""
    level: dict[str, int] = {}
    found: dict[tuple[int, Hashable], Group] = {}
    for name, each in checked.items():
        level[name] = 1 + max((level.get(tag, 0) for tag in each.inputs), default=0)
        shape = (each.kind, each.ignore_quality, _shape(each.node))
        place = found.setdefault((level[name], shape), Group(each.kind, each.ignore_quality))
        place.names.append(name)
        place.identities.append(each.identity)
        place.nodes.append(each.node)
    return [found[key] for key in sorted(found, key=lambda key: key[0])]


def _shape(node: Node) -> Hashable:
    if not isinstance(node, Call):
        return type(node)
    function = FUNCTIONS[node.name]
    parts: list[Hashable] = [node.name]
    for place, argument in enumerate(node.arguments):
        fixed = function.state is not None and function.wanted(place) is Type.CONSTANT
        parts.append(argument.value if fixed and isinstance(argument, Number) else _shape(argument))
    return tuple(parts)


class Derived:
    """All derived tags of a table."""

    def __init__(self, cells: Cells, groups: Sequence[Group], row_of: Mapping[str, int]) -> None:
        self._cells = cells
        self._tick = Tick()
        self._started = False
        names = [name for each in groups for name in each.names]
        own = set(names)
        inputs: set[int] = set()
        texts: dict[tuple[str, str], int] = {}
        for each in groups:
            for node in each.nodes:
                for leaf in _leaves(node):
                    if isinstance(leaf, SameText):
                        texts.setdefault((leaf.tag, leaf.text), len(texts))
                    elif leaf.name not in own:
                        inputs.add(row_of[leaf.name])
        self._input_rows: NDArray[np.intp] = np.array(sorted(inputs), np.intp)
        self._gathers = _gathers(cells, self._input_rows)
        self._texts = [(row_of[tag], text) for tag, text in texts]
        self._text_rows: NDArray[np.intp] = np.array([row for row, _ in self._texts], np.intp)
        slot_of: dict[str, int] = {cells.specs[row].name: slot for slot, row in enumerate(sorted(inputs))}
        self._text_slots = slice(len(inputs), len(inputs) + len(texts))
        text_slot_of = {key: len(inputs) + place for key, place in texts.items()}
        at = first = len(inputs) + len(texts)
        for kind in (TagKind.FLOAT, TagKind.BOOL):
            for each in groups:
                if each.kind is kind:
                    slot_of |= {name: at + place for place, name in enumerate(each.names)}
                    at += len(each.names)
        self._workspace = _Workspace(at)
        self._inputs = slice(0, first)
        self._input_bytes = b""
        self._quality_turn = -1
        self._inputs_sound = False
        self._all_good = False
        """Whether the table says so of all derived tags."""
        self._programs: list[_Program] = []
        volatile: set[str] = set()
        for each in groups:
            program = _Program(self._workspace, cells, each, slot_of, text_slot_of)
            if program.states or any(leaf.name in volatile for leaf in _all_tags(each)):
                program.is_volatile = True
                volatile.update(each.names)
            self._programs.append(program)
        self.memory = Memory([Remembering(program.identities, program.states) for program in self._programs])
        self._made = slice(first, at)
        self._outputs = [
            (
                kind,
                slice(slots[0], slots[-1] + 1),
                slice(rows[0], rows[-1] + 1),
                cells.columns[kind][rows[0] - cells.starts[kind] : rows[-1] + 1 - cells.starts[kind]],
            )
            for kind in (TagKind.FLOAT, TagKind.BOOL)
            if (slots := [slot_of[name] for each in groups if each.kind is kind for name in each.names])
            and (rows := [row_of[name] for each in groups if each.kind is kind for name in each.names])
        ]

    def evaluate(self, now: float) -> None:
        """Compute all derived tags for `now`, monotonic seconds."""
        if not self._programs:
            return
        tick, workspace = self._tick, self._workspace
        tick.elapsed = max(now - tick.now, 0.0) if self._started else 0.0
        tick.now, self._started = now, True
        fresh = self._gather()
        workspace.is_sound = self._inputs_sound and not np.count_nonzero(workspace.flawed[self._made])
        with np.errstate(divide="call", over="call", invalid="call", under="ignore", call=tick.raise_flag):
            ran = False
            for program in self._programs:
                if fresh or program.is_volatile:
                    program.run(tick)
                    ran = True
        if ran:
            self._put()

    def _put(self) -> None:
        """Bring what was made into the table."""
        workspace, cells = self._workspace, self._cells
        cells.fresh_values.update(kind for kind, *_ in self._outputs)
        if workspace.is_sound and self._all_good:
            for _, slots, _, column in self._outputs:
                column[:] = workspace.x[slots]
            return
        for kind, slots, rows, column in self._outputs:
            quality, code, x = workspace.quality[slots], workspace.code[slots], workspace.x[slots]
            usable = quality < Quality.STALE
            np.copyto(column, x if kind is TagKind.FLOAT else x != 0, where=usable)
            if not (np.array_equal(cells.quality[rows], quality) and np.array_equal(cells.reason[rows], code)):
                cells.known[rows] |= usable
                cells.quality[rows] = quality
                cells.reason[rows] = code
                cells.quality_turn += 1
        self._all_good = workspace.is_sound

    def _gather(self) -> bool:
        """Bring what the expressions read into the workspace; return whether any of it is new."""
        workspace, cells = self._workspace, self._cells
        for kind, slots, places in self._gathers:
            workspace.x[slots] = cells.columns[kind][places]
        if self._texts:
            column = cells.columns[TagKind.TEXT]
            start = int(cells.starts[TagKind.TEXT])
            workspace.x[self._text_slots] = [column[row - start] == text for row, text in self._texts]
        flawed = self._quality_turn != cells.quality_turn
        if flawed:
            self._gather_quality()
        if not workspace.is_known:
            workspace.x[self._inputs][self._unknown] = np.nan
        state = workspace.x[self._inputs].tobytes()
        fresh = flawed or state != self._input_bytes
        self._input_bytes = state
        return fresh

    def _gather_quality(self) -> None:
        workspace, cells = self._workspace, self._cells
        rows = np.concatenate((self._input_rows, self._text_rows))
        workspace.quality[self._inputs] = cells.quality[rows]
        workspace.code[self._inputs] = cells.reason[rows]
        self._unknown = ~cells.known[rows]
        workspace.is_known = not self._unknown.any()
        self._inputs_sound = not workspace.quality[self._inputs].any()
        self._quality_turn = cells.quality_turn

    def reset(self, names: Iterable[str]) -> None:
        """Let the functions with a memory in these tags begin anew."""
        wanted = set(names)
        for program in self._programs:
            places = np.array([place for place, name in enumerate(program.names) if name in wanted], np.intp)
            for state in program.states if places.size else ():
                state.reset(places)

    def adopt(self, old: Derived) -> None:
        """Take over the memory of all tags whose expression is the same as it was."""
        self._tick.now, self._started = old._tick.now, old._started
        whereabouts = {name: (program, place) for program in old._programs for place, name in enumerate(program.names)}
        for program in self._programs:
            pairs: dict[int, list[tuple[int, int]]] = {}
            for here, name in enumerate(program.names):
                if name in whereabouts:
                    former, there = whereabouts[name]
                    # The nodes may differ all the same, once a device has told the type of an input.
                    if former.identities[name] == program.identities[name]:
                        pairs.setdefault(id(former), []).append((here, there))
            for former in old._programs:
                if found := pairs.get(id(former)):
                    here, there = np.array(found, np.intp).T
                    for state, before in zip(program.states, former.states, strict=True):
                        state.adopt(before, here, there)


class _Workspace:
    __slots__ = ("code", "flawed", "is_known", "is_sound", "quality", "x")

    def __init__(self, slots: int) -> None:
        self.x = np.zeros(slots, np.float64)
        self.quality = np.zeros(slots, np.uint8)
        self.flawed = self.quality.view(np.bool_)
        """quality, as a flag"""
        self.code = np.zeros(slots, np.uint16)
        self.is_sound = True
        """Whether all that was read is good, and all that was last made."""
        self.is_known = True
        """Whether every input has ever had a value; where it has not, x is NaN."""


class _Program:
    """One group, compiled."""

    def __init__(
        self,
        workspace: _Workspace,
        cells: Cells,
        group: Group,
        slot_of: Mapping[str, int],
        text_slot_of: Mapping[tuple[str, str], int],
    ) -> None:
        self.names = group.names
        self.identities = dict(zip(group.names, group.identities, strict=True))
        self.states: list[State] = []
        self.is_volatile = False
        self._workspace = workspace
        self._ignore = group.ignore_quality
        self._slot_of, self._text_slot_of = slot_of, text_slot_of
        self._boolean = {spec.name for spec in cells.specs[cells.spans[TagKind.BOOL]]}
        first = slot_of[group.names[0]]
        self._slots = slice(first, first + len(group.names))
        self._evaluate = self._compile(group.nodes)
        self._all_good = False
        leaves = [[self._slot(leaf) for leaf in _leaves(node)] for node in group.nodes]
        self._leaves: NDArray[np.intp] = np.array(leaves, np.intp).reshape(len(leaves), -1).T

    def run(self, tick: Tick) -> None:
        workspace, slots = self._workspace, self._slots
        tick.doubtful = None
        signal = self._evaluate(tick)
        workspace.x[slots] = signal.x
        faults = signal.faults
        if signal.x.dtype.kind == "f" and np.count_nonzero(finite := np.isfinite(signal.x)) < finite.size:
            faults = add_fault(faults, ~finite, TOO_LARGE)
        if faults is None and tick.doubtful is None and (workspace.is_sound or self._ignore):
            if not self._all_good:
                workspace.quality[slots] = Quality.GOOD
                workspace.code[slots] = 0
                self._all_good = True
            return
        count = len(self.names)
        quality, code = np.zeros(count, np.uint8), np.zeros(count, np.uint16)
        if not self._ignore:
            for leaf in self._leaves:
                worse = workspace.quality[leaf] > quality
                quality = np.where(worse, workspace.quality[leaf], quality)
                code = np.where(worse, workspace.code[leaf], code)
        if tick.doubtful is not None:
            doubtful = tick.doubtful & (quality < Quality.UNCERTAIN)
            quality[doubtful], code[doubtful] = Quality.UNCERTAIN, DOUBTFUL
        if faults is not None:
            faulty = (faults > 0) & (quality < Quality.STALE)
            quality[faulty], code[faulty] = Quality.BAD, faults[faulty]
        workspace.quality[slots] = quality
        workspace.code[slots] = code
        self._all_good = False
        workspace.is_sound = workspace.is_sound and not quality.any()

    def _slot(self, leaf: Tag | SameText) -> int:
        return self._text_slot_of[leaf.tag, leaf.text] if isinstance(leaf, SameText) else self._slot_of[leaf.name]

    def _compile(self, nodes: Sequence[Any]) -> Evaluate:
        """Compile the same place of all expressions of the group."""
        first = nodes[0]
        match first:
            case Number():
                constant = Signal(np.array([node.value for node in nodes], np.float64))
                return lambda _: constant
            case Tag() | SameText():
                slots: NDArray[np.intp] = np.array([self._slot(node) for node in nodes], np.intp)
                return self._read(slots, isinstance(first, SameText) or first.name in self._boolean)
            case _:
                return self._call(nodes)

    def _call(self, nodes: Sequence[Call]) -> Evaluate:
        function = FUNCTIONS[nodes[0].name]
        constants: list[float] = []
        steps: list[Evaluate] = []
        for place, argument in enumerate(nodes[0].arguments):
            fixed = function.state is not None and function.wanted(place) is Type.CONSTANT
            if fixed and isinstance(argument, Number):
                constants.append(argument.value)
            else:
                steps.append(self._compile([node.arguments[place] for node in nodes]))
        if function.state is not None:
            state = function.state(len(nodes), *constants)
            self.states.append(state)
            apply = state.step
        else:
            apply = function.apply
        match steps:
            case [one]:
                return lambda tick: apply(tick, one(tick))
            case [left, right]:
                return lambda tick: apply(tick, left(tick), right(tick))
            case _:
                return lambda tick: apply(tick, *(step(tick) for step in steps))

    def _read(self, slots: NDArray[np.intp], is_condition: bool) -> Evaluate:
        workspace = self._workspace
        where = as_slice(slots)

        def read(tick: Tick) -> Signal:  # noqa: ARG001
            x = workspace.x[where]
            faults = None
            if not workspace.is_sound and not self._ignore:
                faults = _input_faults(workspace.quality[where], workspace.code[where])
            elif self._ignore and not workspace.is_known:
                faults = add_fault(None, np.isnan(x), NOT_READ)
            return Signal(x != 0, faults) if is_condition else Signal(x, faults)

        return read


def _input_faults(quality: NDArray[np.uint8], code: NDArray[np.uint16]) -> NDArray[np.uint16] | None:
    bad: Bools = quality >= Quality.STALE
    if not bad.any():
        return None
    return np.where(bad, np.where(code > 0, code, np.uint16(BAD_INPUT)), np.uint16(0))


def _leaves(node: Any) -> list[Tag | SameText]:
    if isinstance(node, Call):
        return [leaf for argument in node.arguments for leaf in _leaves(argument)]
    return [node] if isinstance(node, Tag | SameText) else []


def _all_tags(group: Group) -> list[Tag]:
    return [leaf for node in group.nodes for leaf in _leaves(node) if isinstance(leaf, Tag)]


def _gathers(cells: Cells, rows: NDArray[np.intp]) -> list[tuple[TagKind, slice, NDArray[np.intp]]]:
    """For each kind: which slots the rows of this kind go to, and where in its column they are."""
    found: list[tuple[TagKind, slice, NDArray[np.intp]]] = []
    kinds = cells.kinds[rows]
    for kind in TagKind:
        first, last = np.searchsorted(kinds, [kind, kind + 1])
        if last > first:
            found.append((kind, slice(int(first), int(last)), rows[first:last] - cells.starts[kind]))
    return found
