"""Values that lie over some rows of a table, and can be lifted off it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import Kind, Quality
from engine.core.convert import NOT_FINITE, Choices
from engine.core.derived import Derived
from engine.core.scaling import INTEGER_BOUNDS, OVERFLOW, Codes
from engine.core.spec import TagSpec
from engine.core.table import COLUMN_DTYPES, Cells, TagKind


class Sheet:
    """Rows with values of their own, given or computed; while it is put, it keeps what lies under it."""

    def __init__(self, cells: Cells, values: Mapping[int, Any], slots: Mapping[int, int]) -> None:
        """Cover the rows of `values`, as their columns hold them, and those of `slots`, whose values are results.

        Until there are results, what is computed is as the table has it now.
        """
        self._cells = cells
        rows = sorted([*values, *slots])
        self._rows: NDArray[np.intp] = np.array(rows, np.intp)
        given = np.array([row in values for row in rows], np.bool_)
        self._over = _Layer(
            np.where(given, np.uint8(Quality.GOOD), cells.quality[self._rows]),
            np.where(given, np.uint16(0), cells.reason[self._rows]),
            given | cells.known[self._rows],
            [],
        )
        self._parts: list[_Part] = []
        for kind in TagKind:
            first, last = (int(at) for at in np.searchsorted(cells.kinds[self._rows], [kind, kind + 1]))
            if first < last:
                part = _Part(cells, kind, slice(first, last), rows[first:last], slots)
                column = cells.columns[kind][part.places]
                for place, row in enumerate(rows[first:last]):
                    if row in values:
                        column[place] = values[row]
                self._parts.append(part)
                self._over.columns.append(column)
        self._under: _Layer | None = None

    def put(self) -> None:
        """Lay it over the table."""
        if self._under is None and self._rows.size:
            cells, rows = self._cells, self._rows
            columns = [cells.columns[part.kind][part.places] for part in self._parts]
            self._under = _Layer(cells.quality[rows], cells.reason[rows], cells.known[rows], columns)
            self._write(self._over)

    def lift(self) -> None:
        """Let the table be again as it was."""
        if self._under is not None:
            self._write(self._under)
            self._under = None

    def compute(self, results: Derived) -> None:
        """Take over what has been computed; it is in the table when the sheet is put the next time."""
        over = self._over
        for part, column in zip(self._parts, over.columns, strict=True):
            if part.slots.size:
                x, quality, reason = results.made(part.slots)
                values, codes = part.converted(np.where(quality < Quality.STALE, x, 0.0))
                if codes is not None:
                    unfit = (codes > 0) & (quality < Quality.STALE)
                    quality, reason = np.where(unfit, Quality.BAD, quality), np.where(unfit, codes, reason)
                usable = quality < Quality.STALE
                column[part.computed[usable]] = values[usable]
                at = part.computed + part.span.start
                over.quality[at], over.reason[at] = quality, reason
                over.known[at] |= usable

    def _write(self, layer: _Layer) -> None:
        cells, rows = self._cells, self._rows
        for part, column in zip(self._parts, layer.columns, strict=True):
            cells.columns[part.kind][part.places] = column
            cells.fresh_values.add(part.kind)
        if not all(
            np.array_equal(now[rows], then)
            for now, then in (
                (cells.quality, layer.quality),
                (cells.reason, layer.reason),
                (cells.known, layer.known),
            )
        ):
            cells.quality[rows], cells.reason[rows], cells.known[rows] = layer.quality, layer.reason, layer.known
            cells.quality_turn += 1


class _Layer:
    """All that a table says of some rows."""

    __slots__ = ("columns", "known", "quality", "reason")

    def __init__(
        self,
        quality: NDArray[np.uint8],
        reason: NDArray[np.uint16],
        known: NDArray[np.bool_],
        columns: list[NDArray[Any]],
    ) -> None:
        self.quality = quality
        self.reason = reason
        self.known = known
        self.columns = columns
        """the values, kind by kind"""


class _Part:
    """The rows of a sheet that are of one kind."""

    def __init__(self, cells: Cells, kind: TagKind, span: slice, rows: Sequence[int], slots: Mapping[int, int]) -> None:
        self.kind = kind
        self.span = span
        self.places: NDArray[np.intp] = np.array(rows, np.intp) - cells.starts[kind]
        """in the column of the table"""
        self.computed: NDArray[np.intp] = np.array([place for place, row in enumerate(rows) if row in slots], np.intp)
        """Which of the rows have results."""
        self.slots: NDArray[np.intp] = np.array([slots[row] for row in rows if row in slots], np.intp)
        """Where these are."""
        specs: list[TagSpec] = [cells.specs[row] for row in rows if row in slots]
        self._choices = Choices(specs, Kind.FLOAT) if kind is TagKind.CHOICE and specs else None

    def converted(self, x: NDArray[np.float64]) -> tuple[NDArray[Any], Codes]:
        """Results as values of the column, whole numbers rounded; what does not fit has a reason."""
        match self.kind:
            case TagKind.INT | TagKind.UINT:
                low, high = INTEGER_BOUNDS[self.kind]
                whole = np.rint(x)
                fits = (whole >= low) & (whole < float(high))  # as a float, the highest is one too many
                return np.where(fits, whole, 0.0).astype(COLUMN_DTYPES[self.kind]), _codes(fits, OVERFLOW)
            case TagKind.FLOAT32:
                with np.errstate(over="ignore"):
                    narrow = x.astype(np.float32)
                return narrow, _codes(np.isfinite(narrow), NOT_FINITE)
            case TagKind.BOOL:
                return x != 0, None
            case _:
                return (x, None) if self._choices is None else self._choices.apply(x, None)


def _codes(fits: NDArray[np.bool_], code: int) -> Codes:
    return None if fits.all() else np.where(fits, np.uint16(0), np.uint16(code))
