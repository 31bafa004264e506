"""A TCP proxy that breaks a link in the ways in which networks and devices do. It knows no protocol."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Self

log = logging.getLogger("skidlink.skid.proxy")

_CHUNK = 65_536
_LINGER_NOT = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close at once with RST: what the peer of a crashed device gets."""
    connection = writer.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    writer.transport.abort()


class FaultProxy:
    """Passes bytes between its clients and a server, until told to misbehave.

    `drop`, `refuse`, `half_open` and `black_hole` take effect before they return. `delay` holds back what the server
    sends, in order. `restore` ends all faults; what a black hole held back then arrives, late.
    """

    def __init__(self, target_host: str, target_port: int, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.target = (target_host, target_port)
        self.host = host
        self.port = port
        """0 until `start` has found a free one; then it stays, through `refuse` and `restore`."""
        self.delay = 0.0
        """seconds by which answers are late"""
        self._server: asyncio.Server | None = None
        self._through = asyncio.Event()
        self._through.set()
        self._connections: dict[_Connection, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def connections(self) -> int:
        """How many clients are connected, stranded ones included."""
        return len(self._connections)

    async def start(self) -> None:
        """Listen. Raises `OSError` when the port is taken."""
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, self.host, self.port)
            self.port = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and reset all connections."""
        if self._server is not None:
            self._server.close()
            self._server = None
        await self.drop()

    async def drop(self) -> None:
        """Reset all connections that were accepted; new ones are welcome."""
        for connection in list(self._connections):
            connection.reset()
        await self._end(list(self._connections.values()))

    async def refuse(self) -> None:
        """Reset all connections and refuse new ones until `restore`: the device is off."""
        await self.close()

    def black_hole(self) -> None:
        """Accept connections and requests, and let nothing through in either direction: the device hangs."""
        self._through.clear()

    async def half_open(self) -> None:
        """Forget the present connections without telling their clients: the device has rebooted. New ones work."""
        stranded = [(connection, task) for connection, task in self._connections.items() if not connection.stranded]
        for connection, _ in stranded:
            connection.stranded = True
        await self._end([task for _, task in stranded])
        for connection, _ in stranded:
            self._run(connection, connection.swallow())

    async def restore(self) -> None:
        """End all faults. Stranded connections stay stranded: their clients have to notice."""
        self.delay = 0.0
        self._through.set()
        await self.start()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = _Connection(reader, writer, self._through, lambda: self.delay)
        self._run(connection, connection.serve(*self.target))

    def _run(self, connection: _Connection, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._connections[connection] = task
        task.add_done_callback(lambda done: self._finished(connection, done))

    def _finished(self, connection: _Connection, task: asyncio.Task[None]) -> None:
        if self._connections.get(connection) is task:
            del self._connections[connection]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("the proxy in front of %s:%d has failed on a connection", *self.target, exc_info=error)

    @staticmethod
    async def _end(tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Connection:
    """One client and its connection to the server."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        through: asyncio.Event,
        delay: Callable[[], float],
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.stranded = False
        self._through = through
        self._delay = delay

    async def serve(self, host: str, port: int) -> None:
        """Pass bytes both ways until one side ends, then end the other."""
        try:
            server_reader, server_writer = await asyncio.open_connection(host, port)
        except OSError:
            self.reset()
            return
        try:
            async with asyncio.TaskGroup() as lanes:
                up = lanes.create_task(self._lane(self.reader, server_writer, lambda: 0.0))
                down = lanes.create_task(self._lane(server_reader, self.writer, self._delay))
                await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
                up.cancel()
                down.cancel()
        finally:
            _reset(server_writer)
            if not self.stranded:
                with contextlib.suppress(OSError):
                    self.writer.close()

    async def swallow(self) -> None:
        """Take what the client sends, answer nothing, until it goes away."""
        try:
            while await self.reader.read(_CHUNK):
                pass
        except OSError:
            pass  # the client has reset the connection: it has noticed
        finally:
            _reset(self.writer)

    def reset(self) -> None:
        _reset(self.writer)

    async def _lane(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, delay: Callable[[], float]) -> None:
        """One direction. Reading goes on while sending waits, so that each chunk is late by the delay, not by more."""
        clock = asyncio.get_running_loop().time
        chunks: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def send() -> None:
            while True:
                due, chunk = await chunks.get()
                if (wait := due - clock()) > 0:
                    await asyncio.sleep(wait)
                await self._through.wait()
                if not chunk:
                    return
                sink.write(chunk)
                await sink.drain()

        async def receive() -> None:
            chunk = b"?"
            while chunk:
                chunk = await source.read(_CHUNK)
                chunks.put_nowait((clock() + delay(), chunk))

        try:
            async with asyncio.TaskGroup() as pair:
                pair.create_task(send())
                pair.create_task(receive())
        except* OSError:
            pass  # a reset by either side ends the lane as an end of stream does
