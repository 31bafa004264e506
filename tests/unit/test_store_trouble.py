"""A store whose work fails, whose disk is full, and whose disk stands still."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
from pathlib import Path

import pytest

from engine import store as module
from engine.store import Store
from tests.unit.full_disk import files_no_larger_than

INSERT = "INSERT INTO kept(name, value) VALUES (?, ?)"


def names(db: sqlite3.Connection) -> list[str]:
    return [name for (name,) in db.execute("SELECT name FROM kept ORDER BY rowid").fetchall()]


def keep(store: Store, name: str) -> None:
    store.do(lambda db: db.execute(INSERT, (name, b"")))


async def trouble(store: Store) -> None:
    async with asyncio.timeout(60):
        while not store.trouble:
            await asyncio.sleep(0.01)  # a plain field, read by whoever shows it


async def recovery(store: Store) -> None:
    async with asyncio.timeout(60):
        while store.trouble:
            await asyncio.sleep(0.01)  # as above


class Clock:
    """Goes on by 10 ms each time that it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 0.01
        return self.now

    def time(self) -> float:
        return self.now


class Watched(Store):
    """Tells what it makes durable."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.committed: list[int] = []

    def _commit(self, batch: list[module.Work]) -> list[module.Work]:
        size = len(batch)
        left = super()._commit(batch)
        if not left:
            self.committed.append(size)
        return left


async def test_a_stream_that_never_ends_is_made_durable_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "time", Clock())
    store = Watched(tmp_path / "store.sqlite3")
    for number in range(1000):
        keep(store, str(number))
    store.start()
    assert len(await store.ask(names)) == 1000
    await store.close()
    assert len(store.committed) > 10
    assert max(store.committed) <= 21, "200 ms of it, at 10 ms each"


async def test_whoever_asks_is_told_what_fails_and_the_store_goes_on() -> None:
    store = Store()
    store.start()

    def fail(_: sqlite3.Connection) -> None:
        raise ValueError("what a question")

    async with asyncio.timeout(60):
        with pytest.raises(ValueError, match="what a question"):
            await store.ask(fail)
        with pytest.raises(sqlite3.OperationalError, match="no such table"):
            await store.ask(lambda db: db.execute("SELECT * FROM missing"))
    with pytest.raises(ValueError, match="what a question"):
        await asyncio.to_thread(store.wait_for, fail)
    keep(store, "a")
    assert await store.ask(names) == ["a"]
    await store.close()


async def test_work_that_makes_no_sense_leaves_no_trouble_and_nothing_of_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path / "store.sqlite3", sync_ms=0)
    keep(store, "a")
    with store.together():
        keep(store, "b")
        keep(store, "a")  # the same name again
    store.do(lambda db: db.execute("INSERT INTO missing VALUES (1)"))
    keep(store, "c")
    store.start()
    assert await store.ask(names) == ["a", "c"]
    assert not store.trouble
    await store.close()
    assert caplog.text.count("something could not be stored") == 2
    again = Store(tmp_path / "store.sqlite3")
    assert again.recall(names) == ["a", "c"]
    await again.close()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of files")
async def test_a_disk_that_is_full_when_it_is_committed_is_outlasted_and_answers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "store.sqlite3"
    store = Store(path, sync_ms=0)
    store.start()
    keep(store, "a")
    assert await store.ask(names) == ["a"]
    for round_of_it in ("b", "c"):  # the second time, too
        with files_no_larger_than(100):
            keep(store, round_of_it)
            await trouble(store)
            keep(store, f"{round_of_it} later")
            assert (await store.ask(names))[-2:] == [round_of_it, f"{round_of_it} later"]
        await recovery(store)
    await store.close()
    again = Store(path)
    assert again.recall(names) == ["a", "b", "b later", "c", "c later"]
    await again.close()
    assert caplog.text.count("free some room on its disk") == 2
    assert caplog.text.count("can be written again") == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of files")
async def test_of_what_a_full_disk_has_waiting_the_oldest_is_given_up_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "KEPT_IN_TROUBLE", 10)
    path = tmp_path / "store.sqlite3"
    store = Store(path, sync_ms=0)
    store.start()
    with files_no_larger_than(100):
        keep(store, "first")
        await trouble(store)
        for number in range(15):
            keep(store, str(number))
            await asyncio.to_thread(store.wait_for, names)
    await recovery(store)
    await store.close()
    assert store.lost > 0
    again = Store(path)
    found = again.recall(names)
    assert found == [str(number) for number in range(15)][-len(found) :]
    await again.close()
    assert f"{store.lost} changes are lost" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of files")
async def test_what_a_full_disk_has_not_taken_by_the_end_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path / "store.sqlite3", sync_ms=0)
    store.start()
    with files_no_larger_than(100):
        keep(store, "a")
        await trouble(store)
        await store.close()
    assert "the last 1 changes could not be written, and are lost" in caplog.text


async def test_a_disk_that_stands_still_takes_no_more_memory_than_its_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "KEPT_IN_TROUBLE", 5)
    store = Store(tmp_path / "store.sqlite3", sync_ms=0)
    go_on, stands_still = threading.Event(), threading.Event()

    def stand_still(_: sqlite3.Connection) -> None:
        stands_still.set()
        go_on.wait(60)

    store.do(stand_still)
    store.start()
    assert await asyncio.to_thread(stands_still.wait, 60)
    for number in range(9):
        keep(store, str(number))
    assert store.lost == 4
    assert caplog.text.count("the disk stands still; what cannot wait any longer is lost") == 1
    go_on.set()
    assert await store.ask(names) == ["0", "1", "2", "3", "4"]
    keep(store, "later")
    assert (await store.ask(names))[-1] == "later"
    await store.close()
    assert "4 changes are lost" in caplog.text


async def test_a_question_that_the_disk_does_not_take_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT_IN_TROUBLE", 2)
    store = Store(sync_ms=0)
    is_full = True

    def full(_: sqlite3.Connection) -> str:
        if not is_full:
            return "taken"
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorcode = sqlite3.SQLITE_FULL
        raise error

    store.start()
    asked = [asyncio.ensure_future(store.ask(full)) for _ in range(4)]
    await trouble(store)
    for number in range(5):
        keep(store, str(number))
        assert await store.ask(lambda _: "read") == "read"
    assert not any(each.done() for each in asked)
    is_full = False
    assert await asyncio.gather(*asked) == ["taken"] * 4
    await recovery(store)
    await store.close()
