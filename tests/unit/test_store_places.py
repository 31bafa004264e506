"""Where a store can be: a file or folder that is something else, read only, full, or in use."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine.runs.journal import Journal
from engine.store import Store
from engine.store_file import StoreError
from engine.store_seal import SUFFIX
from tests.unit.full_disk import files_no_larger_than
from tests.unit.stored_run import NAME, found_in, give, is_said


@pytest.mark.parametrize("what", ["no database", "a folder", "a later version"])
async def test_whatever_is_in_its_place_is_put_aside(
    what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / NAME
    match what:
        case "no database":
            path.write_bytes(b"this is no database, but long enough to look into" * 100)
        case "a folder":
            (path / "in it").mkdir(parents=True)
        case _:
            with closing(sqlite3.connect(path)) as db:
                db.execute("PRAGMA user_version = 99")
    (tmp_path / "lab_Skid.broken-1").write_text("an earlier one")
    assert await found_in(path) == {}
    assert (tmp_path / "lab_Skid.broken-2").exists()
    assert (tmp_path / "lab_Skid.broken-1").read_text() == "an earlier one"
    assert "it is kept as lab_Skid.broken-2" in caplog.text
    assert ("written by a later version (99)" in caplog.text) is (what == "a later version")
    Journal(store := Store(path)).keep("Base", "h")
    store.start()
    await store.close()
    assert await found_in(path) == {"Base": "h"}


@pytest.mark.parametrize("why", ["a file where a folder should be", "a link to a disk that is away"])
async def test_where_nothing_can_be_made_the_engine_works_without_a_record(
    why: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if why == "a file where a folder should be":
        (tmp_path / "file").write_text("")
    else:
        (tmp_path / "file").mkdir()
        (tmp_path / "file" / NAME).symlink_to(tmp_path / "missing" / "away")
    store = Store(tmp_path / "file" / NAME)
    assert store.in_memory
    assert store.trouble.startswith("nothing is kept of a run: cannot use")
    assert "name another folder by --outbox" in store.trouble
    assert not is_said(caplog), "users would not see it before the start"
    store.start()
    assert is_said(caplog)
    Journal(store).keep("Base", "h")
    assert await store.ask(lambda db: db.execute("SELECT name FROM kept").fetchall()) == [("Base",)]
    assert store.trouble, "memory that works is no record"
    await store.close()
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of files")
async def test_a_disk_that_is_full_at_the_start_costs_the_record_and_not_the_engine(tmp_path: Path) -> None:
    with files_no_larger_than(0):
        store = Store(tmp_path / NAME)
    assert store.in_memory
    assert "nothing is kept of a run" in store.trouble
    store.start()
    await store.close()
    assert os.listdir(tmp_path) == []  # noqa: PTH208


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of files")
async def test_a_disk_that_is_full_at_the_start_is_outlasted_by_what_is_there(
    tried: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    path = tried("ended")
    with files_no_larger_than(100):
        store = Store(path, sync_ms=0)
        assert not store.in_memory, store.trouble
        assert Journal(store).kept()["Run Counter"] == 7
        store.start()
        Journal(store).keep("Run Counter", 8)
        assert await store.ask(lambda db: db.execute("SELECT count(*) FROM run").fetchone()) == (1,)
        async with asyncio.timeout(60):
            while not store.trouble:
                await asyncio.sleep(0.01)  # trouble is a plain field, read by whoever shows it
    await store.close()
    assert "free some room on its disk" in caplog.text
    assert (await found_in(path))["Run Counter"] == 8


READ_ONLY = """
import asyncio, concurrent.futures.thread, logging, os, sys
from pathlib import Path
from engine.runs.journal import Journal
from engine.store import Store
logging.basicConfig()
if os.geteuid() == 0:
    os.seteuid(65534)  # nobody, as nothing is forbidden to root
store = Store(Path(sys.argv[1]))
assert store.in_memory and store.trouble
assert [run.id for run in Journal(store).dead_runs()] == ["run"], "it goes on with what can be read"
store.start()
asyncio.run(store.close())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows folders have other rights")
@pytest.mark.parametrize("state", ["killed", "ended"])
def test_a_folder_that_can_only_be_read(state: str, pristine: dict[str, Path]) -> None:
    with tempfile.TemporaryDirectory() as above:  # one of pytest's is closed to all but its owner
        Path(above).chmod(0o755)
        path = Path(above) / "only read" / NAME
        shutil.copytree(pristine[state], path.parent)
        for file in (*path.parent.iterdir(), path.parent):
            file.chmod(0o555)
        done = subprocess.run(
            [sys.executable, "-c", READ_ONLY, path], cwd=Path(__file__).parents[2], capture_output=True, check=False
        )
        path.parent.chmod(0o755)
        assert done.returncode == 0, done.stderr.decode()
        assert b"nothing is kept of a run" in done.stderr
        assert not list(path.parent.glob("*.broken*"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows files have other rights")
async def test_what_is_kept_of_a_run_is_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "made" / NAME
    before = os.umask(0o022)
    try:
        store = Store(path, sync_ms=0)
        store.start()
        await give(store)
        await store.ask(lambda _: None)
        rights = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (path.parent, *path.parent.iterdir())}
        await store.close()
        assert rights == {"made": 0o700, NAME: 0o600, f"{NAME}-wal": 0o600, f"lab_Skid{SUFFIX}": 0o600}
        path.chmod(0o644)
        await Store(path).close()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, "of an earlier version"
    finally:
        os.umask(before)


async def test_a_store_in_use_is_left_alone(tried: Callable[[str], Path]) -> None:
    path = tried("ended")
    first = Store(path)
    names = sorted(path.parent.iterdir())
    with pytest.raises(StoreError, match="another Skidlink runs this UOD"):
        Store(path)
    assert sorted(path.parent.iterdir()) == names
    await first.close()
