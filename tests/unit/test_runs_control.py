"""Runs on the simulated driver: what a user asks for, what is sent, and in what order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.engine import Engine
from engine.uod.reader import read_uod
from engine.uplinks.contract import TagsFrame, UplinkStatus
from protocol.aggregator_messages import (
    AggregatorMessage,
    CancelMsg,
    ExecuteControlCommandMsg,
    ForceMsg,
    InjectCodeMsg,
)
from protocol.engine_messages import EngineMessage, ErrorLogMsg, RunLogMsg, RunStartedMsg, RunStoppedMsg
from protocol.messages import ErrorMessage, SuccessMessage

UOD = """\
uod: Bench
tick_ms: 10
data_log_interval_s: 0.02
devices:
  box: {driver: simulated}
  gone: {driver: simulated, bus: gone, answers: false}
tags:
  T0: {device: box, signal: ramp, period_s: 1, unit: degC}
  PU01: {device: box, direction: both, unit: "%", min: 0, max: 100, safe_value: 0, start: 40}
  VA01: {device: box, direction: both, choices: {Closed: 0, Open: 1}, safe_value: Closed}
  PU02: {device: gone, direction: output}
derived:
  Total: {expr: "integral(T0)"}
process_values: [T0, {entry: PU01}, {choice: VA01}, {entry: PU02}, Run Time]
"""
START, STOP = ExecuteControlCommandMsg(name="Start"), ExecuteControlCommandMsg(name="Stop")


class Listener:
    """An uplink that keeps what it is given."""

    name = "listener"

    def __init__(self) -> None:
        self.status = UplinkStatus()
        self.items: list[TagsFrame | EngineMessage] = []
        self.values: dict[str, Any] = {}
        self._more = asyncio.Event()

    async def run(self) -> None:
        await asyncio.Event().wait()

    def put(self, item: TagsFrame | EngineMessage) -> None:
        self.items.append(item)
        if isinstance(item, TagsFrame):
            self.values |= {tag["name"]: tag["value"] for tag in json.loads(item.tags)}
        self._more.set()

    async def close(self) -> None: ...

    async def until(self, values: dict[str, Any]) -> None:
        async with asyncio.timeout(60):
            while not values.items() <= self.values.items():
                self._more.clear()
                await self._more.wait()

    async def frames(self, count: int) -> None:
        """Wait for so many frames more."""
        async with asyncio.timeout(60):
            wanted = len(self.items) + count
            while len(self.items) < wanted:
                self._more.clear()
                await self._more.wait()

    def of(self, kind: type[Any]) -> list[Any]:
        return [item for item in self.items if isinstance(item, kind)]


class Bench:
    def __init__(self, engine: Engine, listener: Listener) -> None:
        self.engine, self.listener = engine, listener

    async def do(self, message: AggregatorMessage) -> SuccessMessage | ErrorMessage:
        return await self.engine.handle(message)

    async def lines(self, count: int) -> list[Any]:
        """The lines of the run log, once so many have ended."""
        async with asyncio.timeout(60):
            while True:
                logs = self.listener.of(RunLogMsg)
                if logs and sum(line.end is not None for line in logs[-1].runlog.lines) == count:
                    return list(logs[-1].runlog.lines)
                await self.listener.frames(1)


@asynccontextmanager
async def running(folder: Path) -> AsyncGenerator[Bench]:
    file = folder / "bench.yaml"
    file.write_text(UOD)
    skid = read_uod(file).skid
    assert skid is not None
    engine, listener, stop = Engine(skid), Listener(), asyncio.Event()
    engine.uplinks.append(listener)
    task = asyncio.create_task(engine.run(stop))
    try:
        await listener.until({"PU01": 0, "VA01": "Closed"})
        yield Bench(engine, listener)
    finally:
        stop.set()
        await asyncio.wait_for(task, 60)


async def test_a_run_begins_and_ends_in_the_order_that_the_aggregator_needs(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        listener = bench.listener
        assert await bench.do(START) == SuccessMessage()
        await listener.until({"System State": "Running"})
        await listener.frames(10)
        assert 0 < listener.values["Run Time"] == listener.values["Process Time"] < 600
        assert await bench.do(STOP) == SuccessMessage()
        await listener.until({"System State": "Stopped", "Run Id": None})
        assert listener.values["Run Time"] > 0, "what the run has come to stays to be seen"
    items = listener.items
    (started,), (stopped,) = listener.of(RunStartedMsg), listener.of(RunStoppedMsg)
    first, last = items.index(started), items.index(stopped)
    for place, item in enumerate(items):
        if isinstance(item, TagsFrame):
            assert item.run_id == (started.run_id if first < place < last else None)
    run = [item for item in items[first:last] if isinstance(item, TagsFrame)]
    assert {tag["name"] for tag in json.loads(run[0].tags)} >= {"T0", "PU01", "VA01", "Connection Status"}, "all tags"
    ticks = [started.started_tick, *(frame.tick_time for frame in run)]
    assert ticks == sorted(set(ticks)), "later and later"
    head, *rows = stopped.archive.splitlines()
    assert head == (
        "Datetime (UTC),System State,Run Id,Run Time [s],Process Time [s],Block Time [s],Clock [s],Mark,Base,"
        "Run Counter,Batch Name,Method Status,Connection Status,Outbox Status,T0 [degC],PU01 [%],VA01,PU02,Total,"
        "box Status,gone Status"
    )
    assert len(rows) >= 2
    assert all(row.split(",")[1:3] == ["Running", started.run_id] for row in rows)
    assert stopped.archive_filename.startswith("archiver-")


async def test_totals_begin_anew_with_a_run(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.listener.frames(30)
        before = bench.listener.values["Total"]
        await bench.do(START)
        await bench.listener.frames(2)
        items = bench.listener.items
        begun = items[items.index(bench.listener.of(RunStartedMsg)[0]) :]
        first = next(item for item in begun if isinstance(item, TagsFrame))
        (total,) = (tag["value"] for tag in json.loads(first.tags) if tag["name"] == "Total")
        assert total < before


async def test_an_entry_and_a_choice_are_written_and_stand_in_the_run_log(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.do(START)
        assert await bench.do(InjectCodeMsg(pcode="PU01: 60.0 %\nVA01: Open")) == SuccessMessage()
        await bench.listener.until({"PU01": 60, "VA01": "Open"})
        lines = await bench.lines(2)
        assert [(line.command_name, line.failed) for line in lines] == [("PU01: 60.0 %", False), ("VA01: Open", False)]
        assert [value.name for value in lines[0].start_values] == ["T0", "PU01", "VA01", "PU02", "Run Time"]
        assert lines[0].start_values[1].value == 0
        assert all(line.end >= line.start for line in lines)
        await bench.do(STOP)
        await bench.listener.until({"PU01": 0, "VA01": "Closed"})
        assert bench.listener.of(RunStoppedMsg)[0].runlog.lines == lines


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("PU01: 101 %", "above its max of 100"),
        ("PU01: fast", "takes a number"),
        ("Pump: 1", "no command of this skid"),
        ("PU02: 1", "is down"),
    ],
)
async def test_a_refusal_is_a_failed_line_an_error_and_an_answer(tmp_path: Path, line: str, why: str) -> None:
    async with running(tmp_path) as bench:
        await bench.do(START)
        answer = await bench.do(InjectCodeMsg(pcode=line))
        assert isinstance(answer, ErrorMessage)
        assert answer.caller_error
        assert why in (answer.message or "")
        (found,) = await bench.lines(1)
        assert (found.command_name, found.failed) == (line, True)
        await bench.do(STOP)
        entries = [entry for message in bench.listener.of(ErrorLogMsg) for entry in message.log.entries]
        assert [entry.severity for entry in entries if why in entry.message] == [40]


async def test_nothing_moves_when_one_of_several_lines_cannot_be_read(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        assert isinstance(await bench.do(InjectCodeMsg(pcode="PU01: 60\nPU01: 1 bar")), ErrorMessage)
        await bench.listener.frames(5)
        assert bench.listener.values["PU01"] == 0


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (STOP, "no run is active; Stop needs one"),
        (ExecuteControlCommandMsg(name="Dance"), "not a control command"),
        (InjectCodeMsg(pcode="# nothing"), "there is no command in what was sent"),
        (CancelMsg(exec_id="x"), "no line 'x'"),
        (ForceMsg(exec_id="x"), "no line 'x'"),
    ],
)  # fmt: skip
async def test_what_cannot_be_had_is_refused_with_the_reason(
    tmp_path: Path, message: AggregatorMessage, why: str
) -> None:
    async with running(tmp_path) as bench:
        answer = await bench.do(message)
        assert isinstance(answer, ErrorMessage)
        assert answer.caller_error
        assert why in (answer.message or "")


async def test_each_refusal_is_told_once_in_the_error_log_however_soon_it_comes_again(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        errors = bench.engine.runs.errors
        for now, message, entry in (
            (1.0, InjectCodeMsg(pcode="Dance: 5"), "'Dance' is no command of this skid"),
            (2.0, InjectCodeMsg(pcode="Dance: 5"), "'Dance' is no command of this skid"),
            (3.0, ExecuteControlCommandMsg(name="Hold"), "no run is active; Hold needs one"),
            (4.0, CancelMsg(exec_id="x"), "the run log has no line 'x'"),
        ):
            errors.take(now - 0.5)
            await bench.do(message)
            assert [told.message.startswith(entry) for told in errors.take(now)] == [True]


async def test_a_second_start_is_refused_and_the_end_of_the_engine_ends_the_run(tmp_path: Path) -> None:
    async with running(tmp_path) as bench:
        await bench.do(START)
        answer = await bench.do(START)
        assert isinstance(answer, ErrorMessage)
        assert "active already" in (answer.message or "")
        assert [type(message).__name__ for message in bench.engine.states()] == [
            "MethodStateMsg",
            "ControlStateMsg",
            "RunLogMsg",
        ]
    assert len(bench.listener.of(RunStartedMsg)) == len(bench.listener.of(RunStoppedMsg)) == 1
