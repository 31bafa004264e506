"""What a silent device costs the others of its link, in virtual time and with the default time-outs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from drivers.contract import Point, Quality, Value
from drivers.modbus.driver import Modbus
from drivers.modbus.options import PointOptions, TcpDeviceOptions
from engine.links import DeviceState, Link
from tests.unit.memory_skid import Skid, longest_gap, noted_times
from tests.unit.virtual_links import Virtually, working

EVERY_MS = 100
STALE_AFTER_MS = 2000
"""The default."""


def driver_of(skid: Skid, count: int, **options: Any) -> Modbus:
    """Devices 1 to `count` with a register each, that can be written."""
    devices = {f"dev{number}": options_of(number, **options) for number in range(1, count + 1)}
    points = [
        Point(f"T{name}", name, PointOptions(holding=7), EVERY_MS, write=True, stale_after_ms=STALE_AFTER_MS)
        for name in devices
    ]
    return skid.driver()(devices, points)


def options_of(number: int, **options: Any) -> TcpDeviceOptions:
    return TcpDeviceOptions.model_validate({"host": "memory", "device_id": number, **options})


@pytest.mark.parametrize("numbered", [True, False], ids=["tcp", "rtu"])
def test_a_device_that_dies_twice_costs_its_neighbour_one_reading_a_probe_and_makes_nothing_stale(
    virtually: Virtually, numbered: bool
) -> None:
    skid = Skid(numbered=numbered)

    async def main() -> None:
        driver = driver_of(skid, 3)
        link = Link("line", driver)
        received: list[float] = []
        async with working(link):
            await asyncio.sleep(1)
            for _ in range(2):
                skid.dead = {3}
                reads = len(received)
                with noted_times(received, lambda: float(driver.image.received[0])):
                    await asyncio.sleep(120)
                assert link.devices == {"dev1": DeviceState.UP, "dev2": DeviceState.UP, "dev3": DeviceState.DEMOTED}
                assert len(received) - reads >= 0.96 * 120 * 1000 / EVERY_MS
                assert longest_gap(received) < 0.6 * STALE_AFTER_MS / 1000
                skid.dead = set()
                await asyncio.sleep(40)
                assert set(link.devices.values()) == {DeviceState.UP}
                assert driver.image.quality.tolist() == [Quality.GOOD] * 3
                received.clear()
        assert len(skid.opened) == 1

    virtually(main())


@pytest.mark.parametrize("numbered", [True, False], ids=["tcp", "rtu"])
@pytest.mark.parametrize("at_start", [True, False], ids=["from the start", "later"])
def test_five_dead_of_eight(virtually: Virtually, numbered: bool, at_start: bool) -> None:
    skid = Skid(numbered=numbered)
    dead = {2, 3, 5, 6, 8}

    async def main() -> None:
        driver = driver_of(skid, 8)
        link = Link("line", driver)
        received: list[list[float]] = [[], [], []]
        alive = [0, 3, 6]
        async with working(link):
            if at_start:
                skid.dead = dead
            await asyncio.sleep(3)
            skid.dead = dead
            for seconds, share in ((30, 0.6), (120, 0.9)):
                for times in received:
                    times.clear()
                with (
                    noted_times(received[0], lambda: float(driver.image.received[alive[0]])),
                    noted_times(received[1], lambda: float(driver.image.received[alive[1]])),
                    noted_times(received[2], lambda: float(driver.image.received[alive[2]])),
                ):
                    await asyncio.sleep(seconds)
                for times in received:
                    assert longest_gap(times) < 0.8 * STALE_AFTER_MS / 1000
                    assert len(times) >= share * seconds * 1000 / EVERY_MS
            skid.dead = set()
            await asyncio.sleep(40)
            assert set(link.devices.values()) == {DeviceState.UP}

    virtually(main())


def test_writes_to_a_healthy_device_pass_between_the_tries_of_a_silent_one(virtually: Virtually) -> None:
    skid = Skid()

    async def main() -> None:
        driver = driver_of(skid, 3)
        link = Link("line", driver)
        loop = asyncio.get_running_loop()
        waits: list[float] = []
        asked = 0.0

        def on_written(row: int, value: Value, refusal: str | None) -> None:
            assert refusal is None
            waits.append(loop.time() - asked)

        link.on_written = on_written
        async with working(link):
            await asyncio.sleep(1)
            skid.dead = {3}
            for beat in range(600):
                asked = loop.time()
                link.wish(0, beat)
                await asyncio.sleep(0.2)
        assert len(waits) >= 580
        assert max(waits) < 1.1, "one whole time-out, when it died"
        assert max(waits[20:]) < 0.2, "a short try"

    virtually(main())


def test_a_slow_device_beside_a_fast_one_is_found_again_each_time(virtually: Virtually) -> None:
    skid = Skid(numbered=False, delays={2: 0.9})

    async def main() -> None:
        driver = driver_of(skid, 2)
        link = Link("line", driver)
        async with working(link):
            await asyncio.sleep(5)
            for _ in range(2):
                assert set(link.devices.values()) == {DeviceState.UP}
                skid.dead = {2}
                await asyncio.sleep(60)
                assert link.devices["dev2"] is DeviceState.DEMOTED
                skid.dead = set()
                await asyncio.sleep(40)

    virtually(main())


def test_a_device_that_has_become_slow_is_found_by_a_long_try(virtually: Virtually) -> None:
    skid = Skid(numbered=False)

    async def main() -> None:
        driver = driver_of(skid, 2)
        link = Link("line", driver)
        received: list[float] = []
        async with working(link):
            await asyncio.sleep(1)
            skid.dead = {2}
            await asyncio.sleep(60)
            skid.dead, skid.delays = set(), {2: 0.9}
            with noted_times(received, lambda: float(driver.image.received[0])):
                await asyncio.sleep(200)
            assert set(link.devices.values()) == {DeviceState.UP}
            assert longest_gap(received) < STALE_AFTER_MS / 1000

    virtually(main())


def test_a_lost_response_costs_no_device_its_place(virtually: Virtually) -> None:
    """As long as one of the tries is answered, a device is neither demoted nor told of."""
    skid = Skid()
    lost: list[int] = []

    async def main() -> None:
        driver = driver_of(skid, 2)
        link = Link("line", driver)
        async with working(link):
            await asyncio.sleep(1)
            changes = link.counters.state_changes
            for _ in range(20):
                skid.dead = {2}
                await asyncio.sleep(0.15)
                skid.dead = set()
                await asyncio.sleep(2)
                lost.append(link.counters.silent)
            assert link.counters.state_changes == changes
            assert driver.devices["dev2"].counters.timeouts >= 15

    virtually(main())
    assert lost == [0] * 20


def test_a_dead_line_with_several_devices_is_opened_anew(virtually: Virtually) -> None:
    skid = Skid()

    async def main() -> None:
        driver = driver_of(skid, 3)
        link = Link("line", driver)
        async with working(link):
            await asyncio.sleep(1)
            skid.dead = {1, 2, 3}
            await asyncio.sleep(10)
            assert len(skid.opened) >= 2
            assert set(link.devices.values()) == {DeviceState.DOWN}
            skid.dead = set()
            await asyncio.sleep(30)
            assert set(link.devices.values()) == {DeviceState.UP}

    virtually(main())
