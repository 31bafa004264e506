"""What users type and press, read by the commands of a UOD."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.runs.pcode import CommandError, CommandReader, lines_of
from engine.uod.reader import read_uod

UOD = """\
uod: Bench
devices: {box: {driver: simulated}}
tags:
  PU01: {device: box, direction: both, unit: "%", min: 0, max: 100, safe_value: 0}
  LV01: {device: box, direction: both, unit: L}
  CT01: {device: box, direction: both, type: uint64}
  VA01: {device: box, direction: both, choices: {Closed: 0, Open: 1}}
  BA01: {device: box, direction: both, type: string, safe_value: ""}
commands:
  Pump: {sets: PU01, argument: number, units: ["%"]}
process_values: [{entry: PU01, command: Pump}, {entry: LV01}, {entry: CT01}, {choice: VA01}, {entry: BA01}]
"""


@pytest.fixture
def reader(tmp_path: Path) -> CommandReader:
    file = tmp_path / "bench.yaml"
    file.write_text(UOD)
    skid = read_uod(file).skid
    assert skid is not None
    return CommandReader(skid)


@pytest.mark.parametrize(
    ("line", "tag", "value"),
    [
        ("Pump: 60 %", "PU01", 60),
        ("Pump: 60.5", "PU01", 60.5),
        ("Pump:-1e1%", "PU01", -10.0),
        ("LV01: 250 mL", "LV01", 0.25),
        ("LV01: .5 L  # by hand", "LV01", 0.5),
        ("CT01: 9007199254740993", "CT01", 2**53 + 1),
        ("VA01: Open", "VA01", "Open"),
        ("BA01: a # b: c", "BA01", "a # b: c"),
    ],
)
def test_a_line_asks_for_a_value_in_the_unit_of_its_tag(
    reader: CommandReader, line: str, tag: str, value: float | str
) -> None:
    wish = reader.read(line)
    assert (wish.line, wish.tag, wish.value) == (line, tag, pytest.approx(value) if value == 0.25 else value)
    assert type(wish.value) is type(value)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("Pomp: 60", "did you mean Pump"),
        ("Watch: x > 1", "commands are: Pump, LV01"),
        ("Pump: fast", "takes a number, not 'fast'"),
        ("Pump", "takes a number"),
        ("Pump: 1 bar", "takes %, not 'bar'"),
        ("VA01: open", "one of Closed, Open, not 'open'"),
    ],
)
def test_what_cannot_be_read_says_what_would_do(reader: CommandReader, line: str, why: str) -> None:
    with pytest.raises(CommandError, match=why):
        reader.read(line)


def test_empty_lines_and_comments_ask_for_nothing() -> None:
    assert lines_of("\n# a comment\n  Pump: 1\n\nVA01: Open\n") == ["Pump: 1", "VA01: Open"]
