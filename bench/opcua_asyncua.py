"""asyncua's side of `bench.opcua`: `Client.read_values`, as its own users read."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from asyncua.client.client import Client
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from bench.opcua_server import NAMESPACE
from bench.worker import serve
from drivers.opcua.certificates import own_certificate


class Side:
    """One client, connected anew when the request asks for another port, security or number of nodes."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._client: Any = None
        self._nodes: list[Any] = []
        self._wanted: tuple[int, int, int] | None = None

    def measure(self, request: dict[str, Any]) -> dict[str, Any]:
        """CPU and wall time of one poll of all nodes, in seconds, the mean of several."""
        return self._runner.run(self._measure(**request))

    async def _measure(self, port: int, secured: int, nodes: int, polls: int) -> dict[str, Any]:
        if self._wanted != (port, secured, nodes):
            await self._connect(port, secured, nodes)
        await self._client.read_values(self._nodes)
        wall, cpu = perf_counter(), process_time()
        for _ in range(polls):
            await self._client.read_values(self._nodes)
        return {"cpu": (process_time() - cpu) / polls, "wall": (perf_counter() - wall) / polls}

    async def _connect(self, port: int, secured: int, nodes: int) -> None:
        if self._client is not None:
            await self._client.disconnect()
        self._client = Client(f"opc.tcp://127.0.0.1:{port}", timeout=30)
        if secured:
            own = own_certificate()
            self._client.application_uri = own.application_uri
            key = Path(own.path).with_name("key.pem")
            await self._client.set_security(SecurityPolicyBasic256Sha256, str(own.path), str(key))
        await self._client.connect()
        index = await self._client.get_namespace_index(NAMESPACE)
        self._nodes = [self._client.get_node(f"ns={index};s=D{number}") for number in range(nodes)]
        self._wanted = (port, secured, nodes)


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    serve({"measure": Side().measure})
