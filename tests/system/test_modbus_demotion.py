"""A device that does not answer costs the others of its line next to nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from drivers.contract import Point, Quality
from drivers.modbus.driver import ModbusRtu
from drivers.modbus.options import PointOptions, RtuDeviceOptions
from engine.links import Link, LinkState
from tests.system.modbus_servers import PtyLine, pymodbus_server, serving

EVERY_MS = 50
SECONDS = 3.0


async def test_a_silent_device_on_a_serial_line_rests_and_the_other_keeps_its_rate(tmp_path: Path) -> None:
    line = PtyLine(tmp_path)
    line.to_device = lambda data: b"" if data[:1] == b"\2" else data  # device id 2 is switched off
    devices = {
        name: RtuDeviceOptions(
            port=str(line.ends[0]), baudrate=115_200, parity="none", device_id=device_id, timeout_ms=100, retries=0
        )
        for name, device_id in (("pump", 1), ("valve", 2))
    }
    points = [Point(name, name, PointOptions(holding=7), EVERY_MS) for name in devices]
    driver = ModbusRtu(devices, points)
    link = Link("line", driver)
    async with line.plugged(), serving(*pymodbus_server("serial", "rtu", line.ends[1])):
        working = asyncio.create_task(link.run())
        await asyncio.sleep(SECONDS)  # a rate is a count over time
        image, state = driver.image, link.state
        pump, valve = (driver.devices[name].counters for name in devices)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    assert state is LinkState.DEGRADED
    assert image.quality.tolist() == [Quality.GOOD, Quality.BAD]
    assert 2 <= valve.timeouts <= 8
    assert valve.silences == valve.timeouts
    # Each probe of the silent device costs its time-out once, which two or three readings fall into.
    assert pump.replies >= SECONDS * 1000 / EVERY_MS - 3 * valve.timeouts - 5
    assert driver.link.counters.reconnects == 0
