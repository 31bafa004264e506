"""Clocks that are set, computers that are suspended, ticks that come late: on clocks that only the test moves."""

from __future__ import annotations

import asyncio
import json
import logging
from array import array
from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from drivers.contract import Kind, Point, Quality
from drivers.simulated import Simulated, SimulatedDevice, SimulatedPoint
from engine import scan
from engine.core.core import Core
from engine.core.spec import Direction, FromExpression, FromPoint, TagSpec
from engine.floods import TOLD_A_MINUTE
from engine.links import Link, LinkState
from engine.scan import EARLY_S, SLEWED, NoTurn, Scan
from engine.system import SYSTEM_TAGS
from engine.timing import AT_ONCE
from engine.uplinks.contract import TagsFrame

TICK_S = 0.1
HOUR_S = 3600.0
NOON = 1_800_000_000.0


class InRun(NoTurn):
    """A turn in which a run is active."""

    run_id = "run"


class Clocks:
    """The monotonic clock, the wall clock and the sleep of a scan, which ends after so many ticks."""

    def __init__(self, ticks: int) -> None:
        self.now, self.unix, self.suspended = 1000.0, NOON, 0.0
        self.left = ticks

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.unix

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        self.unix += seconds

    async def sleep(self, seconds: float) -> None:
        self.left -= 1
        if self.left <= 0:
            raise asyncio.CancelledError
        self.pass_by(max(seconds, 0))


