"""A server whose bytes are garbled on their way: the link breaks and comes back, whatever has been garbled."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.contract import LinkError, Point, Quality
from drivers.opcua.driver import OpcUa
from drivers.opcua.options import DeviceOptions
from tests.system.opcua_server import SKID, Proxy, SkidServer, skid_node, ua

V = ua.VariantType
VALUES = {
    "double": (1.5, V.Double),
    "text": ("water", V.String),
    "flag": (True, V.Boolean),
    "localized": (ua.LocalizedText("läuft", "de"), V.LocalizedText),
    "bytes": (b"abc", V.ByteString),
    "name": (ua.QualifiedName("x", 2), V.QualifiedName),
    "node": (ua.NodeId("x", 2), V.NodeId),
    "structure": (ua.Range(1.0, 2.0), None),
    "numbers": ([1.0, 2.0], V.Double),
    "texts": (["a", "b"], V.String),
}
HEADER = 24
"""Bytes of a message before what it says."""

Garble = Callable[[random.Random, bytearray], None]


def flip(chance: random.Random, data: bytearray) -> None:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def replace(chance: random.Random, data: bytearray) -> None:
    for _ in range(chance.randrange(1, 8)):
        data[chance.randrange(min(HEADER, len(data) - 1), len(data))] = chance.choice([0, 0x7F, 0x80, 0xFF])


def cut(chance: random.Random, data: bytearray) -> None:
    del data[chance.randrange(len(data)) :]


def double(chance: random.Random, data: bytearray) -> None:
    data += data


def insert(chance: random.Random, data: bytearray) -> None:
    at = chance.randrange(len(data))
    data[at:at] = chance.randbytes(chance.randrange(1, 9))


def lengthen(chance: random.Random, data: bytearray) -> None:
    if len(data) > HEADER + 4:
        at = chance.randrange(HEADER, len(data) - 4)
        data[at : at + 4] = chance.choice([b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\x80\x96\x98\0"])


GARBLES: list[Garble] = [flip, replace, cut, double, insert, lengthen]


class Garbling(Proxy):
    """Garbles half of what the server says, after it has let some of it pass."""

    def __init__(self, port: int, garble: Garble, seed: int) -> None:
        super().__init__(port)
        self._chance = random.Random(seed)
        self._garble = garble
        self._passes = self._chance.choice([0, 2, 6, 10, 20])

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, far_writer]
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(self._pump(reader, far_writer), self._pump_garbled(far_reader, writer))

    async def _pump_garbled(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := bytearray(await reader.read(65_536)):
                self._passes -= 1
                if self._passes < 0 and self._chance.random() < 0.5:
                    self._garble(self._chance, data)
                writer.write(bytes(data))
        writer.close()


@pytest.fixture(scope="module")
def plc() -> Iterator[SkidServer]:
    """A server that the tests of this module share."""
    server = SkidServer([SKID])
    for name, (value, variant_type) in VALUES.items():
        server.add(name, value, variant_type)
    yield server
    server.stop()


@pytest.mark.parametrize("garble", GARBLES)
@pytest.mark.parametrize("mode", ["poll", "subscribe"])
async def test_no_other_error_than_a_broken_link_comes_out(plc: SkidServer, mode: str, garble: Garble) -> None:
    nodes = [skid_node(name, index=0 if name in {"numbers", "texts"} else None) for name in VALUES]
    on = [Point(node.node, "plc", node, 50, True, True) for node in nodes]
    broken = 0
    for seed in range(2):
        async with Garbling(plc.port, garble, seed) as proxy, asyncio.timeout(300):
            options: dict[str, Any] = {"mode": mode, "timeout_ms": 500, "fast_path": seed == 0}
            driver = OpcUa({"plc": DeviceOptions(endpoint=proxy.endpoint, **options)}, on)
            for _ in range(3):
                try:
                    await driver.open()
                    for number in range(8):
                        await driver.read(0)
                        await driver.write({0: float(number)})
                except LinkError:
                    broken += 1
            await driver.close()
    assert broken > 0
    driver = OpcUa({"plc": DeviceOptions(endpoint=plc.endpoint, timeout_ms=60_000)}, on)
    await driver.open()
    await driver.read(0)
    assert driver.image.quality.tolist().count(Quality.GOOD) == len(VALUES) - 1, "all but the structure"
    await driver.close()
