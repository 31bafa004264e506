"""Columns become the JSON of TagValues without a Python object a tag.

What never changes of a tag is encoded when the packer is made. In the tick a column is written by orjson in one go and
cut at its commas, and everything is joined once.

Values as the aggregator takes them (docs/wire.md, "Values"):

* never NaN, never an infinity: both are null, as is everything that is absent;
* a float32 keeps its own shortest text: 0.1, not 0.10000000149011612;
* a boolean is 1 or 0; where the author has words for the values of a tag, the column holds places among them;
* an integer is exact up to 2^63 - 1. One beyond breaks the aggregator's plot log for the whole run, so it is sent as
  the nearest float: off by less than 1 in 10^15, and a number that the plot can show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from protocol.texts import clean_json, clean_text

EARLIEST = 946_684_800.0
"""2000-01-01: a source time before it comes from a clock that nobody has set."""
_LARGEST = 2**63 - 1
_DIRECTIONS = {"input": "input", "output": "output", "both": "output", "na": "na"}
_BITS = np.array([b"0", b"1"], object)
_NAME = b'{"name":'
_TAIL = b',"tick_time":%b,"simulated":false,"value_formatted":null},' + _NAME
_UNSAID = b'"value_formatted":null'
"""From behind a value to the next tag; all that is the same for most tags is here, so that their heads are short."""


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
        said: Mapping[int, Callable[[float], str]] | None = None,
    ) -> None:
        """Encode what does not change. `words` has the author's words for each row of a column of places among them,
        `said` how the numbers of some rows are said to people."""
        self._columns = [column for column in columns if len(column)]
        sizes = [len(column) for column in self._columns]
        self._starts: NDArray[np.intp] = np.cumsum([0, *sizes]).astype(np.intp)
        self._heads = _objects(
            _head(name, unit, direction) for name, unit, direction in zip(names, units, directions, strict=True)
        )
        self._all_heads: list[bytes] = self._heads.tolist()
        self._words = _objects(clean_json(word) for word in chain.from_iterable(words.values()))
        self._said = dict(said or {})
        self._is_said = np.isin(np.arange(len(names)), list(self._said))
        self._first_word: NDArray[np.intp] = np.full(len(names), -1, np.intp)
        first = 0
        for row, choices in words.items():
            self._first_word[row] = first
            first += len(choices)

    def pack(
        self,
        rows: NDArray[np.intp],
        absent: NDArray[np.bool_] | None,
        tick_time: float,
        source_time: NDArray[np.float64] | None = None,
        simulated: NDArray[np.bool_] | None = None,
    ) -> bytes:
        """The JSON array of some rows, given ascending; the other arrays have one element for each of them.

        `absent` marks what has no value, `tick_time` and `source_time` are unix seconds. None: none of them is.
        """
        if not rows.size:
            return b"[]"
        parts = [_TAIL % orjson.dumps(tick_time)] * (3 * rows.size)
        parts[0::3] = self._all_heads if rows.size == self._heads.size else self._heads[rows].tolist()
        if source_time is not None:
            parts[2::3] = [_TAIL % text for text in _texts(sane_times(source_time, tick_time))]
        if simulated is not None:
            for place in np.flatnonzero(simulated).tolist():
                parts[3 * place + 2] = parts[3 * place + 2].replace(b'"simulated":false', b'"simulated":true')
        self._put_values(parts, rows, absent)
        if self._said:
            self._say(parts, rows)
        parts[0] = b"[" + _NAME + parts[0]
        parts[-1] = parts[-1].removesuffix(b"," + _NAME) + b"]"
        return b"".join(parts)

    def _say(self, parts: list[bytes], rows: NDArray[np.intp]) -> None:
        """Add the words for numbers that are not sent alone."""
        for place in self._is_said[rows].nonzero()[0].tolist():
            value = parts[3 * place + 1]
            if value != b"null":
                words = orjson.dumps(self._said[int(rows[place])](float(value)))
                parts[3 * place + 2] = parts[3 * place + 2].replace(_UNSAID, b'"value_formatted":' + words)

    def _put_values(self, parts: list[bytes], rows: NDArray[np.intp], absent: NDArray[np.bool_] | None) -> None:
        """The JSON text of the value of each row, column by column."""
        bounds = rows.searchsorted(self._starts).tolist()
        for place, column in enumerate(self._columns):
            first, last = bounds[place], bounds[place + 1]
            if first < last:
                inside = rows[first:last]
                values = column if last - first == column.size else column[inside - self._starts[place]]
                texts = self._texts(values, inside, None if absent is None else absent[first:last])
                parts[3 * first + 1 : 3 * last : 3] = texts

    def _texts(self, values: NDArray[Any], rows: NDArray[np.intp], absent: NDArray[np.bool_] | None) -> list[bytes]:
        """The JSON text of each value of one column; `absent` is None when none is."""
        if values.dtype.kind == "f":
            return _texts(values if absent is None else np.where(absent, values.dtype.type(np.nan), values))
        if values.dtype == object:
            texts = [_text(value) for value in values.tolist()]
        elif values.dtype == np.bool_:
            texts = _BITS[values.view(np.uint8)].tolist()
        elif (first_word := self._first_word[rows])[0] >= 0:
            texts = self._words[(values if absent is None else np.where(absent, 0, values)) + first_word].tolist()
        else:
            texts = _texts(values)
            if values.dtype == np.uint64:
                for place in np.flatnonzero(values > _LARGEST).tolist():
                    texts[place] = orjson.dumps(float(values[place]))
        if absent is not None:
            for place in np.flatnonzero(absent).tolist():
                texts[place] = b"null"
        return texts


def _head(name: str, unit: str | None, direction: str) -> bytes:
    return b'%b,"value_unit":%b,"direction":"%b","value":' % (
        clean_json(name),
        clean_json(unit),
        _DIRECTIONS.get(direction, "unspecified").encode(),
    )


def _objects(values: Any) -> NDArray[Any]:
    listed = list(values)
    found = np.empty(len(listed), object)
    found[:] = listed
    return found


def _texts(values: NDArray[Any]) -> list[bytes]:
    """The JSON text of each number of a column; orjson writes NaN and infinities as null."""
    return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")


def _text(value: str) -> bytes:
    return orjson.dumps(clean_text(value))
