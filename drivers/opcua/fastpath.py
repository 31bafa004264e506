"""The short way of a reading: values taken straight from the bytes of the answer.

Rules of this file:

* What it puts into an image is what asyncua's decoder and `codec.decode` put there, value for value.
* One pass over an answer finds where its values are (`records.scan`); numpy takes them from there (`Layout`). The
  places hold for the next answer too if every byte that is neither a value nor a time is the same; else one more pass
  finds them.
* Only values of a type that numpy does not know go to asyncua's decoder, one by one, so that none spoils another.

Where a value carries source picoseconds and server timestamp both, asyncua 2.1 takes them in the wrong order; this file
keeps to the specification (OPC 10000-6 5.2.2.17).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from asyncua.ua.status_codes import StatusCodes
from numpy.typing import NDArray

from drivers.contract import Image, Kind, Quality
from drivers.opcua.codec import KINDS, Cell, OnUncertain, Timestamp, Type, cut, quality_of, settle
from drivers.opcua.decoding import DECODING_ERRORS, variant_of
from drivers.opcua.records import (
    ARRAY,
    DTYPES,
    FIXED,
    HAS_STATUS,
    MATRIX,
    TYPE,
    Records,
    anywhere,
    int32,
    lengths_of,
    results_begin,
    scan,
    statuses_of,
    tail_sizes,
)  # fmt: skip

_COLUMN = np.array([KINDS.get(Type(number), 255) if number < 26 else 255 for number in range(64)], np.uint8)
_PLAIN = np.array([number in DTYPES for number in range(64)])
_WIDTH_OF = np.array([FIXED.get(number, 0) for number in range(64)], np.intp)

_EPOCH_TICKS = 116_444_736_000_000_000
"""1970-01-01 in the ticks of OPC UA, 100 ns since 1601-01-01: OPC 10000-6 5.2.2.5."""
_LAST_TICKS = 2_650_467_743_990_000_000
"""9999-12-31 23:59:59, past which asyncua's decoder holds every time."""


class Cells:
    """The cells that an answer fills, as arrays."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = cells
        self.answers = np.array([cell.answer for cell in cells], np.intp)
        self.rows = np.array([cell.row for cell in cells], np.intp)
        self.kinds = np.array([cell.kind for cell in cells], np.uint8)
        self.positions = np.array([cell.position for cell in cells], np.intp)
        self.have_texts = np.array([cell.texts is not None for cell in cells], np.bool_)
        self.indices = np.array([-1 if cell.index is None else cell.index for cell in cells], np.intp)
        wanted: list[OnUncertain | None] = [cell.on_uncertain for cell in cells]
        self.on_uncertain: dict[OnUncertain | None, NDArray[np.bool_]] = {}
        """What authors want of uncertain values -> (number of cells,) who wants it."""
        for each in set(wanted):
            self.on_uncertain[each] = np.array([other == each for other in wanted], np.bool_)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Values of one built-in type, and their places in the column of its kind."""

    dtype: np.dtype[Any]
    places: NDArray[np.intp]
    kind: Kind
    positions: NDArray[np.intp]


