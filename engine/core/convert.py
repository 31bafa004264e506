"""Raw values of a link's image become values of the table, a block of rows at a time.

A block is all rows that one link feeds from one column of its image into one column of the table. What a block does
(gather, scale, compare) is decided when it is planned; in the tick it is a handful of array operations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import DTYPES, Image, Kind, Quality
from drivers.reasons import reason_code
from engine.core.arrays import as_slice
from engine.core.scaling import INTEGER_BOUNDS, Codes, RealScale, WholeScale, mark, stays_finite
from engine.core.spec import FromPoint, TagSpec
from engine.core.table import COLUMN_DTYPES, Cells, TagKind

NOT_AVAILABLE = reason_code("the device says that it has no value")
NOT_FINITE = reason_code("not a finite number")
BELOW = reason_code("below the minimum")
ABOVE = reason_code("above the maximum")
NO_CHOICE = reason_code("none of the choices")

_INTEGERS = (Kind.INT, Kind.UINT)


def is_identity(spec: TagSpec) -> bool:
    """Whether the raw value is the value."""
    return spec.scale == 1 and spec.offset == 0


def converted_kind(spec: TagSpec, raw: Kind) -> TagKind:
    """The kind of a tag that is fed by a raw value of this kind."""
    if spec.choices:
        return TagKind.CHOICE
    if raw is Kind.TEXT or is_identity(spec):
        return TagKind(raw)
    whole = float(spec.scale).is_integer() and float(spec.offset).is_integer()
    if raw in _INTEGERS and whole and abs(spec.scale) < 2**63 and abs(spec.offset) < 2**63:
        negative = spec.scale < 0 or spec.offset < 0
        return TagKind.INT if raw is Kind.INT or negative else TagKind.UINT
    return TagKind.FLOAT


class Block:
    """The conversion of the rows that one link feeds from one raw column into one column of the table."""

    def __init__(self, cells: Cells, rows: slice, image: Image) -> None:
        specs = cells.specs[rows]
        image_rows = np.array([spec.source.row for spec in specs if isinstance(spec.source, FromPoint)], np.intp)
        self.rows = rows
        self.raw_kind = Kind(int(image.kinds[image_rows[0]]))
        self.kind = cells.cell(rows.start)[0]
        self._cells = cells
        start = int(cells.starts[self.kind])
        self._column: NDArray[Any] = cells.columns[self.kind][rows.start - start : rows.stop - start]
        self._image_rows = as_slice(image_rows)
        self._raw_cells = as_slice(image.cells[image_rows])
        self._all_good = False
        self.aged = False
        """Whether `stale` was put over what the image says, so that the image must be taken again."""
        self._scaled: WholeScale | RealScale | None = None
        if _needs_scale(specs, self.kind):
            whole = self.kind in INTEGER_BOUNDS
            make = WholeScale if whole else RealScale
            self._scaled = make(specs, self.raw_kind, self.kind)
        self._sentinels = _sentinels(specs, self.raw_kind)
        self._limits = _Limits(specs, self.kind) if _needs_limits(specs, self.kind) else None
        self._choices = Choices(specs, self.raw_kind) if self.kind is TagKind.CHOICE else None
        self._checks_finite = self.kind in (TagKind.FLOAT, TagKind.FLOAT32) and not stays_finite(specs, self.raw_kind)
        cannot_fail = not (self._sentinels or self._limits or self._checks_finite)
        self._straight = self._scaled if cannot_fail and isinstance(self._scaled, RealScale) else None
        """Where every raw value has a value, it goes into the column without a detour."""

    def take(self, image: Image, all_good: bool) -> None:
        """Bring the rows up to date with the image, `all_good` saying that none of its rows is worse than good."""
        raw: NDArray[Any] = image.columns[self.raw_kind][self._raw_cells]
        if all_good and self._straight is not None:
            self._straight.run(raw, self._column)
            self._show_good()
            return
        codes: Codes = None
        for sentinel, exists in self._sentinels:
            codes = mark(codes, (raw == sentinel) & exists, NOT_AVAILABLE)
        value = raw
        if self._choices is not None:
            value, codes = self._choices.apply(raw, codes)
        elif self._scaled is not None:
            value, codes = self._scaled.apply(raw, codes)
        if self._checks_finite and np.count_nonzero(finite := np.isfinite(value)) < value.size:
            codes = mark(codes, ~finite, NOT_FINITE)
        if self._limits is not None:
            value, codes = self._limits.apply(value, codes)
        if all_good and codes is None:
            self._column[:] = value
            self._show_good()
            return
        cells, rows = self._cells, self.rows
        cells.fresh_values.add(self.kind)
        quality: NDArray[np.uint8] = image.quality[self._image_rows].copy()
        reason: NDArray[np.uint16] = image.reason[self._image_rows].copy()
        if codes is not None:
            ours = (codes > 0) & (quality < Quality.STALE)
            quality[ours] = Quality.BAD
            reason[ours] = codes[ours]
        usable = quality < Quality.STALE  # what a device itself calls stale is never the last good value
        np.copyto(self._column, value, where=usable)
        cells.known[rows] |= usable
        cells.quality[rows] = quality
        cells.reason[rows] = reason
        cells.quality_turn += 1
        self._all_good, self.aged = False, False

    def _show_good(self) -> None:
        """Say that all rows have a new and good value."""
        cells, rows = self._cells, self.rows
        cells.fresh_values.add(self.kind)
        if not self._all_good or self.aged:
            cells.quality[rows] = Quality.GOOD
            cells.reason[rows] = 0
            cells.known[rows] = True
            cells.quality_turn += 1
            self._all_good, self.aged = True, False


def _needs_scale(specs: Sequence[TagSpec], kind: TagKind) -> bool:
    return kind not in (TagKind.CHOICE, TagKind.TEXT) and not all(is_identity(spec) for spec in specs)


def _sentinels(specs: Sequence[TagSpec], raw: Kind) -> list[tuple[NDArray[Any], NDArray[np.bool_]]]:
    """The raw values that mean "no value": one row for each tag's first, second, ... with whether it has so many."""
    found: list[tuple[NDArray[Any], NDArray[np.bool_]]] = []
    if raw not in (Kind.BOOL, Kind.TEXT):
        for place in range(max(len(spec.not_available) for spec in specs)):
            listed = [spec.not_available[place : place + 1] for spec in specs]
            values = [_raw_value(value[0], raw) if value else None for value in listed]
            exists = np.array([value is not None for value in values], np.bool_)
            found.append((np.array([value or 0 for value in values], DTYPES[raw]), exists))
    return found


