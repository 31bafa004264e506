"""Modbus TCP against the pymodbus server: values, holes, exceptions and writes."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from drivers.contract import Driver, Point, Quality, Reviews, Writes
from drivers.modbus import pieces
from drivers.modbus.driver import ModbusTcp
from drivers.modbus.options import PointOptions, TcpDeviceOptions
from drivers.reasons import reason_text


@dataclass(frozen=True)
class Asked:
    """What the device was asked for."""

    function: int
    address: int
    count: int


Judge = Callable[[Asked], ExcCodes | None]
"""What the device answers; None: what was asked for."""


class Skid:
    """A pymodbus server on a free port: device ids 1 and 2, 400 holding registers each, that hold their own address."""

    def __init__(self) -> None:
        self.judge: Judge = lambda _: None
        self.asked: list[Asked] = []
        self.port = 0
        self.swallow_writes = False
        """Whether a write is confirmed and not done, as by a device that limits or overwrites values."""

    async def action(
        self, function: int, start: int, address: int, count: int, registers: list[int], values: Any
    ) -> ExcCodes | None:
        self.asked.append(Asked(function, address, count))
        if self.swallow_writes and values is not None:
            offset = address - start
            values[:] = registers[offset : offset + len(values)]
        return self.judge(self.asked[-1])

    def refuse(self, *addresses: int) -> None:
        """Answer exception 02 to whatever touches one of these holding registers."""

        def judge(asked: Asked) -> ExcCodes | None:
            touched = asked.function == 3 and any(0 <= one - asked.address < asked.count for one in addresses)
            return ExcCodes.ILLEGAL_ADDRESS if touched else None

        self.judge = judge

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Skid]:
        blocks = (
            [SimData(0, values=[False, True, True, False] * 16, datatype=DataType.BITS)],
            [SimData(0, values=[True, False, False, False] * 16, datatype=DataType.BITS)],
            [SimData(0, values=list(range(400)), datatype=DataType.REGISTERS)],
            [SimData(0, values=list(range(1000, 1100)), datatype=DataType.REGISTERS)],
        )
        devices = [SimDevice(id=device_id, simdata=blocks, action=self.action) for device_id in (1, 2)]
        server = ModbusTcpServer(devices, address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        self.port = cast("asyncio.Server", server.transport).sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            await server.shutdown()

    async def registers(self, address: int, count: int) -> bytes:
        """Holding registers as an independent client reads them."""
        client = AsyncModbusTcpClient("127.0.0.1", port=self.port, timeout=60)
        await client.connect()
        try:
            answer = await client.read_holding_registers(address, count=count)
            return struct.pack(f">{count}H", *answer.registers)
        finally:
            client.close()


@pytest.fixture
async def skid() -> AsyncIterator[Skid]:
    async with Skid().running() as skid:
        yield skid


def point(tag: str, device: str = "one", write: bool = False, **options: Any) -> Point:
    return Point(tag, device, PointOptions(**options), 100, write=write)


@asynccontextmanager
async def driving(skid: Skid, points: list[Point], **options: Any) -> AsyncGenerator[ModbusTcp]:
    ids = {"one": 1, "two": 2}
    devices = {
        name: TcpDeviceOptions(host="127.0.0.1", port=skid.port, device_id=ids[name], timeout_ms=60_000, **options)
        for name in dict.fromkeys(point.device for point in points)
    }
    driver = ModbusTcp(devices, points)
    await driver.open()
    try:
        yield driver
    finally:
        await driver.close()


def values(driver: ModbusTcp) -> list[Any]:
    return [driver.image.value(row) for row in range(len(driver.image.kinds))]


def bad(driver: ModbusTcp) -> dict[int, str]:
    rows = np.flatnonzero(driver.image.quality == Quality.BAD)
    return {int(row): reason_text(int(driver.image.reason[row])) for row in rows}


async def settled(driver: ModbusTcp, group: int = 0) -> None:
    """Read until what is bad is known: a reading takes a bounded number of requests to look for it."""
    before: list[dict[int, str]] = []
    while len(before) < 3 or any(found != before[-1] for found in before[-3:]):
        await driver.read(group)
        before.append(bad(driver))


async def test_it_keeps_the_contract(skid: Skid) -> None:
    async with driving(skid, [point("A", holding=1)]) as driver:
        contract: Driver = driver
        assert isinstance(contract, Writes)
        assert isinstance(contract, Reviews)


async def test_all_tables_and_two_devices_on_one_connection(skid: Skid) -> None:
    points = [
        point("H", holding=7),
        point("L", holding=8, type="uint64", word_order="CDAB"),
        point("F", input=2, type="float32"),
        point("C0", coil=4),
        point("C1", coil=5),
        point("D", discrete=8),
        point("B", holding=3, bit=1),
        point("T", device="two", modicon=40301),
    ]
    async with driving(skid, points) as driver:
        await driver.read(0)
        assert bad(driver).keys() == {7}
        await driver.read(1)
        f = struct.unpack(">f", struct.pack(">HH", 1002, 1003))[0]
        assert values(driver) == [7, 11 << 48 | 10 << 32 | 9 << 16 | 8, f, False, True, True, True, 300]
        assert not bad(driver)
        assert driver.link.counters.connects == 1


async def test_points_in_a_hole_are_bad_and_all_others_good(skid: Skid, caplog: pytest.LogCaptureFixture) -> None:
    skid.refuse(30, 77)
    async with driving(skid, [point(f"T{address}", holding=address) for address in range(100)]) as driver:
        await driver.read(0)
        assert bad(driver) == {
            30: "the device refuses holding 30: illegal data address (exception 02)",
            77: "the device refuses holding 77: illegal data address (exception 02)",
        }
        assert [value for row, value in enumerate(values(driver)) if row not in {30, 77}] == [
            address for address in range(100) if address not in {30, 77}
        ]
        skid.asked.clear()
        await driver.read(0)
        assert skid.asked == [Asked(3, 0, 30), Asked(3, 31, 46), Asked(3, 78, 22)]
        assert bad(driver).keys() == {30, 77}
    said = [record.getMessage() for record in caplog.records if "T30" in record.getMessage()]
    assert len(said) == 1
    assert said[0] == (
        "one: the device refuses holding 30: illegal data address (exception 02); bad: T30. "
        "Correct the address or take the tag out of the UOD; it is asked again now and then"
    )


@pytest.mark.parametrize("seed", range(8))
async def test_holes_anywhere_are_found_once_and_read_around(skid: Skid, seed: int) -> None:
    chance = np.random.default_rng(seed)
    tagged = sorted(chance.choice(300, 120, replace=False).tolist())
    holes = set(chance.choice(300, int(chance.integers(1, 40)), replace=False).tolist())
    skid.refuse(*holes)
    async with driving(skid, [point(f"T{address}", holding=address) for address in tagged]) as driver:
        await settled(driver)
        assert [tagged[row] for row in bad(driver)] == [address for address in tagged if address in holes]
        exceptions = driver.devices["one"].counters.exceptions[2]
        await driver.read(0)
        assert driver.devices["one"].counters.exceptions[2] == exceptions
        rows = [row for row, address in enumerate(tagged) if address not in holes]
        assert [driver.image.value(row) for row in rows] == [tagged[row] for row in rows]


async def test_what_one_scan_group_has_learned_the_others_know(skid: Skid) -> None:
    skid.refuse(30, 60)
    fast = [point(f"F{address}", holding=address) for address in (20, 30, 31)]
    slow = [replace(point(f"S{address}", holding=address), every_ms=1000) for address in (28, 30, 32, 60)]
    async with driving(skid, [*fast, *slow]) as driver:
        await driver.read(0)
        skid.asked.clear()
        await driver.read(1)
        assert [row for row in bad(driver) if row >= 3] == [4, 6]
        assert skid.asked[:2] == [Asked(3, 28, 1), Asked(3, 32, 1)]
        assert [driver.image.value(row) for row in (3, 5)] == [28, 32]


async def test_a_lost_point_comes_back_when_the_device_answers_it_again(
    skid: Skid, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "LAST_RETRY_S", 0.001)
    skid.refuse(2)
    async with driving(skid, [point(f"T{address}", holding=address) for address in range(4)]) as driver:
        await driver.read(0)
        await driver.read(0)
        assert bad(driver).keys() == {2}
        skid.refuse()
        async with asyncio.timeout(60):
            while bad(driver):
                await driver.read(0)
        skid.asked.clear()
        await driver.read(0)
        assert values(driver) == [0, 1, 2, 3]
        assert skid.asked == [Asked(3, 0, 4)], "they are read together again"


async def test_a_hole_between_points_loses_none_and_is_explained(skid: Skid, caplog: pytest.LogCaptureFixture) -> None:
    skid.refuse(105)
    async with driving(skid, [point("A", holding=100), point("B", holding=104), point("C", holding=109)]) as driver:
        await driver.read(0)
        assert not bad(driver)
        skid.asked.clear()
        await driver.read(0)
        assert skid.asked == [Asked(3, 100, 5), Asked(3, 109, 1)]
        assert values(driver) == [100, 104, 109]
    assert "one refuses to read holding 100 to 109 at once, but answers it in 2 parts: set max_gap: 3" in caplog.text


@pytest.mark.parametrize("largest", [1, 7])
async def test_a_device_with_small_blocks_is_read_all_the_same(
    skid: Skid, largest: int, caplog: pytest.LogCaptureFixture
) -> None:
    skid.judge = lambda asked: ExcCodes.ILLEGAL_VALUE if asked.count > largest else None
    async with driving(skid, [point(f"T{address}", holding=address) for address in range(20)]) as driver:
        await settled(driver)
        assert not bad(driver)
        assert values(driver) == list(range(20))
    assert "set max_block: " in caplog.text


async def test_a_device_failure_makes_its_block_bad_until_it_is_over(skid: Skid) -> None:
    skid.judge = lambda asked: ExcCodes.DEVICE_FAILURE if asked.function == 4 else None
    async with driving(skid, [point("A", holding=1), point("B", input=1), point("C", input=2)]) as driver:
        await driver.read(0)
        reason = "the device refuses input 1 to 2: device failure (exception 04)"
        assert bad(driver) == {1: reason, 2: reason}
        skid.refuse()
        await driver.read(0)
        assert values(driver) == [1, 1001, 1002]
        assert not bad(driver)


async def test_a_busy_device_is_asked_again(skid: Skid) -> None:
    answers = iter([ExcCodes.DEVICE_BUSY, ExcCodes.DEVICE_BUSY])
    skid.judge = lambda _: next(answers, None)
    async with driving(skid, [point("A", holding=1)], retries=2) as driver:
        await driver.read(0)
        assert values(driver) == [1]
        assert driver.devices["one"].counters.exceptions == {6: 2}
        skid.judge = lambda _: ExcCodes.DEVICE_BUSY
        await driver.read(0)
        assert bad(driver) == {0: "the device refuses holding 1: device busy (exception 06)"}


WRITES: list[tuple[dict[str, Any], Any, int, bytes]] = [
    ({"type": "uint16"}, 65_535, 6, b"\xff\xff"),
    ({"type": "int16"}, -2, 6, b"\xff\xfe"),
    ({"type": "float32", "word_order": "CDAB"}, 1.5, 16, b"\0\0\x3f\xc0"),
    ({"type": "uint64"}, 2**64 - 2, 16, b"\xff" * 7 + b"\xfe"),
    ({"type": "string", "length": 3}, "Hi!", 16, b"Hi!\0\0\0"),
    ({"bit": 9}, True, 22, struct.pack(">H", 100 | 1 << 9)),
    ({"bit": 2}, False, 22, struct.pack(">H", 100 & ~4)),
    ({"bit": 9, "word_order": "BA"}, True, 22, struct.pack(">H", 100 | 1 << 1)),
    ({"type": "uint8_high"}, 7, 22, b"\x07\x64"),
    ({"type": "bool"}, True, 6, b"\0\1"),
]


@pytest.mark.parametrize("lacking", [False, True], ids=["all functions", "without 06 and 22"])
@pytest.mark.parametrize(("options", "value", "function", "wire"), WRITES)
async def test_what_is_written_arrives(
    skid: Skid, options: dict[str, Any], value: Any, function: int, wire: bytes, lacking: bool
) -> None:
    missing = {6, 22} if lacking else set[int]()
    skid.judge = lambda asked: ExcCodes.ILLEGAL_FUNCTION if asked.function in missing else None
    async with driving(skid, [point("A", write=True, holding=100, **options)]) as driver:
        assert await driver.write({0: value}) == {}
        asked = {one.function for one in skid.asked}
        assert function in asked
        assert not lacking or 16 in asked
        assert await skid.registers(100, len(wire) // 2) == wire
        await driver.read(0)
        assert driver.image.value(0) == value


@pytest.mark.parametrize("lacking", [False, True], ids=["with function 05", "without"])
async def test_coils_are_written_one_by_one(skid: Skid, lacking: bool) -> None:
    skid.judge = lambda asked: ExcCodes.ILLEGAL_FUNCTION if lacking and asked.function == 5 else None
    async with driving(skid, [point("A", write=True, coil=0), point("B", write=True, coil=1)]) as driver:
        assert await driver.write({1: False, 0: True}) == {}
        assert {asked.function for asked in skid.asked} == ({5, 15} if lacking else {5})
        await driver.read(0)
        assert values(driver) == [True, False]


async def test_writes_that_cannot_be_are_refused_and_the_others_done(skid: Skid) -> None:
    points = [
        point("A", write=True, holding=100),
        point("B", holding=101),
        point("C", write=True, input=1),
        point("D", write=True, holding=399, type="float32"),
        point("E", write=True, holding=102),
    ]
    async with driving(skid, points) as driver:
        refused = await driver.write({0: 65_536, 1: 1, 2: 1, 3: 1.0, 4: 42})
        assert refused == {
            0: "holding 100 is uint16 and takes 0 to 65535, not 65536",
            1: "B is an input: set direction: output (or both) to write it",
            2: "input 1 cannot be written, the protocol has no function for it: use coil or holding",
            3: "the device refuses to write holding 399 (function 16: illegal data address (exception 02)): check its "
            "address, its limits and write_function",
        }
        assert await skid.registers(100, 3) == struct.pack(">HHH", 100, 101, 42)


async def test_registers_that_follow_each_other_are_written_in_one_request(skid: Skid) -> None:
    points = [
        point("A", write=True, holding=100),
        point("B", write=True, holding=101, type="float32"),
        point("C", write=True, holding=103, bit=3),
        point("D", write=True, holding=104),
        point("E", write=True, holding=105),
    ]
    async with driving(skid, points) as driver:
        assert await driver.write({0: 1, 1: 1.5, 2: True, 3: 4, 4: 5}) == {}
        assert [(asked.function, asked.address, asked.count) for asked in skid.asked if asked.function == 16] == [
            (16, 100, 3), (16, 104, 2),
        ]  # fmt: skip
        assert await skid.registers(100, 6) == struct.pack(">HfHHH", 1, 1.5, 103 | 8, 4, 5)

        skid.judge = lambda asked: (
            ExcCodes.ILLEGAL_VALUE if asked.address <= 105 < asked.address + asked.count else None
        )
        refused = await driver.write({3: 14, 4: 15})
        assert refused == {
            4: "the device refuses to write holding 105 (functions 6 and 16: illegal data value (exception 03)): check "
            "its address, its limits and write_function"
        }
        skid.judge = lambda _: None
        assert await skid.registers(104, 2) == struct.pack(">HH", 14, 5)


async def test_what_was_written_is_read_back_where_it_is_asked_for(skid: Skid) -> None:
    at_once: dict[str, Any] = {"write": True, "read_back": True, "read_back_within_ms": 0}
    points = [
        point("A", holding=100, type="float32", **at_once),
        point("B", holding=110, type="uint32", **at_once),
        point("C", holding=120, type="int32", read_back_tolerance=2, **at_once),
        point("D", coil=3, **at_once),
        point("E", holding=130, bits="4-7", **at_once),
    ]
    async with driving(skid, points) as driver:
        assert await driver.write({0: 0.1, 1: 7, 2: 8, 3: True, 4: 9}) == {}
        skid.swallow_writes = True
        assert await driver.write({1: 9, 2: 10}) == {
            1: "holding 110 was written, but still holds 7 and not 9 after 0 ms: where the device takes longer to show "
            "it, raise read_back_within_ms; where it limits or rounds, read_back_tolerance lets it differ",
        }
        refused = await driver.write({2: 11})
        assert "holding 120 was written, but still holds 8 and not 11" in refused[2], "3 is more than the tolerance"
        assert not driver.unconfirmed
