"""What is known of runs, kept so that a crash does not take it along."""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import orjson

from engine.runs.state import Clocks
from engine.store import Store
from protocol.models import RunLogLine


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
        self._store.do(lambda db: db.execute("INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?)", row))

    def progress(self, run_id: str, progress: Progress) -> None:
        """Write down what a run has come to, in the place of what it had come to before."""
        clocks = progress.clocks
        row = (run_id, progress.at, clocks.run, clocks.process, clocks.block, progress.mark, progress.totals)
        self._store.do(lambda db: db.execute("INSERT OR REPLACE INTO progress VALUES (?, ?, ?, ?, ?, ?, ?)", row))

    def archive(self, run_id: str, text: str) -> None:
        """Add a row of the archive."""
        self._store.do(lambda db: db.execute("INSERT INTO archive_row(run, text) VALUES (?, ?)", (run_id, text)))

    def line(self, run_id: str, line: RunLogLine) -> None:
        """Add a line of the run log, or what it has become."""
        row = (line.id, run_id, line.model_dump_json().encode())
        self._store.do(lambda db: db.execute("INSERT OR REPLACE INTO run_log_line VALUES (?, ?, ?)", row))

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
        self._store.do(lambda db: db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", row))

    def kept(self) -> dict[str, Any]:
        """What an earlier life has kept, by name; to be asked before the store starts."""
        return self._store.recall(_kept) or {}

    def dead_runs(self) -> list[DeadRun]:
        """The runs of earlier lives that never ended, oldest first; to be asked before the store starts."""
        return self._store.recall(_dead_runs) or []


def _kept(db: sqlite3.Connection) -> dict[str, Any]:
    return {name: orjson.loads(value) for name, value in db.execute("SELECT name, value FROM kept")}


def _dead_runs(db: sqlite3.Connection) -> list[DeadRun]:
    found: list[DeadRun] = []
    for run_id, started, filename, header in db.execute("SELECT * FROM run ORDER BY started").fetchall():
        rows = tuple(
            text for (text,) in db.execute("SELECT text FROM archive_row WHERE run = ? ORDER BY number", (run_id,))
        )
        lines = db.execute("SELECT line FROM run_log_line WHERE run = ? ORDER BY rowid", (run_id,))
        read = [RunLogLine.model_validate(orjson.loads(line)) for (line,) in lines]
        read.sort(key=lambda line: line.start)
        found.append(DeadRun(run_id, started, filename, header, rows, tuple(read), _progress(db, run_id, started)))
    return found


def _progress(db: sqlite3.Connection, run_id: str, started: float) -> Progress:
    """What a run has come to; nothing, where it died before that was written down."""
    row = db.execute("SELECT * FROM progress WHERE run = ?", (run_id,)).fetchone()
    if row is None:
        return Progress(started, Clocks(), "", b"")
    _, at, run, process, block, mark, totals = row
    return Progress(at, Clocks(run, process, block), mark, totals)
