"""The RPC channel between engine and aggregator, as `fastapi_websocket_rpc` 0.1.29 speaks it: no JSON-RPC.

Each text frame is one JSON object, a request or a response, in both directions alike. There is no error response: a
call that fails on the other side is a call that is never answered. Rules of this file:

* What comes in can be anything. A frame that means nothing is ignored; only too many of them, or too much of anything
  (`protocol.inbound`), end the channel.
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

from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.exceptions import ConnectionClosed, WebSocketException

from protocol.exceptions import CallTimeoutError, ConnectError, ConnectionLostError, PeerViolationError, RpcReplyError
from protocol.frames import request_frame, response_frame
from protocol.inbound import FRAME_BYTES, Inbound
from protocol.messages import ErrorMessage, MessageBase
from protocol.serialization import decode, encode

log = logging.getLogger("skidlink.protocol.rpc")

ANSWER_WITHIN_S: Final = 1.5
"""Of the two seconds that the aggregator waits, the rest is for the network."""
CALLS_AT_ONCE: Final = 50
"""So many calls of the other side are answered side by side; each has `ANSWER_WITHIN_S`."""
LONGEST_CALL_ID: Final = 200
VIOLATIONS: Final = frozenset({1002, 1007, 1009})
"""With these codes `websockets` closes a connection whose frames are not those of a WebSocket, or too large."""
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
        self._inbound = Inbound()
        self._said_unreadable = False
        self._lost: ConnectionLostError | None = None

    async def serve(self) -> None:
        """Read frames until the connection is lost. Raises `ConnectionLostError`, always; a `PeerViolationError` where
        the other side sends what is not taken."""
        try:
            while True:
                if not self._receive(await self._connection.recv(decode=False)):
                    await asyncio.sleep(0)  # frames that are there already are read without a turn of the loop
        except ConnectionClosed as closed:
            raise self._lose(_loss(closed)) from None
        except PeerViolationError as violation:
            raise self._lose(violation) from None
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
            raise _again(self._lost)
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
            raise _again(self._lose(_loss(closed))) from None
        finally:
            self._calls.pop(call_id, None)
            if answer.done() and not answer.cancelled():
                answer.exception()  # a connection that is lost in mid-sending fails both the sending and the answer

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

    def _receive(self, data: bytes) -> bool:
        """Takes one frame; True for the answer to a call."""
        now = asyncio.get_running_loop().time()
        frame = self._inbound.read(data, now)
        match frame:
            case {"response": {"call_id": str(call_id), **response}} if call_id in self._calls:
                if not (call := self._calls[call_id]).done():
                    call.set_result(response.get("result"))
                return True
            case {"request": {"method": str(method), **request}} if _is_call_id(request.get("call_id")):
                self._begin_answer(method, request.get("arguments"), request.get("call_id"))
            case {"response": {"call_id": str()}}:
                log.debug("ignored an answer that came too late")
            case None:
                self._say_unreadable(f"a frame of {len(data):,} bytes that is not a JSON object")
            case _:
                what = f"a frame of {len(data):,} bytes that is neither request nor response"
                self._inbound.unreadable(what)
                self._say_unreadable(what)
        self._inbound.count_unasked(now)
        return False

    def _begin_answer(self, method: str, arguments: Any, call_id: Any) -> None:
        if len(self._answers) >= CALLS_AT_ONCE:
            raise PeerViolationError(f"more than {CALLS_AT_ONCE} of its calls wait for an answer")
        task = asyncio.create_task(self._answer(method, arguments, call_id))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    def _say_unreadable(self, what: str) -> None:
        """Logs the first frame of the connection that means nothing."""
        log.log(logging.DEBUG if self._said_unreadable else logging.WARNING, "ignored %s", what)
        self._said_unreadable = True

    async def _answer(self, method: str, arguments: Any, call_id: Any) -> None:
        """Answer one call; whatever goes wrong is the other side's to read, and ours to log."""
        handler = self._handlers.get(method)
        if handler is None:
            log.warning("the other side called %r, which is unknown here", method[:100])
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

    def _lose(self, loss: ConnectionLostError) -> ConnectionLostError:
        """Lets every call fail that still waits for an answer. Returns the first reason that there was."""
        self._lost = self._lost or loss
        for call in self._calls.values():
            if not call.done():
                call.set_exception(_again(self._lost))
        return self._lost

    async def _channel_id(self, _: dict[str, Any]) -> str:
        return self._id


def _loss(closed: ConnectionClosed) -> ConnectionLostError:
    if closed.sent is not None and closed.sent.code in VIOLATIONS and not closed.rcvd_then_sent:
        limit = f"frames of up to {FRAME_BYTES // 2**20} MiB are taken"
        return PeerViolationError(f"what it sent is not taken: {str(closed.sent)[:200]}; {limit}")
    return ConnectionLostError(f"the connection was closed: {str(closed)[:300]}")


def _again(loss: ConnectionLostError) -> ConnectionLostError:
    """The same reason, to be raised in another place."""
    return type(loss)(str(loss))


def _is_call_id(value: Any) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= LONGEST_CALL_ID)


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
            max_size=FRAME_BYTES,
        )
    except (OSError, TimeoutError, WebSocketException) as error:
        raise ConnectError(f"no WebSocket at {url}: {error or type(error).__name__}") from error
    return RpcChannel(connection, handlers, call_timeout_s=call_timeout_s)
