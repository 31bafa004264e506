"""What is done beside writing a run: old archives deleted, files closed, tables made of what earlier processes left."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.runs import archive_files, parquet
from engine.runs.archive_folder import ArchiveError, run_id_of
from engine.runs.parquet import write_parquet
from tests.unit.archive_bench import MIB, NAME, Archived

OPEN_FILES = Path("/proc/self/fd")
DEAD = "archiver-2027-01-14_080000.txt"


def names(archived: Archived) -> set[str]:
    return {path.name for path in archived.folder.path.glob("archiver-*")}


def open_archives() -> list[str]:
    """The archives that this process has open."""
    found: list[str] = []
    for each in OPEN_FILES.iterdir():
        try:
            found.append(str(each.readlink()))
        except FileNotFoundError:
            continue  # the one by which they were listed
    return [name for name in found if "archiver-" in name]


async def test_old_archives_make_room_in_a_run_and_its_own_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_files, "LOOK_EVERY_S", 0.0)
    archived = Archived(tmp_path)
    for number in range(3):
        (archived.folder.path / f"archiver-2027-01-0{number + 1}_080000.txt").write_text("x" * 1000)
    async with archived.working() as files:
        archived.begin()
        archived.append(0)
        await archived.settle()
        assert len(names(archived)) == 4
        archived.free = 499 * MIB
        archived.append(1)
        await archived.settle()
        assert names(archived) == {NAME}, "the disk is nearly full, and only the run that is written may stay"
        files.end()
    assert names(archived) == set(), "it has ended, and the aggregator has it"


async def test_while_the_file_of_a_run_cannot_be_made_nothing_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_files, "LOOK_EVERY_S", 0.0)
    archived = Archived(tmp_path)
    (archived.folder.path / DEAD).write_text("x")
    in_the_way = archived.folder.path / NAME
    in_the_way.mkdir()
    archived.free = 499 * MIB
    async with archived.working():
        archived.begin()
        archived.append(0)
        await archived.settle()
        assert names(archived) == {DEAD, NAME}
        in_the_way.rmdir()
        archived.append(1)
        archived.append(2)
    assert names(archived) == {NAME}, "its file is known now"
    assert archived.text().count("\n") == 3


@pytest.mark.skipif(not OPEN_FILES.exists(), reason="the open files of a process are told by Linux")
@pytest.mark.parametrize("parquet_too", [False, True])
async def test_what_has_ended_is_closed(parquet_too: bool, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow.parquet", reason="pyarrow is in the test group of pyproject.toml")
    archived = Archived(tmp_path, parquet=parquet_too)
    async with archived.working() as files:
        for number in range(3):
            archived.begin(f"run {number}")
            archived.append(number)
            await archived.settle()
            archived.append(number)
            files.end()
            await archived.settle()
            assert open_archives() == []
        archived.begin("run 3")
        archived.append(3)
        archived.begin("run 4")  # without an end of the one before
        archived.append(4)
    assert open_archives() == []


async def test_the_table_of_a_dead_run_is_made_beside_the_run_that_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tables = pytest.importorskip("pyarrow.parquet", reason="pyarrow is in the test group of pyproject.toml")
    archived = Archived(tmp_path, parquet=True)
    async with archived.working():
        archived.begin("dead")
        archived.append(0, Count=1)
        await archived.settle()
        for suffix in (".txt", ".rows"):
            (archived.folder.path / NAME).with_suffix(suffix).rename((archived.folder.path / DEAD).with_suffix(suffix))
    kept = (archived.folder.path / DEAD).with_suffix(".rows")
    kept.write_bytes(kept.read_bytes() + b'[1800000001.0,"dead",1.')
    archived = Archived(tmp_path, parquet=True)
    async with archived.working() as files:
        archived.begin("alive")
        archived.append(1, Count=2)
        files.close_dead("dead", DEAD, archived.header)
        await archived.settle()
        assert tables.read_table(kept.with_suffix(".parquet"))["Count"].to_pylist() == [1]
        assert not kept.exists()
        assert (archived.folder.path / NAME).with_suffix(".rows").exists(), "that of the run that goes on is not ready"
        archived.append(2, Count=3)
        files.end()
    table = tables.read_table((archived.folder.path / NAME).with_suffix(".parquet"))
    assert table["Count"].to_pylist() == [2, 3]
    assert run_id_of(archived.folder.path / DEAD) == "dead"
    assert "damaged" not in caplog.text, "what is torn is no damage"


def rows_file(path: Path, *lines: bytes) -> Path:
    kinds = [parquet.TagKind.INT, parquet.TagKind.TEXT]
    whole = [parquet.columns_line(["n", "t"], kinds), *(parquet.row_line(n, [n, f"t{n}"]) for n in range(3)), *lines]
    path.write_bytes(b"".join(whole))
    return path


@pytest.mark.parametrize(
    "line", [b"\xff\x00\n", b"[1.0,\n", b"[1.0]\n", b"7\n", b'["x",1,"t"]\n', b'{"names":["a"],"types":[]}\n', b"\n"]
)
def test_a_damaged_row_costs_that_row(line: bytes, tmp_path: Path) -> None:
    tables = pytest.importorskip("pyarrow.parquet", reason="pyarrow is in the test group of pyproject.toml")
    kept = rows_file(tmp_path / "kept", line, parquet.row_line(9, [9, "t9"]))
    assert write_parquet(kept, tmp_path / "table") == 1
    assert tables.read_table(tmp_path / "table")["n"].to_pylist() == [0, 1, 2, 9]


async def test_of_what_no_table_can_be_made_is_told_once_and_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("pyarrow.parquet", reason="pyarrow is in the test group of pyproject.toml")
    archived = Archived(tmp_path, parquet=True)
    without = (archived.folder.path / DEAD).with_suffix(".rows")
    without.write_bytes(b'[1.0,1,"t"]\n')
    beyond = archived.folder.path / "archiver-2027-01-13_080000.rows"
    rows_file(beyond, b'[1.0,1%s,"t"]\n' % (b"0" * 30))
    some = archived.folder.path / "archiver-2027-01-12_080000.rows"
    rows_file(some, b"x\n")
    async with archived.working() as files:
        for number in range(2):
            archived.begin(f"run {number}")
            archived.append(number)
            files.end()
            await archived.settle()
    errors = [record.getMessage() for record in caplog.records]
    assert len(errors) == 3
    assert "1 damaged rows are left out of the table" in caplog.text
    assert f"no table can be made of {without}: it does not say what its columns are; it is kept as" in caplog.text
    assert without.with_suffix(".damaged").exists()
    assert beyond.with_suffix(".damaged").exists()
    assert some.with_suffix(".parquet").exists()
    with pytest.raises(ArchiveError):
        write_parquet(without.with_suffix(".damaged"), tmp_path / "table")
