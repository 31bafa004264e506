"""The archive of a run: a row of all tags every log interval, as text in the form of Open Pectus' own archive.

A header, then one row each: the time in UTC, the engine's own tags, those of the author. Floats have five decimals;
what is missing is empty; nothing is quoted, commas and backslashes are escaped (openpectus 0.1.1585, engine/archiver).
The whole text travels in one message when the run ends, so what is kept of a long run is within a bound: every second
row is left out, evenly. The file of the run has all of them.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from io import StringIO
from typing import Any, Final

import numpy as np

from engine.core.spec import TagSpec
from engine.core.table import Table, TagKind

LIMIT_CHARS: Final = 8 * 2**20
"""The aggregator takes no message above 16 MiB."""


class Archive:
    """The rows of one run."""

    def __init__(self, started: float, interval_s: float, header: str, filename: str = "") -> None:
        """`started` is in unix seconds, `header` as `header_row` makes it."""
        self.filename = filename or datetime.fromtimestamp(started, UTC).strftime("archiver-%Y-%m-%d_%H%M%S.txt")
        self.header = header
        self._interval_s = interval_s
        self._due = -np.inf
        self._rows: list[str] = []
        self._size = 0
        self._given = 0
        """Rows so far."""
        self.stride = 1
        """How many of them there are to one that is kept."""

    def due(self, now: float) -> bool:
        """Whether a row is due at `now`, monotonic seconds; the next one is then due an interval later."""
        if now < self._due:
            return False
        self._due = now + self._interval_s
        return True

    def append(self, row: str) -> bool:
        """Keep a row, or leave it out as one that the bound leaves no place for. Returns whether it is kept."""
        is_kept = self._given % self.stride == 0
        self._given += 1
        if is_kept:
            self._rows.append(row)
            self._size += len(row)
        return is_kept

    def thin(self) -> bool:
        """Beyond the bound, leave out every second row, and from then on keep only half as many as before.

        Returns whether it was so.
        """
        if self._size <= LIMIT_CHARS:
            return False
        del self._rows[1::2]
        self._size = sum(map(len, self._rows))
        self.stride *= 2
        return True

    def take_up(self, rows: Sequence[str], stride: int) -> None:
        """Go on with rows that were kept, one of `stride` that there were."""
        self._rows = list(rows)
        self._size = sum(map(len, rows))
        self._given = len(rows) * stride
        self.stride = stride
        while self.thin():
            pass

    def text(self) -> str:
        """The whole archive."""
        return self.header + "".join(self._rows)


class ArchiveRows:
    """Writes the rows of one table, tags in the order of `specs`."""

    def __init__(self, specs: Sequence[TagSpec], table: Table) -> None:
        self.table = table
        self._order = [table.row_of(spec.name) for spec in specs]
        self.names = [_column(spec) for spec in specs]
        self.kinds = [TagKind(int(table.kinds[row])) for row in self._order]

    def row(self, unix: float) -> str:
        """All tags as they are at `unix`, as text."""
        return _line([str(datetime.fromtimestamp(unix, UTC)), *self._ordered(_cells, "")])

    def values(self) -> list[Any]:
        """All tags as they are now, exact; None where one has no value."""
        return self._ordered(_values, None)

    def _ordered(self, of: Callable[[TagKind, Table], list[Any]], absent: str | None) -> list[Any]:
        table = self.table
        cells = [cell for kind in TagKind for cell in of(kind, table)]
        for row in table.absent(np.arange(len(table))).nonzero()[0].tolist():
            cells[row] = absent
        return [cells[row] for row in self._order]


def header_row(specs: Sequence[TagSpec]) -> str:
    """The names of the tags with their units."""
    return _line(["Datetime (UTC)", *map(_column, specs)])


def columns_of(header: str, specs: Sequence[TagSpec]) -> tuple[list[TagSpec], list[str]]:
    """The tags that a header names, and the columns for which there is none any more."""
    known = {_column(spec): spec for spec in specs}
    _, *columns = next(csv.reader([header], quoting=csv.QUOTE_NONE, escapechar="\\"))
    return [known[column] for column in columns if column in known], [each for each in columns if each not in known]


def _column(spec: TagSpec) -> str:
    return f"{spec.name} [{spec.unit}]" if spec.unit else spec.name


def _cells(kind: TagKind, table: Table) -> list[str]:
    values = _values(kind, table)
    match kind:
        case TagKind.FLOAT | TagKind.FLOAT32:
            return [f"{value:.5f}" for value in values]
        case TagKind.BOOL:
            return ["1" if value else "0" for value in values]
        case _:
            return [str(value) for value in values]


def _values(kind: TagKind, table: Table) -> list[Any]:
    values: list[Any] = table.columns[kind].tolist()
    if kind is TagKind.CHOICE:
        specs = table.specs[int(table.starts[kind]) :]
        return [tuple(spec.choices)[int(value)] for spec, value in zip(specs, values, strict=True)]
    return values


def _line(cells: Sequence[str]) -> str:
    text = StringIO()
    csv.writer(text, quoting=csv.QUOTE_NONE, escapechar="\\", lineterminator="\n").writerow(cells)
    return text.getvalue()
