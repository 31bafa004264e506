"""The tag table: a structure of arrays, and the read-only face that others see of it.

Rules of this file:

* Rows are ordered by kind, so that each kind is one contiguous partition of one index space and one numpy column.
* A column holds the last value that was good, or the one that stands in for a bad one. Quality says whether it still
  holds; nothing bad ever enters a column, so that it is free of NaN and infinities. `known` says where there has been
  no value yet.
* When a value was received, and when its device says it came to be, is kept once a source (a row of an image, or a tag
  of the engine's own), and looked up from there. A derived tag is as old as the oldest source that it rests on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import DTYPES, Kind, Quality, Value
from drivers.reasons import NOT_READ, reason_text
from engine.core.spec import Direction, TagSpec


class TagKind(IntEnum):
    """The partitions of the table: the kinds of an image, and choices."""

    FLOAT32 = Kind.FLOAT32
    FLOAT = Kind.FLOAT
    INT = Kind.INT
    UINT = Kind.UINT
    BOOL = Kind.BOOL
    TEXT = Kind.TEXT
    CHOICE = 6
    """int32: which of the tag's choices, in their order in the spec"""


COLUMN_DTYPES: dict[TagKind, np.dtype[Any]] = {TagKind(kind): dtype for kind, dtype in DTYPES.items()} | {
    TagKind.CHOICE: np.dtype(np.int32)
}


class Cells:
    """The arrays behind the table, writable: for the core alone."""

    __slots__ = (
        "columns",
        "dated",
        "fresh_values",
        "kinds",
        "known",
        "leaf_starts",
        "leaves",
        "origin",
        "quality",
        "quality_turn",
        "reason",
        "received",
        "simulated",
        "source_time",
        "spans",
        "specs",
        "stands_in",
        "starts",
    )

    def __init__(self, specs: Sequence[TagSpec], kinds: Sequence[TagKind], sources: int) -> None:
        """Lay out `specs`, already in row order, with the kind of each; `sources` counts image rows and own tags."""
        count = len(specs)
        self.specs = tuple(specs)
        self.kinds: NDArray[np.uint8] = np.array(kinds, np.uint8)
        self.starts: NDArray[np.intp] = np.searchsorted(self.kinds, np.arange(len(TagKind) + 1)).astype(np.intp)
        """(kinds + 1,) the first row of each kind, and the number of rows"""
        self.spans = {kind: slice(int(self.starts[kind]), int(self.starts[kind + 1])) for kind in TagKind}
        """kind -> its rows"""
        self.columns: dict[TagKind, NDArray[Any]] = {
            kind: np.full(self.starts[kind + 1] - self.starts[kind], "" if kind is TagKind.TEXT else 0, dtype)
            for kind, dtype in COLUMN_DTYPES.items()
        }
        self.quality: NDArray[np.uint8] = np.full(count, Quality.BAD, np.uint8)
        self.reason: NDArray[np.uint16] = np.full(count, NOT_READ, np.uint16)
        self.simulated: NDArray[np.bool_] = np.zeros(count, np.bool_)
        self.known: NDArray[np.bool_] = np.zeros(count, np.bool_)
        """(n,) whether the column has ever been given a value"""
        self.stands_in: NDArray[np.bool_] = np.array([spec.on_bad != "none" for spec in specs], np.bool_)
        """(n,) whether what its column holds is published though it is stale or bad"""
        self.received: NDArray[np.float64] = np.full(sources + 1, -np.inf)
        """(sources + 1,) the last one stands for everything that is computed"""
        self.source_time: NDArray[np.float64] = np.full(sources + 1, np.nan)
        self.dated = False
        """Whether any device has ever said when a value came to be."""
        self.origin: NDArray[np.intp] = np.full(count, sources, np.intp)
        """(n,) the source of each row; the last one for a derived tag"""
        self.leaves: NDArray[np.intp] = np.zeros(0, np.intp)
        """The sources that each row rests on, row after row: one for a point, any number for a derived tag."""
        self.leaf_starts: NDArray[np.intp] = np.zeros(0, np.intp)
        """(n,) where in `leaves` each row begins"""
        self.fresh_values: set[TagKind] = set()
        """The kinds whose column was written since the last diff."""
        self.quality_turn = 0
        """Counts up whenever quality, reason, known or simulated is written."""

    def cell(self, row: int) -> tuple[TagKind, int]:
        """The kind of a row and its place in the column of that kind."""
        kind = TagKind(int(self.kinds[row]))
        return kind, row - int(self.starts[kind])

    def adopt(self, old: Cells, here: NDArray[np.intp], there: NDArray[np.intp]) -> None:
        """Copy what is known of some tags from the rows `there` of another table; the kinds are the same."""
        for kind in TagKind:
            ours = np.flatnonzero(self.kinds[here] == kind)
            self.columns[kind][here[ours] - self.starts[kind]] = old.columns[kind][there[ours] - old.starts[kind]]
        for mine, theirs in (
            (self.quality, old.quality),
            (self.reason, old.reason),
            (self.simulated, old.simulated),
            (self.known, old.known),
        ):
            mine[here] = theirs[there]
        self.quality_turn += 1
        self.dated |= old.dated
        computed = self.origin == self.received.size - 1
        rows = ~computed[here]
        for mine, theirs in ((self.received, old.received), (self.source_time, old.source_time)):
            mine[self.origin[here[rows]]] = theirs[old.origin[there[rows]]]


