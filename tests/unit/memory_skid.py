"""Modbus devices in memory, for tests in virtual time: a driver over them is the real one down to its transport.

With sockets, time could not be virtual, and what is tested here is who waits how long for whom.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, cast

from drivers.contract import Options
from drivers.modbus.connection import Connection, Pace
from drivers.modbus.counters import LinkCounters
from drivers.modbus.driver import Modbus
from drivers.modbus.frames import Frames, MbapFrames
from drivers.modbus.lines import RtuFrames, crc16
from drivers.modbus.options import TcpDeviceOptions
from drivers.modbus.wires import Wire


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it reached the skid."""

    at: float
    device_id: int
    function: int
    address: int
    count: int
    connection: int
    """Which connection it came on, from 1."""

    def touches(self, *addresses: int) -> bool:
        return any(self.address <= one < self.address + self.count for one in addresses)


def holding(asked: Asked) -> bytes:
    """The response of a device whose registers hold their own addresses."""
    if asked.function in {5, 6}:
        return struct.pack(">BHH", asked.function, asked.address, asked.count)
    registers = [address & 0xFFFF for address in range(asked.address, asked.address + asked.count)]
    return struct.pack(f">BB{asked.count}H", asked.function, 2 * asked.count, *registers)


def exception(asked: Asked, code: int) -> bytes:
    return bytes((asked.function | 0x80, code))


Behaviour = Callable[[Asked], "bytes | None"]
"""The PDU of the response; None: no response. `ClosedError` is raised to close the connection."""


class ClosedError(Exception):
    """The skid closes the connection."""


@dataclass(slots=True)
class Skid:
    """Devices behind one connection or line."""

    behave: Behaviour = holding
    numbered: bool = True
    """Whether frames are those of Modbus TCP; else RTU."""
    delay_s: float = 0.005
    delays: dict[int, float] = field(default_factory=dict[int, float])
    """device id -> how long it takes, where that differs"""
    dead: set[int] = field(default_factory=set[int])
    asked: list[Asked] = field(default_factory=list[Asked])
    opened: list[float] = field(default_factory=list[float])
    """When a connection was opened."""
    is_reachable: bool = True
    outlet: _Outlet | None = None
    """The connection that is open."""

    def driver(self) -> type[Modbus]:
        """A driver whose link leads here."""
        skid = self

        class Memory(Modbus):
            DeviceOptions: ClassVar[type[Options]] = TcpDeviceOptions

            @staticmethod
            def wire(options: Any, /) -> Wire:  # noqa: ARG004 - all ways lead here
                return MemoryWire(skid)

        return Memory

    def since(self, moment: float) -> list[Asked]:
        return [asked for asked in self.asked if asked.at >= moment]


@dataclass(frozen=True, slots=True)
class MemoryWire:
    """The way to a skid in memory."""

    skid: Skid
    name: str = "memory"
    pace: Pace = field(default_factory=Pace)
    settings: str = ""
    is_redialled: bool = True

    def frames(self, counters: LinkCounters, /) -> Frames:
        return MbapFrames() if self.skid.numbered else RtuFrames(counters)

    async def connect(self, make: Callable[[], Connection]) -> Connection:
        if not self.skid.is_reachable:
            raise ConnectionRefusedError(111, "Connection refused")
        connection = make()
        self.skid.opened.append(asyncio.get_running_loop().time())
        self.skid.outlet = _Outlet(self.skid, connection, len(self.skid.opened))
        connection.connection_made(cast("asyncio.BaseTransport", self.skid.outlet))
        return connection


class _Outlet:
    def __init__(self, skid: Skid, connection: Connection, number: int) -> None:
        self._skid, self._connection, self._number = skid, connection, number
        self._loop = asyncio.get_running_loop()
        self._closing = False

    def write(self, data: bytes) -> None:
        while data:
            size = 6 + int.from_bytes(data[4:6]) if self._skid.numbered else 8
            frame, data = data[:size], data[size:]
            head, body = (frame[:6], frame[6:]) if self._skid.numbered else (b"", frame[:-2])
            device_id, function, address, count = struct.unpack_from(">BBHH", body)
            now = self._loop.time()
            asked = Asked(now, device_id, function, address, count, self._number)
            self._skid.asked.append(asked)
            if device_id in self._skid.dead:
                continue
            try:
                pdu = self._skid.behave(asked)
            except ClosedError:
                self._loop.call_soon(self.close)
                return
            if pdu is not None:
                delay_s = self._skid.delays.get(device_id, self._skid.delay_s)
                self._loop.call_later(delay_s, partial(self._answer, head, device_id, pdu))

    def _answer(self, head: bytes, device_id: int, pdu: bytes) -> None:
        if self._closing:
            return
        body = bytes((device_id,)) + pdu
        frame = (
            head[:4] + len(body).to_bytes(2) + body if self._skid.numbered else body + crc16(body).to_bytes(2, "little")
        )
        self._connection.get_buffer(len(frame))[: len(frame)] = frame
        self._connection.buffer_updated(len(frame))

    def is_closing(self) -> bool:
        return self._closing

    def abort(self) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._connection.connection_lost, None)

    def close(self) -> None:
        """The other side closes it."""
        self.abort()


@contextmanager
def noted_times(received: list[float], take: Callable[[], float]) -> Generator[None]:
    """Note a time that changes, each time it does, until the block ends."""
    loop = asyncio.get_running_loop()
    handle: asyncio.TimerHandle | None = None

    def look() -> None:
        nonlocal handle
        found = take()
        if not received or found != received[-1]:
            received.append(found)
        handle = loop.call_later(0.01, look)

    look()
    try:
        yield
    finally:
        if handle is not None:
            handle.cancel()


def longest_gap(times: list[float]) -> float:
    return max((after - before for before, after in pairwise(times)), default=0.0)
