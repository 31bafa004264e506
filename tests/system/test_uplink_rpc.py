"""The RPC channel against a real WebSocket server that does what the real aggregator cannot be made to do on demand:
stay silent, close with 1000, answer nonsense, call us out of turn."""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from protocol.exceptions import CallTimeoutError, ConnectError, ConnectionLostError, RpcReplyError
from protocol.messages import ErrorMessage, SuccessMessage
from protocol.rpc import ANSWER_WITHIN_S, RpcChannel, open_channel
from protocol.serialization import decode, encode
from tests.clock import Clock

Script = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def channel_to(
    script: Script, *, call_timeout_s: float = 60.0, **handlers: Any
) -> AsyncGenerator[tuple[RpcChannel, asyncio.Task[None]], None]:
    """A channel to a server that plays `script`, and the task that serves it."""
    async with serve(script, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        channel = await open_channel(
            f"ws://127.0.0.1:{port}/engine-rpc", handlers, call_timeout_s=call_timeout_s, connect_timeout_s=60.0
        )
        serving = asyncio.create_task(channel.serve())
        try:
            yield channel, serving
        finally:
            await channel.close()
            await asyncio.wait([serving])
            assert isinstance(serving.exception(), ConnectionLostError)


def response(request: str | bytes, result: Any) -> str:
    call_id = json.loads(request)["request"]["call_id"]
    return json.dumps({"request": None, "response": {"result": result, "result_type": "str", "call_id": call_id}})


def request(method: str, **arguments: Any) -> str:
    return json.dumps({"request": {"method": method, "arguments": arguments, "call_id": "c1"}, "response": None})


async def echo_success(connection: ServerConnection) -> None:
    async for frame in connection:
        await connection.send(response(frame, encode(SuccessMessage()).decode()))


async def test_calls_are_answered_in_whatever_order() -> None:
    async def backwards(connection: ServerConnection) -> None:
        frames = [await connection.recv(), await connection.recv()]
        for frame in reversed(frames):
            await connection.send(response(frame, json.loads(frame)["request"]["arguments"]["n"]))
        await connection.wait_closed()

    async with channel_to(backwards) as (channel, _):
        assert await asyncio.gather(channel.call("f", b'{"n":1}'), channel.call("f", b'{"n":2}')) == [1, 2]


async def test_a_message_is_dispatched_as_text_and_its_reply_is_read() -> None:
    frames: list[str | bytes] = []

    async def record(connection: ServerConnection) -> None:
        async for frame in connection:
            frames.append(frame)
            await connection.send(response(frame, encode(ErrorMessage(message="no")).decode()))

    async with channel_to(record) as (channel, _):
        assert await channel.dispatch(b'{"a":[1,2]}') == ErrorMessage(message="no")
    assert isinstance(frames[0], str)
    sent = json.loads(frames[0])
    assert sent["response"] is None
    assert sent["request"]["method"] == "dispatch_message_async"
    assert sent["request"]["arguments"] == {"message_json": {"a": [1, 2]}}
    assert len(sent["request"]["call_id"]) == 32


async def test_the_deflate_extension_is_offered_and_used() -> None:
    extensions: list[str] = []

    async def note(connection: ServerConnection) -> None:
        extensions.extend(extension.name for extension in connection.protocol.extensions)
        await echo_success(connection)

    async with channel_to(note) as (channel, _):
        await channel.ping()
    assert extensions == ["permessage-deflate"]


async def test_a_deaf_server_is_noticed_by_the_time_out() -> None:
    async def deaf(connection: ServerConnection) -> None:
        await connection.wait_closed()  # pings are answered by the library all the while, as the real one does

    async with channel_to(deaf, call_timeout_s=0.1) as (channel, _):
        with pytest.raises(CallTimeoutError, match="no answer to _ping_ within"):
            await channel.ping()


async def test_a_late_answer_is_not_taken_for_the_next() -> None:
    async def late(connection: ServerConnection) -> None:
        first = await connection.recv()
        second = await connection.recv()
        await connection.send(response(first, "first"))
        await connection.send(response(second, "second"))
        await connection.wait_closed()

    async with channel_to(late) as (channel, _):
        with pytest.raises(CallTimeoutError):
            await channel.call("f", timeout_s=0.05)
        assert await channel.call("f") == "second"


@pytest.mark.parametrize("code", [1000, 1001, 1009, 1011, 1012])
async def test_every_close_fails_the_calls_that_wait(code: int) -> None:
    async def close(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.close(code)

    async with channel_to(close) as (channel, serving):
        with pytest.raises(ConnectionLostError, match=str(code)):
            await channel.ping()
        await asyncio.wait([serving])
        with pytest.raises(ConnectionLostError, match=str(code)):
            await channel.ping()


async def test_a_reset_fails_the_calls_that_wait() -> None:
    async def reset(connection: ServerConnection) -> None:
        await connection.recv()
        connection.transport.abort()

    async with channel_to(reset) as (channel, _):
        with pytest.raises(ConnectionLostError):
            await channel.ping()


async def test_a_connection_lost_in_mid_sending_is_told_once() -> None:
    """Both the sending and the answer fail then, and only one of them can be waited for."""
    unseen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
    sending = asyncio.Event()

    async def hang_up(connection: ServerConnection) -> None:
        connection.transport.pause_reading()
        await sending.wait()
        connection.transport.abort()

    async with channel_to(hang_up) as (channel, serving):
        call = asyncio.create_task(channel.call("x", json.dumps({"long": os.urandom(10_000_000).hex()}).encode()))
        await asyncio.sleep(0)
        sending.set()
        with pytest.raises(ConnectionLostError):
            await call
        await asyncio.wait([serving])
        del call
        gc.collect()
    assert unseen == []


@pytest.mark.parametrize("result", [None, 7, {"_type": "SuccessMessage"}])
async def test_a_reply_that_is_no_text_is_an_error_of_its_own(result: Any) -> None:
    async def answer(connection: ServerConnection) -> None:
        async for frame in connection:
            await connection.send(response(frame, result))

    async with channel_to(answer) as (channel, _):
        with pytest.raises(RpcReplyError, match="is JSON text, not"):
            await channel.dispatch(b"{}")


async def test_no_frame_ends_the_channel(caplog: pytest.LogCaptureFixture) -> None:
    frames = [
        *("", "no json", "[]", "7", "{}", "null", b"\x00\xff", '{"request": {}}', '{"request": {"method": 7}}'),
        *('{"response": {"call_id": "unknown", "result": 1}}', '{"response": {}}', '{"request": null}'),
    ]

    async def nonsense(connection: ServerConnection) -> None:
        for frame in frames:
            await connection.send(frame)
        await echo_success(connection)

    async with channel_to(nonsense) as (channel, _):
        await channel.ping()
    assert [record.getMessage() for record in caplog.records] == [
        "ignored a frame of 0 bytes that is not a JSON object"
    ]


async def called(script_request: str, **handlers: Any) -> Any:
    """What a channel answers to a call of the server."""
    answers: list[Any] = []

    async def ask(connection: ServerConnection) -> None:
        await connection.send(script_request)
        frame = await connection.recv()
        assert isinstance(frame, str), "a binary frame would make the real aggregator deaf"
        answers.append(json.loads(frame))
        await connection.close()

    async with channel_to(ask, **handlers) as (_, serving):
        await asyncio.wait([serving])
    (answer,) = answers
    assert answer["request"] is None
    assert answer["response"]["result_type"] == "str"
    assert answer["response"]["call_id"] == json.loads(script_request)["request"].get("call_id")
    return answer["response"]["result"]


async def test_the_built_in_calls() -> None:
    assert await called(request("_ping_")) == "pong"
    assert len(bytes.fromhex(await called(request("_get_channel_id_")))) == 16
    assert await called('{"request": {"method": "_ping_"}}') == "pong"
    assert await called('{"request": {"method": "_ping_", "arguments": null, "call_id": null}}') == "pong"


async def test_a_handler_gets_the_arguments() -> None:
    async def greet(arguments: dict[str, Any]) -> str:
        return f"hello {arguments['name']}"

    assert await called(request("greet", name="you"), greet=greet) == "hello you"


async def test_an_unknown_call_is_answered() -> None:
    answer = decode(await called(request("new_in_2027")))
    assert answer == ErrorMessage(message="the engine knows no such call")


async def test_a_handler_that_fails_is_answered(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(_: dict[str, Any]) -> str:
        raise ValueError("broken")

    answer = decode(await called(request("fail"), fail=fail))
    assert isinstance(answer, ErrorMessage)
    assert "broken" in caplog.text


async def test_a_handler_that_hangs_is_answered_before_the_aggregator_hangs_up(clock: Clock) -> None:
    cancelled = asyncio.Event()

    async def hang(_: dict[str, Any]) -> str:
        clock.leap_soon(ANSWER_WITHIN_S)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    async with asyncio.timeout(60):
        answer = decode(await called(request("hang"), hang=hang))
    assert isinstance(answer, ErrorMessage)
    assert cancelled.is_set()


async def test_calls_are_served_while_own_calls_wait() -> None:
    async def ask_before_answering(connection: ServerConnection) -> None:
        frame = await connection.recv()
        await connection.send(request("_ping_"))
        assert json.loads(await connection.recv())["response"]["result"] == "pong"
        await connection.send(response(frame, "done"))
        await connection.wait_closed()

    async with channel_to(ask_before_answering) as (channel, _):
        assert await channel.call("f") == "done"


async def test_a_frame_of_a_long_method_is_taken() -> None:
    async def big(connection: ServerConnection) -> None:
        frame = await connection.recv()
        await connection.send(response(frame, "x" * 2_000_000))
        await connection.wait_closed()

    async with channel_to(big) as (channel, _):
        assert len(await channel.call("f")) == 2_000_000


async def test_nobody_there(closed_port: int) -> None:
    with pytest.raises(ConnectError, match=f"no WebSocket at ws://127.0.0.1:{closed_port}"):
        await open_channel(f"ws://127.0.0.1:{closed_port}", {})


async def test_somebody_there_who_does_not_speak() -> None:
    left = asyncio.Event()

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        left.set()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectError):
            await open_channel(f"ws://127.0.0.1:{port}", {}, connect_timeout_s=0.1)
        await left.wait()
