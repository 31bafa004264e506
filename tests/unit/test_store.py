"""The file of what has to outlive the engine, and its thread."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from engine.runs.journal import Journal, Progress
from engine.runs.state import Clocks
from engine.store import Store
from engine.store_file import StoreError


def insert(run: str) -> tuple[str, tuple[object, ...]]:
    return "INSERT INTO run(id, started, filename, header) VALUES (?, ?, ?, ?)", (run, 1.0, "file", "header")


def runs(db: sqlite3.Connection) -> list[str]:
    return [run for (run,) in db.execute("SELECT id FROM run ORDER BY id").fetchall()]


async def test_what_is_given_is_done_in_order_and_outlives_the_store(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "store.sqlite3"
    store = Store(path)
    store.do(lambda db: db.execute(*insert("a")))
    store.start()
    store.do(lambda db: db.execute(*insert("b")))
    assert await store.ask(runs) == ["a", "b"]
    store.do(lambda db: db.execute("DELETE FROM run WHERE id = 'a'"))
    await store.close()
    again = Store(path)
    assert again.recall(runs) == ["b"]
    await again.close()


async def test_without_a_file_nothing_is_left_to_recall() -> None:
    store = Store()
    assert store.recall(runs) == []
    assert store.in_memory
    store.start()
    store.do(lambda db: db.execute(*insert("a")))
    assert await store.ask(runs) == ["a"]
    await store.close()


async def test_another_thread_asks_and_waits() -> None:
    store = Store()
    store.do(lambda db: db.execute(*insert("a")))
    store.start()
    assert await asyncio.to_thread(store.wait_for, runs) == ["a"]
    with pytest.raises(sqlite3.OperationalError, match="no such table: missing"):
        await asyncio.to_thread(store.wait_for, lambda db: db.execute("SELECT * FROM missing"))
    assert await store.ask(runs) == ["a"], "and it goes on"
    await store.close()


async def test_one_file_serves_one_engine(tmp_path: Path) -> None:
    first = Store(tmp_path / "store.sqlite3")
    with pytest.raises(StoreError, match="another Skidlink runs this UOD"):
        Store(tmp_path / "store.sqlite3")
    await first.close()


async def test_a_full_disk_is_outlasted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "store.sqlite3"
    store = Store(path, sync_ms=0)
    store.start()
    await store.ask(lambda db: db.execute("PRAGMA max_page_count = 16").fetchone())
    big = "x" * 200_000
    store.do(lambda db: db.execute("INSERT INTO archive_row(run, text) VALUES ('a', ?)", (big,)))
    store.do(lambda db: db.execute(*insert("a")))
    async with asyncio.timeout(60):
        while not store.trouble:
            await asyncio.sleep(0.01)  # trouble is a plain field, read by whoever shows it
    await store.ask(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchone())
    async with asyncio.timeout(60):
        while store.trouble:
            await asyncio.sleep(0.01)  # as above
    await store.close()
    again = Store(path)
    assert again.recall(runs) == ["a"]
    assert again.recall(lambda db: db.execute("SELECT length(text) FROM archive_row").fetchone()) == (200_000,)
    await again.close()
    assert "free some room" in caplog.text
    assert "can be written again" in caplog.text


async def test_a_fault_in_one_piece_of_work_is_logged_and_holds_up_nobody(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    store.do(lambda db: db.execute(*insert("a")))
    store.do(lambda db: db.execute(*insert("a")))  # the same id again
    store.start()
    assert await store.ask(runs) == ["a"]
    await store.close()
    assert "something could not be stored" in caplog.text


KILLED = """
import os, signal, sys, threading
from pathlib import Path
from engine.store import Store

class Watched(Store):
    committed = threading.Event()

    def _commit(self, batch):
        left = super()._commit(batch)
        self.committed.set()
        return left

store = Watched(Path(sys.argv[1]))
store.start()
row = ("a", 1.0, "file", "header")
store.do(lambda db: db.execute("INSERT INTO run(id, started, filename, header) VALUES (?, ?, ?, ?)", row))
assert store.committed.wait(60), "nothing was made durable"
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_given_is_soon_made_durable_and_survives_kill(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", KILLED, path], cwd=root, check=False)
    assert done.returncode < 0
    store = Store(path)
    assert store.recall(runs) == ["a"]
    asyncio.run(store.close())


KILLED_BETWEEN = """
import os, signal, sys, time
from pathlib import Path
from engine.store import Store
store = Store(Path(sys.argv[1]), sync_ms=0)
store.start()
row = ("a", 1.0, "file", "header")
with store.together():
    store.do(lambda db: db.execute("INSERT INTO run(id, started, filename, header) VALUES (?, ?, ?, ?)", row))
    time.sleep(0.2)  # by itself it would be durable by now
    store.do(lambda db: os.kill(os.getpid(), signal.SIGKILL))
time.sleep(60)
"""


async def test_what_is_given_together_is_durable_as_one(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.sqlite3")
    with store.together():
        store.do(lambda db: db.execute(*insert("a")))
        with store.together():
            store.do(lambda db: db.execute(*insert("b")))
    store.start()
    assert await store.ask(runs) == ["a", "b"]
    await store.close()


def test_of_what_is_given_together_nothing_is_durable_without_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    killed = subprocess.run([sys.executable, "-c", KILLED_BETWEEN, path], cwd=Path(__file__).parents[2], check=False)
    assert killed.returncode == -signal.SIGKILL
    store = Store(path)
    assert store.recall(runs) == []
    asyncio.run(store.close())


async def test_a_file_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            "CREATE TABLE entry(number INTEGER PRIMARY KEY, kind TEXT NOT NULL, run TEXT NOT NULL, tick REAL NOT NULL,"
            "merged INTEGER NOT NULL, body BLOB NOT NULL);"
            "CREATE TABLE run(id TEXT PRIMARY KEY, started REAL NOT NULL, filename TEXT NOT NULL,header TEXT NOT NULL);"
            "CREATE TABLE archive_row(number INTEGER PRIMARY KEY, run TEXT NOT NULL, text TEXT NOT NULL);"
            "CREATE TABLE run_log_line(id TEXT PRIMARY KEY, run TEXT NOT NULL, line BLOB NOT NULL);"
            "INSERT INTO run VALUES ('a', 1.0, 'file', 'header'); PRAGMA user_version = 1"
        )
    store = Store(path)
    journal = Journal(store)
    assert journal.kept() == {}
    assert store.recall(lambda db: db.execute("SELECT count(*) FROM run WHERE crc IS NULL").fetchone()) == (0,)
    (dead,) = journal.dead_runs()
    assert (dead.id, dead.progress) == ("a", Progress(1.0, Clocks(), "", b""))
    store.start()
    journal.progress("a", Progress(2.0, Clocks(1.0, 0.5, 0.7), "A", b"totals"))
    journal.keep("Run Counter", 3)
    await store.close()
    again = Journal(reopened := Store(path))
    assert again.kept() == {"Run Counter": 3}
    assert again.dead_runs()[0].progress == Progress(2.0, Clocks(1.0, 0.5, 0.7), "A", b"totals")
    await reopened.close()
