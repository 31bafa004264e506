"""Servers of Modbus on every transport, and how a driver reaches them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from drivers.contract import Point, Quality
from drivers.modbus.driver import Modbus
from drivers.modbus.options import PointOptions
from drivers.reasons import reason_text
from drivers.registry import driver_class
from tests.system.modbus_servers import PtyLine


@dataclass(frozen=True)
class Served:
    """A running server, and how to reach it."""

    driver: str
    options: dict[str, Any]
    mbpoll: tuple[str, ...] = ()
    """What an independent reader is told to reach it; nothing where it cannot."""
    ids: tuple[int, ...] = (1, 2)
    """The device ids that answer."""

    @asynccontextmanager
    async def driven(self, points: list[Point], **options: Any) -> AsyncGenerator[Modbus]:
        found: Any = driver_class(self.driver)
        devices = {
            name: found.DeviceOptions(**self.options | {"device_id": int(name[-1]), "timeout_ms": TIMEOUT_MS} | options)
            for name in dict.fromkeys(point.device for point in points)
        }
        driver: Modbus = found(devices, points)
        await driver.open()
        try:
            yield driver
        finally:
            await driver.close()


def port_options(line: PtyLine) -> dict[str, Any]:
    """How a driver opens its end of the line; pseudo terminals have no parity."""
    return {"port": str(line.ends[0]), "baudrate": 115_200, "parity": "none"}


HOST = "127.0.0.1"


TIMEOUT_MS = 10_000
"""Longer than any machine needs for an answer: where none comes, the clock is put forward."""


def point(tag: str, device: str = "dev1", write: bool = False, **options: Any) -> Point:
    return Point(tag, device, PointOptions(**options), 100, write=write)


def bad(driver: Modbus) -> dict[int, str]:
    rows = np.flatnonzero(driver.image.quality == Quality.BAD)
    return {int(row): reason_text(int(driver.image.reason[row])) for row in rows}
