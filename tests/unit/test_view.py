"""What a person at the terminal sees of a run."""

from __future__ import annotations

import asyncio
import logging
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from engine.cli.run import keep_showing
from engine.cli.screen import Screen
from engine.cli.session import Session, make_session
from engine.cli.view import LiveView, PlainView
from tests.unit.runs_bench import Bench


def drawn(view: LiveView) -> list[str]:
    console = Console(file=StringIO(), width=160, height=40, record=True)
    console.print(view.draw(console))
    return [line.rstrip() for line in console.export_text().splitlines()]


def session() -> Session:
    return make_session(
        aggregator=None, secret="", secret_file=None, outbox=None, outbox_sync_ms=0, outbox_limit_mb=1,
        outbox_keep_days=1, archive=None, archive_parquet=False, archive_keep_days=1, archive_limit_mb=1,
        archive_min_free_mb=1, output=None, duration_s=None, plain=False, verbose=False,
    )  # fmt: skip


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


HOSTILE_UOD = """\
uod: "Skid [/bold] 7"
devices:
  box: {driver: simulated}
tags:
  "FT[1]": {device: box}
  NOTE: {device: box, type: string}
  PU01: {device: box, direction: output, unit: "%", safe_value: 0}
  PU02: {device: box, direction: output}
"""


@pytest.mark.parametrize("kind", [Console, Screen])
def test_the_text_of_a_device_is_neither_markup_nor_a_terminal_code(tmp_path: Path, kind: type[Console]) -> None:
    bench = Bench(tmp_path, uod=HOSTILE_UOD)
    bench.values["NOTE"] = "[/clean]\x1b[2J\x00" + "x" * 10_000
    bench.tick()
    bench.tick()
    console = kind(file=StringIO(), width=80, height=24, record=True)
    console.print(LiveView(bench.engine).draw(console))
    text = console.export_text()
    assert "Skid [/bold] 7" in text
    assert "FT[1]" in text
    assert "[/clean]\\x1b[2J\\x00xxx" in text
    assert len(text.splitlines()) <= 24


def test_the_text_of_a_device_is_one_plain_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = Bench(tmp_path, uod=HOSTILE_UOD)
    bench.values["NOTE"] = "[/clean]\x1b[2J\nPT01 = 7"
    bench.tick()
    bench.tick()
    PlainView(bench.engine).print_changes()
    lines = [line.split("  ")[1] for line in capsys.readouterr().out.splitlines()]
    assert "NOTE = [/clean]\\x1b[2J\\nPT01 = 7" in lines


def test_many_tags_and_long_reasons_leave_room_for_what_stands_below(tmp_path: Path) -> None:
    tags = "".join(f"  T{number:02}: {{device: box, max: -1}}\n" for number in range(40))
    bench = Bench(tmp_path, uod=f"uod: Bench\ndevices:\n  box: {{driver: simulated}}\ntags:\n{tags}")
    bench.tick()
    bench.tick()
    console = Screen(file=StringIO(), width=80, height=24, record=True)
    console.print(LiveView(bench.engine).draw(console))
    lines = console.export_text().splitlines()
    assert len(lines) <= 24
    assert any(line.startswith("scan  ") for line in lines)
    assert any("more, " in line and "of them not good" in line for line in lines)


async def ended(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("engine.engine.SAFE_WITHIN_S", 0.0)
    await bench.engine._make_safe()
    console = Screen(file=StringIO(), width=80, height=24, record=True)
    console.print(LiveView(bench.engine).draw(console, ended=True))
    return " ".join(console.export_text().split())


async def test_the_last_table_says_what_the_outputs_were_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(tmp_path, uod=HOSTILE_UOD)
    bench.values["NOTE"] = ""
    bench.tick()
    bench.tick()
    text = await ended(bench, monkeypatch)
    assert "(ended)" in text
    assert "outputs left as it is: PU02" in text
    assert "outputs safe value not confirmed: PU01 0 %; look at the skid" in text

    bench.tick()
    bench.engine.endings = bench.engine.outputs.endings()
    console = Screen(file=StringIO(), width=80, height=24, record=True)
    console.print(LiveView(bench.engine).draw(console, ended=True))
    assert "outputs  safe value accepted: PU01 0 %" in console.export_text()


async def test_the_last_table_says_which_outputs_could_not_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(tmp_path, uod=HOSTILE_UOD)
    bench.values["NOTE"] = ""
    bench.tick()
    bench.down.add(bench.engine.links[0].name)
    bench.tick()
    wanted = "device not reachable, state not known: PU01 0 %; look at the skid"
    assert wanted in await ended(bench, monkeypatch)
    assert f"outputs at the end: {wanted}" in caplog.messages


async def test_a_view_that_fails_is_told_of_and_begins_anew(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The fault is put in, as none of the view is known."""
    bench = Bench(tmp_path)
    bench.tick()
    drawn: list[str] = []

    def draw(*_: object, **__: object) -> Text:
        drawn.append("table")
        if len(drawn) == 2:
            raise ValueError("a fault in the table")
        return Text("a table")

    monkeypatch.setattr(LiveView, "draw", draw)
    monkeypatch.setattr("engine.cli.run.PRINT_EVERY_S", 0.0)
    monkeypatch.setattr("engine.cli.run.DRAW_EVERY_S", 0.0)
    monkeypatch.setattr(Session, "shows_table", property(lambda _: True))
    console = Screen(file=StringIO(), width=80, height=24)
    showing = asyncio.create_task(keep_showing(bench.engine, session(), console))
    while len(drawn) < 10:
        assert not showing.done()
        await asyncio.sleep(0)
    showing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await showing
    assert [record.message for record in caplog.records if record.levelno == logging.ERROR] == [
        "the view failed and begins anew; the engine runs on"
    ]


async def test_a_table_that_always_fails_gives_way_to_lines(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The fault is put in, as none of the view is known."""
    bench = Bench(tmp_path)
    bench.tick()

    def fail(*_: object, **__: object) -> Text:
        raise ValueError("a fault in the table")

    monkeypatch.setattr(LiveView, "draw", fail)
    monkeypatch.setattr("engine.cli.run.PRINT_EVERY_S", 0.0)
    monkeypatch.setattr(Session, "shows_table", property(lambda _: True))
    showing = asyncio.create_task(keep_showing(bench.engine, session(), Screen(file=StringIO())))
    shown = ""
    while "T0 = 0" not in shown:
        assert not showing.done()
        await asyncio.sleep(0)
        shown += capsys.readouterr().out
    showing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await showing
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 3
