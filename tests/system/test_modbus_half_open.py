"""A connection whose other end has forgotten it: the device has rebooted, or a firewall has dropped its entry."""

from __future__ import annotations

import asyncio
import time

import numpy as np

from drivers.contract import Point, Quality
from drivers.modbus.driver import ModbusTcp
from drivers.modbus.options import PointOptions, TcpDeviceOptions
from engine.backoff import backoff_s
from engine.links import LONGEST_WAIT_S, Link
from tests.system.modbus_servers import pymodbus_server, serving
from uod_examples.skid.proxy import FaultProxy

TIMEOUT_MS = 200
RETRIES = 1
EVERY_MS = 20
LOAD_S = 3.0
"""What a busy machine may add."""
BOUND_S = (1 + RETRIES) * TIMEOUT_MS / 1000 + backoff_s(1, LONGEST_WAIT_S) + EVERY_MS / 1000
"""All repeats unanswered, the first wait before the link is opened again, and the next turn of the cadence."""


async def test_a_half_open_connection_is_left_within_its_time_outs() -> None:
    points = [Point(f"T{address}", "dev", PointOptions(holding=address), EVERY_MS) for address in (10, 200)]
    async with serving(*pymodbus_server("tcp", "socket")) as port, FaultProxy("127.0.0.1", port) as proxy:
        options = TcpDeviceOptions(
            host="127.0.0.1", port=proxy.port, timeout_ms=TIMEOUT_MS, retries=RETRIES, max_gap=0, max_in_flight=2
        )
        driver = ModbusTcp({"dev": options}, points)
        link = Link("plc", driver)
        working = asyncio.create_task(link.run())
        try:
            async with asyncio.timeout(20):
                await reading(link, driver, 3)
                await proxy.half_open()
                stranded = time.monotonic()
                await reading(link, driver, link.counters.reads + 3, reconnects=1)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        took = time.monotonic() - stranded
    assert TIMEOUT_MS / 1000 <= took <= BOUND_S + LOAD_S
    assert link.counters.broken == 1
    assert driver.image.quality.tolist() == [Quality.GOOD, Quality.GOOD]
    assert [driver.image.value(row) for row in (0, 1)] == [10, 200]
    assert np.isfinite(driver.image.received).all()


async def reading(link: Link, driver: ModbusTcp, reads: int, reconnects: int = 0) -> None:
    """Wait until so much has been read, over so many new connections."""
    while link.counters.reads < reads or driver.link.counters.reconnects < reconnects:
        await asyncio.sleep(0.005)
