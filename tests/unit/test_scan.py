"""The scan cycle, tick by tick, on a driver in this process."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from drivers.contract import Image, Kind, Point, Quality
from drivers.simulated import Simulated, SimulatedDevice, SimulatedPoint
from engine import scan
from engine.core.spec import Direction, FromExpression, FromPoint, TagSpec
from engine.links import Link, LinkState
from engine.scan import Scan
from engine.system import SYSTEM_TAGS, set_idle
from engine.uplinks.contract import TagsFrame


class Bench:
    """A scan over one link, and the frames that it sent."""

    def __init__(self, *specs: TagSpec, kinds: tuple[str, ...] = ("float64", "int64"), tick_s: float = 0.1) -> None:
        points = [
            Point(f"T{row}", "box", SimulatedPoint.model_validate({"type": kind}), 100)
            for row, kind in enumerate(kinds)
        ]
        self.link = Link("bus", Simulated({"box": SimulatedDevice()}, points))
        self.frames: list[TagsFrame] = []
        default = (
            TagSpec("T0", FromPoint(0, 0), unit="bar", stale_after_s=1.0),
            TagSpec("T1", FromPoint(0, 1), stale_after_s=1.0),
            TagSpec("D", FromExpression("T0 * 2"), unit="bar", direction=Direction.NA),
        )
        self.scan = Scan((*(specs or default), *SYSTEM_TAGS), [self.link], tick_s, self.frames.append)
        set_idle(self.scan.core)

    def read(self, *values: Any, at: float) -> None:
        """Let the link have read these values at this moment."""
        image = self.link.image
        for row, value in enumerate(values):
            image.columns[Kind(int(image.kinds[row]))][image.cells[row]] = value
        image.quality[:] = Quality.GOOD
        image.reason[:] = 0
        image.received[:] = at
        self.link.fresh = True
        self.link.state = LinkState.UP

    def tick(self, now: float) -> dict[str, Any]:
        """One tick: what it sent, by tag."""
        del self.frames[:]
        self.scan.tick(now, 1_800_000_000 + now)
        tags = [tag for frame in self.frames for tag in json.loads(frame.tags)]
        assert len({tag["name"] for tag in tags}) == len(tags), "one sample of a tag a message"
        return {tag["name"]: tag["value"] for tag in tags}


def test_the_first_tick_sends_everything_and_later_ones_what_has_changed() -> None:
    bench = Bench()
    bench.read(1.5, 7, at=10)
    assert bench.tick(10) == {
        "T0": 1.5, "T1": 7, "D": 3.0, "System State": "Stopped", "Run Id": None, "Run Time": 0.0, "Process Time": 0.0,
        "Block Time": 0.0, "Clock": None, "Mark": "", "Base": "min", "Run Counter": 0, "Batch Name": "",
        "Method Status": "OK", "Connection Status": "Connected", "Outbox Status": None,
    }  # fmt: skip
    bench.read(1.5, 8, at=10.1)
    assert bench.tick(10.1) == {"T1": 8}
    assert bench.tick(10.2) == {}
    assert bench.frames == [], "nothing has changed, nothing is sent"


def test_a_value_that_gets_too_old_is_withdrawn_with_what_rests_on_it() -> None:
    bench = Bench()
    bench.read(1.5, 7, at=10)
    bench.tick(10)
    assert bench.tick(10.9) == {}
    assert bench.tick(11.1) == {"T0": None, "T1": None, "D": None}
    bench.read(1.5, 7, at=11.2)
    assert bench.tick(11.2) == {"T0": 1.5, "T1": 7, "D": 3.0}


def test_a_link_that_goes_down_is_said_at_once() -> None:
    bench = Bench()
    bench.read(1.5, 7, at=10)
    bench.tick(10)
    bench.link.state = LinkState.DOWN
    assert bench.tick(10.1) == {"Connection Status": "Disconnected"}


def test_types_learned_on_connect_are_planned_anew_and_nothing_is_lost() -> None:
    bench = Bench(
        TagSpec("T0", FromPoint(0, 0), stale_after_s=1.0),
        TagSpec("T1", FromPoint(0, 1), stale_after_s=1.0),
        TagSpec("V", FromExpression("integral(T0)"), unit=None, direction=Direction.NA),
        kinds=("float64", "float64"),
    )
    for step in range(5):
        bench.read(3600.0, 1.0, at=10 + step)
        bench.tick(10 + step)
    total = bench.scan.core.table.value(bench.scan.core.table.row_of("V"))
    assert isinstance(total, float)
    assert total > 0
    bench.link.image = Image([Kind.FLOAT, Kind.TEXT])  # what a driver does that has learned a type
    bench.read(3600.0, "ready", at=15)
    changed = bench.tick(15)
    assert changed["T1"] == "ready"
    assert changed["V"] >= total, "the integral goes on"
    assert "System State" not in changed


def test_a_snapshot_holds_every_tag_whether_changed_or_not() -> None:
    bench = Bench()
    bench.read(1.5, 7, at=10)
    bench.tick(10)
    frame = bench.scan.snapshot()
    assert {tag["name"] for tag in json.loads(frame.tags)} == {"T0", "T1", "D", *(tag.name for tag in SYSTEM_TAGS)}
    assert frame.tick_time == pytest.approx(time.time(), abs=60)


class Clock:
    """A clock that moves only when it is told to: with a real one this would be a test of the machine's load."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.ticks: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_800_000_000.0

    async def sleep(self, seconds: float) -> None:
        if len(self.ticks) >= 8:
            raise asyncio.CancelledError
        self.now += max(seconds, 0)


async def test_the_cadence_does_not_drift_and_late_ticks_are_counted_and_never_bunched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench(tick_s=0.1)
    clock = Clock()
    monkeypatch.setattr(scan, "time", clock)
    monkeypatch.setattr(scan, "asyncio", clock)
    durations = iter((0.01, 0.03, 0.25, 0.02, 0.0, 0.1, 0.01, 0.01))
    tick = bench.scan.tick

    def timed_tick(now: float, unix: float) -> None:
        clock.ticks.append(round(now - 1000, 6))
        tick(now, unix)
        clock.now += next(durations)

    monkeypatch.setattr(bench.scan, "tick", timed_tick)
    with pytest.raises(asyncio.CancelledError):
        await bench.scan.run()
    assert clock.ticks == [0.0, 0.1, 0.2, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert bench.scan.counters.overruns == 2, "the turns at 0.3 and 0.4 were left out"
