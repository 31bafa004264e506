"""What a person at the terminal sees of a run."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from engine.cli.view import LiveView, PlainView
from tests.unit.runs_bench import Bench


def drawn(view: LiveView) -> list[str]:
    console = Console(file=StringIO(), width=160, height=40, record=True)
    console.print(view.draw(console))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_the_table_tells_of_the_run(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    view = LiveView(bench.engine)
    bench.tick()
    assert "run      Stopped" in drawn(view)
    bench.press("Start")
    bench.ticks(40, 10.0)
    bench.press("Hold")
    run = bench.shown["Run Id"]
    assert f"run      Holding  0:06:40  {run}" in drawn(view)


def test_the_plain_lines_tell_when_its_state_changes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench(tmp_path)
    view = PlainView(bench.engine)
    for word in ("", "Start", "", "Pause"):
        if word:
            bench.press(word)
        bench.tick()
        view.print_changes()
    lines = [line.split("  ")[1] for line in capsys.readouterr().out.splitlines()]
    assert [line for line in lines if line.startswith("System State")] == [
        "System State = Stopped",
        "System State = Running",
        "System State = Paused",
    ]
