"""The entries of the outbox, and how they lie in the store."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from engine.store_tables import is_sound

CHUNK: Final = 200
"""Entries that are read at a time."""
SPARE_PAGES: Final = 2048
"""Pages of 4 KiB that are kept for what comes next."""
_SELECT: Final = "SELECT number, kind, run, tick, taken, body, crc FROM entry"


class Kind(StrEnum):
    """What an entry is to the life of a run."""

    START = "start"
    SAMPLE = "sample"
    EVENT = "event"
    """Neither: an error. Beyond `outbox.EVENTS` the oldest are given up."""
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


def insert(db: sqlite3.Connection, entry: Entry, taken: float) -> None:
    """Add an entry; `taken` is when it came, in the passed time of the store."""
    db.execute(
        "INSERT INTO entry(number, kind, run, tick, merged, taken, body, crc) "
        "VALUES (?1, ?2, ?3, ?4, 0, ?5, ?6, crc(?1, ?2, ?3, ?4, ?5, ?6))",
        (entry.number, entry.kind.value, entry.run, entry.tick, taken, entry.body),
    )


def drop_run(db: sqlite3.Connection, run: str, number: int) -> None:
    """Drop all that belongs to a run, up to a number."""
    db.execute("DELETE FROM entry WHERE run = ? AND number <= ?", (run, number))


def drop_done_with(db: sqlite3.Connection, entry: Entry, before: float) -> None:
    """Drop the samples up to an entry, of its run, that are older than `before`, unix seconds."""
    db.execute(
        "DELETE FROM entry WHERE run = ? AND number <= ? AND kind = 'sample' AND tick < ?",
        (entry.run, entry.number, before),
    )


def drop_older(db: sqlite3.Connection, before: float) -> int:
    """Drop the samples that came before a moment of the passed time of the store. Returns how many."""
    end = _first_since(db, before)
    return db.execute("DELETE FROM entry WHERE kind = 'sample' AND number < ?", (end,)).rowcount if end else 0


def _first_since(db: sqlite3.Connection, moment: float) -> int | None:
    """The number of the first entry that came at a moment or later, as later ones have greater numbers: the table is
    not read for it. None where the very first one did."""
    low, high = db.execute("SELECT (SELECT min(number) FROM entry), (SELECT max(number) FROM entry)").fetchone()
    if low is None or _taken(db, low) >= moment:
        return None
    while low < high:
        middle = (low + high) // 2
        if _taken(db, middle) < moment:
            low = middle + 1
        else:
            high = middle
    return low if _taken(db, low) >= moment else low + 1


def _taken(db: sqlite3.Connection, number: int) -> float:
    """When the first entry from a number on came."""
    return db.execute("SELECT taken FROM entry WHERE number >= ? ORDER BY number LIMIT 1", (number,)).fetchone()[0]


def drop_surplus(db: sqlite3.Connection, most: int) -> int:
    """Drop the oldest events beyond so many. Returns how many."""
    newest = db.execute(
        "SELECT number FROM entry WHERE kind <> 'sample' AND kind = 'event' ORDER BY number DESC LIMIT 1 OFFSET ?",
        (most,),
    ).fetchone()
    if newest is None:
        return 0
    return db.execute(
        "DELETE FROM entry WHERE kind <> 'sample' AND kind = 'event' AND number <= ?", (newest[0],)
    ).rowcount


def newest_and_count(db: sqlite3.Connection, after: int = 0) -> tuple[int, int]:
    """The number of the newest entry, and how many come after a number."""
    (newest,) = db.execute("SELECT coalesce(max(number), 0) FROM entry").fetchone()
    (count,) = db.execute("SELECT count(*) FROM entry WHERE number > ?", (after,)).fetchone()
    return newest, count


def entries_after(db: sqlite3.Connection, after: int) -> tuple[list[Entry], int]:
    """The next entries after a number, oldest first, and how many among them are damaged; those are dropped."""
    rows = db.execute(_SELECT + " WHERE number > ? ORDER BY number LIMIT ?", (after, CHUNK)).fetchall()
    damaged = [row[0] for row in rows if not is_sound("entry", row[:-1], row[-1])]
    for number in damaged:
        db.execute("DELETE FROM entry WHERE number = ?", (number,))
    return [_entry(row) for row in rows if row[0] not in damaged], len(damaged)


def _entry(row: Sequence[Any]) -> Entry:
    number, kind, run, tick, _, body, _ = row
    return Entry(number, Kind(kind), run, tick, body)


def oldest_run(db: sqlite3.Connection) -> tuple[Entry, bool] | None:
    """The start of the oldest run, and whether its end is there, too."""
    row = db.execute(_SELECT + " WHERE kind <> 'sample' AND kind = 'start' ORDER BY number LIMIT 1").fetchone()
    if row is None:
        return None
    start = _entry(row)
    stop = "SELECT 1 FROM entry WHERE kind <> 'sample' AND kind = 'stop' AND run = ?"
    return start, db.execute(stop, (start.run,)).fetchone() is not None


def open_run(db: sqlite3.Connection) -> Entry | None:
    """The start of the newest run, if its end is not there."""
    starts = db.execute(_SELECT + " WHERE kind <> 'sample' AND kind = 'start' ORDER BY number DESC").fetchall()
    ended = {run for (run,) in db.execute("SELECT run FROM entry WHERE kind <> 'sample' AND kind = 'stop'")}
    return next((start for start in map(_entry, starts) if start.run not in ended), None)


def undelivered_runs(db: sqlite3.Connection) -> set[str]:
    """The runs of which something is still to be delivered."""
    return {run for (run,) in db.execute("SELECT DISTINCT run FROM entry WHERE run <> ''")}


def drop_stored(db: sqlite3.Connection, run: str, newest_stored: float) -> None:
    """Drop the samples that are stored already. Where devices stamp their values, a whole sample can be older than its
    tick; so the first one that seems newer is looked into."""
    db.execute("DELETE FROM entry WHERE run = ? AND kind = 'sample' AND tick <= ?", (run, newest_stored))
    first = db.execute(_SELECT + " WHERE run = ? AND kind = 'sample' ORDER BY number LIMIT 1", (run,)).fetchone()
    if first is None or not is_sound("entry", first[:-1], first[-1]):
        return
    if max(tag["tick_time"] for tag in orjson.loads(_entry(first).body)["tags"]) <= newest_stored:
        db.execute("DELETE FROM entry WHERE number = ?", (first[0],))


def bytes_in_use(db: sqlite3.Connection) -> int:
    """Bytes of the file that are in use."""
    (pages,), (free,), (size,) = (
        db.execute(f"PRAGMA {name}").fetchone() for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def give_back(db: sqlite3.Connection) -> None:
    """Give room that is not in use any more back to the disk, some of it at a time."""
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    if free > SPARE_PAGES:
        db.execute(f"PRAGMA incremental_vacuum({SPARE_PAGES})").fetchall()
