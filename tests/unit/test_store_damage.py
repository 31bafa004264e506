"""What has become of the file of a store: flipped bits, cut ends, missing parts. An engine starts all the same, goes on
with what is sound, takes nothing that is not, and says what is missing."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from engine import store_file
from engine.runs.journal import Journal, Progress
from engine.runs.state import Clocks
from engine.store import Store
from engine.store_seal import SUFFIX
from tests.unit.stored_run import LINES, NAME, SAMPLES, Found, found_in, give, is_said


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
