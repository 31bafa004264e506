"""What has become of the file of a store: flipped bits, cut ends, missing parts. An engine starts all the same, goes on
with what is sound, takes nothing that is not, and says what is missing."""

from __future__ import annotations

import asyncio
import logging
import os
import random
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

from engine import store_file
from engine.runs.journal import Journal, Progress
from engine.runs.state import Clocks
from engine.store import Store
from engine.store_file import StoreError
from engine.store_seal import SUFFIX
from engine.uplinks.contract import TagsFrame
from engine.uplinks.outbox import Outbox
from protocol.engine_messages import RunStartedMsg
from protocol.models import RunLogLine
from tests.unit.full_disk import files_no_larger_than

NAME = "lab_Skid.sqlite3"
SAMPLES, LINES = 120, 8
Found = dict[str, object]


def line(number: int) -> RunLogLine:
    return RunLogLine(
        id=f"line {number}", command_name=f"PU01: {number}", start=float(number), end=None, progress=None,
        start_values=[], end_values=[], forcible=False, cancellable=False, forced=False, cancelled=False, failed=False,
    )  # fmt: skip


async def give(store: Store) -> None:
    """Let the store have a run that is going on, and wait until it has it."""
    journal, outbox = Journal(store), Outbox(store)
    with journal.together():
        journal.begin("run", 1.0, "archiver-1970-01-01_000001.txt", "Datetime (UTC),T\n")
        outbox.put(RunStartedMsg(run_id="run", started_tick=1.0))
    journal.keep("Run Counter", 7)
    journal.keep("Batch Name", "B7")
    for number in range(SAMPLES):
        outbox.put(TagsFrame(b'[{"name":"T","tick_time":%d,"value":"%s"}]' % (number, b"x" * 300), number, "run"))
        journal.archive("run", f"1970,{number}\n")
        if number % 15 == 0:
            journal.line("run", line(number))
            await store.ask(lambda _: None)
    journal.progress("run", Progress(9.0, Clocks(9.0, 8.0, 7.0), "mark", b"totals" * 100))
    await store.ask(lambda _: None)


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


async def found_in(path: Path) -> Found:
    """What an engine that starts on this file finds in it."""
    store = Store(path)
    journal, outbox = Journal(store), Outbox(store)
    found: Found = dict(journal.kept())
    for run in journal.dead_runs():
        found |= {f"row {number}": row for number, row in enumerate(run.rows)}
        found |= {each.id: each for each in run.lines}
        found[run.id] = (run.started, run.filename, run.header)
        found["progress"] = run.progress
    store.start()
    await outbox.rewind()
    while (entry := await outbox.next()) is not None:
        found[f"{entry.kind} {entry.tick}"] = entry.body
        outbox.acknowledge(entry)
    await store.close()
    return found


def is_said(caplog: pytest.LogCaptureFixture) -> bool:
    return any(record.levelno >= logging.ERROR for record in caplog.records)


async def compare(path: Path, whole: Found, caplog: pytest.LogCaptureFixture) -> Found:
    """Start on a file that something has happened to; what is found is true, and what is missing is said."""
    caplog.clear()
    found = await found_in(path)
    progress = found.get("progress")
    if progress == Progress(1.0, Clocks(), "", b""):
        del found["progress"]
    rows = {value for key, value in whole.items() if key.startswith("row ")}
    for key, value in found.items():
        if key.startswith("row "):
            assert value in rows
        else:
            assert value == whole[key], "what is not as it was written is left out"
    if len(found) < len(whole):
        assert is_said(caplog), f"{len(whole) - len(found)} lost, and nothing said"
    return found


@pytest.fixture
def tried(tmp_path: Path, pristine: dict[str, Path]) -> Callable[[str], Path]:
    def copy(state: str) -> Path:
        folder = tmp_path / "tried"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(pristine[state], folder)
        return folder / NAME

    return copy


