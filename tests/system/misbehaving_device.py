"""A Modbus TCP device that does as a test says.

It is our own few lines on a real socket: no real server can be told to answer late, short or never. When it keeps
silent, the clock is put forward: the time-out is far longer than a healthy answer takes on any machine.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from drivers.contract import Point, Quality
from drivers.modbus.driver import ModbusTcp
from drivers.modbus.options import PointOptions, TcpDeviceOptions
from tests.clock import IN_FLIGHT_S, Clock

TIMEOUT_S = 10.0


class Asked:
    """A request as the device got it."""

    def __init__(self, frame: bytes) -> None:
        self.number, _, _, self.device_id, self.function, self.address, self.count = struct.unpack(
            ">HHHBBHH", frame[:12]
        )

    def answer(self, number: int | None = None, count: int | None = None) -> bytes:
        """The right answer: each holding register holds its own address. `number` and `count` make it wrong."""
        if self.function == 6:
            pdu = struct.pack(">BHH", 6, self.address, self.count)
        else:
            asked = self.count if count is None else count
            pdu = bytes((self.function, 2 * asked)) + struct.pack(
                f">{asked}H", *range(self.address, self.address + asked)
            )
        return self.framed(pdu, number)

    def framed(self, pdu: bytes, number: int | None = None) -> bytes:
        return struct.pack(">HHHB", self.number if number is None else number, 0, len(pdu) + 1, self.device_id) + pdu


Behaviour = Callable[[Asked], Iterable[bytes] | None]
"""The bytes to send for a request; None closes the connection."""


def well(asked: Asked) -> Iterable[bytes]:
    return [asked.answer()]


class Device:
    """Answers by `behave`."""

    def __init__(self, clock: Clock) -> None:
        self.asked: list[Asked] = []
        self.behave: Behaviour = well
        self.delay_s = 0.0
        """How long it takes for each answer, one after the other."""
        self._clock = clock

    def silence(self, _: Asked | None = None) -> Iterable[bytes]:
        """Say nothing, for so long that the request is given up."""
        self._clock.leap_soon(TIMEOUT_S)
        return []

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(6)
                asked = Asked(head + await reader.readexactly(int.from_bytes(head[4:], "big")))
                self.asked.append(asked)
                if self.delay_s:
                    await asyncio.sleep(IN_FLIGHT_S)
                    self._clock.leap(self.delay_s)
                answers = self.behave(asked)
                if answers is None:
                    return
                writer.writelines(answers)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    @asynccontextmanager
    async def driven(self, points: list[Point], **options: Any) -> AsyncGenerator[ModbusTcp]:
        """Run the device, and a driver that is connected to it."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        options = {"timeout_ms": int(TIMEOUT_S * 1000), "retries": 0, "max_gap": 0} | options
        devices = {
            point.device: TcpDeviceOptions(host="127.0.0.1", port=port, device_id=int(point.device[-1]), **options)
            for point in points
        }
        driver = ModbusTcp(devices, points)
        try:
            await driver.open()
            yield driver
        finally:
            await driver.close()
            server.close()
            await server.wait_closed()


def points(*addresses: int, device: str = "dev1") -> list[Point]:
    return [Point(f"T{address}", device, PointOptions(holding=address), 100, write=True) for address in addresses]


def check(driver: ModbusTcp) -> list[int]:
    """Assert that every good row holds its own address; return the bad ones."""
    for row, field in enumerate(driver._fields):
        if driver.image.quality[row] == Quality.GOOD:
            assert driver.image.value(row) == field.address
    return np.flatnonzero(driver.image.quality == Quality.BAD).tolist()
