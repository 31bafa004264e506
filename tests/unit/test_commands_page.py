"""What the page on commands shows is what happens."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.runs.pcode import LineReader, lines_of
from engine.uod.reader import read_uod
from protocol.aggregator_messages import InjectCodeMsg
from protocol.engine_messages import QueuedRunLogMsg
from protocol.messages import SuccessMessage
from protocol.models import RunLogLine
from tests.unit.runs_bench import Bench

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "commands.md").read_text(encoding="utf-8")


EXAMPLE = Path(__file__).parents[2] / "uod_examples" / "python_uod.py"


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return found


def bench(folder: Path, name: str, source: str) -> Bench:
    found = Bench(folder, uod=source, name=name)
    found.ticks(2)
    return found


def under_way(bench: Bench) -> list[RunLogLine]:
    """What is going on without a run."""
    return [line for log in bench.engine.states() if isinstance(log, QueuedRunLogMsg) for line in log.runlog.lines]


def say(bench: Bench, line: str) -> None:
    assert bench.do(InjectCodeMsg(pcode=line)) == SuccessMessage()


def test_the_steps_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    found = bench(tmp_path, "bench.yaml", block("yaml"))
    say(found, "Pump: 60 %")
    found.ticks(2)
    assert found.values["PU01"] == 60
    say(found, "Prime: 30 %")
    found.ticks(3)
    assert (found.values["VA01"], found.values["PU01"]) == (1, 60)
    found.ticks(22)
    assert found.values["PU01"] == 30
    found.ticks(205)
    assert (found.values["VA01"], found.values["PU01"]) == (0, 0)
    say(found, "Prime: 30 %")
    found.ticks(3)
    found.values["LT01"] = 50
    say(found, "Flush: 2 min")
    found.ticks(500)
    assert (found.values["VA02"], found.values["PU01"]) == (1, 0), "Prime was cancelled before its pump ran"
    found.values["LT01"] = 4
    found.ticks(1190)
    assert found.values["VA02"] == 1
    found.ticks(20)
    assert found.values["VA02"] == 0


def test_the_function_of_the_page_does_what_it_says(tmp_path: Path) -> None:
    found = bench(tmp_path, "bench.py", block("python"))
    say(found, "Fill: 50 %")
    found.ticks(3)
    assert found.values["PU01"] == 60
    found.values["LT01"] = 25
    found.ticks(11)
    assert [line.progress for line in under_way(found)] == [pytest.approx(0.5)]
    found.values["LT01"] = 50
    found.ticks(3)
    assert found.values["PU01"] == 0
    assert under_way(found) == []


def test_the_function_of_the_example_doses_over_the_wrap_of_its_totaliser(tmp_path: Path) -> None:
    found = bench(tmp_path, "example.py", EXAMPLE.read_text(encoding="utf-8"))
    found.values["FQ01"] = 2**32 - 500
    found.tick()
    say(found, "Dose: 2000 mL")
    found.ticks(3)
    assert (found.values["PU01"], found.values["VA01"], found.values["VA02"]) == (600, 1, 1)
    found.values["FQ01"] = 500
    found.ticks(11)
    assert [line.progress for line in under_way(found)] == [pytest.approx(0.5)]
    found.values["FQ01"] = 1500
    found.ticks(3)
    assert (found.values["PU01"], found.values["VA01"], found.values["VA02"]) == (0, 0, 0)
    say(found, "Dose: 1 L")
    found.ticks(3)
    say(found, "VA01: Open")
    found.ticks(3)
    assert (found.values["PU01"], found.values["VA01"], found.values["VA02"]) == (0, 1, 0), (
        "by hand, after it has ended"
    )
    say(found, "Dose: 1 L")
    found.ticks(310)
    assert found.values["PU01"] == 0, "nothing has flowed"
    assert found.engine.runs.counted()["function_faults"] == 1


def test_the_lines_of_the_page_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "bench.yaml"
    file.write_text(
        block("yaml").replace("tags:", "tags:\n  PT01: {device: box, unit: bar}\n  PT02: {device: box, unit: bar}", 1)
    )
    skid = read_uod(file).skid
    assert skid is not None
    reader = LineReader(skid)
    table = PAGE.split("## What users can type")[1].split("##")[0]
    lines = [
        line for cell in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for line in re.findall(r"`(.*?)`", cell)
    ]
    assert len(lines) > 15
    for line in lines:
        assert reader.read(line).text == lines_of(line)[0]
