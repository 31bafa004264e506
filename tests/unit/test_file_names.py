"""Names of files made of any text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.file_names import LONGEST, file_name

ENDINGS = (".sqlite3", ".sqlite3-wal", ".broken-12-wal")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("lab-pc_Filtration skid", "lab-pc_Filtration skid"),
        ("pc_過", "pc_%E9%81%8E"),
        ("a/b\\c", "a%2Fb%5Cc"),
        ("..", "%2E%2E"),
        (".", "%2E"),
        ("", "%"),
        (" ", "%20"),
        ("end.", "end%2E"),
        ("end ", "end%20"),
        ("NUL", "%4EUL"),
        ("com1.log", "%63om1.log"),
        ("CONSOLE", "CONSOLE"),
        ("a\0b\n", "a%00b%0A"),
    ],
)
def test_a_name_is_one_that_every_file_system_takes(text: str, name: str) -> None:
    assert file_name(text) == name


def test_a_long_name_is_cut_between_two_letters_and_stays_unique() -> None:
    texts = ["lab_" + 40 * "過濾", "lab_" + 40 * "過濾" + "2", "x" * 241, "x" * 242]
    names = [file_name(text) for text in texts]
    assert len(set(names)) == len(names)
    for name in names:
        head, digest = name.rsplit("~", 1)
        assert len(digest) == 12
        assert "%" not in head[-2:], "no half of an escape"
    assert file_name("x" * LONGEST) == "x" * LONGEST


@given(st.text(min_size=1, max_size=150), st.text(max_size=120))
def test_any_text_gives_a_name_of_its_own(tmp_path_factory: pytest.TempPathFactory, one: str, other: str) -> None:
    name = file_name(one)
    assert (name == file_name(other)) is (one == other)
    assert name.isascii()
    assert name.isprintable()
    assert 0 < len(name) <= LONGEST
    assert name[-1] not in ". "
    folder = tmp_path_factory.getbasetemp()
    for ending in ENDINGS:
        path = folder / f"{name}{ending}"
        path.touch()
        assert path.parent == folder
        path.unlink()


def test_a_lone_surrogate_has_a_name_too() -> None:
    assert Path(file_name("a\udcff")).name == "a%ED%B3%BF"