@pytest.mark.parametrize("state", ["killed", "ended"])
async def test_what_is_whole_is_found_whole_and_nothing_is_said(
    state: str, tried: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    found = await found_in(tried(state))
    assert len(found) == 2 + SAMPLES + LINES + 2 + 1 + SAMPLES
    assert not is_said(caplog)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("state", ["killed", "ended"])
async def test_flipped_bits_wherever_they_are(
    state: str, seed: int, tried: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(f"{state} {seed}")
    whole = await found_in(tried(state))
    for _ in range(10):
        path = tried(state)
        file = chance.choice([file for file in sorted(path.parent.iterdir()) if file.stat().st_size])
        data = bytearray(file.read_bytes())
        at = chance.randrange(min(len(data), chance.choice((100, 4096, len(data)))))
        for place in range(at, min(len(data), at + chance.choice((1, 1, 8, 500)))):
            data[place] ^= 1 << chance.randrange(8)
        file.write_bytes(data)
        await compare(path, whole, caplog)


@pytest.mark.parametrize("state", ["killed", "ended"])
async def test_cut_ends_and_pages_of_zeros(
    state: str, tried: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    chance = random.Random(state)
    whole = await found_in(tried(state))
    for number in range(30):
        path = tried(state)
        file = chance.choice([path, path, *path.parent.glob("*-wal")])
        data = file.read_bytes()
        at = chance.randrange(len(data)) // 4096 * 4096
        file.write_bytes(data[:at] if number % 2 else data[:at] + bytes(4096) + data[at + 4096 :])
        await compare(path, whole, caplog)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("lose", [Path.unlink, emptied])
@pytest.mark.parametrize("suffix", ["", "-wal"])
async def test_a_part_that_is_missing_or_empty_is_told_with_the_run(
    suffix: str, lose: Callable[[Path], None], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:  # fmt: skip
    store = Store(tmp_path / "early" / NAME, sync_ms=0)
    store.start()
    await give(store)
    await store.ask(lambda _: None)
    path = tmp_path / "copied" / NAME
    shutil.copytree(path.parents[1] / "early", path.parent)
    await store.close()
    lose(path.with_name(path.name + suffix))
    found = await found_in(path)
    assert "run" not in found, "all of it was in the log yet"
    assert "run run was going on when the engine ended, and cannot go on" in caplog.text
    caplog.clear()
    await found_in(path)
    assert not is_said(caplog), "it is told once"


async def test_an_older_copy_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / NAME
    for value in (1, 2):
        store = Store(path)
        store.start()
        Journal(store).keep("Run Counter", value)
        await store.close()
        if value == 1:
            shutil.copy(path, tmp_path / "copy")
    assert not is_said(caplog)
    (tmp_path / "copy").replace(path)
    assert (await found_in(path))["Run Counter"] == 1
    assert "its newest part is missing: it had been written 2 times" in caplog.text


async def test_a_value_that_is_damaged_costs_that_value(
    tried: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    whole = await found_in(tried("ended"))
    path = tried("ended")
    data = path.read_bytes()
    at = data.index(b"PU01: 30")
    path.write_bytes(data[:at] + b"PU99" + data[at + 4 :])
    found = await compare(path, whole, caplog)
    assert whole.keys() - found.keys() == {"line 30"}
    assert f"{path} cannot be used: a row of run_log_line is not as it was written; it is kept as" in caplog.text
    assert "(damaged and lost: 1)" in caplog.text
    assert b"PU99: 30" in path.with_suffix(".broken-1").read_bytes()


async def test_a_run_that_is_damaged_is_told_by_its_id(
    tried: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    path = tried("ended")
    data = path.read_bytes()
    at = data.index(b"Datetime (UTC),T")
    path.write_bytes(data[:at] + b"D?" + data[at + 2 :])
    found = await found_in(path)
    assert "run" not in found
    assert "line 30" not in found, "nothing is left of a run that is gone"
    assert "run run was going on when the engine ended, and cannot go on" in caplog.text


@pytest.mark.parametrize(
    "content", [b"", b"junk", b"00000000 {}", b'00000000 {"commits":1000000,"unix":0,"runs":["x"]}']
)
async def test_a_seal_that_cannot_be_read_says_nothing(
    content: bytes, tried: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    path = tried("ended")
    path.with_suffix(SUFFIX).write_bytes(content)
    assert (await found_in(path))["Run Counter"] == 7
    assert not is_said(caplog)


async def test_a_large_file_is_looked_at_where_it_is_read(
    tried: Callable[[str], Path], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_file, "LOOKED_THROUGH_BYTES", 1000)
    whole = await found_in(tried("ended"))
    path = tried("ended")
    data = path.read_bytes()
    at = data.index(b'"tick_time":70,')
    path.write_bytes(data[:at] + b'"tick_time":71,' + data[at + 15 :])
    found = await compare(path, whole, caplog)
    assert whole.keys() - found.keys() == {"sample 70.0"}
    assert "1 messages that waited are damaged on the disk, and are lost" in caplog.text


async def test_a_file_that_breaks_while_it_is_used_is_replaced_with_what_waits(
    tried: Callable[[str], Path], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_file, "LOOKED_THROUGH_BYTES", 1000)
    path = tried("ended")
    with closing(sqlite3.connect(path)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'archive_row'").fetchone()
    data = bytearray(path.read_bytes())
    data[(page - 1) * 4096 : page * 4096] = bytes(4096)
    path.write_bytes(data)
    store = Store(path, sync_ms=0)
    store.start()
    journal = Journal(store)
    journal.keep("Base", "h")
    journal.archive("run", "1970,121\n")
    journal.keep("Batch Name", "B8")
    rows = await store.ask(lambda db: db.execute("SELECT text FROM archive_row").fetchall())
    assert rows == [("1970,121\n",)]
    await store.close()
    assert "cannot be used: database disk image is malformed" in caplog.text
    assert "an unknown part is lost" in caplog.text
    found = await found_in(path)
    assert (found["Base"], found["Batch Name"], found["Run Counter"]) == ("h", "B8", 7)
    assert found["row 0"] == "1970,121\n"
    assert sum(key.startswith("sample") for key in found) == SAMPLES


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
