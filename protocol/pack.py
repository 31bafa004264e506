"""Columns become the JSON of TagValues without a Python object a tag.

What never changes of a tag is encoded when the packer is made. In the tick a column is written by orjson in one go and
cut at its commas, and everything is joined once.

Values as the aggregator takes them (docs/wire.md, "Values"):

* never NaN, never an infinity: both are null, as is everything that is absent;
* a float32 keeps its own shortest text: 0.1, not 0.10000000149011612;
* a boolean is 1 or 0, or the author's word for it where the tag has words;
* an integer is exact up to 2^63 - 1. One beyond breaks the aggregator's plot log for the whole run, so it is sent as
  the nearest float: off by less than 1 in 10^15, and a number that the plot can show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

EARLIEST = 946_684_800.0
"""2000-01-01: a source time before it comes from a clock that nobody has set."""
_LARGEST = 2**63 - 1
_DIRECTIONS = {"input": "input", "output": "output", "both": "output", "na": "na"}
_BITS = np.array([b"0", b"1"], object)


def sane_times(source_time: NDArray[np.float64], tick_time: float) -> NDArray[np.float64]:
    """The source times, but that of the tick where there is none, or one in the future or before the year 2000."""
    sane = (source_time >= EARLIEST) & (source_time <= tick_time)  # NaN is neither
    return np.where(sane, source_time, tick_time)


class TagPacker:
    """Packs the tags of one table, whose rows are the rows of its columns, one column after the other."""

    def __init__(
        self,
        names: Sequence[str],
        units: Sequence[str | None],
        directions: Sequence[str],
        columns: Sequence[NDArray[Any]],
        words: Mapping[int, Sequence[str]],
    ) -> None:
        """Encode what does not change. `words` has, for a row whose value is a place among them, the author's words."""
        self._columns = tuple(columns)
        self._starts: NDArray[np.intp] = np.cumsum([0, *(len(column) for column in columns)]).astype(np.intp)
        self._heads = _objects(b'{"name":%b,"tick_time":' % orjson.dumps(name) for name in names)
        self._tails = {
            simulated: _objects(
                b',"value_unit":%b,"value_formatted":null,"direction":"%b","simulated":%b},'
                % (orjson.dumps(unit), _DIRECTIONS.get(direction, "unspecified").encode(), orjson.dumps(simulated))
                for unit, direction in zip(units, directions, strict=True)
            )
            for simulated in (False, True)
        }
        self._words = _objects(orjson.dumps(word) for word in chain.from_iterable(words.values()))
        self._first_word: NDArray[np.intp] = np.full(len(names), -1, np.intp)
        first = 0
        for row, choices in words.items():
            self._first_word[row] = first
            first += len(choices)

    def pack(
        self,
        rows: NDArray[np.intp],
        absent: NDArray[np.bool_],
        tick_time: float,
        source_time: NDArray[np.float64] | None = None,
        simulated: NDArray[np.bool_] | None = None,
    ) -> bytes:
        """The JSON array of some rows, given ascending; the other arrays have one element for each of them.

        `absent` marks what has no value, `tick_time` and `source_time` are unix seconds.
        """
        count = rows.size
        if not count:
            return b"[]"
        bounds = np.searchsorted(rows, self._starts).tolist()
        parts: list[bytes] = [b'%b,"value":' % orjson.dumps(tick_time)] * (4 * count)
        if source_time is not None:
            times = sane_times(source_time, tick_time)
            if (times != tick_time).any():
                parts[1::4] = [b'%b,"value":' % text for text in _texts(times)]
        parts[0::4] = self._heads[rows].tolist()
        for column, start, first, last in zip(self._columns, self._starts.tolist(), bounds, bounds[1:], strict=False):
            if first < last:
                inside = rows[first:last]
                values = column if last - first == column.size else column[inside - start]
                parts[4 * first + 2 : 4 * last : 4] = self._values(values, inside, absent[first:last])
        tails = self._tails[False][rows]
        if simulated is not None and simulated.any():
            tails[simulated] = self._tails[True][rows[simulated]]
        parts[3::4] = tails.tolist()
        parts[-1] = parts[-1][:-1] + b"]"
        parts[0] = b"[" + parts[0]
        return b"".join(parts)

    def _values(self, values: NDArray[Any], rows: NDArray[np.intp], absent: NDArray[np.bool_]) -> list[bytes]:
        """The JSON text of each value."""
        lacking = absent.any()
        if values.dtype.kind == "f":
            return _texts(np.where(absent, values.dtype.type(np.nan), values) if lacking else values)
        first_word = self._first_word[rows]
        if values.dtype == object:
            texts = [_text(value) for value in values.tolist()]
        elif (first_word >= 0).any():
            places = np.where(absent, 0, values.astype(np.intp)) + first_word
            texts = self._words[places].tolist()
        elif values.dtype == np.bool_:
            texts = _BITS[values.view(np.uint8)].tolist()
        else:
            texts = _texts(values)
            if values.dtype == np.uint64:
                for place in np.flatnonzero(values > _LARGEST).tolist():
                    texts[place] = orjson.dumps(float(values[place]))
        if lacking:
            for place in np.flatnonzero(absent).tolist():
                texts[place] = b"null"
        return texts


def _objects(values: Any) -> NDArray[Any]:
    listed = list(values)
    found = np.empty(len(listed), object)
    found[:] = listed
    return found


def _texts(values: NDArray[Any]) -> list[bytes]:
    """The JSON text of each number of a column; orjson writes NaN and infinities as null."""
    return orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")


def _text(value: str) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # half of a surrogate pair, which no JSON can carry
        return orjson.dumps(value.encode("utf-8", "replace").decode())
