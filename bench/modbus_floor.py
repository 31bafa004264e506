"""The floor of `bench.modbus`: the same bytes block by block, with nothing made of them.

What is left of a scan when nobody decodes, matches or times anything: a blocking socket (what the kernel and the slave
take), and an asyncio protocol (what the event loop takes on top). No client that waits for each answer goes below.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
from collections.abc import Callable
from time import perf_counter
from typing import Any, cast

from bench.worker import serve

COUNT = 125
ANSWER = 9 + 2 * COUNT
"""MBAP header, function and byte count, and the registers."""


def _requests(blocks: int) -> list[bytes]:
    heads = (number.to_bytes(2) + b"\0\0\0\6\1\3" for number in range(1, blocks + 1))
    return [
        head + (block * COUNT).to_bytes(2) + COUNT.to_bytes(2) for head, block in zip(heads, range(blocks), strict=True)
    ]


class _Pingpong(asyncio.BufferedProtocol):
    """Sends a request when the answer to the one before is there."""

    def __init__(self) -> None:
        self._space = bytearray(4096)
        self._requests: list[bytes] = []
        self._next = self._have = 0
        self._done: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002 - asyncio's signature
        return self._space

    def buffer_updated(self, nbytes: int) -> None:
        self._have += nbytes
        if self._have == ANSWER:
            self._send()

    async def scan(self, requests: list[bytes]) -> None:
        self._requests, self._next = requests, 0
        self._done = asyncio.get_running_loop().create_future()
        self._send()
        await self._done

    def _send(self) -> None:
        self._have = 0
        if self._next == len(self._requests):
            if self._done is not None:
                self._done.set_result(None)
        elif self._transport is not None:
            self._next += 1
            self._transport.write(self._requests[self._next - 1])


async def _with_loop(port: int, blocks: int, scans: int) -> float:
    requests = _requests(blocks)
    transport, protocol = await asyncio.get_running_loop().create_connection(_Pingpong, "127.0.0.1", port)
    times: list[float] = []
    for _ in range(scans + 1):
        start = perf_counter()
        await protocol.scan(requests)
        times.append(perf_counter() - start)
    transport.close()
    return statistics.median(times[1:])


def _with_socket(port: int, blocks: int, scans: int) -> float:
    requests = _requests(blocks)
    space = bytearray(4096)
    times: list[float] = []
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(scans + 1):
            start = perf_counter()
            for request in requests:
                connection.sendall(request)
                have = 0
                while have < ANSWER:
                    have += connection.recv_into(space)
            times.append(perf_counter() - start)
    return statistics.median(times[1:])


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Median seconds of one scan of `blocks` blocks, on a core, both ways."""
    port, blocks, scans = request["port"], request["blocks"], request["scans"]
    os.sched_setaffinity(0, {request["core"]})
    ways: dict[str, Callable[[], float]] = {
        "loop": lambda: asyncio.run(_with_loop(port, blocks, scans)),
        "socket": lambda: _with_socket(port, blocks, scans),
    }
    return {name: way() for name, way in ways.items()}


if __name__ == "__main__":
    serve({"measure": measure})