def _frozen(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view


class Table:
    """All tags as they are in this tick. Every array is a read-only view or a copy."""

    __slots__ = (
        "_cells",
        "_rows",
        "columns",
        "directions",
        "kinds",
        "names",
        "quality",
        "reason",
        "simulated",
        "specs",
        "starts",
        "units",
    )

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        self.specs: tuple[TagSpec, ...] = cells.specs
        """The spec of each row."""
        self.names: tuple[str, ...] = tuple(spec.name for spec in cells.specs)
        self.units: tuple[str | None, ...] = tuple(spec.unit for spec in cells.specs)
        self.directions: tuple[Direction, ...] = tuple(spec.direction for spec in cells.specs)
        self.kinds: NDArray[np.uint8] = _frozen(cells.kinds)
        """(n,) `TagKind`, ascending"""
        self.starts: NDArray[np.intp] = _frozen(cells.starts)
        """(kinds + 1,) the first row of each kind, and the number of rows"""
        self.columns: Mapping[TagKind, NDArray[Any]] = MappingProxyType(
            {kind: _frozen(column) for kind, column in cells.columns.items()}
        )
        """kind -> (rows of this kind,) the last good values"""
        self.quality: NDArray[np.uint8] = _frozen(cells.quality)
        """(n,) `Quality`"""
        self.reason: NDArray[np.uint16] = _frozen(cells.reason)
        """(n,) code of `drivers.reasons`"""
        self.simulated: NDArray[np.bool_] = _frozen(cells.simulated)
        """(n,)"""
        self._rows = {name: row for row, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def row_of(self, name: str) -> int:
        """The row of a tag. Raises `KeyError`."""
        return self._rows[name]

    @property
    def quality_turn(self) -> int:
        """Counts up whenever quality, reason or simulated may have changed."""
        return self._cells.quality_turn

    @property
    def received(self) -> NDArray[np.float64]:
        """(n,) when each value was last known to hold, monotonic seconds; -inf: never; inf: the engine's own."""
        cells = self._cells
        return np.minimum.reduceat(cells.received[cells.leaves], cells.leaf_starts) if len(self) else np.zeros(0)

    @property
    def dated(self) -> bool:
        """Whether any device has ever said when a value came to be."""
        return self._cells.dated

    @property
    def source_time(self) -> NDArray[np.float64]:
        """(n,) when the device says each value came to be, unix seconds; NaN where it does not say."""
        return self.source_time_of(np.arange(len(self)))

    def source_time_of(self, rows: NDArray[np.intp]) -> NDArray[np.float64]:
        """The source time of some rows; a derived tag has none of its own."""
        return self._cells.source_time[self._cells.origin[rows]]

    def absent(self, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """(rows,) whether there is nothing to be published of each."""
        cells = self._cells
        absent: NDArray[np.bool_] = cells.quality[rows] >= Quality.STALE
        return absent & ~(cells.stands_in[rows] & cells.known[rows])

    def shown(self, row: int) -> Value | None:
        """What is published of one row: its value, or what its author wants in its place when it is bad or stale."""
        return self.last_value(row) if self.quality[row] < Quality.STALE or self._cells.stands_in[row] else None

    def value(self, row: int) -> Value | None:
        """The value of one row as a plain Python value, a choice as its word; None when it is bad or stale."""
        return self.last_value(row) if self.quality[row] < Quality.STALE else None

    def last_value(self, row: int) -> Value | None:
        """What the column of one row holds, whatever its quality; None when there never was a value."""
        if not self._cells.known[row]:
            return None
        kind, cell = self._cells.cell(row)
        value = self.columns[kind][cell]
        if kind is TagKind.CHOICE:
            return tuple(self.specs[row].choices)[int(value)]
        return str(value) if kind is TagKind.TEXT else value.item()

    def why(self, row: int) -> str:
        """The reason why a row is not good, "" when it is."""
        return reason_text(int(self.reason[row]))
