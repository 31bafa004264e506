"""The engine as a whole, on the simulated driver: how it starts, and how it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from drivers.simulated import Simulated
from engine.engine import Engine
from engine.uod.reader import read_uod
from engine.uplinks.contract import TagsFrame, UplinkStatus
from protocol.aggregator_messages import ExecuteControlCommandMsg
from protocol.engine_messages import EngineMessage, ErrorLogMsg, RunStoppedMsg, UodInfoMsg

UOD = """\
uod: Bench
tick_ms: 10
devices:
  box: {driver: simulated}
  gone: {driver: simulated, bus: gone, answers: false}
tags:
  T0: {device: box, signal: ramp, period_s: 1, unit: degC}
  T9: {device: gone}
  PU01: {device: box, direction: both, unit: "%", min: 0, max: 100, safe_value: 0, start: 40}
process_values: [T0, {entry: PU01}]
"""


class Listener:
    """An uplink that keeps what it is given."""

    name = "listener"

    def __init__(self) -> None:
        self.status = UplinkStatus()
        self.values: dict[str, Any] = {}
        self.frames = 0
        self.errors: list[str] = []
        self.closed = False
        self._more = asyncio.Event()

    async def run(self) -> None:
        await asyncio.Event().wait()

    def put(self, item: TagsFrame | EngineMessage) -> None:
        if isinstance(item, TagsFrame):
            self.frames += 1
            self.values |= {tag["name"]: tag["value"] for tag in json.loads(item.tags)}
            self._more.set()
        elif isinstance(item, ErrorLogMsg):
            self.errors += [entry.message for entry in item.log.entries]
            self._more.set()

    async def close(self) -> None:
        self.closed = True

    async def until_frames(self, count: int) -> None:
        await self.until(lambda: self.frames >= count)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what was heard, or has happened meanwhile, is as wanted."""
        async with asyncio.timeout(60):
            while not condition():
                self._more.clear()
                await self._more.wait()


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    file = tmp_path / "bench.yaml"
    file.write_text(UOD)
    skid = read_uod(file).skid
    assert skid is not None
    return Engine(skid)


def held(engine: Engine) -> float | str:
    driver = engine.links[0].driver
    assert isinstance(driver, Simulated)
    return driver._memory.value(1)


async def test_the_engine_starts_with_a_device_absent_and_ends_with_its_outputs_safe(engine: Engine) -> None:
    listener = Listener()
    engine.uplinks.append(listener)
    stop = asyncio.Event()
    running = asyncio.create_task(engine.run(stop))
    await listener.until_frames(10)
    engine.outputs.wish("PU01", 55)
    async with asyncio.timeout(60):
        while listener.values["PU01"] != 55:
            await asyncio.sleep(0.005)
    assert listener.values["T9"] is None
    assert listener.values["Connection Status"] == "Disconnected"
    assert held(engine) == 55
    stop.set()
    await asyncio.wait_for(running, 60)
    assert held(engine) == 0
    assert listener.closed


async def test_a_fault_of_our_own_ends_the_engine_with_its_outputs_safe_and_is_not_hidden(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = Listener()
    engine.uplinks.append(listener)
    running = asyncio.create_task(engine.run(asyncio.Event()))
    await listener.until_frames(5)
    engine.outputs.wish("PU01", 55)

    def broken(_now: float, _unix: float) -> None:
        raise ZeroDivisionError("a fault of our own")

    monkeypatch.setattr(engine.scan, "tick", broken)
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(running, 60)
    assert held(engine) == 0


async def test_an_uplink_that_fails_holds_up_nobody(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Listener):
        name = "broken"

        async def run(self) -> None:
            raise OSError("no way out")

    listener = Listener()
    engine.uplinks += [Broken(), listener]
    stop = asyncio.Event()
    running = asyncio.create_task(engine.run(stop))
    await listener.until_frames(10)
    stop.set()
    await asyncio.wait_for(running, 60)
    assert "broken failed: no way out" in caplog.text


async def test_a_device_that_goes_is_one_entry_in_the_error_log_and_one_change_of_its_status(engine: Engine) -> None:
    listener = Listener()
    engine.uplinks.append(listener)
    stop = asyncio.Event()
    running = asyncio.create_task(engine.run(stop))
    await listener.until(lambda: listener.values.get("gone Status") == "down" and bool(listener.errors))
    assert listener.values["box Status"] == "up"
    gone = engine.links[1]
    await listener.until(lambda: gone.counters.broken >= 3)
    stop.set()
    await asyncio.wait_for(running, 60)
    assert [error for error in listener.errors if "gone" in error] == [
        "down: gone: nothing answers on simulated gone; set answers: true to plug it in"
    ]


async def test_a_run_is_recorded_with_plots_that_fit_its_values(engine: Engine) -> None:
    told: list[EngineMessage] = []

    class Teller(Listener):
        def put(self, item: TagsFrame | EngineMessage) -> None:
            super().put(item)
            if isinstance(item, UodInfoMsg | RunStoppedMsg):
                told.append(item)

    listener = Teller()
    engine.uplinks.append(listener)
    stop = asyncio.Event()
    running = asyncio.create_task(engine.run(stop))
    await listener.until(lambda: listener.values.get("T0") is not None)
    await engine.handle(ExecuteControlCommandMsg(name="Start"))
    engine.outputs.wish("PU01", 23)
    await listener.until(lambda: listener.values.get("PU01") == 23)
    await listener.until_frames(listener.frames + 150)  # the values are looked at once a second
    await engine.handle(ExecuteControlCommandMsg(name="Stop"))
    stop.set()
    await asyncio.wait_for(running, 60)
    before, stopped, after = told[-3:]
    assert isinstance(before, UodInfoMsg)
    assert isinstance(stopped, RunStoppedMsg)
    assert isinstance(after, UodInfoMsg)
    ends = [plot.axes[0].y_max for plot in before.plot_configuration.sub_plots if plot.axes[0].label == "%"]
    assert ends in ([25.0], [30.0], [40.0]), "where the pump was set from 40 to 23, of 100"
    assert after.plot_configuration == engine.uod_info().plot_configuration


async def test_who_we_are_is_what_the_uod_says(engine: Engine) -> None:
    message = engine.registration()
    assert (message.uod_name, message.uod_filename) == ("Bench", "bench.yaml")
    assert [reading.tag_name for reading in engine.uod_info().readings] == ["T0", "PU01", "Run Time"]
    assert {tag["name"] for tag in json.loads(engine.snapshot().tags)} >= {"T0", "T9", "PU01", "Run Time"}
