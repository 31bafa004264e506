"""The states of devices, told and shown, in virtual time: half of a large skid dead, devices that flap."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from drivers import simulated
from drivers.contract import DeviceError, LinkError, Point, Quality
from drivers.simulated import Simulated, SimulatedDevice, SimulatedPoint
from engine import links, rests, state_log
from engine.core.core import Core
from engine.engine import Engine
from engine.floods import MINUTE_S, MOST_SUBJECTS, TOLD_A_MINUTE, Flood
from engine.links import DeviceState, Link
from engine.statuses import StatusTags, status_name, status_tag
from engine.uod.reader import read_uod
from tests.unit.virtual_links import working
from tests.unit.virtual_time import VirtualTime, run_virtually


class Moody(Simulated):
    """Devices that do not answer, refuse a point, or are not there at all, as the test says."""

    def __init__(self, devices: Mapping[str, SimulatedDevice], points: Sequence[Point]) -> None:
        super().__init__(devices, points)
        self.absent = False
        self.silent: set[str] = set()
        self.refuses: set[str] = set()
        self.opened_at: list[float] = []
        self.reads = 0

    async def open(self) -> None:
        self.opened_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.01)
        if self.absent:
            raise LinkError("nothing listens")
        await super().open()

    async def read(self, group: int) -> None:
        device = self.groups[group].device
        await asyncio.sleep(0.001)
        if self.absent:
            raise LinkError("the line is cut")
        if device in self.silent:
            raise DeviceError(f"{device} does not answer")
        await super().read(group)
        if device in self.refuses:
            self.image.quality[self.groups[group].rows] = Quality.BAD
        self.reads += 1


def moody(*devices: str, every_ms: int = 100) -> Moody:
    points = [Point(f"{name}.value", name, SimulatedPoint(), every_ms) for name in devices]
    return Moody({name: SimulatedDevice() for name in devices}, points)


@pytest.fixture
def clock() -> VirtualTime:
    return VirtualTime()


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_device_is_connecting_up_degraded_demoted_and_down(
    clock: VirtualTime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        driver = moody("pump", "valve")
        driver.absent = True
        link = Link("line", driver, ["pump", "valve", "heater"])
        seen = [dict(link.devices)]

        async def then(seconds: float = 1.0) -> None:
            await asyncio.sleep(seconds)
            seen.append(dict(link.devices))

        async with working(link):
            await then()
            driver.absent = False
            await then(15)
            driver.refuses = {"pump"}
            await then()
            driver.refuses = set()
            driver.silent = {"valve"}
            await then()
            driver.silent = set()
            await then(2)
            driver.absent = True
            await then()
        states = [[states[name] for name in ("pump", "valve", "heater")] for states in seen]
        up, down = DeviceState.UP, DeviceState.DOWN
        nothing = DeviceState.CONNECTING  # the heater is only written, and nobody has
        assert states == [
            [nothing] * 3,
            [down, down, down],
            [up, up, nothing],
            [DeviceState.DEGRADED, up, nothing],
            [up, DeviceState.DEMOTED, nothing],
            [up, up, nothing],
            [down, down, down],
        ]

    run_virtually(main(), clock, monkeypatch, links, state_log, simulated)
    entries = told(caplog)
    assert len(entries) == 5, entries
    assert entries[0] == "down: nothing listens"
    assert entries[1].startswith("line: up again after ")
    assert entries[2].startswith("valve does not answer; from now on it is probed now and then (link line)")
    assert entries[3].startswith("valve: answers again after ")
    assert entries[4] == "down: the line is cut"


def test_a_dead_line_with_two_devices_is_down_and_does_not_come_up_to_find_that_out(
    clock: VirtualTime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        driver = moody("pump", "valve")
        driver.silent = {"pump", "valve"}
        link = Link("line", driver)
        ups: list[bool] = []
        link.on_state = lambda: ups.append(link.up)
        async with working(link):
            await asyncio.sleep(100)
        assert len(driver.opened_at) > 5
        assert ups == [False]
        assert set(link.devices.values()) == {DeviceState.DOWN}

    run_virtually(main(), clock, monkeypatch, links, state_log, simulated)
    assert told(caplog) == ["down: valve does not answer"]


def test_half_of_a_large_skid_dead_costs_the_other_half_nothing_and_is_not_asked_in_a_crowd(
    clock: VirtualTime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seconds = 120
    drivers = [moody(f"d{number}", every_ms=1000) for number in range(50)]
    dead = drivers[::2]

    async def main() -> None:
        for driver in dead:
            driver.absent = True
        found = [Link(f"link {number}", driver) for number, driver in enumerate(drivers)]
        async with working(*found):
            await asyncio.sleep(seconds)
            assert all(link.devices[f"d{number}"] is DeviceState.UP for number, link in enumerate(found) if number % 2)
            for driver in dead:
                driver.absent = False
            await asyncio.sleep(15)
            assert all(set(link.devices.values()) == {DeviceState.UP} for link in found), "each was tried for ever"

    run_virtually(main(), clock, monkeypatch, links, state_log, simulated)
    for driver in drivers[1::2]:
        assert driver.reads >= 0.99 * (seconds + 15)
    tries = sorted(at for driver in dead for at in driver.opened_at)
    assert all(10 <= len(driver.opened_at) <= seconds / 4 for driver in dead), "now and then, but for ever"
    late = [at for at in tries if at > tries[0] + 60]
    crowds = [sum(at <= other < at + 0.1 for other in late) for at in late]
    assert max(crowds) <= 6, "they began all at once, and have come apart"
    assert len(told(caplog)) == 2 * len(dead), "one entry for each change, however often it was tried"


def test_the_flood_of_a_device_that_flaps_is_bounded_and_counted(
    clock: VirtualTime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(rests, "LONGEST_REST_S", 0.5)
    link = Link("line", driver := moody("pump", "valve"))

    async def main() -> None:
        async with working(link):
            for _ in range(40):
                await asyncio.sleep(0.9)  # so that no change falls on the end of the minute
                driver.silent = {"pump"}
                await asyncio.sleep(0.9)
                driver.silent = set()
                link.tell_the_rest(clock.monotonic())
            await asyncio.sleep(60)
            link.tell_the_rest(clock.monotonic())

    run_virtually(main(), clock, monkeypatch, links, state_log, simulated)
    entries = told(caplog)
    counts = [int(entry.split()[1]) for entry in entries if "more changes of state in the last minute" in entry]
    assert all(entry.startswith("pump: ") for entry in entries if "more changes" in entry)
    assert len(counts) == 2, "the second minute ends after the flapping"
    assert len(entries) == 2 * (TOLD_A_MINUTE + 1)
    assert 2 * TOLD_A_MINUTE + sum(counts) == 2 * 40, "each is told or counted"


def test_a_flood_is_counted_by_subject_from_its_first_message_on() -> None:
    flood = Flood(told_a_minute=2)
    assert [flood.passes("pump", now) for now in (0, 1, 2, 3)] == [True, True, False, False]
    assert flood.passes("valve", 30)
    assert flood.take_held_back(MINUTE_S - 1) == {}
    assert flood.take_held_back(MINUTE_S) == {"pump": 2}
    assert flood.take_held_back(2 * MINUTE_S) == {}, "nothing of the valve was held back"
    assert flood.passes("pump", 2 * MINUTE_S)


def test_a_minute_that_is_over_holds_nothing_back_and_forgets_nothing() -> None:
    flood = Flood(told_a_minute=1)
    assert [flood.passes("pump", now) for now in (0, 1, MINUTE_S, MINUTE_S + 1)] == [True, False, True, False]
    assert flood.take_held_back(2 * MINUTE_S) == {"pump": 2}


def test_a_count_is_of_its_own_minute_also_where_the_next_one_has_begun() -> None:
    flood = Flood(told_a_minute=1)
    assert [flood.passes("pump", now) for now in (0, 1, 2, MINUTE_S + 1, MINUTE_S + 2)] == [
        True, False, False, True, False,
    ]  # fmt: skip
    assert flood.due == MINUTE_S
    assert flood.take_held_back(MINUTE_S + 3) == {"pump": 2}, "two in the first minute"
    assert flood.due == 2 * MINUTE_S + 1
    assert flood.take_held_back(2 * MINUTE_S) == {}
    assert flood.take_held_back(2 * MINUTE_S + 1) == {"pump": 1}, "one in the second"
    assert flood.due == math.inf


def test_subjects_of_outside_are_bounded_and_none_is_lost() -> None:
    flood = Flood(told_a_minute=1)
    for number in range(3 * MOST_SUBJECTS):
        flood.passes(f"device {number}", 0)
        flood.passes(f"device {number}", 1)
    counts = flood.take_held_back(MINUTE_S)
    assert len(counts) == MOST_SUBJECTS + 1
    assert counts["others"] == 2 * 2 * MOST_SUBJECTS - 1, "all but the first of them"
    assert flood.passes("device 2999", MINUTE_S), "there is room again"
    assert flood.take_held_back(3 * MINUTE_S) == {}


def test_the_status_of_a_device_is_a_tag_that_follows_its_state() -> None:
    link = Link("line", moody("pump", "valve"))
    core = Core([status_tag(device) for device in link.devices], [])
    statuses = StatusTags([link])

    def shown() -> list[object]:
        return [core.table.value(core.table.row_of(status_name(device))) for device in link.devices]

    statuses.show(core, 10.0)
    assert shown() == ["connecting", "connecting"]
    link._set("valve", DeviceState.DEMOTED)
    statuses.show(core, 10.1)
    assert shown() == ["connecting", "demoted"]
    core.changed(10.1)
    statuses.show(core, 10.2)
    assert not core.changed(10.2).size


def test_a_status_can_be_shown_to_users_and_derived_from(tmp_path: Path) -> None:
    file = tmp_path / "skid.yaml"
    file.write_text(
        "uod: Status\n"
        "devices: {pump: {driver: simulated}}\n"
        "tags: {PT01: {device: pump}}\n"
        "derived: {Lost: {expr: \"`pump Status` != 'up'\"}}\n"
        "process_values: [pump Status, Lost]\n"
    )
    reading = read_uod(file)
    assert reading.skid is not None, reading.faults
    engine = Engine(reading.skid)
    engine.scan.tick(10.0, 1_800_000_000.0)
    table = engine.scan.core.table
    assert table.value(table.row_of("pump Status")) == "connecting"
    assert table.value(table.row_of("Lost")) is True