class Skid:
    """A scan over one tag that changes in each tick, and a total of it; `events` happen before the tick of a number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, ticks: int, *, turn: NoTurn | None = None) -> None:
        self.clocks = Clocks(ticks)
        monkeypatch.setattr(scan, "time", self.clocks)
        monkeypatch.setattr(scan, "asyncio", self.clocks)
        monkeypatch.setattr(scan, "suspended_s", lambda: self.clocks.suspended)
        points = [Point("T", "box", SimulatedPoint(), 100)]
        self.link = Link("bus", Simulated({"box": SimulatedDevice()}, points))
        self.link.state = LinkState.UP
        specs = (
            TagSpec("T", FromPoint(0, 0), stale_after_s=1.0),
            TagSpec("V", FromExpression("integral(T - T + 3600)"), direction=Direction.NA),
            *SYSTEM_TAGS,
        )
        self.frames: list[TagsFrame] = []
        self.scan = Scan(specs, [self.link], TICK_S, self.frames.append, turn)
        self.events: dict[int, Callable[[], Any]] = {}
        self.answers = True
        self.at: list[float] = []
        self.quality: list[Quality] = []
        self._tick = self.scan.tick
        monkeypatch.setattr(self.scan, "tick", self.tick)

    def tick(self, now: float, unix: float) -> None:
        image = self.link.image
        if self.answers:
            image.columns[Kind.FLOAT][:] = len(self.at)
            image.quality[:], image.reason[:], image.received[:] = Quality.GOOD, 0, now
            self.link.fresh = True
        self._tick(now, unix)
        table = self.scan.core.table
        self.quality.append(Quality(int(table.quality[table.row_of("T")])))
        self.at.append(round(now - 1000, 6))
        self.events.get(len(self.at), lambda: None)()

    async def run(self) -> Core:
        with pytest.raises(asyncio.CancelledError):
            await self.scan.run()
        return self.scan.core

    @property
    def stamps(self) -> list[float]:
        return [frame.tick_time for frame in self.frames]


@pytest.mark.parametrize("jump", [HOUR_S, -HOUR_S])
async def test_a_wall_clock_that_is_set_disturbs_nothing_but_the_stamps(
    jump: float, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    skid = Skid(monkeypatch, 40, turn=InRun())

    def set_clock() -> None:
        skid.clocks.unix += jump

    skid.events[20] = set_clock
    with caplog.at_level(logging.WARNING):
        core = await skid.run()
    assert skid.at == [pytest.approx(TICK_S * tick) for tick in range(40)]
    assert skid.scan.counters.overruns == 0
    assert set(skid.quality) == {Quality.GOOD}
    assert core.table.value(core.table.row_of("V")) == pytest.approx(3600 * 39 * TICK_S)
    assert len(skid.frames) == 40
    assert skid.stamps == sorted(set(skid.stamps)), "the aggregator takes none that is not newer"
    assert [record.message.split(" by ")[0] for record in caplog.records] == [
        f"the clock of this computer was set {'forward' if jump > 0 else 'back'}"
    ]


async def test_after_the_clock_was_set_back_stamps_of_a_run_lose_their_lead_at_a_pace_that_keeps_the_plot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    skid = Skid(monkeypatch, 40, turn=InRun())
    leads: list[float] = []

    def note() -> None:
        leads.append(skid.stamps[-1] - skid.clocks.unix)

    def set_back() -> None:
        skid.clocks.unix -= 0.05
        skid.events |= dict.fromkeys(range(11, 40), note)

    skid.events[10] = set_back
    await skid.run()
    steps = [later - earlier for earlier, later in pairwise(leads)]
    assert max(leads) < 0.05
    assert leads[-1] == pytest.approx(0, abs=1e-6)
    assert all(step <= 1e-6 for step in steps), "never in the future for longer than it must be"
    assert min(steps) == pytest.approx(-(1 - SLEWED) * TICK_S, abs=1e-6)


async def test_a_clock_that_is_set_all_the_time_is_told_of_a_few_times_and_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    skid = Skid(monkeypatch, 2 * AT_ONCE + 1)

    def set_forward() -> None:
        skid.clocks.unix += 2.0

    skid.events |= dict.fromkeys(range(10, 20), set_forward)
    with caplog.at_level(logging.WARNING):
        await skid.run()
    *told, rest = [record.message for record in caplog.records]
    assert len(told) == TOLD_A_MINUTE
    assert rest == f"the clock of this computer was set {10 - TOLD_A_MINUTE} more times in a minute"


async def test_a_clock_that_is_slewed_is_not_set(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    skid = Skid(monkeypatch, 100)

    def slew() -> None:
        skid.clocks.unix += 0.05

    skid.events |= dict.fromkeys(range(100), slew)
    with caplog.at_level(logging.WARNING):
        await skid.run()
    assert caplog.records == [], "5 s in 10 s, but never a step"


async def test_outside_a_run_stamps_are_the_wall_clock_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    skid = Skid(monkeypatch, 4)

    def set_back() -> None:
        skid.clocks.unix -= HOUR_S

    skid.events[2] = set_back
    await skid.run()
    assert skid.stamps[-1] == pytest.approx(NOON - HOUR_S + 3 * TICK_S)


async def test_after_a_stall_the_ticks_are_counted_and_not_bunched(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    skid = Skid(monkeypatch, 6)
    skid.events[3] = lambda: skid.clocks.pass_by(10.05)
    with caplog.at_level(logging.WARNING):
        await skid.run()
    assert skid.at == [pytest.approx(at) for at in (0.0, 0.1, 0.2, 10.3, 10.4, 10.5)]
    assert skid.scan.counters.overruns == 100
    assert "the scan cycle stood still for 10.0 s, 100 ticks are missing" in caplog.text


async def test_values_grow_old_in_a_computer_that_is_suspended_though_its_monotonic_clock_stands_still(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    skid = Skid(monkeypatch, 6)

    def suspend() -> None:
        skid.answers = False
        skid.clocks.unix += HOUR_S
        skid.clocks.suspended += HOUR_S

    skid.events[3] = suspend
    with caplog.at_level(logging.WARNING):
        await skid.run()
    assert skid.quality == [Quality.GOOD] * 3 + [Quality.STALE] * 3
    assert skid.scan.counters.overruns == 0
    assert "this computer was suspended for 3600 s" in caplog.text
    last = {tag["name"]: tag["value"] for frame in skid.frames for tag in json.loads(frame.tags)}
    assert last["T"] is None


async def test_over_a_day_of_ticks_that_take_their_time_and_sleeps_that_are_too_long_nothing_drifts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ticks, tick_s = 86_400, 1.1
    clocks = Clocks(ticks)
    monkeypatch.setattr(scan, "time", clocks)
    monkeypatch.setattr(scan, "asyncio", clocks)
    cycle = Scan(SYSTEM_TAGS, [], tick_s, lambda _: None)
    chance = Random(7)
    sleep, at = clocks.sleep, array("d")

    async def oversleep(seconds: float) -> None:
        await sleep(seconds + chance.uniform(0, 0.01))

    def tick(now: float, _unix: float) -> None:
        at.append(now)
        clocks.pass_by(chance.uniform(0, 0.5))

    monkeypatch.setattr(clocks, "sleep", oversleep)
    monkeypatch.setattr(cycle, "tick", tick)
    with pytest.raises(asyncio.CancelledError):
        await cycle.run()
    assert cycle.counters.overruns == 0
    assert all(-1e-6 < now - 1000 - place * tick_s < 0.011 for place, now in enumerate(at))


async def test_a_loop_that_wakes_too_soon_is_sent_to_sleep_again(monkeypatch: pytest.MonkeyPatch) -> None:
    skid = Skid(monkeypatch, 30)
    sleep = skid.clocks.sleep

    async def wake_early(seconds: float) -> None:
        await sleep(max(seconds - 0.0012, seconds / 2))

    monkeypatch.setattr(skid.clocks, "sleep", wake_early)
    await skid.run()
    assert len(skid.at) >= 9
    assert all(-EARLY_S <= at - TICK_S * place <= 1e-6 for place, at in enumerate(skid.at))


async def test_how_late_a_tick_begins_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    skid = Skid(monkeypatch, 5)
    skid.events[2] = lambda: skid.clocks.pass_by(0.104)  # over its own end by 4 ms, which leaves out a tick
    sleep = skid.clocks.sleep

    async def oversleep(seconds: float) -> None:
        await sleep(seconds + 0.002)

    monkeypatch.setattr(skid.clocks, "sleep", oversleep)
    await skid.run()
    assert skid.scan.timing.spread("late").max == pytest.approx(0.002)
    assert skid.scan.counters.overruns == 1
