"""Skidlink's side of `bench.opcua`: the driver as the engine uses it, from request to columns."""

from __future__ import annotations

import asyncio
import logging
from time import perf_counter, process_time
from typing import Any, Literal

from bench.opcua_server import NAMESPACE, PUBLISHING_MS
from bench.worker import serve
from drivers.contract import Kind, Point
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

    def follow(self, request: dict[str, Any]) -> dict[str, Any]:
        """Subscribe to all nodes."""
        self._runner.run(self._follow(**request))
        return {}

    async def _follow(self, port: int, nodes: int) -> None:
        await self._open(port, 0, nodes, mode="subscribe")

    def changes(self, request: dict[str, Any]) -> dict[str, Any]:
        """CPU time until every node has a value beyond `floor`, in seconds."""
        return self._runner.run(self._changes(**request))

    async def _changes(self, floor: int) -> dict[str, Any]:
        driver: Any = self._driver
        cpu = process_time()
        while driver.image.columns[Kind.FLOAT].min() < floor:  # noqa: ASYNC110 - as the other side
            await asyncio.sleep(0.02)
        return {"cpu": process_time() - cpu}

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

    async def _open(self, port: int, secured: int, nodes: int, mode: Literal["poll", "subscribe"] = "poll") -> None:
        if self._driver is not None:
            await self._driver.close()
        options = DeviceOptions(
            endpoint=f"opc.tcp://127.0.0.1:{port}",
            mode=mode,
            timeout_ms=30_000,
            security="Basic256Sha256" if secured else "none",
        )
        points = [
            Point(f"T{number}", "plc", PointOptions(node=f"nsu={NAMESPACE};s=D{number}"), PUBLISHING_MS)
            for number in range(nodes)
        ]
        self._driver = OpcUa({"plc": options}, points)
        await self._driver.open()
        self._wanted = (port, secured, nodes)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    side = Side()
    serve({"measure": side.measure, "follow": side.follow, "changes": side.changes})
