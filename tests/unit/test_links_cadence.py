"""Scan groups with cadences of their own, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from drivers import simulated
from drivers.contract import Point
from drivers.simulated import Simulated, SimulatedDevice, SimulatedPoint
from engine import links
from engine.links import Link
from tests.unit.virtual_time import VirtualTime, run_virtually

CADENCES_MS = {"fast": 10, "slow": 1000, "odd": 70}


class Slow(Simulated):
    """A device that takes its time, and reports when it was asked."""

    takes_s = 0.001
    asked: list[tuple[str, float]]

    async def read(self, group: int) -> None:
        self.asked.append((self.tag(group), asyncio.get_running_loop().time()))
        await asyncio.sleep(self.takes_s)
        await super().read(group)

    def tag(self, group: int) -> str:
        return next(name for name, cadence in CADENCES_MS.items() if cadence == self.groups[group].every_ms)


@pytest.fixture
def driver() -> Slow:
    points = [Point(tag, "box", SimulatedPoint(), every_ms) for tag, every_ms in CADENCES_MS.items()]
    driver = Slow({"box": SimulatedDevice()}, points)
    driver.asked = []
    return driver


def run(driver: Slow, seconds: float, monkeypatch: pytest.MonkeyPatch) -> Link:
    link = Link("bus", driver)

    async def main() -> None:
        task = asyncio.create_task(link.run())
        await asyncio.sleep(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run_virtually(main(), VirtualTime(), monkeypatch, links, simulated)
    return link


def test_points_of_one_device_are_read_each_at_its_own_cadence(driver: Slow, monkeypatch: pytest.MonkeyPatch) -> None:
    link = run(driver, 14.0, monkeypatch)
    reads = Counter(tag for tag, _ in driver.asked)
    assert {tag: count * CADENCES_MS[tag] for tag, count in reads.items()} == pytest.approx(
        dict.fromkeys(CADENCES_MS, 14_000), rel=0.02
    )
    assert link.counters.late_reads == 0
    start = driver.asked[0][1]
    turns = [(at - start) * 1000 / CADENCES_MS[tag] for tag, at in driver.asked]
    lags = [abs(turn - round(turn)) * CADENCES_MS[tag] for turn, (tag, _) in zip(turns, driver.asked, strict=True)]
    assert max(lags) < 2.5, "none drifts; one may wait for the two others, in ms"


def test_what_is_too_slow_for_its_cadence_is_counted_and_keeps_to_its_own_times(
    driver: Slow, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver.takes_s = 0.025
    link = run(driver, 7.0, monkeypatch)
    reads = Counter(tag for tag, _ in driver.asked)
    assert reads["slow"] == 7
    assert reads["odd"] == pytest.approx(100, abs=3)
    assert reads["fast"] + link.counters.late_reads == pytest.approx(700, abs=5), "each turn is read or counted"
