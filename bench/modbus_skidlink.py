"""Skidlink's side of `bench.modbus`: the driver as the engine uses it, from request to columns."""

from __future__ import annotations

import asyncio
import logging
import os
import statistics
from time import perf_counter
from typing import Any

import numpy as np

from bench.worker import serve
from drivers.contract import Kind, Point
from drivers.modbus.driver import ModbusTcp
from drivers.modbus.options import PointOptions, TcpDeviceOptions

COUNT = 125


class Side:
    """One driver, opened anew when the request asks for another port, number of blocks or of requests in flight."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._driver: ModbusTcp | None = None
        self._wanted: tuple[int, ...] | None = None

    def measure(self, request: dict[str, Any]) -> dict[str, Any]:
        """Median seconds of one scan of `blocks` blocks, on a core."""
        return self._runner.run(self._measure(**request))

    async def _measure(self, port: int, blocks: int, in_flight: int, core: int, scans: int) -> dict[str, Any]:
        os.sched_setaffinity(0, {core})
        if self._driver is None or self._wanted != (port, blocks, in_flight):
            self._driver = await self._opened(port, blocks, in_flight)
            self._wanted = port, blocks, in_flight
        driver = self._driver
        await driver.read(0)
        times: list[float] = []
        for _ in range(scans):
            start = perf_counter()
            await driver.read(0)
            times.append(perf_counter() - start)
        if not np.array_equal(driver.image.columns[Kind.UINT], np.arange(blocks * COUNT)):
            raise RuntimeError("what was read is not what the slave holds")
        return {"seconds": statistics.median(times)}

    async def _opened(self, port: int, blocks: int, in_flight: int) -> ModbusTcp:
        if self._driver is not None:
            await self._driver.close()
        device = TcpDeviceOptions(host="127.0.0.1", port=port, max_in_flight=in_flight)
        points = [Point(f"T{at}", "slave", PointOptions(holding=at), 1000) for at in range(blocks * COUNT)]
        driver = ModbusTcp({"slave": device}, points)
        await driver.open()
        return driver


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    serve({"measure": Side().measure})
