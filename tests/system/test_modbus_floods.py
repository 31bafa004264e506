"""Servers that send on and on: the link says so and goes down, and nothing grows."""

from __future__ import annotations

import asyncio
import random
import resource
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from drivers.contract import LinkError, Point
from drivers.modbus.driver import Modbus, ModbusAsciiOverTcp, ModbusRtuOverTcp, ModbusTcp
from drivers.modbus.options import PointOptions

JUNK = random.Random(20261127).randbytes(65_536)
STRAY = bytes.fromhex("fffe 0000 0005 01 03 02 0007") * 4000
"""A response that nobody has asked for, again and again."""


@asynccontextmanager
async def flooding(chunk: bytes) -> AsyncGenerator[tuple[int, list[int]]]:
    """A server that sends without end once it is asked; yields its port and the bytes that it got rid of."""
    sent: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(12)
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(chunk)
                await writer.drain()
                sent.append(len(chunk))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], sent
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("of", "chunk"),
    [(ModbusTcp, STRAY), (ModbusRtuOverTcp, JUNK), (ModbusRtuOverTcp, b"\x01\x03\xfa" * 20_000),
     (ModbusAsciiOverTcp, JUNK), (ModbusAsciiOverTcp, b":0103" * 10_000)],
    ids=["tcp strays", "rtu junk", "rtu beginnings", "ascii junk", "ascii beginnings"],
)  # fmt: skip
async def test_a_flood_ends_the_connection_and_is_told(of: type[Modbus], chunk: bytes) -> None:
    """The device has a minute to answer, and is not waited for: what it sends is too much long before."""
    async with flooding(chunk) as (port, sent):
        options: Any = of.DeviceOptions.model_validate({"host": "127.0.0.1", "port": port, "timeout_ms": 60_000})
        driver = of({"dev": options}, [Point("A", "dev", PointOptions(holding=7), 100)])
        await driver.open()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            with pytest.raises(LinkError, match=r"bytes came and no response among them: check that a Modbus device"):
                await driver.read(0)
            assert driver.link.lost
        finally:
            await driver.close()
        assert sum(sent) < 60_000_000
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000, "KiB"
