"""What is known and told of registers that a device does not answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from drivers.contract import Point, Quality
from drivers.modbus import reading
from drivers.modbus.driver import Modbus
from drivers.modbus.options import PointOptions, TcpDeviceOptions
from engine import links, state_log
from engine.links import Link
from tests.unit.memory_skid import Skid, exception, holding
from tests.unit.virtual_time import VirtualTime, run_virtually

Virtually = Callable[[Coroutine[Any, Any, None]], None]
EVERY_MS = 100


@pytest.fixture
def virtually(monkeypatch: pytest.MonkeyPatch) -> Virtually:
    return lambda main: run_virtually(main, VirtualTime(), monkeypatch, links, state_log, reading)


def driver_of(skid: Skid, points: Sequence[Point], **options: Any) -> Modbus:
    devices = {
        name: TcpDeviceOptions.model_validate({"host": "memory", "device_id": int(name[-1]), **options})
        for name in dict.fromkeys(point.device for point in points)
    }
    return skid.driver()(devices, points)


def points(*addresses: int, device: str = "dev1", every_ms: int = EVERY_MS, write: bool = False) -> list[Point]:
    return [
        Point(f"T{address}", device, PointOptions(holding=address), every_ms, write=write, stale_after_ms=2000)
        for address in addresses
    ]


@asynccontextmanager
async def working(driver: Modbus) -> AsyncGenerator[Link]:
    link = Link("line", driver)
    task = asyncio.create_task(link.run())
    try:
        yield link
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def bad(driver: Modbus) -> list[int]:
    """The rows that are bad; each other one holds its own address."""
    for row in np.flatnonzero(driver.image.quality == Quality.GOOD).tolist():
        assert driver.image.value(row) == driver._fields[row].address
    return np.flatnonzero(driver.image.quality == Quality.BAD).tolist()


def test_many_wrong_addresses_are_told_in_one_message(virtually: Virtually, caplog: pytest.LogCaptureFixture) -> None:
    skid = Skid(lambda asked: exception(asked, 2) if asked.touches(*range(100, 120)) else holding(asked))

    async def main() -> None:
        driver = driver_of(skid, points(*range(90, 120)))
        async with working(driver):
            await asyncio.sleep(100)
            assert len(bad(driver)) == 20

    virtually(main())
    told = [record.message for record in caplog.records if "Correct the address" in record.message]
    assert len(told) == 1
    assert told[0].startswith(
        "dev1: 20 places are not answered: illegal data address (exception 02), at holding 100 to 119; bad: T100, "
        "T101, T102, T103, T104 and 15 others. Correct the addresses"
    )


def test_what_is_known_of_a_place_outlasts_the_connection(virtually: Virtually) -> None:
    skid = Skid(lambda asked: exception(asked, 2) if asked.touches(13) else holding(asked))

    async def main() -> None:
        driver = driver_of(skid, points(*range(10, 40), write=True))
        async with working(driver):
            await asyncio.sleep(300)
            for _ in range(2):
                assert skid.outlet is not None
                skid.outlet.close()
                closed_at = asyncio.get_running_loop().time()
                await asyncio.sleep(20)
                assert skid.since(closed_at)
                assert sum(asked.touches(13) for asked in skid.since(closed_at)) <= 1
                assert bad(driver) == [3]

    virtually(main())
