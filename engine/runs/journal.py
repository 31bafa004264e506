"""What is known of runs, kept so that a crash does not take it along."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import ValidationError

from engine.runs.state import Clocks
from engine.store import Store
from protocol.models import RunLogLine

log = logging.getLogger("skidlink.engine.runs")

_PROGRESS: Final = (
    "INSERT OR REPLACE INTO progress(run, at, run_s, process_s, block_s, mark, totals, stride, crc) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, crc(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8))"
)
_THIN: Final = (
    "DELETE FROM archive_row WHERE number IN (SELECT number FROM (SELECT number, row_number() OVER (ORDER BY number) "
    "AS place FROM archive_row WHERE run = ?) WHERE place % 2 = 0)"
)
_LINE: Final = (
    "INSERT INTO run_log_line(id, run, line, crc) VALUES (?1, ?2, ?3, crc(?1, ?2, ?3)) "
    "ON CONFLICT(id) DO UPDATE SET run = excluded.run, line = excluded.line, crc = excluded.crc"
)
"""A line that changes keeps its place."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What a run has come to."""

    at: float
    """unix seconds"""
    clocks: Clocks
    mark: str
    """not in the archive yet"""
    totals: bytes
    """what the functions with a memory need to go on (`engine.core.core.Core.memory`)"""
    stride: int = 1
    """rows of the archive to one that is kept (`engine.runs.archive.Archive.stride`)"""


@dataclass(frozen=True, slots=True)
class DeadRun:
    """A run that was active when the engine ended without a word."""

    id: str
    started: float
    filename: str
    header: str
    rows: tuple[str, ...]
    """of the archive"""
    lines: tuple[RunLogLine, ...]
    progress: Progress
    """when it was last written down"""


class Journal:
    """Writes down one run, piece by piece, and what is wanted beyond it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def together(self) -> AbstractContextManager[None]:
        """Let what is written within be durable as one, with what others give to the same store."""
        return self._store.together()

    def begin(self, run_id: str, started: float, filename: str, header: str) -> None:
        row = (run_id, started, filename, header)
        self._store.do(
            lambda db: db.execute("INSERT OR REPLACE INTO run VALUES (?1, ?2, ?3, ?4, crc(?1, ?2, ?3, ?4))", row)
        )

    def progress(self, run_id: str, progress: Progress) -> None:
        """Write down what a run has come to, in the place of what it had come to before."""
        clocks = progress.clocks
        times = (progress.at, clocks.run, clocks.process, clocks.block)
        row = (run_id, *times, progress.mark, progress.totals, progress.stride)
        self._store.do(lambda db: db.execute(_PROGRESS, row))

    def archive(self, run_id: str, text: str) -> None:
        """Add a row of the archive."""
        insert = "INSERT INTO archive_row(run, text, crc) VALUES (?1, ?2, crc(?1, ?2))"
        self._store.do(lambda db: db.execute(insert, (run_id, text)))

    def thin_archive(self, run_id: str) -> None:
        """Forget every second row of the archive."""
        self._store.do(lambda db: db.execute(_THIN, (run_id,)))

    def line(self, run_id: str, line: RunLogLine) -> None:
        """Add a line of the run log, or what it has become."""
        row = (line.id, run_id, line.model_dump_json().encode())
        self._store.do(lambda db: db.execute(_LINE, row))

    def drop_lines(self, line_ids: Sequence[str]) -> None:
        """Forget lines of the run log: they have been left out of it."""
        rows = [(line_id,) for line_id in line_ids]
        self._store.do(lambda db: db.executemany("DELETE FROM run_log_line WHERE id = ?", rows))

    def end(self, run_id: str) -> None:
        """Forget a run: its end has been handed over."""

        def forget(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM run WHERE id = ?", (run_id,))
            db.execute("DELETE FROM progress WHERE run = ?", (run_id,))
            db.execute("DELETE FROM archive_row WHERE run = ?", (run_id,))
            db.execute("DELETE FROM run_log_line WHERE run = ?", (run_id,))

        self._store.do(forget)

    def keep(self, name: str, value: Any) -> None:
        """Keep something of the engine beyond its runs, of which JSON can be made."""
        row = (name, orjson.dumps(value))
        self._store.do(lambda db: db.execute("INSERT OR REPLACE INTO kept VALUES (?1, ?2, crc(?1, ?2))", row))

    def kept(self) -> dict[str, Any]:
        """What the previous process has kept, by name; to be asked before the store starts."""
        return self._store.recall(_kept)

    def dead_runs(self) -> list[DeadRun]:
        """The runs of previous processes that never ended, oldest first; to be asked before the store starts."""
        return self._store.recall(_dead_runs)

    def headless_runs(self) -> list[str]:
        """The runs of which only what waits for an aggregator is left, and no end is in it; to be asked before the
        store starts."""
        return self._store.recall(_headless_runs)


def _kept(db: sqlite3.Connection) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in db.execute("SELECT name, value FROM kept").fetchall():
        try:
            found[name] = orjson.loads(value)
        except orjson.JSONDecodeError as error:
            log.error("what was kept as %s cannot be read, and begins anew: %s", name, error)  # noqa: TRY400
    return found


def _dead_runs(db: sqlite3.Connection) -> list[DeadRun]:
    found: list[DeadRun] = []
    for run_id, started, filename, header in db.execute(
        "SELECT id, started, filename, header FROM run ORDER BY rowid"
    ).fetchall():
        rows = tuple(
            text for (text,) in db.execute("SELECT text FROM archive_row WHERE run = ? ORDER BY number", (run_id,))
        )
        lines = _lines(db, run_id)
        found.append(DeadRun(run_id, started, filename, header, rows, lines, _progress(db, run_id, started)))
    return found


def _lines(db: sqlite3.Connection, run_id: str) -> tuple[RunLogLine, ...]:
    """The run log, in the order in which its lines began; one that cannot be read is left out, and it is said."""
    found: list[RunLogLine] = []
    for (line,) in db.execute("SELECT line FROM run_log_line WHERE run = ? ORDER BY rowid", (run_id,)).fetchall():
        try:
            found.append(RunLogLine.model_validate_json(line))
        except ValidationError as error:
            log.error("a line in the run log of run %s cannot be read, and is left out: %s", run_id, error)  # noqa: TRY400
    return tuple(found)


def _headless_runs(db: sqlite3.Connection) -> list[str]:
    rows = db.execute(
        "SELECT run FROM entry WHERE kind <> 'sample' AND kind = 'start' AND run NOT IN (SELECT id FROM run) "
        "AND run NOT IN (SELECT run FROM entry WHERE kind <> 'sample' AND kind = 'stop') ORDER BY number"
    )
    return [run for (run,) in rows.fetchall()]


def _progress(db: sqlite3.Connection, run_id: str, started: float) -> Progress:
    """What a run has come to; nothing, where it died before that was written down."""
    row = db.execute(
        "SELECT at, run_s, process_s, block_s, mark, totals, stride FROM progress WHERE run = ?", (run_id,)
    ).fetchone()
    if row is None:
        return Progress(started, Clocks(), "", b"")
    at, run, process, block, mark, totals, stride = row
    return Progress(at, Clocks(run, process, block), mark, totals, stride)
