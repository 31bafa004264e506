"""An aggregator of the tests' own: real HTTP and real WebSockets on the loopback, and faults on demand.

The real aggregator cannot be made to fall silent, to answer late, to refuse a message or to close with 1000 at a
chosen moment, so that what follows these is tried here; everything else is tried on the real one (tests/interop).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from engine.uplinks.aggregator import AggregatorUplink
from protocol.messages import MessageBase, SuccessMessage
from protocol.serialization import encode

LIMIT_BYTES = 16 * 2**20
"""The real aggregator takes no larger message."""
ACCEPTED = {"success": True, "engine_id": "lab-pc_SmallUod", "secret_match": True, "version_match": True}


class SmallAggregator:
    """Registers everybody and answers SuccessMessage, until a test says otherwise."""

    def __init__(self) -> None:
        self.address = ""
        self.version: tuple[int, str] = (200, '"0.1.1585"')
        """status and body of GET /version"""
        self.version_stream: Callable[[asyncio.StreamWriter], Awaitable[None]] | None = None
        """what writes the whole answer to GET /version, in the place of `version`"""
        self.rest: dict[str, Any] = {}
        """what GET answers, by path; elsewhere 404"""
        self.streams: dict[str, Callable[[asyncio.StreamWriter], Awaitable[None]]] = {}
        """what writes the answer to GET in its own time, by path"""
        self.registrations: list[dict[str, Any]] = []
        self.registration_replies: list[tuple[int, str]] = []
        """what is said to the next registrations, before all others are accepted: status and body"""
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        """the messages that were read, answered or not"""
        self.pings: asyncio.Queue[str] = asyncio.Queue()
        self.answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        """what the engine answers to our calls"""
        self.connections: list[ServerConnection] = []
        self.reply: Callable[[dict[str, Any]], Awaitable[MessageBase | str | None]] = self._accept
        """the reply to a message, or the text in its place; None: no answer, ever"""
        self.deaf = False
        """read on, and answer nothing at all"""
        self.ignored = asyncio.Event()
        """it was deaf to something"""
        self.asks_who = True

    @property
    def connection(self) -> ServerConnection:
        """The newest connection."""
        return self.connections[-1]

    async def next_types(self, count: int) -> list[str]:
        """The types of the next messages."""
        return [(await self.messages.get())["_type"] for _ in range(count)]

    async def call(self, method: str, call_id: str, **arguments: Any) -> None:
        """Call the engine."""
        request = {"method": method, "arguments": arguments, "call_id": call_id}
        await self.connection.send(json.dumps({"request": request, "response": None}))

    @asynccontextmanager
    async def running(self, tls: ssl.SSLContext | None = None) -> AsyncGenerator[SmallAggregator, None]:
        """Serve on a free port."""
        async with serve(self._serve, "127.0.0.1", 0, max_size=LIMIT_BYTES) as inner:
            inner_port = next(iter(inner.sockets)).getsockname()[1]
            fronts: set[asyncio.Task[None]] = set()

            def front(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                task = asyncio.create_task(self._front(reader, writer, inner_port))
                fronts.add(task)
                task.add_done_callback(fronts.discard)

            async with await asyncio.start_server(front, "127.0.0.1", 0, ssl=tls) as outer:
                self.address = f"127.0.0.1:{outer.sockets[0].getsockname()[1]}"
                try:
                    yield self
                finally:
                    for task in fronts:
                        task.cancel()
                    await asyncio.gather(*fronts, return_exceptions=True)

    async def _accept(self, _: dict[str, Any]) -> MessageBase | None:
        return SuccessMessage()

    async def _serve(self, connection: ServerConnection) -> None:
        self.connections.append(connection)
        with contextlib.suppress(ConnectionClosed):
            if self.asks_who:
                await self.call("get_engine_id_async", "who")
            async for frame in connection:
                assert isinstance(frame, str), "a binary frame would make the real aggregator deaf"
                call = json.loads(frame)
                if call["response"] is not None:
                    self.answers.put_nowait(call["response"])
                elif self.deaf:
                    self.ignored.set()
                else:
                    await self._answer(connection, call["request"])

    async def _answer(self, connection: ServerConnection, request: dict[str, Any]) -> None:
        if request["method"] == "_ping_":
            self.pings.put_nowait("ping")
            result = "pong"
        else:
            message = request["arguments"]["message_json"]
            self.messages.put_nowait(message)
            reply = await self.reply(message)
            if reply is None:
                return
            result = reply if isinstance(reply, str) else encode(reply).decode()
        response = {"result": result, "result_type": "str", "call_id": request["call_id"]}
        await connection.send(json.dumps({"request": None, "response": response}))

    async def _front(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, inner_port: int) -> None:
        """Answer HTTP, which `websockets` serves only by GET, and pass WebSockets on to it."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                line, *headers = head.decode().split("\r\n")
                if line.startswith("GET /engine-rpc "):
                    await self._pass_on(head, reader, writer, inner_port)
                    return
                lengths = [
                    int(header.split(":")[1]) for header in headers if header.lower().startswith("content-length")
                ]
                content = await reader.readexactly(sum(lengths))
                if self.version_stream and line.startswith("GET /version "):
                    await self.version_stream(writer)
                    return
                if stream := self.streams.get(line.split()[1]):
                    await stream(writer)
                    return
                status, body = self._http(line, content)
                answer = f"HTTP/1.1 {status} -\r\ncontent-length: {len(body.encode())}\r\n\r\n{body}"
                writer.write(answer.encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has gone, as clients do
        finally:
            writer.close()

    def _http(self, line: str, content: bytes) -> tuple[int, str]:
        if line.startswith("GET /version "):
            return self.version
        if line.startswith("GET /api/"):
            path = line.split()[1]
            return (200, json.dumps(self.rest[path])) if path in self.rest else (404, "")
        assert line.startswith("POST /engine-rest "), line
        self.registrations.append(json.loads(content))
        if self.registration_replies:
            return self.registration_replies.pop(0)
        return 200, registration_reply(**ACCEPTED)

    async def _pass_on(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, inner_port: int
    ) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", inner_port)
        inner_writer.write(head)

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            try:
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            finally:
                sink.close()

        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer), return_exceptions=True)


def registration_reply(**fields: Any) -> str:
    """The body of a reply to a registration."""
    namespace = "openpectus.protocol.aggregator_messages"
    return json.dumps({"version": 0, "_type": "RegisterEngineReplyMsg", "_ns": namespace, **fields})


@asynccontextmanager
async def running(uplink: AggregatorUplink) -> AsyncGenerator[AggregatorUplink]:
    """An uplink while it runs; its faults are those of the test."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(uplink.run())
        try:
            yield uplink
        finally:
            task.cancel()
