"""Derived readings: what they read is gathered from the table, their programs run, and what they make is put back.

Programs run in the order of their dependency, in a workspace of float64. One of which no input is new does not run,
unless it goes on by itself, as a total does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import Quality
from engine.core.arrays import as_slice
from engine.core.memory import Remembering
from engine.core.program import Key, Program, Workspace, key_of
from engine.core.shapes import Group, leaves
from engine.core.signal import Tick
from engine.core.table import Cells, TagKind


class Derived:
    """Derived tags of a table, evaluated together."""

    def __init__(
        self, cells: Cells, groups: Sequence[Group], row_of: Mapping[str, int], put: Collection[str] | None = None
    ) -> None:
        """Compile groups; `put` are those of their tags that are in the table, all if not given."""
        self._cells = cells
        self._tick = Tick()
        self._started = False
        names = [name for each in groups for name in each.names]
        read = {key_of(leaf) for each in groups for node in each.nodes for leaf in leaves(node)}
        rows = sorted(row_of[key] for key in read if isinstance(key, str) and key not in set(names))
        texts = sorted(key for key in read if isinstance(key, tuple))
        keys: list[Key] = [cells.specs[row].name for row in rows]
        slot_of = {key: slot for slot, key in enumerate([*keys, *texts, *names])}
        self._texts = [(row_of[tag], text) for tag, text in texts]
        self._rows: NDArray[np.intp] = np.array([*rows, *(row for row, _ in self._texts)], np.intp)
        self._gathers = _gathers(cells, self._rows[: len(rows)])
        self._text_slots = slice(len(rows), len(rows) + len(texts))
        self._inputs = slice(0, self._rows.size)
        self._made = slice(self._rows.size, len(slot_of))
        self._workspace = Workspace(self._rows.size, len(slot_of))
        self._before = np.full(self._rows.size, np.nan)
        self._quality_turn = -1
        self._inputs_sound = False
        self._unknown = np.ones(self._rows.size, np.bool_)
        self._all_good = False
        """Whether the table says so of all that is made here."""
        self._all_due = True
        """Whether every program has to run, whatever it reads."""
        conditions = {spec.name for spec in cells.specs[cells.spans[TagKind.BOOL]]}
        self._programs: list[Program] = []
        for each in groups:
            self._programs.append(Program(self._workspace, each, slot_of, conditions, self._programs))
        self._slot_of = slot_of
        self._put_names = set(names if put is None else put)
        shown = [(each.kind, name) for each in groups for name in each.names if name in self._put_names]
        self._outputs = _outputs(cells, shown, slot_of, row_of)
        # What numpy does about what has no result is set once, in a context of its own: to set it costs operations.
        self._arithmetic = Context()
        self._arithmetic.run(np.seterr, divide="call", over="call", invalid="call", under="ignore")
        self._arithmetic.run(np.seterrcall, self._tick.raise_flag)

    def evaluate(self, now: float) -> None:
        """Compute what is due at `now`, monotonic seconds."""
        if not self._programs:
            return
        tick = self._tick
        tick.elapsed = max(now - tick.now, 0.0) if self._started else 0.0
        tick.now, self._started = now, True
        everything = self._gather() or self._all_due
        self._all_due = False
        if kinds := self._arithmetic.run(self._run, everything=everything):
            self._put(kinds)

    def _run(self, *, everything: bool) -> set[TagKind]:
        """Run every program that is due; return the kinds of what they have made."""
        tick, workspace = self._tick, self._workspace
        workspace.is_sound = self._inputs_sound and not np.count_nonzero(workspace.flawed[self._made])
        inputs_differ = bool(np.count_nonzero(workspace.fresh))
        kinds: set[TagKind] = set()
        for program in self._programs:
            program.has_run = everything or program.is_due(inputs_differ=inputs_differ)
            if program.has_run:
                program.run(tick)
                kinds.add(program.kind)
        return kinds

    def reset(self, names: Iterable[str]) -> None:
        """Let the functions with a memory in these tags begin anew."""
        wanted = set(names)
        for program in self._programs:
            places = np.array([place for place, name in enumerate(program.names) if name in wanted], np.intp)
            for state in program.states if places.size else ():
                state.reset(places)
        self._all_due = True

    def slots_of(self, names: Iterable[str]) -> dict[str, int]:
        """Where the values of derived tags are made."""
        return {name: self._slot_of[name] for name in names}

    def made(self, slots: NDArray[np.intp]) -> tuple[NDArray[np.float64], NDArray[np.uint8], NDArray[np.uint16]]:
        """What has been made last in some slots: values, quality, reasons."""
        return self._workspace.x[slots], self._workspace.quality[slots], self._workspace.code[slots]

    def remembering(self) -> list[Remembering]:
        """What the functions with a memory remember; who writes into it says so by `renew`."""
        return [
            Remembering(
                {
                    name if name in self._put_names else f"{name}, as measured": identity
                    for name, identity in program.identities.items()
                },
                program.states,
            )
            for program in self._programs
        ]

    def renew(self) -> None:
        """Compute everything in the next evaluation, whatever is new."""
        self._all_due = True

    def adopt(self, old: Derived) -> None:
        """Take over the memory of all tags whose expression is the same as it was."""
        self._tick.now, self._started = old._tick.now, old._started
        self._all_due = True
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

    def _gather(self) -> bool:
        """Bring what is read into the workspace, and mark what is new; True where the quality of anything is."""
        workspace, cells = self._workspace, self._cells
        x = workspace.x[self._inputs]
        for kind, slots, places in self._gathers:
            x[slots] = cells.columns[kind][places]
        if self._texts:
            column = cells.columns[TagKind.TEXT]
            start = int(cells.starts[TagKind.TEXT])
            x[self._text_slots] = [column[row - start] == text for row, text in self._texts]
        renewed = self._quality_turn != cells.quality_turn
        if renewed:
            self._gather_quality()
        if not workspace.is_known:
            x[self._unknown] = np.nan
        np.not_equal(x, self._before, out=workspace.fresh)
        self._before[:] = x
        return renewed

    def _gather_quality(self) -> None:
        workspace, cells, rows = self._workspace, self._cells, self._rows
        workspace.quality[self._inputs] = cells.quality[rows]
        workspace.code[self._inputs] = cells.reason[rows]
        self._unknown = ~cells.known[rows]
        workspace.is_known = not self._unknown.any()
        self._inputs_sound = not workspace.quality[self._inputs].any()
        self._quality_turn = cells.quality_turn

    def _put(self, kinds: set[TagKind]) -> None:
        """Bring what was made into the table."""
        workspace, cells = self._workspace, self._cells
        cells.fresh_values |= kinds
        if workspace.is_sound and self._all_good:
            for each in self._outputs:
                if each.kind in kinds:
                    each.column[each.places] = workspace.x[each.slots]
            return
        for each in self._outputs:
            column, places, rows = each.column, each.places, each.rows
            quality, code = workspace.quality[each.slots], workspace.code[each.slots]
            usable = quality < Quality.STALE
            column[places] = np.where(usable, workspace.x[each.slots], column[places])
            if not (np.array_equal(cells.quality[rows], quality) and np.array_equal(cells.reason[rows], code)):
                cells.known[rows] |= usable
                cells.quality[rows] = quality
                cells.reason[rows] = code
                cells.quality_turn += 1
        self._all_good = workspace.is_sound
        self._quality_turn = cells.quality_turn  # what is made here is not read from the table


@dataclass(frozen=True, slots=True)
class _Output:
    """Where the derived tags of one kind are."""

    kind: TagKind
    slots: slice | NDArray[np.intp]
    """of the workspace"""
    rows: slice | NDArray[np.intp]
    """of the table"""
    column: NDArray[Any]
    places: slice | NDArray[np.intp]
    """in the column"""


def _outputs(
    cells: Cells, shown: Sequence[tuple[TagKind, str]], slot_of: Mapping[Key, int], row_of: Mapping[str, int]
) -> list[_Output]:
    found: list[_Output] = []
    for kind in (TagKind.FLOAT, TagKind.BOOL):
        names = [name for its_kind, name in shown if its_kind is kind]
        if names:
            slots = np.array([slot_of[name] for name in names], np.intp)
            rows = np.array([row_of[name] for name in names], np.intp)
            places = as_slice(rows - cells.starts[kind])
            found.append(_Output(kind, as_slice(slots), as_slice(rows), cells.columns[kind], places))
    return found


def _gathers(cells: Cells, rows: NDArray[np.intp]) -> list[tuple[TagKind, slice, slice | NDArray[np.intp]]]:
    """For each kind: which slots the rows of this kind go to, and where in its column they are."""
    found: list[tuple[TagKind, slice, slice | NDArray[np.intp]]] = []
    kinds = cells.kinds[rows]
    for kind in TagKind:
        first, last = np.searchsorted(kinds, [kind, kind + 1])
        if last > first:
            found.append((kind, slice(int(first), int(last)), as_slice(rows[first:last] - cells.starts[kind])))
    return found
