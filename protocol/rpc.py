"""The RPC channel between engine and aggregator, as `fastapi_websocket_rpc` 0.1.29 speaks it: no JSON-RPC.

Each text frame is one JSON object, a request or a response, in both directions alike. There is no error response: a
call that fails on the other side is a call that is never answered. Rules of this file:

* What comes in can be anything; no frame of the other side ends the channel.
* The reader waits for nothing but the next frame. A call of the other side is answered by a task of its own.
* The aggregator hangs up when it waits two seconds for an answer, so a handler has `ANSWER_WITHIN_S`, then it is
  cancelled and the other side is told so.
* The aggregator goes deaf, with its socket open, on frames that it cannot read: so nothing but the calls that it knows
  is ever sent to it, as text, with arguments. Deafness shows only in a call that times out.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, cast
from uuid import uuid4

import orjson
from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed, WebSocketException

from protocol.exceptions import CallTimeoutError, ConnectError, ConnectionLostError, RpcReplyError
from protocol.frames import request_frame, response_frame
from protocol.messages import ErrorMessage, MessageBase
from protocol.serialization import decode, encode

log = logging.getLogger("skidlink.protocol.rpc")

ANSWER_WITHIN_S: Final = 1.5
"""Of the two seconds that the aggregator waits, the rest is for the network."""
INBOUND_LIMIT: Final = 64 * 2**20
"""Bytes. A method of 11,000 lines is near 1 MiB, the limit of `websockets` itself."""
OUTBOUND_LIMIT: Final = 15 * 2**20
"""Bytes. The aggregator closes the connection (1009) above 16 MiB after inflation."""
CLOSE_WITHIN_S: Final = 0.5
"""A peer that does not answer our close frame by then is dropped."""

Handler = Callable[[dict[str, Any]], Awaitable[str]]
"""Takes the arguments of a call, returns its result."""


class RpcChannel:
    """One open connection. `serve` has to run for anything to be answered, in either direction."""

    def __init__(self, connection: Connection, handlers: Mapping[str, Handler], *, call_timeout_s: float) -> None:
        self._connection = connection
        self._handlers: dict[str, Handler] = {**handlers, "_ping_": _pong, "_get_channel_id_": self._channel_id}
        self._call_timeout_s = call_timeout_s
        self._id = uuid4().hex
        self._calls: dict[str, asyncio.Future[Any]] = {}
        self._answers: set[asyncio.Task[None]] = set()
        self._lost: str | None = None

    async def serve(self) -> None:
        """Read frames until the connection is lost. Raises `ConnectionLostError`, always."""
        try:
            while True:
                self._receive(await self._connection.recv(decode=False))
        except ConnectionClosed as closed:
            self._lose(closed)
            raise ConnectionLostError(self._lost) from None
        finally:
            for task in self._answers:
                task.cancel()
            await asyncio.gather(*self._answers, return_exceptions=True)

    async def call(self, method: str, arguments: bytes = b"{}", *, timeout_s: float | None = None) -> Any:
        """Call the other side; `arguments` is an encoded JSON object.

        Raises `CallTimeoutError` or `ConnectionLostError`; after either, nobody knows whether the call was carried
        out.
        """
        if self._lost is not None:
            raise ConnectionLostError(self._lost)
        timeout_s = self._call_timeout_s if timeout_s is None else timeout_s
        call_id = uuid4().hex
        answer = self._calls[call_id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s):
                await self._connection.send(request_frame(method, arguments, call_id), text=True)
                return await answer
        except TimeoutError:
            raise CallTimeoutError(f"no answer to {method} within {timeout_s:.1f} s") from None
        except ConnectionClosed as closed:
            self._lose(closed)
            raise ConnectionLostError(self._lost) from None
        finally:
            self._calls.pop(call_id, None)

    async def ping(self) -> None:
        """Make sure that the other side still reads and answers. Raises as `call` does."""
        await self.call("_ping_")

    async def dispatch(self, message: bytes, *, timeout_s: float | None = None) -> MessageBase:
        """Send a message, encoded, and return the reply to it.

        Raises as `call` does, and `ProtocolException` when the reply is no message.
        """
        arguments = b"".join((b'{"message_json":', message, b"}"))
        result = await self.call("dispatch_message_async", arguments, timeout_s=timeout_s)
        if not isinstance(result, str):
            raise RpcReplyError(f"the reply to a message is JSON text, not {type(result).__name__}")
        return decode(result)

    async def close(self) -> None:
        """Say goodbye, and hang up if that is not answered at once. Never raises."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * CLOSE_WITHIN_S):
                await self._connection.close()
        self._connection.transport.abort()

    def _receive(self, data: bytes) -> None:
        try:
            frame: Any = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            log.warning("ignored a frame of %d bytes that is not JSON: %s", len(data), error)
            return
        match frame:
            case {"request": {"method": str(method), **request}}:
                task = asyncio.create_task(self._answer(method, request.get("arguments"), request.get("call_id")))
                self._answers.add(task)
                task.add_done_callback(self._answers.discard)
            case {"response": {"call_id": str(call_id), **response}}:
                call = self._calls.get(call_id)
                if call is None:
                    log.debug("ignored an answer that came too late")
                elif not call.done():
                    call.set_result(response.get("result"))
            case _:
                log.warning("ignored a frame that is neither request nor response: %.200r", frame)

    async def _answer(self, method: str, arguments: Any, call_id: Any) -> None:
        """Answer one call; whatever goes wrong is the other side's to read, and ours to log."""
        handler = self._handlers.get(method)
        if handler is None:
            log.warning("the other side called %.100r, which is unknown here", method)
            result = _failure("the engine knows no such call")
        else:
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    result = await handler(cast("dict[str, Any]", arguments) if isinstance(arguments, dict) else {})
            except TimeoutError:
                log.warning("%s took longer than %g s and was cancelled", method, ANSWER_WITHIN_S)
                result = _failure(f"the engine did not take it within {ANSWER_WITHIN_S:g} s; try again")
            except Exception:  # the end of this task: nothing else would see it
                log.exception("%s failed", method)
                result = _failure("the engine failed on it; its log says why")
        with contextlib.suppress(ConnectionClosed):
            await self._connection.send(response_frame(result, call_id), text=True)

    def _lose(self, closed: ConnectionClosed) -> None:
        """Let every call fail that still waits for an answer."""
        self._lost = f"the connection was closed: {closed}"
        for call in self._calls.values():
            if not call.done():
                call.set_exception(ConnectionLostError(self._lost))

    async def _channel_id(self, _: dict[str, Any]) -> str:
        return self._id


async def _pong(_: dict[str, Any]) -> str:
    return "pong"


def _failure(text: str) -> str:
    return encode(ErrorMessage(message=text)).decode()


async def open_channel(
    url: str,
    handlers: Mapping[str, Handler],
    *,
    tls: ssl.SSLContext | None = None,
    connect_timeout_s: float = 3.0,
    call_timeout_s: float = 3.0,
) -> RpcChannel:
    """Connect to `ws://` or `wss://`, through the proxy that the environment names. Raises `ConnectError`."""
    try:
        connection = await connect(
            url,
            ssl=tls,
            open_timeout=connect_timeout_s,
            close_timeout=CLOSE_WITHIN_S,
            ping_interval=None,  # a deaf aggregator answers those; see the rules above
            max_size=INBOUND_LIMIT,
        )
    except (OSError, TimeoutError, WebSocketException) as error:
        raise ConnectError(f"no WebSocket at {url}: {error or type(error).__name__}") from error
    return RpcChannel(connection, handlers, call_timeout_s=call_timeout_s)
