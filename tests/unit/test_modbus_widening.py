"""Reads that are wider than wanted: no copy of the answer before is taken for theirs, and no device suffers by them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.connection import Connection, Pace
from drivers.modbus.counters import LinkCounters
from drivers.modbus.device import Device
from drivers.modbus.lines import RtuFrames
from drivers.modbus.options import DeviceOptions, RtuDeviceOptions
from drivers.modbus.patience import Patience
from drivers.modbus.pdu import Flaw, Refusal, Reply, Request, Table, place_of, read, write_register
from drivers.modbus.widening import Widening, narrowed


def options(**keys: object) -> DeviceOptions:
    return RtuDeviceOptions.model_validate({"port": "/dev/null", **keys})


def held(table: Table, address: int, count: int) -> bytes:
    """What a device holds whose registers tell their addresses, and whose bits are those of the same bytes."""
    if not table.is_bits:
        return b"".join((address + place).to_bytes(2) for place in range(count))
    bits = sum((at // 3 % 2) << place for place, at in enumerate(range(address, address + count)))
    return bits.to_bytes((count + 7) // 8, "little")


@given(
    st.sampled_from(Table),
    st.integers(0, 0xFFFF),
    st.integers(1, 2000),
    st.integers(0, 9),
    st.integers(1, 125),
    st.one_of(st.none(), st.tuples(st.integers(0, 0xFFFF), st.integers(0, 500))),
)
def test_a_wider_read_is_within_the_limits_and_tells_the_same(
    table: Table, address: int, count: int, gap: int, block: int, span: tuple[int, int] | None
) -> None:
    count = min(count, 2000 if table.is_bits else 125, 0x10000 - address)
    readable = {} if span is None else {table: [f"{span[0]}-{min(sum(span), 0xFFFF)}"]}
    request = read(table, address, count)
    wide = Widening(options(max_gap=gap, max_block=block, readable=readable)).of(request, {request.echo: 0.0})
    if wide is request:
        return
    _, begin, length = place_of(wide)
    weight = 16 if table.is_bits else 1
    assert gap > 0
    assert 0 < length - count <= gap * weight
    assert length <= block * weight
    assert begin >= 0
    assert begin + length <= 0x10000
    if span is not None:
        assert span[0] <= begin
        assert begin + length <= sum(span) + 1
    assert wide.echo != request.echo
    got = narrowed(held(table, begin, length), wide, request)
    wanted = held(table, address, count)
    if table.is_bits and count % 8:  # the bits behind the last one are anybody's
        mask = (1 << count % 8) - 1
        assert (got[:-1], got[-1] & mask) == (wanted[:-1], wanted[-1])
    else:
        assert got == wanted


def wider(request: Request, widening: Widening, *others: Request) -> Request | None:
    """The form of a read that is not as long as itself and these others; None: there is none."""
    found = widening.of(request, {one.echo: 0.0 for one in (request, *others)})
    return None if found is request else found


def test_a_read_is_widened_behind_it_or_before_it_or_not_at_all() -> None:
    request = read(Table.HOLDING, 10, 4)
    assert Widening(options()).of(request, {}) is request
    assert wider(request, Widening(options())) == read(Table.HOLDING, 10, 5)
    assert wider(request, Widening(options(readable={"holding": ["0-13"]}))) == read(Table.HOLDING, 9, 5)
    assert wider(request, Widening(options(readable={"holding": ["10-13"]}))) is None
    assert wider(request, Widening(options(max_gap=0))) is None
    assert wider(request, Widening(options(max_block=4))) is None
    assert wider(write_register(7, b"\0\1"), Widening(options())) is None
    assert wider(read(Table.COIL, 0, 3), Widening(options())) == read(Table.COIL, 0, 11)
    assert wider(request, Widening(options()), read(Table.HOLDING, 0, 5)) == read(Table.HOLDING, 10, 6)
    assert wider(request, Widening(options(max_gap=2)), *(read(Table.HOLDING, 0, n) for n in (5, 6))) is None


def test_where_all_forms_can_be_mistaken_that_for_the_oldest_is_taken() -> None:
    request = read(Table.HOLDING, 10, 4)
    ages = {read(Table.HOLDING, 0, 4 + more).echo: float(age) for more, age in enumerate([5, 3, 2, 4])}
    assert Widening(options(max_gap=3)).of(request, ages) == read(Table.HOLDING, 10, 6)
    ages[request.echo] = 1.0
    assert Widening(options(max_gap=3)).of(request, ages) is request


def test_what_is_refused_is_not_tried_again_and_what_is_silent_not_for_ever() -> None:
    widening = Widening(options(max_gap=1))
    request = read(Table.HOLDING, 10, 4)
    behind, before = read(Table.HOLDING, 10, 5), read(Table.HOLDING, 9, 5)
    widening.answered(behind, request)
    widening.refused(behind, request)
    assert wider(request, widening) == behind, "it was answered, and once may be an excuse"
    widening.refused(behind, request)
    assert wider(request, widening) == before
    for _ in range(2):
        widening.unanswered(before, request)
    widening.answered(before, request)
    assert widening.is_known(before, request)
    assert not widening.is_known(before, read(Table.HOLDING, 30, 4))
    for _ in range(2):
        widening.unanswered(before, request)
    assert wider(request, widening) == before
    widening.unanswered(before, request)
    assert wider(request, widening) is None


def test_what_is_refused_says_nothing_about_less() -> None:
    widening = Widening(options())
    request = read(Table.HOLDING, 10, 4)
    widening.refused(read(Table.HOLDING, 10, 7), request)
    five, six = read(Table.HOLDING, 0, 5), read(Table.HOLDING, 0, 6)
    assert wider(request, widening, five) == read(Table.HOLDING, 10, 6)
    assert wider(request, widening, five, six) == read(Table.HOLDING, 7, 7)


@dataclass
class Slave:
    """A device on an RTU line with the registers 0 to `last`, and a line that brings answers once more when told to."""

    connection: Connection
    last: int = 1000
    copies: list[bool] = field(default_factory=list[bool])
    """Whether each answer comes once more, with nothing else, right after the next request has been sent."""
    is_silent: bool = False
    """It passes over what it cannot answer."""
    asked: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])
    copy: bytes = b""

    def write(self, data: bytes, /) -> None:
        address, count = (int.from_bytes(data[at : at + 2]) for at in (2, 4))
        self.asked.append((address, count))
        fits = address + count - 1 <= self.last
        pdu = bytes((3, 2 * count)) + held(Table.HOLDING, address, count) if fits else b"\x83\x02"
        answer = RtuFrames(LinkCounters()).frame(0, 1, pdu)
        loop = asyncio.get_running_loop()
        if self.copy:
            loop.call_soon(self._bring, self.copy)
            self.copy = b""
        if fits or not self.is_silent:
            loop.call_soon(self._bring, answer)
            if self.copies and self.copies.pop(0):
                self.copy = answer

    def _bring(self, data: bytes) -> None:
        self.connection.get_buffer(len(data))[: len(data)] = data
        self.connection.buffer_updated(len(data))

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None:
        self.connection.connection_lost(None)


class Talk:
    """One connection to a device, without a line."""

    def __init__(self, **keys: object) -> None:
        counters = LinkCounters()
        self.counters = counters
        self.device = Device("dev", options(**keys))
        self.connection = Connection(counters, RtuFrames(counters), Pace(), numbered=False)
        self.slave = Slave(self.connection)
        self.connection.connection_made(cast("asyncio.BaseTransport", self.slave))

    async def read(self, *places: tuple[int, int]) -> list[Reply]:
        self.slave.asked.clear()
        requests = [read(Table.HOLDING, *place) for place in places]
        return await self.connection.run(self.device, requests, Patience([self.device]).whole(self.device))


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 3)), min_size=1, max_size=6), max_size=8),
    st.lists(st.booleans(), min_size=48, max_size=48),
)
def test_no_answer_that_comes_twice_reaches_another_request(
    scans: list[list[tuple[int, int]]], copies: list[bool]
) -> None:
    async def talk() -> None:
        both = Talk()
        both.slave.copies = list(copies)
        for scan in scans:
            places = [(10 * place, count) for place, count in scan]
            replies = await both.read(*places)
            assert replies == [held(Table.HOLDING, *place) for place in places]

    asyncio.run(talk())


async def test_reads_that_are_like_their_neighbours_are_widened() -> None:
    both = Talk()
    await both.read((0, 4), (20, 4), (40, 4), (60, 2), (60, 2))
    assert both.slave.asked == [(0, 4), (20, 5), (40, 4), (60, 2), (60, 2)]
    assert await both.read((80, 2)) == [held(Table.HOLDING, 80, 2)]
    assert both.slave.asked == [(80, 3)]
    assert both.counters.unasked == 0


async def test_a_refused_wider_read_costs_one_request_and_no_point() -> None:
    both = Talk(readable={"holding": ["0-3", "20-24"]})
    both.slave.last = 23
    asked: list[tuple[int, int]] = []
    for _ in range(9):
        assert await both.read((0, 4), (20, 4)) == [held(Table.HOLDING, 0, 4), held(Table.HOLDING, 20, 4)]
        asked += both.slave.asked
    assert asked.count((20, 5)) == 1
    assert len(asked) == 19


async def test_a_device_that_passes_over_a_wider_read_is_asked_for_what_is_wanted() -> None:
    both = Talk(readable={"holding": ["0-3", "20-24"]}, timeout_ms=50, retries=0)
    both.slave.last = 23
    both.slave.is_silent = True
    asked: list[tuple[int, int]] = []
    for _ in range(9):
        assert await both.read((0, 4), (20, 4)) == [held(Table.HOLDING, 0, 4), held(Table.HOLDING, 20, 4)]
        asked += both.slave.asked
    assert 1 <= asked.count((20, 5)) <= 3


async def test_a_point_that_is_refused_is_refused_with_and_without_more() -> None:
    both = Talk()
    both.slave.last = 21
    assert await both.read((0, 4), (20, 4)) == [held(Table.HOLDING, 0, 4), Refusal(2)]
    assert Flaw.SILENCE not in await both.read((0, 2), (20, 2))
