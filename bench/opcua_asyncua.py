"""asyncua's side of `bench.opcua`: `Client.read_values`, as its own users read."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from asyncua.client.client import Client
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from bench.opcua_server import NAMESPACE, PUBLISHING_MS
from bench.worker import serve
from drivers.opcua.certificates import own_certificate


class Latest:
    """The last value of each node, as a handler of asyncua's keeps it."""

    def __init__(self) -> None:
        self.values: dict[Any, float] = {}

    def datachange_notification(self, node: Any, value: Any, data: Any) -> None:
        """Called by asyncua for each change."""
        del data
        self.values[node.nodeid.Identifier] = value


class Side:
    """One client, connected anew when the request asks for another port, security or number of nodes."""

    def __init__(self) -> None:
        self._runner = asyncio.Runner()
        self._client: Any = None
        self._nodes: list[Any] = []
        self._wanted: tuple[int, int, int] | None = None
        self._latest = Latest()

    def measure(self, request: dict[str, Any]) -> dict[str, Any]:
        """CPU and wall time of one poll of all nodes, in seconds, the mean of several."""
        return self._runner.run(self._measure(**request))

    def follow(self, request: dict[str, Any]) -> dict[str, Any]:
        """Subscribe to all nodes."""
        self._runner.run(self._follow(**request))
        return {}

    async def _follow(self, port: int, nodes: int) -> None:
        await self._connect(port, 0, nodes)
        self._latest = Latest()
        subscription = await self._client.create_subscription(PUBLISHING_MS, self._latest)
        await subscription.subscribe_data_change(self._nodes)

    def changes(self, request: dict[str, Any]) -> dict[str, Any]:
        """CPU time until every node has a value beyond `floor`, in seconds."""
        return self._runner.run(self._changes(**request))

    async def _changes(self, floor: int) -> dict[str, Any]:
        cpu = process_time()
        while len(self._latest.values) < len(self._nodes) or min(self._latest.values.values()) < floor:  # noqa: ASYNC110 - an event a change would be measured too
            await asyncio.sleep(0.02)
        return {"cpu": process_time() - cpu}

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
    side = Side()
    serve({"measure": side.measure, "follow": side.follow, "changes": side.changes})
