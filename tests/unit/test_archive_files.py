"""Runs as files: what is written in them, over crashes, full disks and tags whose types are learned late."""

from __future__ import annotations

import logging
import math
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.runs import archive_files, parquet
from engine.runs.archive_folder import ArchiveError
from protocol.engine_messages import RunStoppedMsg
from tests.unit.archive_bench import MIB, NAME, Archived
from tests.unit.full_disk import files_no_larger_than
from tests.unit.runs_bench import UNIX, Bench

OPEN_FILES = Path("/proc/self/fd")


@asynccontextmanager
async def life(folder: Path, at: float) -> AsyncGenerator[tuple[Bench, Archived]]:
    """An engine with archive files, to a sudden end."""
    archived = Archived(folder)
    bench = Bench(folder, kept=True, at=at, archive=archived.files)
    bench.engine.scan.stamp_after(bench.engine.runs.take_up(at, UNIX + at), at)
    bench.store.start()
    async with archived.working():
        bench.values["T0"] = 1.0
        yield bench, archived
    await bench.store.close()


async def test_a_run_is_written_as_it_is_sent_and_goes_on_after_a_crash(tmp_path: Path) -> None:
    async with life(tmp_path, 0.0) as (bench, archived):
        bench.tick()
        assert not bench.press("Start")
        bench.ticks(100)
    async with life(tmp_path, 100.0) as (bench, archived):
        bench.tick()
        assert not bench.press("Unhold")
        bench.ticks(100)
        assert not bench.press("Stop")
    (stopped,) = bench.told(RunStoppedMsg)
    assert stopped.archive_filename is not None
    assert stopped.archive == archived.text(stopped.archive_filename)
    assert len(archived.text(stopped.archive_filename).splitlines()) > 4
    assert len(list(archived.folder.path.glob("archiver-*"))) == 1


async def test_runs_that_begin_in_the_same_second_have_files_of_their_own(tmp_path: Path) -> None:
    archived = Archived(tmp_path)
    async with archived.working() as files:
        rows: list[str] = []
        for run in ("one", "two"):
            archived.begin(run)
            rows.append(archived.append(0))
            files.end()
    assert archived.text() == archived.header + rows[0]
    assert archived.text("archiver-2027-01-15_080000-2.txt") == archived.header + rows[1]


async def test_a_dead_run_is_closed_beside_the_one_that_goes_on(tmp_path: Path) -> None:
    archived = Archived(tmp_path)
    dead = archived.folder.path / "archiver-2027-01-14_080000.txt"
    dead.write_text(f"{archived.header}2027,dead,1\n2027,de")
    async with archived.working() as files:
        archived.begin()
        files.close_dead("dead", dead.name, archived.header)
        row = archived.append(1)
    assert dead.read_text() == f"{archived.header}2027,dead,1\n"
    assert archived.text() == archived.header + row


