"""Text of devices, files and servers on its way to a terminal."""

from __future__ import annotations

import json
import logging
import re
import sys
import unicodedata
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from engine.cli.screen import Grid, LineFormatter, Screen, log_to, plain, tell, tell_json, tell_result
from engine.visible import visible, visible_cell, visible_json

HOSTILE = "[/clean][bold]PT[1]:smile:\x1b[2J\x00\x07\x9b31m\u202ednep\u2066\r\nINFO all is well\ud800"
CLI = Path(__file__).parents[2] / "engine" / "cli"


def harmless(text: str) -> bool:
    """Nothing in it moves a cursor, turns the direction of writing or ends a line."""
    kinds = {unicodedata.category(character) for character in text}
    return not kinds & {"Cc", "Cs", "Zl", "Zp"} and not re.search("[\u202a-\u202e\u2066-\u2069\u200e\u200f]", text)


def test_control_characters_are_seen() -> None:
    assert visible("\x1b[2J\x00 \n\t\x7f\x9b\u202e") == r"\x1b[2J\x00 \n\t\x7f\x9b\u202e"
    assert visible("µ °C 温度 L/h [/clean]") == "µ °C 温度 L/h [/clean]"


@given(st.text(st.characters(codec=None), max_size=80))
def test_no_text_can_do_anything_to_a_terminal(text: str) -> None:
    for shown in (visible(text), visible_cell(text, 20)):
        assert harmless(shown)
        shown.encode()


def test_a_message_that_is_too_long_keeps_its_beginning_and_what_to_do() -> None:
    message = f"plc: the server says {'x' * 10**6}: switch it on again"
    shown = visible(message)
    assert len(shown) <= 2000
    assert shown.startswith("plc: the server says xxx")
    assert " … " in shown
    assert shown.endswith(": switch it on again")


def test_a_cell_that_is_too_long_is_cut() -> None:
    assert visible_cell("a" * 10, 5) == "aaaa…"
    assert visible_cell("\x1b" * 100, 10) == r"\x1b\x1b\…"
    assert visible_cell("a" * 5, 5) == "aaaaa"


@given(st.text(st.characters(codec=None), max_size=80))
def test_json_is_harmless_and_says_the_same(text: str) -> None:
    shown = visible_json({"value": text})
    assert all(harmless(line) for line in shown.split("\n"))
    assert json.loads(shown) == {"value": text}


def printed(console: Console) -> str:
    file = console.file
    assert isinstance(file, StringIO)
    return file.getvalue()


@pytest.mark.parametrize("kind", [Screen, Console])
def test_a_table_shows_each_cell_as_it_is(kind: type[Console]) -> None:
    console = kind(file=StringIO(), width=200)
    table = Grid("tag", title=plain(HOSTILE))
    table.add_row(HOSTILE)
    console.print(table)
    assert printed(console).count("[/clean][bold]PT[1]:smile:\\x1b[2J\\x00\\x07") == 2


def test_a_screen_prints_text_as_it_is() -> None:
    screen = Screen(file=StringIO(), width=200, force_terminal=False)
    screen.print(HOSTILE)
    assert printed(screen).startswith("[/clean][bold]PT[1]:smile:\\x1b[2J\\x00")
    assert printed(screen).count("\n") == 1


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_message_of_the_log_is_one_line(is_terminal: bool) -> None:
    screen = Screen(file=StringIO(), width=300, force_terminal=is_terminal, color_system=None)
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    try:
        log_to(screen)
        logging.getLogger("skidlink.test").warning("PT01 is bad: %s", HOSTILE)
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        logging.getLogger("skidlink").setLevel(logging.NOTSET)
    lines = printed(screen).splitlines()
    assert len(lines) == 1
    assert "PT01 is bad: [/clean][bold]PT[1]:smile:\\x1b[2J" in lines[0]
    assert harmless(lines[0])


def test_a_traceback_keeps_its_lines_and_shows_what_is_in_them() -> None:
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        record = logging.LogRecord("skidlink", logging.ERROR, "", 0, "it failed", None, sys.exc_info())
    lines = LineFormatter("%(message)s").format(record).split("\n")
    assert lines[:2] == ["it failed", "Traceback (most recent call last):"]
    assert all(harmless(line) for line in lines)


def test_what_a_command_says_is_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    tell(HOSTILE)
    tell_result(HOSTILE)
    tell_json([HOSTILE])
    out, err = capsys.readouterr()
    assert err.count("\n") == 1
    assert harmless(err.rstrip("\n"))
    assert all(harmless(line) for line in out.split("\n"))


def test_no_command_writes_past_the_screen() -> None:
    """What is printed otherwise would not be escaped."""
    past = re.compile(r"std(out|err)\.write\(|typer\.echo\(|\bprint\((?!.*\bself)|rich\.table|markup=True|from_markup")
    allowed = {"screen.py": None, "app.py": "typer.echo(f\"skidlink {installed('skidlink')}\")"}
    found = [
        f"{file.name}: {line.strip()}"
        for file in sorted(CLI.glob("*.py"))
        for line in file.read_text().splitlines()
        if past.search(line) and ".print(" not in line and allowed.get(file.name, "") not in {None, line.strip()}
    ]
    assert found == []
