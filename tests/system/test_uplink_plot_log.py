"""What an aggregator has stored, asked over real HTTP; the plot log of a day among it."""

from __future__ import annotations

import asyncio
import math
import tracemalloc
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest

from engine.uplinks.address import Address, parse_address
from engine.uplinks.plot_log import PIECE_BYTES, RECORD_BYTES, is_recorded, newest_stored
from tests.system.small_aggregator import SmallAggregator

STARTED = 1_795_331_849.25
TAGS, ROWS = 10, 100_000
LAST = STARTED + 5 * (ROWS - 1)


def long_plot_log() -> Iterator[bytes]:
    """Some 50 MB of it, the newest tick in the middle of the last tag but one."""
    yield b'{"entries":{'
    for tag in range(TAGS):
        yield b'%s"T%d":{"name":"T%d","values":[' % (b"," if tag else b"", tag, tag)
        newest = LAST + 1 if tag == TAGS - 2 else LAST
        for row in range(0, ROWS, 500):
            ticks = [newest if at == ROWS // 2 else STARTED + 5 * at for at in range(row, row + 500)]
            yield (b"," if row else b"") + b",".join(b'{"value":%.6f,"tick_time":%.6f}' % (tag, at) for at in ticks)
        yield b'],"value_unit":"s","value_type":"float"}'
    yield b"}}"


@asynccontextmanager
async def serving(*, breaks_off: bool = False) -> AsyncGenerator[Address]:
    """A server that answers everything with the long plot log, as fast as it is read."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 -\r\ntransfer-encoding: chunked\r\n\r\n")
        for number, piece in enumerate(long_plot_log()):
            if breaks_off and number == 10:
                break
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
        else:
            writer.write(b"0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield parse_address(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")


async def test_a_long_one_is_never_held_whole_and_the_loop_goes_on() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with serving() as address, httpx.AsyncClient() as http:
        counting = asyncio.create_task(count())
        tracemalloc.start()
        try:
            newest = await newest_stored(http, address, "engine")
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            counting.cancel()
    size = sum(map(len, long_plot_log()))
    assert newest == LAST + 1
    assert size > 30e6
    assert peak < size / 10
    assert turns > size / PIECE_BYTES


async def test_one_that_breaks_off_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(breaks_off=True) as address, httpx.AsyncClient() as http:
        assert await newest_stored(http, address, "engine") is None
    assert "does not tell what it has stored of the run" in caplog.text


async def test_what_is_asked_and_what_is_made_of_the_answers() -> None:
    aggregator = SmallAggregator()
    async with aggregator.running(), httpx.AsyncClient() as http:
        address = parse_address(aggregator.address)
        path = "/api/process_unit/lab%2Fpc%20a/plot_log"
        assert await newest_stored(http, address, "lab/pc a") is None, "it does not know us"
        aggregator.rest[path] = {"entries": {}}
        assert await newest_stored(http, address, "lab/pc a") == -math.inf
        aggregator.rest[path] = {"entries": {"T": {"values": [{"value": 1, "tick_time": 2.5}]}}}
        assert await newest_stored(http, address, "lab/pc a") == 2.5
        assert not await is_recorded(http, address, "a/b")
        for answer, recorded in (({"run_id": "a/b"}, True), ({"detail": "no"}, False), (["run_id"], False)):
            aggregator.rest["/api/recent_runs/a%2Fb"] = answer
            assert await is_recorded(http, address, "a/b") is recorded
        aggregator.rest["/api/recent_runs/a%2Fb"] = {"run_id": "a/b", "more": "x" * 2 * RECORD_BYTES}
        assert not await is_recorded(http, address, "a/b"), "that is no record"


async def test_nobody_at_the_address_is_no_answer() -> None:
    async with serving() as address:
        pass
    async with httpx.AsyncClient() as http:
        assert await newest_stored(http, address, "engine") is None
        assert not await is_recorded(http, address, "run")
