"""A Modbus TCP device of registers and coils that takes writes as its test says, on a real socket.

No real server can be told to pass over a function in silence, or to show a value later than it takes it.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from drivers.contract import Point
from drivers.modbus.driver import ModbusTcp
from drivers.modbus.options import PointOptions, TcpDeviceOptions
from tests.clock import Clock

TIMEOUT_S = 10.0

Place = tuple[int, int]
"""function and address"""


class WritableDevice:
    """Holding registers that hold their own address, and coils that are off, until they are written."""

    def __init__(self, clock: Clock) -> None:
        self.registers = dict(enumerate(range(400)))
        self.coils = dict.fromkeys(range(400), False)
        self.asked: list[Place] = []
        self.silent: set[Place] = set()
        """What is passed over in silence; the clock is put forward by the time-out."""
        self.silent_ids: set[int] = set()
        """The device ids that are not there."""
        self.refused: dict[Place, int] = {}
        """Exceptions."""
        self.shows = True
        """False: a write is confirmed and not seen until it is True again."""
        self._clock = clock
        self._hidden: dict[int, int] = {}

    def show(self) -> None:
        """Let what was written be seen."""
        self.shows = True
        self.registers |= self._hidden
        self._hidden.clear()

    def _answer(self, pdu: bytes) -> bytes:
        function, address, count = struct.unpack_from(">BHH", pdu)
        registers = self.registers if self.shows else self._hidden
        if function == 3:
            return bytes((3, 2 * count)) + b"".join(self.registers[address + i].to_bytes(2) for i in range(count))
        if function == 1:
            return bytes((1, 1, self.coils[address]))
        if function == 5:
            self.coils[address] = count == 0xFF00
        elif function == 6:
            registers[address] = count
        elif function == 15:
            self.coils[address] = bool(pdu[6] & 1)
        elif function == 16:
            registers |= {address + i: int.from_bytes(pdu[6 + 2 * i : 8 + 2 * i]) for i in range(count)}
        elif function == 22:
            keep, put = struct.unpack_from(">HH", pdu, 3)
            registers[address] = self.registers[address] & keep | put & ~keep
            return pdu
        return pdu[:5]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                number, _, size, device_id = struct.unpack(">HHHB", await reader.readexactly(7))
                pdu = await reader.readexactly(size - 1)
                place = pdu[0], int.from_bytes(pdu[1:3])
                self.asked.append(place)
                if place in self.silent or device_id in self.silent_ids:
                    self._clock.leap_soon(TIMEOUT_S)
                    continue
                code = self.refused.get(place)
                answer = self._answer(pdu) if code is None else bytes((pdu[0] | 0x80, code))
                writer.write(struct.pack(">HHHB", number, 0, len(answer) + 1, device_id) + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    @asynccontextmanager
    async def listening(self) -> AsyncGenerator[int]:
        """Run the device; yields its port."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            await server.wait_closed()

    @asynccontextmanager
    async def driven(self, *points: dict[str, Any], acts: bool = False, **options: Any) -> AsyncGenerator[ModbusTcp]:
        """Run the device, and a driver that is connected to it, with points to be written: T0, T1 and so on."""
        async with self.listening() as port:
            device = TcpDeviceOptions.model_validate(
                {"host": "127.0.0.1", "port": port, "timeout_ms": TIMEOUT_S * 1000, **options}
            )
            made = [
                Point(f"T{row}", "dev", PointOptions(**one), 100, write=True, acts=acts)
                for row, one in enumerate(points)
            ]
            driver = ModbusTcp({"dev": device}, made)
            try:
                await driver.open()
                yield driver
            finally:
                await driver.close()
