"""Skidlink's side of `bench.opcua`: the driver as the engine uses it, from request to columns."""

from __future__ import annotations

import asyncio
import logging
from time import perf_counter, process_time
from typing import Any

from bench.opcua_server import NAMESPACE
from bench.worker import serve
from drivers.contract import Point
from drivers.opcua.driver import OpcUa
from drivers.opcua.options import DeviceOptions, PointOptions


class Side:
    """One driver, opened anew when the request asks for another port, security or number of nodes."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._driver: OpcUa | None = None
        self._wanted: tuple[int, ...] | None = None

    def measure(self, request: dict[str, Any]) -> dict[str, Any]:
        """CPU and wall time of one poll of all nodes, in seconds, the mean of several."""
        return self._runner.run(self._measure(**request))

    async def _measure(self, port: int, secured: int, nodes: int, polls: int, kept: int) -> dict[str, Any]:
        """`kept` 0: no layout holds, as with a server whose answers differ in shape each time."""
        if self._driver is None or self._wanted != (port, secured, nodes):
            await self._open(port, secured, nodes)
        driver: Any = self._driver
        await driver.read(0)
        wall, cpu = perf_counter(), process_time()
        for _ in range(polls):
            if not kept:
                for batch in driver._readings[0]._batches:
                    batch.reader._layout = None
            await driver.read(0)
        return {"cpu": (process_time() - cpu) / polls, "wall": (perf_counter() - wall) / polls}

    async def _open(self, port: int, secured: int, nodes: int) -> None:
        if self._driver is not None:
            await self._driver.close()
        options = DeviceOptions(
            endpoint=f"opc.tcp://127.0.0.1:{port}", timeout_ms=30_000, security="Basic256Sha256" if secured else "none"
        )
        points = [
            Point(f"T{number}", "plc", PointOptions(node=f"nsu={NAMESPACE};s=D{number}"), 1000)
            for number in range(nodes)
        ]
        self._driver = OpcUa({"plc": options}, points)
        await self._driver.open()
        self._wanted = (port, secured, nodes)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    serve({"measure": Side().measure})
