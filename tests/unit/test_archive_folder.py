"""The folder of archives: whole lines, whose file is whose, what is deleted and what stays."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.runs.archive_ages import NAME
from engine.runs.archive_folder import ArchiveFolder, ArchiveRule, Room, run_id_of
from engine.runs.whole_lines import WholeLines
from tests.unit.full_disk import files_no_larger_than
from tests.unit.passing_time import Passing

MIB = 2**20
HEADER = "Datetime (UTC),Run Id,Mark\n"
RULE = ArchiveRule(keep_s=86_400, limit_bytes=100, min_free_bytes=500 * MIB)


def written(path: Path, data: bytes) -> bytes:
    """What is left of a file with this data, once it has been opened."""
    path.write_bytes(data)
    WholeLines(path).close()
    return path.read_bytes()


@given(
    st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"").replace(b"\\", b"")), max_size=5),
    st.integers(0, 210),
)
def test_what_is_torn_is_cut_off_wherever_that_is(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], size: int
) -> None:
    torn = b"".join(line + b"\n" for line in lines)[:size]
    assert written(tmp_path_factory.getbasetemp() / "torn", torn) == torn[: torn.rfind(b"\n") + 1]


def test_an_escaped_line_end_belongs_to_its_line(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert written(path, b"a\nb\\\n") == b"a\n"
    assert written(path, b"a\nb\\\\\n") == b"a\nb\\\\\n"
    assert written(path, b"a\\\n") == b""
    long = b"a" * 65_535 + b"\n"
    assert written(path, long + b"\\" * 65_537 + b"\nrest") == long, "over the chunks in which it is read"
    assert written(path, long + b"\\" * 65_536 + b"\nrest") == long + b"\\" * 65_536 + b"\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of files")
def test_of_a_line_that_does_not_fit_nothing_stays(tmp_path: Path) -> None:
    file = WholeLines(tmp_path / "file")
    line = b"x" * 299 + b"\n"
    with files_no_larger_than(1000):
        for _ in range(3):
            file.append(line)
        for _ in range(2):
            with pytest.raises(OSError, match=r"No space left|too large"):
                file.append(line)
        assert file.path.read_bytes() == 3 * line
    file.append(line)
    file.close()
    assert file.path.read_bytes() == 4 * line


class Archives:
    """A folder with a disk of its own."""

    def __init__(self, path: Path, rule: ArchiveRule = RULE) -> None:
        self.free = 1000 * MIB
        self.undelivered: set[str] | None = set()
        self.asked = 0
        self.folder = ArchiveFolder(path / "archives", rule, self._undelivered, lambda _: self.free)
        self.folder.make()

    def _undelivered(self) -> set[str] | None:
        self.asked += 1
        return self.undelivered

    def add(self, day: int, suffix: str = ".txt", *, size: int = 0) -> Path:
        """A file of run "run-DAY", whose stamp says nothing."""
        path = self.folder.path / f"archiver-2026-11-{day:02}_120000{suffix}"
        path.write_text(f"{HEADER}2026,run-{day},\n".ljust(size, "x"))
        os.utime(path, (0, 0))
        return path

    @property
    def days(self) -> list[int]:
        return sorted({int(path.name[17:19]) for path in self.folder.path.glob("archiver-*")})


@pytest.fixture
def computer(monkeypatch: pytest.MonkeyPatch) -> Passing:
    return Passing(monkeypatch)


def test_the_oldest_go_for_their_age_with_all_that_belongs_to_them(tmp_path: Path, computer: Passing) -> None:
    archives = Archives(tmp_path, ArchiveRule(keep_s=86_400, limit_bytes=MIB, min_free_bytes=500 * MIB))
    for suffix in (".txt", ".parquet", ".rows", ".unfinished"):
        archives.add(2, suffix)
    mine = archives.folder.path / "notes.txt"
    mine.write_text("mine")
    os.utime(mine, (0, 0))
    archives.folder.prune("")
    computer.now += 6500
    archives.add(1)
    archives.folder.prune("")
    computer.now += 79_900
    archives.folder.prune("")
    assert archives.days == [1, 2]
    computer.now += 100
    archives.folder.prune("")
    assert archives.days == [1], "what its name says is not how old it is"
    assert mine.exists(), "what is no archive is nobody's to delete"
    archives.folder.prune("")
    assert archives.asked == 1, "who asks the outbox has a reason"


def test_ages_are_of_time_that_has_passed_and_outlive_the_engine(tmp_path: Path, computer: Passing) -> None:
    archives = Archives(tmp_path)
    archives.add(1)
    archives.folder.prune("")
    computer.now += 40_000
    archives = Archives(tmp_path)
    archives.folder.prune("")
    computer.reboot()
    archives = Archives(tmp_path)
    archives.folder.prune("")
    assert archives.days == [1], "stamps are of 1970, and nobody knows for how long it was off"
    computer.now += 46_300
    archives.folder.prune("")
    assert archives.days == [1]
    computer.now += 200
    archives.folder.prune("")
    assert archives.days == []


def test_the_run_that_ended_first_goes_first_whatever_its_name_says(tmp_path: Path, computer: Passing) -> None:
    archives = Archives(tmp_path)
    for day in (3, 1, 2):  # as a clock goes that is set
        archives.add(day, size=40)
        archives.folder.prune("")
        computer.now += 10
    assert archives.days == [1, 2]
    Archives(tmp_path).folder.prune("")
    archives.add(4, size=40)
    Archives(tmp_path).folder.prune("")
    assert archives.days == [2, 4], "in the next process, too"


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"passed_s": "x"}', b'{"passed_s": 1, "boot": "", "ended": 1}']
)
def test_ages_that_cannot_be_read_begin_anew(
    content: bytes, tmp_path: Path, computer: Passing, caplog: pytest.LogCaptureFixture
) -> None:
    archives = Archives(tmp_path)
    archives.add(1)
    archives.folder.prune("")
    ages = archives.folder.path / NAME
    assert ages.exists()
    computer.now += 90_000
    ages.write_bytes(content)
    archives = Archives(tmp_path)
    archives.folder.prune("")
    assert archives.days == [1]
    assert "the ages of all archives begin anew" in caplog.text
    computer.now += 90_000
    archives.folder.prune("")
    assert archives.days == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit for the size of files")
def test_a_disk_that_takes_nothing_keeps_no_archive_from_being_deleted(tmp_path: Path, computer: Passing) -> None:
    archives = Archives(tmp_path)
    archives.add(1)
    with files_no_larger_than(0):
        archives.folder.prune("")
        computer.now += 90_000
        archives.folder.prune("")
    assert archives.days == []


def test_a_damaged_archive_is_of_no_known_run(tmp_path: Path) -> None:
    archives = Archives(tmp_path)
    path = archives.add(1)
    path.write_bytes(HEADER.encode() + b"\xff\xfe\x00,run,\n")
    assert run_id_of(path) == "run"
    path.write_bytes(b"x" * 200_000 + b"\n" + b"y" * 200_000)
    assert run_id_of(path) is None


def test_the_oldest_go_for_the_size_of_all(tmp_path: Path) -> None:
    archives = Archives(tmp_path)
    for day in (1, 2, 3, 4):
        archives.add(day, size=50)
    archives.folder.prune("")
    assert archives.days == [3, 4]


def test_the_oldest_go_for_the_room_on_the_disk_until_there_is_enough(tmp_path: Path) -> None:
    archives = Archives(tmp_path, ArchiveRule(keep_s=86_400, limit_bytes=MIB, min_free_bytes=500 * MIB))
    for day in (1, 2, 3):
        archives.add(day)
    archives.folder.prune("")
    assert archives.days == [1, 2, 3]
    archives.free = 499 * MIB
    archives.folder.prune("")
    assert archives.days == []


def test_the_active_run_and_those_that_are_not_delivered_stay(tmp_path: Path, computer: Passing) -> None:
    archives = Archives(tmp_path)
    for day in (1, 2, 3):
        archives.add(day)
    archives.folder.prune("")
    computer.now += 90_000
    archives.undelivered = {"run-2"}
    archives.folder.prune("archiver-2026-11-03_120000")
    assert archives.days == [2, 3]
    archives.undelivered = None
    archives.folder.prune("")
    assert archives.days == [2, 3], "nothing goes while nobody knows"
    archives.undelivered = set()
    archives.folder.prune("")
    assert archives.days == [3], "it was active until now"
    computer.now += 90_000
    archives.folder.prune("")
    assert archives.days == []


def test_room_is_enough_low_or_none(tmp_path: Path) -> None:
    archives = Archives(tmp_path)
    found: list[Room] = []
    for free in (500, 499, 50, 49):
        archives.free = free * MIB
        found.append(archives.folder.room())
    assert found == [Room.ENOUGH, Room.LOW, Room.LOW, Room.NONE]


def test_a_run_finds_its_file_again_and_takes_no_other(tmp_path: Path) -> None:
    folder = Archives(tmp_path).folder
    name = "archiver-2026-11-01_120000.txt"
    first = folder.file_of("one", name, HEADER)
    assert first == folder.path / name
    first.write_text(HEADER[:7])
    assert folder.file_of("two", name, HEADER) == first, "it has no row of anybody"
    assert first.read_text() == "", "and what was torn of its header is gone"
    first.write_text(f"{HEADER}2026,one,a\\,b\n2026,on")
    assert run_id_of(first) == "one"
    second = folder.file_of("two", name, HEADER)
    assert second.name == "archiver-2026-11-01_120000-2.txt"
    second.write_text(f"{HEADER}2026,two,\n")
    assert [folder.file_of(run, name, HEADER) for run in ("one", "two")] == [first, second]
    assert folder.file_of("three", name, HEADER).name == "archiver-2026-11-01_120000-3.txt"
    assert first.read_text() == f"{HEADER}2026,one,a\\,b\n"
