"""Registers of a skid in memory, each of which holds its own address."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from drivers.contract import Point, Quality
from drivers.modbus.driver import Modbus
from drivers.modbus.options import PointOptions, TcpDeviceOptions
from tests.unit.memory_skid import Skid

EVERY_MS = 100


def driver_of(skid: Skid, points: Sequence[Point], **options: Any) -> Modbus:
    """A driver of these points, whose devices end in their ids."""
    devices = {
        name: TcpDeviceOptions.model_validate({"host": "memory", "device_id": int(name[-1]), **options})
        for name in dict.fromkeys(point.device for point in points)
    }
    return skid.driver()(devices, points)


def points(*addresses: int, device: str = "dev1", every_ms: int = EVERY_MS, write: bool = False) -> list[Point]:
    """A holding register each."""
    return [
        Point(f"T{address}", device, PointOptions(holding=address), every_ms, write=write, stale_after_ms=2000)
        for address in addresses
    ]


def bad(driver: Modbus) -> list[int]:
    """The rows that are bad; each other one holds its own address."""
    for row in np.flatnonzero(driver.image.quality == Quality.GOOD).tolist():
        assert driver.image.value(row) == driver._fields[row].address
    return np.flatnonzero(driver.image.quality == Quality.BAD).tolist()
