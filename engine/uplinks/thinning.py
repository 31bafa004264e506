"""Making room among samples that wait: two neighbouring ticks become one, and no tag's last value is lost.

The older half is gone through from its beginning, some of it at a time: first for samples that were never merged, then
for those that were merged once, and so on, so that all of it is thinned alike. The table is never read as a whole.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

import orjson

from engine.store_tables import is_sound

AT_A_TIME: Final = 1000
"""Samples that are looked at in one go, two at least, so that other work of the store comes between."""
_ENDS: Final = (
    "SELECT (SELECT number FROM entry WHERE kind = 'sample' ORDER BY number LIMIT 1), (SELECT max(number) FROM entry)"
)
_NEXT: Final = (
    "SELECT merged, number, kind, run, tick, taken, body, crc FROM entry "
    "WHERE number > ? AND number <= ? AND kind = 'sample' ORDER BY number LIMIT ?"
)
_MERGE: Final = (
    "UPDATE entry SET body = ?1, merged = ?2, crc = crc(number, kind, run, tick, taken, ?1) WHERE number = ?3"
)


class _Sample(NamedTuple):
    merged: int
    number: int
    run: str
    body: bytes


class Thinning:
    """One way through the older half, as often as it takes."""

    def __init__(self) -> None:
        self._after = 0
        """The number up to which it has been gone through this time."""
        self._level = 0
        """Samples that were merged more often than this are left as they are this time."""
        self._has_found = False
        """Whether there was a pair this time, or a sample that was merged too often for now."""

    def merge_some(self, db: sqlite3.Connection) -> bool:
        """Merge some pairs of samples of one run; False when there is none left.

        The later one of a pair gets the tags that only the earlier one has, each with its own tick.
        """
        first, last = db.execute(_ENDS).fetchone()
        if first is None:
            return False
        middle = (first + last) // 2
        rows = db.execute(_NEXT, (self._after, middle, AT_A_TIME)).fetchall()
        samples = [
            _Sample(merged, values[0], values[2], values[5])
            for merged, *values, crc in rows
            if is_sound("entry", values, crc)  # else it is told of when its turn comes
        ]
        self._has_found = self._has_found or any(sample.merged > self._level for sample in samples)
        for early, late in _pairs(samples, self._level):
            merged = max(early.merged, late.merged) + 1
            db.execute(_MERGE, (_merged(early.body, late.body), merged, late.number))
            db.execute("DELETE FROM entry WHERE number = ?", (early.number,))
            self._has_found = True
        if len(rows) == AT_A_TIME:
            self._after = rows[-1][1] - 1  # the last one is the first one of the next pair
            return True
        self._after = 0
        self._level += 1
        goes_on, self._has_found = self._has_found, False
        return goes_on


def _pairs(samples: Sequence[_Sample], level: int) -> Iterator[tuple[_Sample, _Sample]]:
    """The neighbours that may become one."""
    taken = -1
    for early, late in pairwise(samples):
        if early.number > taken and early.run == late.run and max(early.merged, late.merged) <= level:
            taken = late.number
            yield early, late


def _merged(early: bytes, late: bytes) -> bytes:
    message: dict[str, Any] = orjson.loads(late)
    tags = {tag["name"]: tag for tag in orjson.loads(early)["tags"]}
    tags |= {tag["name"]: tag for tag in message["tags"]}
    message["tags"] = list(tags.values())
    return orjson.dumps(message)