class Layout:
    """Where the cells' values are in a message, and in every message of the same shape."""

    def __init__(
        self, body: bytes, records: Records, cells: Cells, slots: NDArray[np.intp], timestamp: Timestamp
    ) -> None:
        """`slots` is (number of cells,): which of the records each cell takes its value from; -1: none."""
        self._body = body
        self._records = records
        self._care: NDArray[np.uint8] | None = None
        chosen = np.flatnonzero(slots >= 0)
        slots = slots[chosen]
        encodings, starts, tails = records.encodings[slots], records.starts[slots], records.tails[slots]
        types = encodings & TYPE
        statuses = statuses_of(body, records)[slots]
        self.rows = cells.rows[chosen]
        self.qualities = np.zeros(statuses.size, np.uint8)
        self.reasons = np.zeros(statuses.size, np.uint16)
        for status in np.unique(statuses[statuses != 0]).tolist():
            for on_uncertain, wanted in cells.on_uncertain.items():
                alike = (statuses == status) & wanted[chosen]
                self.qualities[alike], self.reasons[alike] = quality_of(status, on_uncertain)
        times = records.times(timestamp)[slots]
        self._timed = np.flatnonzero(times >= 0)
        self._times = times[self._timed]

        texts = cells.have_texts[chosen]
        is_array, indices = (encodings & ARRAY) != 0, cells.indices[chosen]
        there = np.where(is_array, (indices >= 0) & (indices < lengths_of(body, records)[slots]), indices < 0)
        usable = self.qualities != Quality.BAD
        kinds = cells.kinds[chosen]
        plain = usable & there & ~texts & _PLAIN[types] & (_COLUMN[types] == kinds) & ((encodings & MATRIX) == 0)
        places = starts + np.where(is_array, 4 + indices * _WIDTH_OF[types], 0)
        self._numbers: list[_Numbers] = []
        for number in np.unique(types[plain]).tolist():
            at = np.flatnonzero(plain & (types == number))
            positions = cells.positions[chosen[at]]
            self._numbers.append(_Numbers(DTYPES[number], places[at], KINDS[Type(number)], positions))
        self._odd: list[tuple[Cell, int, int, int, int]] = [
            (cells.cells[chosen[at]], int(starts[at]), int(encodings[at]), int(tails[at]), int(statuses[at]))
            for at in np.flatnonzero(usable & ~plain).tolist()
        ]
        self._unknown: list[Cell] = [
            cells.cells[chosen[at]] for at in np.flatnonzero(statuses == StatusCodes.BadNodeIdUnknown).tolist()
        ]

    def fits(self, body: bytes, begin: int) -> bool:
        """Whether another message has its values in the same places, with the same types and statuses."""
        if len(body) != len(self._body) or begin != self._records.begin:
            return False
        if self._care is None:
            self._care = _care(self._body, self._records)
        differs = np.frombuffer(body, np.uint8) ^ np.frombuffer(self._body, np.uint8)
        return not (differs & self._care).any()

    def fill(self, body: bytes, image: Image) -> list[Cell]:
        """Put the values of a message that fits into their rows; return the cells to be learned anew."""
        for numbers in self._numbers:
            image.columns[numbers.kind][numbers.positions] = anywhere(body, numbers.dtype)[numbers.places]
        image.quality[self.rows] = self.qualities
        image.reason[self.rows] = self.reasons
        seconds = np.full(self.rows.size, np.nan)
        if self._timed.size:
            seconds[self._timed] = _unix(anywhere(body, np.dtype("<i8"))[self._times])
        image.source_time[self.rows] = seconds
        changed = [odd[0] for odd in self._odd if _settle(body, *odd, image)]
        return changed + self._unknown


class Reader:
    """Decodes the answers to one request, whose cells stay the same."""

    def __init__(self, count: int, cells: Sequence[Cell], timestamp: Timestamp) -> None:
        self._count = count
        self._cells = Cells(cells)
        self._timestamp: Timestamp = timestamp
        self._layout: Layout | None = None

    def layout_of(self, body: bytes) -> Layout:
        """Find where an answer has its values. Raises `ua.UaError` when it is an error, or no whole answer."""
        begin = results_begin(body)
        if self._layout is None or not self._layout.fits(body, begin + 4):
            records = scan(body, begin, self._count)
            self._layout = Layout(body, records, self._cells, self._cells.answers, self._timestamp)
        return self._layout


def _settle(body: bytes, cell: Cell, start: int, encoding: int, end: int, status: int, image: Image) -> bool:
    """Fill a cell whose value is no plain number."""
    if encoding == Type.String.value and cell.kind is Kind.TEXT and cell.index is None and cell.texts is None:
        length = max(int32(body, start)[0], 0)
        image.columns[Kind.TEXT][cell.position] = cut(body[start + 4 : start + 4 + length])
        return False
    try:
        variant = variant_of(body, start, encoding, end, 0 if cell.index is None else cell.index + 1)
    except DECODING_ERRORS:
        return settle(cell, StatusCodes.BadDecodingError, None, image)
    return settle(cell, status, variant, image)


def _care(body: bytes, records: Records) -> NDArray[np.uint8]:
    """(size of the message,): 0 for each byte that may differ without moving or changing the meaning of any other."""
    care = np.zeros(len(body), np.uint8)
    care[records.begin : records.end] = 0xFF
    types = records.encodings & TYPE
    is_array = (records.encodings & ARRAY) != 0
    for width in np.unique(_WIDTH_OF[types]).tolist():
        starts = records.starts[(_WIDTH_OF[types] == width) & ~is_array]
        care[starts[:, None] + np.arange(width)] = 0
    for at in np.flatnonzero(is_array & _PLAIN[types]).tolist():
        start = int(records.starts[at]) + 4
        care[start : start + max(int32(body, start - 4)[0], 0) * int(_WIDTH_OF[types[at]])] = 0
    for start in records.starts[records.encodings == Type.String.value].tolist():
        care[start + 4 : start + 4 + max(int32(body, start)[0], 0)] = 0
    after_status = records.tails + 4 * ((records.masks & HAS_STATUS) != 0)
    sizes = tail_sizes(records) - (after_status - records.tails)
    for size in np.unique(sizes).tolist():
        care[after_status[sizes == size][:, None] + np.arange(size)] = 0
    return care


def _unix(ticks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Unix seconds, to the microsecond as asyncua has them; NaN for the null time."""
    microseconds = np.minimum(ticks, _LAST_TICKS) // 10
    seconds = (microseconds - _EPOCH_TICKS // 10) / 1e6
    return np.where(microseconds <= 0, np.nan, seconds)
