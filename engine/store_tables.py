"""The tables of a store, and how a row shows that it is as it was written."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Final

_VERSIONS: Final = (
    """
CREATE TABLE entry(
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, run TEXT NOT NULL, tick REAL NOT NULL, merged INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE run(id TEXT PRIMARY KEY, started REAL NOT NULL, filename TEXT NOT NULL, header TEXT NOT NULL);
CREATE TABLE archive_row(number INTEGER PRIMARY KEY, run TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE run_log_line(id TEXT PRIMARY KEY, run TEXT NOT NULL, line BLOB NOT NULL);
""",
    """
CREATE TABLE progress(
    run TEXT PRIMARY KEY, at REAL NOT NULL, run_s REAL NOT NULL, process_s REAL NOT NULL, block_s REAL NOT NULL,
    mark TEXT NOT NULL, totals BLOB NOT NULL
);
CREATE TABLE kept(name TEXT PRIMARY KEY, value BLOB NOT NULL);
""",
    """
ALTER TABLE entry ADD COLUMN taken REAL NOT NULL DEFAULT 0;
ALTER TABLE entry ADD COLUMN crc INTEGER;
ALTER TABLE run ADD COLUMN crc INTEGER;
ALTER TABLE archive_row ADD COLUMN crc INTEGER;
ALTER TABLE run_log_line ADD COLUMN crc INTEGER;
ALTER TABLE progress ADD COLUMN stride INTEGER NOT NULL DEFAULT 1;
ALTER TABLE progress ADD COLUMN crc INTEGER;
ALTER TABLE kept ADD COLUMN crc INTEGER;
CREATE TABLE life(
    one INTEGER PRIMARY KEY, commits INTEGER NOT NULL, passed_s REAL NOT NULL, boot TEXT NOT NULL, at REAL NOT NULL,
    crc INTEGER
);
INSERT INTO life VALUES (1, 0, 0, '', 0, crc(0, 0, '', 0));
UPDATE run SET crc = crc(id, started, filename, header);
UPDATE progress SET crc = crc(run, at, run_s, process_s, block_s, mark, totals, stride);
UPDATE kept SET crc = crc(name, value);
UPDATE run_log_line SET crc = crc(id, run, line);
CREATE INDEX entry_beside_samples ON entry(number) WHERE kind <> 'sample';
""",
)
"""What each version of the file has added to the one before."""
VERSION: Final = len(_VERSIONS)

CHECKED: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        "run": ("id", "started", "filename", "header"),
        "progress": ("run", "at", "run_s", "process_s", "block_s", "mark", "totals", "stride"),
        "kept": ("name", "value"),
        "life": ("commits", "passed_s", "boot", "at"),
        "run_log_line": ("id", "run", "line"),
        "archive_row": ("run", "text"),
        "entry": ("number", "kind", "run", "tick", "taken", "body"),
    }
)
"""table -> the columns that its column `crc` covers, in this order; null where an earlier version wrote it"""
_TYPES: Final[Mapping[str, tuple[type, ...]]] = MappingProxyType(
    {"TEXT": (str,), "BLOB": (bytes,), "REAL": (float, int), "INTEGER": (int,)}
)


class DamagedError(sqlite3.DatabaseError):
    """A file that is not as it was written; the message says where."""


def checksum(*values: str | bytes | float) -> int:
    """Sums the values up, as the SQL function `crc` does; an integer counts as the float that it is."""
    found = 0
    for value in values:
        match value:
            case bytes():
                data = value
            case str():
                data = value.encode(errors="surrogatepass")
            case _:
                data = repr(float(value)).encode()
        found = zlib.crc32(data, zlib.crc32(b"%d:" % len(data), found))
    return found


def prepare(connection: sqlite3.Connection) -> None:
    """Teach a connection the function `crc`, and to read a text whatever its bytes."""
    connection.create_function("crc", -1, checksum, deterministic=True)
    connection.text_factory = _text


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def upgrade(connection: sqlite3.Connection, version: int) -> None:
    """Add what the file of an earlier version lacks; 0: everything."""
    for statement in ";".join(_VERSIONS[version:]).split(";"):
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {VERSION}")


def is_sound(table: str, values: Sequence[object], crc: object) -> bool:
    """Whether a row has its types, and the sum that it was written with; `values` are those of `CHECKED`."""
    kinds = _kinds()[table]
    if not all(isinstance(value, kind) for value, kind in zip(values, kinds, strict=True)):
        return False
    return crc is None or crc == checksum(*values)  # pyright: ignore[reportArgumentType]  # their types were looked at


def schema_of(connection: sqlite3.Connection) -> frozenset[tuple[str, str]]:
    """The tables and indexes, and what made them, without white space."""
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    return frozenset((str(name), "".join(str(sql).split())) for name, sql in rows)


@cache
def expected_schema() -> frozenset[tuple[str, str]]:
    """The schema of this version."""
    connection = _model()
    try:
        return schema_of(connection)
    finally:
        connection.close()


@cache
def _kinds() -> Mapping[str, Sequence[tuple[type, ...]]]:
    """table -> the types of its columns in `CHECKED`"""
    connection = _model()
    found: dict[str, Sequence[tuple[type, ...]]] = {}
    for table, columns in CHECKED.items():
        declared = {name: kind for _, name, kind, *_ in connection.execute(f"PRAGMA table_info({table})")}
        found[table] = [_TYPES[declared[column]] for column in columns]
    connection.close()
    return found


def _model() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    prepare(connection)
    upgrade(connection, 0)
    return connection
