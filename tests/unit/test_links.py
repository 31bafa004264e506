"""The link worker, driven by drivers that fail as real ones do; sockets would only make the failures rarer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from drivers.contract import DeviceError, LinkError, Point, Quality, Value
from drivers.simulated import Simulated, SimulatedDevice, SimulatedPoint
from engine import backoff, links, rests
from engine.links import Link, LinkState
from tests.unit.virtual_links import working


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_WAIT_S", 0.002)
    monkeypatch.setattr(links, "LONGEST_WAIT_S", 0.02)
    monkeypatch.setattr(rests, "LONGEST_REST_S", 0.02)


class Moody(Simulated):
    """A driver whose devices can be made to fail."""

    def __init__(self, devices: Mapping[str, SimulatedDevice], points: Sequence[Point]) -> None:
        super().__init__(devices, points)
        self.opens = 0
        self.open_error: Exception | None = None
        self.silent: set[str] = set()
        self.read_error: Exception | asyncio.CancelledError | None = None
        self.reads: dict[str, int] = dict.fromkeys(devices, 0)

    async def open(self) -> None:
        self.opens += 1
        if self.open_error:
            raise self.open_error
        await super().open()

    async def read(self, group: int) -> None:
        device = self.groups[group].device
        if self.read_error:
            raise self.read_error
        if device in self.silent:
            raise DeviceError(f"{device} does not answer")
        await super().read(group)
        self.reads[device] += 1


def moody(*devices: str, every_ms: int = 2) -> Moody:
    points = [Point(f"{name}.value", name, SimulatedPoint(type="int64"), every_ms, write=True) for name in devices]
    return Moody({name: SimulatedDevice() for name in devices}, points)


async def until(link: Link, *states: LinkState) -> None:
    async with asyncio.timeout(60):
        while link.state not in states:
            changed = asyncio.Event()
            link.on_state = changed.set
            if link.state not in states:
                await changed.wait()


async def reading(driver: Moody, device: str, count: int) -> None:
    goal = driver.reads[device] + count
    async with asyncio.timeout(60):
        while driver.reads[device] < goal:
            await asyncio.sleep(0.001)


async def test_a_link_reads_at_its_cadence_and_stamps_what_it_read() -> None:
    driver = moody("box")
    link = Link("bus", driver)
    async with working(link):
        await until(link, LinkState.UP)
        await reading(driver, "box", 3)
    assert link.counters.reads >= 3
    assert link.fresh
    assert driver.image.quality[0] == Quality.GOOD
    assert driver.image.received[0] > 0


async def test_a_driver_that_stamps_what_it_hears_is_not_made_to_look_fresher() -> None:
    driver = moody("box")
    driver.groups = [replace(group, stamps=True) for group in driver.groups]
    driver.image.received[:] = 7.0
    link = Link("bus", driver)
    async with working(link):
        await until(link, LinkState.UP)
        await reading(driver, "box", 3)
    assert link.fresh
    assert driver.image.received.tolist() == [7.0]


async def test_a_link_that_is_absent_at_first_is_tried_until_it_is_there(caplog: pytest.LogCaptureFixture) -> None:
    driver = moody("box")
    driver.open_error = LinkError("nothing listens")
    link = Link("bus", driver)
    with caplog.at_level(logging.WARNING):
        async with working(link):
            await until(link, LinkState.DOWN)
            async with asyncio.timeout(60):
                while driver.opens < 4:
                    await asyncio.sleep(0.001)
            assert link.trouble == "nothing listens"
            driver.open_error = None
            await until(link, LinkState.UP)
    assert link.trouble == ""
    assert sum("nothing listens" in record.message for record in caplog.records) == 1, "the same trouble is logged once"


async def test_a_link_that_opens_and_never_answers_is_not_called_up() -> None:
    driver = moody("box")
    driver.silent = {"box"}
    link = Link("bus", driver)
    seen: list[LinkState] = []
    link.on_state = lambda: seen.append(link.state)
    async with working(link), asyncio.timeout(60):
        while driver.opens < 4:
            await asyncio.sleep(0.001)
    assert LinkState.UP not in seen


async def test_a_silent_device_rests_and_the_others_keep_their_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rests, "LONGEST_REST_S", 30.0)
    driver = moody("a", "b")
    link = Link("bus", driver)
    async with working(link):
        await until(link, LinkState.UP)
        driver.silent = {"b"}
        await until(link, LinkState.DEGRADED)
        opens, asked = driver.opens, link.counters.silent
        await reading(driver, "a", 20)
        assert driver.opens == opens, "the link stays open"
        assert link.counters.silent - asked < 15, "the silent one is asked less often than the others"
        driver.silent = set()
        await until(link, LinkState.UP)
        await reading(driver, "b", 2)


async def test_a_line_on_which_nobody_answers_is_opened_anew() -> None:
    driver = moody("a", "b")
    link = Link("bus", driver)
    async with working(link):
        await until(link, LinkState.UP)
        driver.silent = {"a", "b"}
        await until(link, LinkState.DOWN)
        driver.silent = set()
        await until(link, LinkState.UP)
    assert driver.opens >= 2


@pytest.mark.parametrize("error", [ZeroDivisionError("a fault of its own"), asyncio.CancelledError("by nobody")])
async def test_a_fault_in_a_driver_does_not_end_the_worker(
    caplog: pytest.LogCaptureFixture, error: Exception | asyncio.CancelledError
) -> None:
    driver = moody("box")
    link = Link("bus", driver)
    async with working(link):
        await until(link, LinkState.UP)
        driver.read_error = error
        await until(link, LinkState.DOWN)
        driver.read_error = None
        await until(link, LinkState.UP)
    assert any(record.exc_info for record in caplog.records), "the traceback is in the log"


async def test_a_wish_is_written_at_once_the_newest_only_and_its_fate_is_told() -> None:
    driver = moody("box", every_ms=600_000)
    link = Link("bus", driver)
    told: list[tuple[int, Value, str | None]] = []
    written = asyncio.Event()

    def on_written(row: int, value: Value, refusal: str | None) -> None:
        told.append((row, value, refusal))
        written.set()

    link.on_written = on_written
    async with working(link):
        await until(link, LinkState.UP)
        link.wish(0, 1)
        link.wish(0, 2)
        async with asyncio.timeout(60):  # far less than the cadence: a wish wakes the worker
            await written.wait()
        written.clear()
        link.wish(0, 0.5)
        async with asyncio.timeout(60):
            await written.wait()
    assert told[0] == (0, 2, None)
    assert told[1][2] is not None
    assert link.counters.writes == 1
    assert link.counters.refused_writes == 1


async def test_turns_that_were_missed_are_counted_and_not_caught_up(monkeypatch: pytest.MonkeyPatch) -> None:
    link = Link("bus", moody("box"))
    monkeypatch.setattr(links.time, "monotonic", lambda: 100.0)
    assert link._next_due(99.95, 0.1) == pytest.approx(100.05)
    assert link.counters.late_reads == 0
    assert link._next_due(99.0, 0.1) == pytest.approx(100.1)
    assert link.counters.late_reads == 10


def test_the_wait_doubles_up_to_its_ceiling_and_is_never_the_same_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_WAIT_S", 0.2)
    assert all(0.1 <= backoff.backoff_s(0, 10) <= 0.2 for _ in range(50))
    assert all(5 <= backoff.backoff_s(1000, 10) <= 10 for _ in range(50))
    assert len({backoff.backoff_s(5, 10) for _ in range(10)}) > 1