async def test_a_disk_that_fills_stops_the_archive_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "skidlink")
    monkeypatch.setattr(archive_files, "LOOK_EVERY_S", 0.0)
    archived = Archived(tmp_path)
    written = archived.header
    async with archived.working():
        archived.begin()
        written += archived.append(0)
        await archived.settle()
        archived.free = 499 * MIB
        written += archived.append(1) + archived.append(2)
        await archived.settle()
        assert archived.text() == written
        assert caplog.text.count("the disk is nearly full, and no archive may be deleted") == 1
        archived.free = 49 * MIB
        for second in (3, 4, 5):
            archived.append(second)
        await archived.settle()
        assert "the disk is too full for an archive" in caplog.text
        assert archived.text() == written
        archived.free = 700 * MIB
        written += archived.append(6)
    assert archived.text() == written
    assert "the archive is written again; 3 rows are missing" in caplog.text
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR", "WARNING"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of files")
async def test_a_disk_that_takes_no_more_leaves_whole_rows(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    archived = Archived(tmp_path)
    async with archived.working() as files:
        archived.begin()
        written = archived.header + archived.append(0)
        await archived.settle()
        with files_no_larger_than(len(written) + 10):
            for second in (1, 2, 3):
                archived.append(second)
            await archived.settle()
            assert archived.text() == written
        written += archived.append(4)
        await archived.settle()
        with files_no_larger_than(len(written) + 10):
            archived.append(5)
            files.end()
            await archived.settle()
    assert archived.text() == written
    said = [record.getMessage().split(": ", 1)[1] for record in caplog.records if record.levelno >= logging.WARNING]
    assert [text.split(": ")[0] for text in said] == [
        "no archive can be written",
        "the archive is written again; 3 rows are missing",
        "no archive can be written",
        "the last 1 rows of the run are missing",
    ]


async def test_a_disk_that_stands_still_has_no_end_of_rows_wait_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(archive_files, "KEPT_IN_TROUBLE", 4)
    archived = Archived(tmp_path)
    archived.begin()
    rows = [archived.append(second) for second in range(7)]
    async with archived.working():
        await archived.settle()
        rows.append(archived.append(7))
    assert archived.text() == archived.header + "".join([*rows[:4], rows[7]])
    assert "3 rows are missing" in caplog.text


async def test_a_folder_that_is_taken_away_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(archive_files, "LOOK_EVERY_S", 0.0)
    archived = Archived(tmp_path)
    path = archived.folder.path
    async with archived.working():
        archived.begin()
        archived.append(0)
        await archived.settle()
        path.rename(tmp_path / "aside")
        path.write_text("in the way")
        archived.append(1)
        await archived.settle()
        assert "no archive can be written" in caplog.text
        path.unlink()
        await archived.settle()
        row = archived.append(2)
    assert archived.text() == archived.header + row


async def test_a_folder_that_cannot_be_made_is_said_at_the_start_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archived = Archived(tmp_path)
    archived.folder.path.rmdir()
    archived.folder.path.write_text("in the way")
    async with archived.working():
        await archived.settle()
        assert caplog.text.count("no archive can be written: File exists; free some room on its disk") == 1
        assert "name another by --archive" in caplog.text
        archived.begin()
        archived.append(0)
        await archived.settle()
        archived.folder.path.unlink()
        row = archived.append(1)
    assert archived.text() == archived.header + row


async def test_a_parquet_file_has_the_exact_values(tmp_path: Path) -> None:
    tables = pytest.importorskip("pyarrow.parquet", reason="pyarrow is in the test group of pyproject.toml")
    archived = Archived(tmp_path, parquet=True)
    path = archived.folder.path / NAME.replace(".txt", ".parquet")
    values = {"Flow": math.pi, "Small": 0.1, "Count": -(2**63), "Total": 2**64 - 1, "Valve": "Open", "Flag": True}
    async with archived.working() as files:
        archived.begin()
        archived.append(0)
        archived.append(1, **values)
        await archived.settle()
        assert not path.exists(), "it is made when the run ends"
        files.end()
    table = tables.read_table(path)
    assert {field.name: str(field.type) for field in table.schema} == {
        "Datetime (UTC)": "timestamp[us, tz=UTC]", "Run Id": "string", "Flow [L/h]": "double", "Small": "double",
        "Count": "int64", "Total": "uint64", "Valve": "string", "Flag": "bool",
    }  # fmt: skip
    first, second = table.to_pylist()
    assert first["Flow [L/h]"] is None
    assert second == {
        "Datetime (UTC)": datetime.fromtimestamp(UNIX + 1, UTC), "Run Id": "run", "Flow [L/h]": math.pi,
        "Small": pytest.approx(0.1, rel=1e-7), "Count": -(2**63), "Total": 2**64 - 1, "Valve": "Open", "Flag": True,
    }  # fmt: skip
    assert {each.suffix for each in archived.folder.path.glob("archiver-*")} == {".txt", ".parquet"}


async def test_a_parquet_file_is_made_of_what_a_crash_has_left(tmp_path: Path) -> None:
    tables = pytest.importorskip("pyarrow.parquet", reason="pyarrow is in the test group of pyproject.toml")
    archived = Archived(tmp_path, parquet=True)
    async with archived.working():
        archived.begin()
        archived.append(0, Count=1)
    kept = archived.folder.path / NAME.replace(".txt", ".rows")
    kept.write_bytes(kept.read_bytes() + b'[1800000001.0,"run",1.')
    archived = Archived(tmp_path, parquet=True)
    async with archived.working() as files:
        archived.begin()
        archived.append(2, Count=3)
        files.end()
    assert tables.read_table(kept.with_suffix(".parquet"))["Count"].to_pylist() == [1, 3]


def test_a_type_that_is_learned_late_is_that_of_the_column(tmp_path: Path) -> None:
    tables = pytest.importorskip("pyarrow.parquet", reason="pyarrow is in the test group of pyproject.toml")
    kept = tmp_path / "kept"
    table = parquet.TagKind
    kept.write_bytes(
        parquet.columns_line(["a", "b", "c"], [table.FLOAT, table.FLOAT, table.INT])
        + parquet.row_line(0.5, [None, 1.5, None])
        + parquet.columns_line(["a", "b", "c"], [table.UINT, table.TEXT, table.FLOAT])
        + parquet.row_line(1.5, [2**64 - 1, "two", math.inf])
    )
    parquet.write_parquet(kept, tmp_path / "table")
    found = tables.read_table(tmp_path / "table")
    assert [str(field.type) for field in found.schema][1:] == ["uint64", "string", "double"]
    assert [list(row.values())[1:] for row in found.to_pylist()] == [[None, "1.5", None], [2**64 - 1, "two", None]]


def test_without_pyarrow_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("pyarrow", "pyarrow.parquet"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ArchiveError, match=r"needs pyarrow .*: install it with pip install 'skidlink\[parquet\]'"):
        Archived(tmp_path, parquet=True)


def open_files() -> int:
    return len(list(OPEN_FILES.iterdir()))


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="the open files of a process are told by Linux")
async def test_a_disk_that_is_full_from_the_start_costs_no_open_files(tmp_path: Path) -> None:
    archived = Archived(tmp_path)
    async with archived.working():
        before = open_files()
        with files_no_larger_than(10):
            archived.begin()
            for second in range(50):
                archived.append(second)
            await archived.settle()
        assert open_files() <= before + 1
        row = archived.append(50)
    assert archived.text() == archived.header + row
