"""An aggregator, or something in its place, that answers without end, with nonsense, or far too much.

Whatever it does, the uplink goes on trying, says why in one line, and the event loop stays free for the scan cycle.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import tracemalloc
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from engine.uplinks import aggregator as uplinks
from engine.uplinks.aggregator import AggregatorUplink
from engine.uplinks.rest import WITHIN_S
from protocol.inbound import FRAME_BYTES
from protocol.messages import ErrorMessage
from protocol.serialization import decode
from tests.clock import IN_FLIGHT_S, Clock
from tests.interop.small_engine import SmallEngine
from tests.system.small_aggregator import SmallAggregator, registration_reply, running

Write = Callable[[asyncio.StreamWriter], Awaitable[None]]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
SENTENCE_WITHIN_S = 60.0
GREETING = ["UodInfoMsg", "RunStoppedMsg", "TagsUpdatedMsg", "ControlStateMsg"]
"""What comes first on each connection where no run is active."""


@asynccontextmanager
async def http(write: Write, asked: asyncio.Event | None = None) -> AsyncGenerator[str]:
    """Something that answers each request by `write`; `asked` is set when the first one has come."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            if asked is not None:
                asked.set()
            await write(writer)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass  # the client has gone, as it should
        finally:
            writer.close()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async with await asyncio.start_server(begin, "127.0.0.1", 0) as server:
        try:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def said(uplink: AggregatorUplink, text: str) -> None:
    """Wait until the status of the uplink says so."""
    async with asyncio.timeout(SENTENCE_WITHIN_S):
        while text not in uplink.status.state:
            await asyncio.sleep(0.02)  # the status is a plain field, written for a table that is drawn by time


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b'\r\n"')
    while True:
        writer.write(b"9" * 2**16)
        await writer.drain()


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + b'\r\n"')
    while True:
        writer.write(b"9")
        await writer.drain()
        await asyncio.sleep(0.05)  # what it does is to take its time


async def silent(_: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def answer(data: bytes) -> Write:
    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return write


def packed() -> bytes:
    body = gzip.compress(b"9" * 50_000_000)
    return HEAD + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("write", "text"),
    [
        (endless, "is not answered as an Open Pectus aggregator does it"),
        (answer(HEAD + b"\r\n" + b"[" * 100_000), "is not answered as an Open Pectus aggregator does it"),
        (answer(packed()), "is not answered as an Open Pectus aggregator does it"),
        (
            answer(b"HTTP/1.1 307 -\r\nlocation: /version\r\ncontent-length: 0\r\n\r\n"),
            "a registration is answered with 307",
        ),
        (answer(b"\x16\x03\x01 no HTTP at all"), "no answer to GET /version"),
        (answer(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200_000), "no answer to GET /version"),
        (answer(HEAD + b"set-cookie: a=%s\r\ncontent-length: 2\r\n\r\n{}" % (b"x" * 9_000)), "no message is named"),
        (answer(b""), "no answer to GET /version"),
    ],
)
async def test_an_answer_that_is_none_is_one_sentence(write: Write, text: str) -> None:
    tracemalloc.start()
    try:
        async with http(write) as address, running(AggregatorUplink(SmallEngine(FT01=0), address)) as uplink:
            await said(uplink, text)
            assert len(uplink.status.state) < 700
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 30 * 2**20


@pytest.mark.parametrize("write", [drip, silent])
async def test_an_answer_that_takes_for_ever_is_given_up(write: Write, clock: Clock) -> None:
    asked = asyncio.Event()
    async with http(write, asked) as address, running(AggregatorUplink(SmallEngine(FT01=0), address)) as uplink:
        await asked.wait()
        clock.leap_soon(WITHIN_S)
        await said(uplink, "no answer to GET /version")


async def test_what_speaks_no_tls_is_one_sentence() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"220 no TLS here\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        address = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with running(AggregatorUplink(SmallEngine(FT01=0), address)) as uplink:
            await said(uplink, "SSL")


async def test_a_name_without_end_is_not_taken(aggregator: SmallAggregator) -> None:
    fields = {"success": True, "engine_id": "x" * 50_000, "secret_match": True, "version_match": True}
    aggregator.registration_replies = [(200, registration_reply(**fields))]
    async with running(AggregatorUplink(SmallEngine(FT01=0), aggregator.address)) as uplink:
        await aggregator.next_types(len(GREETING))
        assert uplink.status.connected, "it was tried again"
    assert len(aggregator.registrations) == 2


