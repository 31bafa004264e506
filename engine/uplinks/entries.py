"""The entries of the outbox, and how they lie in the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

CHUNK: Final = 200
"""Entries that are read at a time."""


class Kind(StrEnum):
    """What an entry is to the life of a run."""

    START = "start"
    SAMPLE = "sample"
    EVENT = "event"
    """Neither, and never given up."""
    STOP = "stop"
    NOW = "now"
    """Of this moment, in memory only."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message, encoded."""

    number: int
    """Greater than that of every earlier one; 0 for what holds only now."""
    kind: Kind
    run: str
    tick: float
    """Of a sample, unix seconds; else 0."""
    body: bytes


def insert(db: sqlite3.Connection, entry: Entry) -> None:
    row = (entry.number, entry.kind.value, entry.run, entry.tick, 0, entry.body)
    db.execute("INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?)", row)


def drop_run(db: sqlite3.Connection, run: str, number: int) -> None:
    """Drop all that belongs to a run, up to a number."""
    db.execute("DELETE FROM entry WHERE run = ? AND number <= ?", (run, number))


def drop_done_with(db: sqlite3.Connection, entry: Entry, before: float) -> None:
    """Drop the samples up to an entry, of its run, that are older than `before`, unix seconds."""
    db.execute(
        "DELETE FROM entry WHERE run = ? AND number <= ? AND kind = 'sample' AND tick < ?",
        (entry.run, entry.number, before),
    )


def drop_older(db: sqlite3.Connection, max_age_s: float) -> tuple[int, int]:
    """Drop the samples that are so much older than the newest. Returns how many, and the bytes in use without them."""
    (newest,) = db.execute("SELECT max(tick) FROM entry WHERE kind = 'sample'").fetchone()
    before = (newest or 0.0) - max_age_s
    dropped = db.execute("DELETE FROM entry WHERE kind = 'sample' AND tick < ?", (before,)).rowcount
    return dropped, bytes_in_use(db)


def newest_and_count(db: sqlite3.Connection, after: int = 0) -> tuple[int, int]:
    """The number of the newest entry, and how many come after a number."""
    (newest,) = db.execute("SELECT coalesce(max(number), 0) FROM entry").fetchone()
    (count,) = db.execute("SELECT count(*) FROM entry WHERE number > ?", (after,)).fetchone()
    return newest, count


def entries_after(db: sqlite3.Connection, after: int) -> list[Entry]:
    """The next entries after a number, oldest first."""
    rows = db.execute(
        "SELECT number, kind, run, tick, body FROM entry WHERE number > ? ORDER BY number LIMIT ?", (after, CHUNK)
    )
    return [_entry(row) for row in rows]


def _entry(row: Sequence[Any]) -> Entry:
    number, kind, run, tick, body = row
    return Entry(number, Kind(kind), run, tick, body)


def oldest_run(db: sqlite3.Connection) -> tuple[Entry, bool] | None:
    """The start of the oldest run, and whether its end is there, too."""
    row = db.execute(
        "SELECT number, kind, run, tick, body FROM entry WHERE kind = 'start' ORDER BY number LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    start = _entry(row)
    ended = db.execute("SELECT 1 FROM entry WHERE kind = 'stop' AND run = ?", (start.run,)).fetchone() is not None
    return start, ended


def open_run(db: sqlite3.Connection) -> Entry | None:
    """The start of the newest run, if its end is not there."""
    row = db.execute(
        "SELECT number, kind, run, tick, body FROM entry WHERE kind = 'start' AND run NOT IN "
        "(SELECT run FROM entry WHERE kind = 'stop') ORDER BY number DESC LIMIT 1"
    ).fetchone()
    return None if row is None else _entry(row)


def undelivered_runs(db: sqlite3.Connection) -> set[str]:
    """The runs of which something is still to be delivered."""
    return {run for (run,) in db.execute("SELECT DISTINCT run FROM entry WHERE run <> ''")}


def drop_stored(db: sqlite3.Connection, run: str, newest_stored: float) -> None:
    """Drop the samples that are stored already. Where devices stamp their values, a whole sample can be older than its
    tick; so the first one that seems newer is looked into."""
    db.execute("DELETE FROM entry WHERE run = ? AND kind = 'sample' AND tick <= ?", (run, newest_stored))
    first = db.execute(
        "SELECT number, body FROM entry WHERE run = ? AND kind = 'sample' ORDER BY number LIMIT 1", (run,)
    ).fetchone()
    if first is not None and max(tag["tick_time"] for tag in orjson.loads(first[1])["tags"]) <= newest_stored:
        db.execute("DELETE FROM entry WHERE number = ?", (first[0],))


def bytes_in_use(db: sqlite3.Connection) -> int:
    """Bytes of the file that are in use."""
    (pages,), (free,), (size,) = (
        db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size
