"""What several unit tests begin with."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from drivers.modbus import reading
from engine import links, state_log
from engine.store import Store
from engine.store_seal import SUFFIX
from tests.unit.runs_user import User
from tests.unit.stored_run import NAME, give
from tests.unit.virtual_links import Virtually
from tests.unit.virtual_time import VirtualTime, run_virtually


@pytest.fixture
def virtually(monkeypatch: pytest.MonkeyPatch) -> Virtually:
    return lambda main: run_virtually(main, VirtualTime(), monkeypatch, links, state_log, reading)


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The files as an engine that was killed leaves them, and as one that has ended does."""
    killed, ended = tmp_path_factory.mktemp("killed"), tmp_path_factory.mktemp("ended")

    async def make() -> None:
        store = Store(ended / NAME, sync_ms=0)
        store.start()
        await give(store)
        await asyncio.to_thread(store.wait_for, lambda _: None)
        while len(list(ended.iterdir())) < 3:
            await asyncio.sleep(0)  # for the first commit, with which the seal comes
        await store.ask(lambda db: db.execute("PRAGMA wal_checkpoint").fetchone())
        store.do(lambda db: db.execute("UPDATE kept SET value = value"))
        await store.ask(lambda _: None)
        await store.ask(lambda _: None)
        for file in ended.iterdir():
            shutil.copy(file, killed)
        await store.close()

    asyncio.run(make())
    assert {file.suffix for file in killed.iterdir()} == {".sqlite3", ".sqlite3-wal", SUFFIX}
    assert {file.suffix for file in ended.iterdir()} == {".sqlite3", SUFFIX}
    return {"killed": killed, "ended": ended}


@pytest.fixture
def tried(tmp_path: Path, pristine: dict[str, Path]) -> Callable[[str], Path]:
    def copy(state: str) -> Path:
        folder = tmp_path / "tried"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(pristine[state], folder)
        return folder / NAME

    return copy


@pytest.fixture
def user(tmp_path: Path) -> Generator[User]:
    user = User(tmp_path)
    with user.engine.runs.errors:
        yield user


@pytest.fixture
def running(user: User) -> User:
    assert user.press("Start") == ""
    user.tick()
    return user
