"""A device that does not answer costs the others of its line next to nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

from drivers.contract import Point, Quality
from drivers.modbus.driver import ModbusRtu
from drivers.modbus.options import PointOptions, RtuDeviceOptions
from engine.links import DeviceState, Link, LinkState
from tests.clock import Clock
from tests.system.modbus_servers import PtyLine, pymodbus_server, serving

EVERY_MS = 20
TIMEOUT_S = 10.0
"""Longer than any machine needs for an answer: the clock is put forward when there will be none."""
READINGS = 60
PROBES = 15
"""Their pauses double, so that this is more than fit into a minute, which is fifty times what the readings need."""


async def test_a_silent_device_on_a_serial_line_rests_and_the_other_keeps_its_rate(
    tmp_path: Path, clock: Clock
) -> None:
    line = PtyLine(tmp_path)

    def switched_off(data: bytes) -> bytes:
        """What reaches the devices, of which the one with device id 2 is switched off."""
        if data[:1] != b"\2":
            return data
        clock.leap_soon(TIMEOUT_S + 1)
        return b""

    line.to_device = switched_off
    options = {"port": str(line.ends[0]), "baudrate": 115_200, "parity": "none", "timeout_ms": int(TIMEOUT_S * 1000)}
    devices = {
        name: RtuDeviceOptions.model_validate(options | {"device_id": device_id, "retries": 0})
        for name, device_id in (("pump", 1), ("valve", 2))
    }
    points = [Point(name, name, PointOptions(holding=7), EVERY_MS) for name in devices]
    driver = ModbusRtu(devices, points)
    link = Link("line", driver)
    pump, valve = (driver.devices[name].counters for name in devices)
    async with line.plugged(), serving(*pymodbus_server("serial", "rtu", line.ends[1])):
        working = asyncio.create_task(link.run())
        async with asyncio.timeout(600):
            while pump.replies < READINGS:
                await asyncio.sleep(0.005)  # a counter is a plain field
        image, state, devices_are = driver.image, link.state, dict(link.devices)
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    assert state is LinkState.DEGRADED
    assert devices_are == {"pump": DeviceState.UP, "valve": DeviceState.DEMOTED}
    assert image.quality.tolist() == [Quality.GOOD, Quality.BAD]
    assert 2 <= valve.timeouts <= PROBES
    assert valve.silences == valve.timeouts
    assert pump.timeouts == 0
    assert driver.link.counters.reconnects == 0
