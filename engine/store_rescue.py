"""Reading what can be read of a store that cannot be used as it is."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from engine.store_tables import CHECKED, is_sound, prepare

_UNREADABLE: Final = (sqlite3.Error, UnicodeDecodeError)
"""Python reads the messages of SQLite, and a damaged name in one of them."""
AT_ONCE: Final = 1000
"""Rows that are written in one transaction, which is held in memory."""
_OPTIONS: Final = ("mode=rw", "mode=ro&immutable=1")
"""With its write-ahead log, else, where nothing can be written, without it."""
_LACKING: Final = {"taken": "0", "stride": "1", "crc": "NULL"}
"""Columns that earlier versions have not, and what stands for them."""
_SINCE: Final = {"progress": 2, "kept": 2, "life": 3}
"""The versions that tables have come with, where that is not the first."""
_OF_A_RUN: Final = ("progress", "archive_row", "run_log_line")


@dataclass(slots=True)
class Rescued:
    """What came of it."""

    read: int = 0
    """Rows."""
    damaged: int = 0
    """Rows that were found and are not as they were written."""
    is_partial: bool = False
    """There may have been more."""

    def __str__(self) -> str:
        lost = [f"damaged and lost: {self.damaged}"] if self.damaged else []
        lost += ["an unknown part is lost"] if self.is_partial else []
        return f"{self.read} rows of it" + (f" ({', '.join(lost)})" if lost else "")


def rescue(old: Path, db: sqlite3.Connection) -> Rescued:
    """Copy each sound row of a file that nobody else uses into an empty store. Raises what writing into `db` raises."""
    found = Rescued()
    source = _readable(old)
    if source is None:
        found.is_partial = True
        return found
    with closing(source):
        for table in CHECKED:
            db.execute("BEGIN")
            _copy(source, db, table, found)
            db.execute("COMMIT")
        for table in _OF_A_RUN:
            db.execute(f"DELETE FROM {table} WHERE run NOT IN (SELECT id FROM run)")  # noqa: S608  # names of our own
    return found


def _readable(old: Path) -> sqlite3.Connection | None:
    for options in _OPTIONS:
        source: sqlite3.Connection | None = None
        try:
            source = sqlite3.connect(f"file:{quote(str(old.absolute()))}?{options}", uri=True, timeout=0)
            prepare(source)
            source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except _UNREADABLE:
            if source is not None:
                source.close()
        else:
            return source
    return None


def _copy(source: sqlite3.Connection, db: sqlite3.Connection, table: str, found: Rescued) -> None:
    columns = CHECKED[table]
    names = columns if "number" in columns else ("rowid", *columns)
    extra = ", merged" if table == "entry" else ""
    places = ", ".join(f"?{place}" for place in range(1, len(names) + 1))
    summed = ", ".join(f"?{names.index(column) + 1}" for column in columns)
    into = f"{table}({', '.join(names)}{extra}, crc)"
    values_of = f"({places}{', 0' if extra else ''}, crc({summed}))"
    how = "REPLACE" if table == "life" else "IGNORE"
    insert = f"INSERT OR {how} INTO {into} VALUES {values_of}"  # noqa: S608  # names of our own
    for count, (row, values, crc) in enumerate(_rows(source, table, found), start=1):
        if count % AT_ONCE == 0:
            db.execute("COMMIT")
            db.execute("BEGIN")
        if is_sound(table, values, crc):
            done = db.execute(insert, values if len(names) == len(columns) else (row, *values)).rowcount
            found.read += done if table != "life" else 0
        else:
            found.damaged += 1


def _rows(source: sqlite3.Connection, table: str, found: Rescued) -> Iterator[tuple[int, Sequence[Any], int | None]]:
    """The rows of a table, from its beginning and, where that breaks off, from its end."""
    last: int | None = None
    for order in ("ASC", "DESC"):
        try:
            have = {name for _, name, *_ in source.execute(f"PRAGMA table_info({table})")}
            if not have:
                (version,) = source.execute("PRAGMA user_version").fetchone()
                found.is_partial = found.is_partial or version >= _SINCE.get(table, 1)
                return
            columns = (name if name in have else _LACKING.get(name, name) for name in (*CHECKED[table], "crc"))
            query = f"SELECT rowid, {', '.join(columns)} FROM {table} ORDER BY rowid {order}"  # noqa: S608  # as above
            cursor = source.execute(query)
            while (row := cursor.fetchone()) is not None:
                if order == "DESC" and last is not None and row[0] <= last:
                    return
                if order == "ASC":
                    last = row[0]
                yield row[0], row[1:-1], row[-1]
        except _UNREADABLE:
            found.is_partial = True
        else:
            return