async def test_records_that_never_end_do_not_hold_up_the_run(
    aggregator: SmallAggregator, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async def endless_log(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + b'\r\n{"entries":{')
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(IN_FLIGHT_S)
            clock.leap(5)

    aggregator.streams["/api/process_unit/lab-pc_SmallUod/plot_log"] = endless_log
    engine = SmallEngine(FT01=0)
    uplink = AggregatorUplink(engine, aggregator.address)
    uplink.put(engine.start("run-1"))
    uplink.put(engine.snapshot())
    async with running(uplink):
        assert await aggregator.next_types(3) == ["UodInfoMsg", "RunStartedMsg", "TagsUpdatedMsg"]
    assert "has not told all of its records within 120 s; going on without" in caplog.text


# The WebSocket


async def flood_of_calls(connection: ServerConnection) -> None:
    for number in range(100_000):
        await connection.send(json.dumps({"request": {"method": "_ping_", "call_id": f"c{number}"}}))


async def flood_of_late_answers(connection: ServerConnection) -> None:
    frame = json.dumps({"request": None, "response": {"result": "{}", "result_type": "str", "call_id": "nobody's"}})
    for _ in range(100_000):
        await connection.send(frame)


async def junk(connection: ServerConnection) -> None:
    for number in range(100):
        await connection.send(b"\x00\xff" * number)


async def long_frame(connection: ServerConnection) -> None:
    await connection.send("x" * (FRAME_BYTES + 1))


async def packed_frame(connection: ServerConnection) -> None:
    """Some 60 kB on the wire, by the compression that both sides have agreed on."""
    await connection.send(json.dumps({"request": "x" * 60_000_000}))


async def fragments(connection: ServerConnection) -> None:
    await connection.send(["x" * 2**16 for _ in range(1_000)])


async def many_bytes(connection: ServerConnection) -> None:
    for _ in range(60):
        await connection.send(json.dumps({"request": "x" * 1_000_000}))


async def many_parts(connection: ServerConnection) -> None:
    await connection.send(json.dumps({"request": [[]] * 400_000}))


@pytest.mark.parametrize(
    ("attack", "text"),
    [
        (flood_of_calls, "calls a second"),
        (flood_of_late_answers, "calls a second"),
        (junk, "keeps sending what cannot be read"),
        (long_frame, "frames of up to 2 MiB are taken"),
        (packed_frame, "frames of up to 2 MiB are taken"),
        (fragments, "frames of up to 2 MiB are taken"),
        (many_bytes, "more than 1 MiB a second"),
        (many_parts, "more parts than any message has"),
    ],
)
async def test_too_much_ends_the_connection_and_the_next_one_waits(
    aggregator: SmallAggregator,
    clock: Clock,
    attack: Callable[[ServerConnection], Coroutine[Any, Any, None]],
    text: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = SmallEngine(FT01=0)
    async with running(AggregatorUplink(engine, aggregator.address)) as uplink:
        await aggregator.next_types(len(GREETING))
        attacking = asyncio.create_task(attack(aggregator.connection))
        await said(uplink, text)
        await asyncio.wait([attacking])
        attacking.exception()  # the connection has ended under it
        assert not uplink.status.connected
        assert "trying again in 10 s" in uplink.status.state
        clock.leap(uplinks.VIOLATION_WAIT_S)
        await aggregator.next_types(len(GREETING))
        uplink.put(engine.change(FT01=1))
        await aggregator.next_types(1)
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) <= 3, "not one for each frame"
    assert all(len(record.getMessage()) < 700 for record in warnings)


@pytest.mark.parametrize(
    "message",
    [
        {"_type": {"a": [1]}, "_ns": 7},
        {"_type": "CancelMsg", "_ns": "openpectus.protocol.aggregator_messages", "exec_id": {"deep": [[[]]]}},
        {"_type": "InjectCodeMsg", "_ns": "openpectus.protocol.aggregator_messages", "pcode": 10**30},
    ],
)
async def test_a_command_of_wrong_types_is_answered_as_an_error(
    aggregator: SmallAggregator, message: dict[str, Any]
) -> None:
    engine = SmallEngine(FT01=0)
    async with running(AggregatorUplink(engine, aggregator.address)):
        await aggregator.answers.get()
        await aggregator.call("dispatch_message_async", "c", message_json=message)
        reply = decode((await aggregator.answers.get())["result"])
    assert isinstance(reply, ErrorMessage)
    assert engine.handled == []


async def test_nesting_beyond_all_reason_is_ignored(aggregator: SmallAggregator) -> None:
    engine = SmallEngine(FT01=0)
    async with running(AggregatorUplink(engine, aggregator.address)) as uplink:
        await aggregator.next_types(len(GREETING))
        await aggregator.connection.send("[" * 1_000 + "]" * 1_000)
        await aggregator.connection.send('{"request":' * 5_000 + "1" + "}" * 5_000)
        deep: Any = 1
        for _ in range(900):
            deep = {"_type": deep}
        await aggregator.call("dispatch_message_async", "c", message_json=deep)
        await aggregator.answers.get()  # to who we are
        reply = decode((await aggregator.answers.get())["result"])
        assert isinstance(reply, ErrorMessage)
        uplink.put(engine.change(FT01=1))
        await aggregator.next_types(1)
    assert len(aggregator.connections) == 1


async def test_a_call_with_an_id_that_is_none_is_ignored(aggregator: SmallAggregator) -> None:
    async with running(AggregatorUplink(SmallEngine(FT01=0), aggregator.address)):
        await aggregator.answers.get()
        for call_id in (7, {"a": 1}, "x" * 1_000):
            await aggregator.call("_ping_", call_id)  # type: ignore[arg-type]
        await aggregator.call("_ping_", "good")
        assert (await aggregator.answers.get())["call_id"] == "good"
