"""A run that only watches writes nothing, whatever happens and whoever asks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.engine import Engine
from engine.links import LinkState
from engine.outputs import OutputRefusedError
from engine.outputs.endings import End, endings_of
from engine.uod.reader import read_uod
from tests.unit.unmanned_links import PUMP, Desk, errors

TAGS = {
    "LT01": {"device": "sim", "unit": "%"},
    "PU01": PUMP | {"allow_if": "LT01 > 10", "max_rate": 5, "direction": "both"},
    "PU02": PUMP,
    "SP01": {"device": "sim", "direction": "both"},
    "WD01": {"device": "sim", "type": "bool", "direction": "output", "heartbeat": "toggle"},
}
UOD = """\
uod: Watched
tick_ms: 10
devices: {box: {driver: simulated}}
tags:
  PU01: {device: box, direction: both, min: 0, max: 100, safe_value: 0, start: 70}
  WD01: {device: box, type: uint64, direction: both, heartbeat: counter, heartbeat_every_ms: 10, start: 50}
"""


def test_nothing_is_written_at_the_start_in_faults_or_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    here = Desk(
        {"uod": "Test", "safe_after_ms": 1000, "devices": {"sim": {"driver": "simulated"}}, "tags": TAGS},
        controls=False,
    )
    here.connect()
    assert here.write() == {}
    here.read("LT01", 80.0)
    here.read("PU01", 60.0)
    assert here.pass_time(20.0) == []
    here.connected = False
    here.read("LT01", 5.0)
    assert here.pass_time(5.0) == []
    here.lines[0].turn(LinkState.DOWN)
    here.tick(10.0)
    here.lines[0].turn(LinkState.UP)
    for act in (here.outputs.pause, here.outputs.resume, here.outputs.make_safe):
        act()
        assert here.pass_time(1.0) == []
    assert errors(caplog) == []
    assert here.value("PU01 Status") == "left as it is: this run only watches"
    assert {each.end for each in endings_of(list(here.outputs._outputs.values()))} == {End.LEFT}


@pytest.mark.parametrize(("tag", "value"), [("PU01", 0), ("PU02", 0), ("SP01", 5)])
def test_whoever_asks_reads_why_and_what_to_do(tag: str, value: float) -> None:
    here = Desk({"uod": "Test", "devices": {"sim": {"driver": "simulated"}}, "tags": TAGS}, controls=False)
    here.connect()
    here.read("LT01", 80.0)
    here.tick()
    with pytest.raises(OutputRefusedError, match=f"{tag} is left as it is: this run only watches; start it with"):
        here.outputs.wish(tag, value)
    assert here.write() == {}


async def test_an_engine_that_only_watches_leaves_a_skid_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "watched.yaml"
    file.write_text(UOD)
    skid = read_uod(file).skid
    assert skid is not None
    engine, stop = Engine(skid, controls=False), asyncio.Event()
    running = asyncio.create_task(engine.run(stop))
    async with asyncio.timeout(60):
        while engine.scan.counters.ticks < 50:
            await asyncio.sleep(0.01)
        stop.set()
        await running
    table = engine.scan.core.table
    assert [table.value(table.row_of(tag)) for tag in ("PU01", "WD01")] == [70, 50]
    assert engine.links[0].counters.writes == 0
