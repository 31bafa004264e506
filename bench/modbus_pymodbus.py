"""pymodbus's side of `bench.modbus`: its asynchronous client, block by block, which is all that it can do."""

from __future__ import annotations

import asyncio
import logging
import os
import statistics
from time import perf_counter
from typing import Any

from pymodbus.client import AsyncModbusTcpClient

from bench.worker import serve

COUNT = 125


class Side:
    """One client, connected anew when the request asks for another port."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._client: AsyncModbusTcpClient | None = None
        self._port = 0

    def measure(self, request: dict[str, Any]) -> dict[str, Any]:
        """Median seconds of one scan of `blocks` blocks, on a core."""
        return self._runner.run(self._measure(**request))

    async def _measure(self, port: int, blocks: int, core: int, scans: int) -> dict[str, Any]:
        os.sched_setaffinity(0, {core})
        if self._client is None or self._port != port:
            self._client = AsyncModbusTcpClient("127.0.0.1", port=port)
            await self._client.connect()
            self._port = port
        client = self._client
        await client.read_holding_registers(0, count=COUNT)
        times: list[float] = []
        for _ in range(scans):
            start = perf_counter()
            registers: list[int] = []
            for block in range(blocks):
                registers += (await client.read_holding_registers(block * COUNT, count=COUNT)).registers
            times.append(perf_counter() - start)
            if registers != list(range(blocks * COUNT)):
                raise RuntimeError("what was read is not what the slave holds")
        return {"seconds": statistics.median(times)}


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    serve({"measure": Side().measure})
