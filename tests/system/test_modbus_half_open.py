"""A connection whose other end has forgotten it: the device has rebooted, or a firewall has dropped its entry."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np

from drivers.contract import Point, Quality
from drivers.modbus.driver import ModbusTcp
from drivers.modbus.options import PointOptions, TcpDeviceOptions
from engine.backoff import backoff_s
from engine.links import LONGEST_WAIT_S, Link
from tests.clock import IN_FLIGHT_S, Clock
from tests.system.modbus_servers import pymodbus_server, serving
from uod_examples.skid.proxy import FaultProxy

TIMEOUT_S = 20.0
"""Longer than any machine needs for an answer: the clock is put forward by it."""
RETRIES = 1
EVERY_MS = 20
BOUND_S = (1 + RETRIES) * TIMEOUT_S + backoff_s(1, LONGEST_WAIT_S) + EVERY_MS / 1000
"""All repeats unanswered, the first wait before the link is opened again, and the next turn of the cadence."""
LOAD_S = 0.8 * TIMEOUT_S
"""What a busy machine may add; less than one more repeat would."""


async def test_a_half_open_connection_is_left_within_its_time_outs(clock: Clock) -> None:
    points = [Point(f"T{address}", "dev", PointOptions(holding=address), EVERY_MS) for address in (10, 11)]
    async with serving(*pymodbus_server("tcp", "socket")) as port, FaultProxy("127.0.0.1", port) as proxy:
        timeout_ms = int(TIMEOUT_S * 1000)
        options = TcpDeviceOptions(host="127.0.0.1", port=proxy.port, timeout_ms=timeout_ms, retries=RETRIES)
        driver = ModbusTcp({"dev": options}, points)
        counters = driver.devices["dev"].counters
        link = Link("plc", driver)
        working = asyncio.create_task(link.run())
        try:
            await until(lambda: link.counters.reads >= 3)
            await proxy.half_open()
            stranded = time.monotonic()
            while not link.counters.broken:
                asked, replies = counters.requests, counters.replies
                await asyncio.sleep(5 * IN_FLIGHT_S)
                if (counters.requests, counters.replies) == (asked, replies) and asked > replies + counters.timeouts:
                    clock.leap(TIMEOUT_S)
            await until(lambda: driver.link.counters.reconnects >= 1)
            reads = link.counters.reads
            await until(lambda: link.counters.reads >= reads + 3)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        took = time.monotonic() - stranded
    assert TIMEOUT_S <= took <= BOUND_S + LOAD_S
    assert link.counters.broken == 1
    assert driver.image.quality.tolist() == [Quality.GOOD, Quality.GOOD]
    assert [driver.image.value(row) for row in (0, 1)] == [10, 11]
    assert np.isfinite(driver.image.received).all()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(300):
        while not true():
            await asyncio.sleep(0.005)  # counters are plain fields
