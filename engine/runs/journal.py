"""What is known of the run that is active, kept so that a crash does not take it along."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

import orjson

from engine.store import Store
from protocol.models import RunLogLine


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


class Journal:
    """Writes down one run, piece by piece."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(self, run_id: str, started: float, filename: str, header: str) -> None:
        row = (run_id, started, filename, header)
        self._store.do(lambda db: db.execute("INSERT OR REPLACE INTO run VALUES (?, ?, ?, ?)", row))

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
            db.execute("DELETE FROM archive_row WHERE run = ?", (run_id,))
            db.execute("DELETE FROM run_log_line WHERE run = ?", (run_id,))

        self._store.do(forget)

    def dead_runs(self) -> list[DeadRun]:
        """The runs of earlier lives that never ended, oldest first; to be asked before the store starts."""
        return self._store.recall(_dead_runs) or []


def _dead_runs(db: sqlite3.Connection) -> list[DeadRun]:
    found: list[DeadRun] = []
    for run_id, started, filename, header in db.execute("SELECT * FROM run ORDER BY started").fetchall():
        rows = tuple(
            text for (text,) in db.execute("SELECT text FROM archive_row WHERE run = ? ORDER BY number", (run_id,))
        )
        lines = db.execute("SELECT line FROM run_log_line WHERE run = ? ORDER BY rowid", (run_id,))
        read = [RunLogLine.model_validate(orjson.loads(line)) for (line,) in lines]
        read.sort(key=lambda line: line.start)
        found.append(DeadRun(run_id, started, filename, header, rows, tuple(read)))
    return found