def _raw_value(value: float, raw: Kind) -> float | int | None:
    """A number of the author's as a raw value of this kind; None when no raw value can be equal to it."""
    if raw not in _INTEGERS:
        return value
    low, high = INTEGER_BOUNDS[TagKind(raw)]
    return int(value) if float(value).is_integer() and low <= int(value) <= high else None


def _needs_limits(specs: Sequence[TagSpec], kind: TagKind) -> bool:
    limited = kind not in (TagKind.CHOICE, TagKind.TEXT, TagKind.BOOL)
    return limited and any(spec.minimum is not None or spec.maximum is not None for spec in specs)


class _Limits:
    """What is beyond the author's limits is bad, or held at the limit."""

    def __init__(self, specs: Sequence[TagSpec], kind: TagKind) -> None:
        self._minimum = np.array([_limit(spec.minimum, kind, lowest=True) for spec in specs], COLUMN_DTYPES[kind])
        self._maximum = np.array([_limit(spec.maximum, kind, lowest=False) for spec in specs], COLUMN_DTYPES[kind])
        self._clamps: NDArray[np.bool_] = np.array([spec.outside == "clamp" for spec in specs], np.bool_)
        self._any_clamps = bool(self._clamps.any())
        # A limit may leave no value of the column's type at all, as a maximum of -1 does for unsigned integers.
        low, high = INTEGER_BOUNDS.get(kind, (-math.inf, math.inf))
        self._too_low = np.array([spec.minimum is not None and spec.minimum > high for spec in specs], np.bool_)
        self._too_high = np.array([spec.maximum is not None and spec.maximum < low for spec in specs], np.bool_)
        self._clamps &= ~(self._too_low | self._too_high)

    def apply(self, value: NDArray[Any], codes: Codes) -> tuple[NDArray[Any], Codes]:
        below, above = (value < self._minimum) | self._too_low, (value > self._maximum) | self._too_high
        if not (np.count_nonzero(below) or np.count_nonzero(above)):
            return value, codes
        if self._any_clamps:
            value = np.where(self._clamps, np.clip(value, self._minimum, self._maximum), value)
        codes = mark(codes, below & ~self._clamps, BELOW)
        return value, mark(codes, above & ~self._clamps, ABOVE)


def _limit(limit: float | None, kind: TagKind, *, lowest: bool) -> float | int:
    """A limit in the column's own type; for integers never wider than the author's."""
    if kind in INTEGER_BOUNDS:
        low, high = INTEGER_BOUNDS[kind]
        if limit is None or math.isinf(limit):
            return low if lowest else high
        return min(max(math.ceil(limit) if lowest else math.floor(limit), low), high)
    if limit is None:
        return -math.inf if lowest else math.inf
    return limit


class Choices:
    """Raw values become the place of the tag's choice that has them."""

    def __init__(self, specs: Sequence[TagSpec], raw: Kind) -> None:
        width = max(len(spec.choices) for spec in specs)
        dtype = np.dtype(np.uint8) if raw is Kind.BOOL else DTYPES[raw]
        self._is_bool = raw is Kind.BOOL
        self._values = np.zeros((len(specs), width), dtype)
        self._exists = np.zeros((len(specs), width), np.bool_)
        for row, spec in enumerate(specs):
            for place, value in enumerate(spec.choices.values()):
                known = str(value) if raw is Kind.TEXT else _raw_value(value, Kind.UINT if self._is_bool else raw)
                if known is not None:
                    self._values[row, place] = known
                    self._exists[row, place] = True

    def apply(self, raw: NDArray[Any], codes: Codes) -> tuple[NDArray[Any], Codes]:
        raw = raw.view(np.uint8) if self._is_bool else raw
        equal = (self._values == raw[:, np.newaxis]) & self._exists
        return equal.argmax(axis=1), mark(codes, ~equal.any(axis=1), NO_CHOICE)
