"""What users type and press, read by the commands and tags of a UOD."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.runs.arguments import CommandError
from engine.runs.pcode import (
    Control,
    CountRun,
    Instruction,
    Invoke,
    LineReader,
    Note,
    Say,
    Simulate,
    Wait,
    lines_of,
)
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
  OUT: {device: box, direction: output, safe_value: 0}
  FQ01: {device: box, unit: L}
derived: {Double: {expr: "LV01 * 2", unit: L}}
accumulated_volume: FQ01
commands:
  Pump: {sets: PU01, argument: number, units: ["%"]}
  Flush: {steps: [{set: VA01, to: Open}, {wait_s: argument}]}
  Prime: {steps: [{wait_s: 1}]}
  2nd pump: {sets: PU01}
process_values: [{entry: PU01, command: Pump}, {entry: LV01}, {entry: CT01}, {choice: VA01}, {entry: BA01}]
"""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> LineReader:
    file = tmp_path_factory.mktemp("uod") / "bench.yaml"
    file.write_text(UOD)
    skid = read_uod(file).skid
    assert skid is not None
    return LineReader(skid)


@pytest.mark.parametrize(
    ("line", "command", "argument"),
    [
        ("Pump: 60 %", "Pump", 60),
        ("Pump: 60.5", "Pump", 60.5),
        ("Pump:1e1%", "Pump", 10.0),
        ("LV01: 250 mL", "LV01", 0.25),
        ("LV01: -.5 L  # by hand", "LV01", -0.5),
        ("CT01: 9007199254740993", "CT01", 2**53 + 1),
        ("VA01: Open", "VA01", "Open"),
        ("BA01: a # b: c", "BA01", "a # b: c"),
        ("Flush: 2 min", "Flush", 120.0),
        ("Flush: 30", "Flush", 30),
        ("Prime", "Prime", None),
        ("Prime # slowly", "Prime", None),
        ("2nd pump: 5", "2nd pump", 5),
    ],
)
def test_a_command_comes_with_its_argument_in_the_unit_that_it_is_used_in(
    reader: LineReader, line: str, command: str, argument: float | str | None
) -> None:
    read = reader.read(line)
    assert read.text == line
    assert isinstance(read.asks, Invoke)
    assert read.asks.command.name == command
    assert read.asks.argument == (pytest.approx(argument) if argument == 0.25 else argument)
    assert type(read.asks.argument) is type(argument)
    assert not read.needs_run


@pytest.mark.parametrize(
    ("line", "asks", "needs_run"),
    [
        ("Mark: after the wash # really", Note("Mark", "after the wash"), True),
        ("Batch: B-17", Note("Batch Name", "B-17"), True),
        ("Base: mL", Note("Base", "mL"), True),
        ("Run counter: 12", Note("Run Counter", 12), True),
        ("Increment run counter", CountRun(), True),
        ("Wait: 5 s", Wait(5.0), False),
        ("Wait: 0.5min", Wait(30.0), False),
        ("Wait: 2 h", Wait(7200.0), False),
        ("Info: all is well", Say("Info", "all is well"), False),
        ("Warning: look", Say("Warning", "look"), False),
        ("Error: stop it", Say("Error", "stop it"), False),
        ("Simulate: LV01 = 250 mL", Simulate("LV01", 0.25), False),
        ("Simulate: LV01=3", Simulate("LV01", 3), False),
        ("Simulate: VA01 = Open", Simulate("VA01", "Open"), False),
        ("Simulate: LV01 = LV01 + 0.1", Simulate("LV01", expr="LV01 + 0.1"), False),
        ("Simulate: BA01 = wet # dry", Simulate("BA01", "wet"), False),
        ("Simulate off: LV01", Simulate("LV01", None), False),
        ("Start", Control("Start"), False),
        ("Stop", Control("Stop"), False),
        ("Restart", Control("Restart"), False),
        ("Pause", Control("Pause"), False),
        ("Pause: 10 s", Control("Pause", 10.0), False),
        ("Unpause", Control("Unpause"), False),
        ("Hold: 1 min", Control("Hold", 60.0), False),
        ("Unhold", Control("Unhold"), False),
    ],
)
def test_the_words_of_the_engine(reader: LineReader, line: str, asks: Instruction, needs_run: bool) -> None:
    read = reader.read(line)
    assert (read.asks, read.needs_run) == (asks, needs_run)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("Pomp: 60", "did you mean Pump"),
        ("mark: A", "did you mean Mark"),
        ("Dance", "commands are: Pump, Flush"),
        ("Watch: LV01 > 1", "belongs into a method"),
        ("1.5 Mark: A", "leave out the threshold 1.5"),
        ("Pump: fast", "takes a number, not 'fast'"),
        ("Pump", "takes a number"),
        ("Pump: 1 bar", "Pump: bar .pressure. does not convert to %"),
        ("Pump: 101 %", "above its max of 100 %"),
        ("Pump: -1", "below its min of 0 %"),
        ("LV01: 1e999", "finite"),
        ("VA01: open", "one of Closed, Open, not 'open'"),
        ("Prime: 5", "takes no argument, but there is '5'"),
        ("Flush: -1 s", "below its min of 0 s"),
        ("Flush: 1 L", "Flush: L .volume. does not convert to s"),
        ("Wait: 5", "takes a time in s, min or h"),
        ("Wait: -5 s", "no time below zero"),
        ("Wait: 1e999 s", "without end"),
        ("Wait", "write Wait: 5 s"),
        ("Mark", "takes a text"),
        ("Run counter: 1.5", "takes a whole number"),
        ("Increment run counter: 2", "nothing can follow"),
        ("Stop: 5 s", "nothing can follow Stop"),
        ("Pause: soon", "takes a time"),
        ("Base: CV", "takes one of s, min, h, L, mL, not 'CV'"),
        ("Simulate: LV01", "write Simulate: TAG = value unit"),
        ("Simulate: LV1 = 3 L", "did you mean LV01"),
        ("Simulate: LV01 = 3 bar", "does not convert"),
        ("Simulate: LV01 = much", "is a number in L"),
        ("Simulate: VA01 = Ajar", "one of Closed, Open"),
        ("Simulate: Double = 3", "fed by no device"),
        ("Simulate off: OUT", "fed by no device"),
    ],
)
def test_what_cannot_be_read_says_what_would_do(reader: LineReader, line: str, why: str) -> None:
    with pytest.raises(CommandError, match=why.replace("(", r"\(")):
        reader.read(line)


@given(
    line=st.one_of(st.text(), st.from_regex(r"(Wait|Pump|Flush|CT01|Run counter|Simulate): [0-9eE.+-]*( ?(s|%|L))?"))
)
def test_a_line_is_read_or_refused_whatever_is_typed(reader: LineReader, line: str) -> None:
    try:
        read = reader.read(line)
    except CommandError:
        return
    assert read.text == line.strip()


def test_empty_lines_and_comments_ask_for_nothing() -> None:
    assert lines_of("\n# a comment\n  Pump: 1\n\nVA01: Open\n") == ["Pump: 1", "VA01: Open"]
