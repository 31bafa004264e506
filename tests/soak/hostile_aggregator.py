"""What a hostile aggregator, or somebody who has reached one, does to an engine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable

from websockets.exceptions import ConnectionClosed

from tests.soak.receiver import Receiver

DEEDS: tuple[str, ...] = (
    "a line of digits", "many lines", "a long line", "deeply nested", "a large frame", "a binary frame", "not JSON",
    "many calls", "an odd call", "an unknown message", "close", "deaf", "endless version", "slow version",
)  # fmt: skip
DEAF_S = 3.0


class HostileAggregator:
    """Does one deed after another to the engine that is connected."""

    def __init__(self, receiver: Receiver, chance: random.Random) -> None:
        self._receiver = receiver
        self._chance = chance
        self.done: Counter[str] = Counter()
        self._deeds: dict[str, Callable[[], Awaitable[None]]] = {
            "a line of digits": lambda: receiver.inject("1" * 60_000 + " Mark: x"),
            "many lines": lambda: receiver.inject("\n".join(["Mark: x"] * 20_000)),
            "a long line": lambda: receiver.inject("Mark: " + "x" * 1_000_000),
            "deeply nested": lambda: self._send("[" * 100_000),
            "a large frame": lambda: self._send(json.dumps({"request": None, "response": "x" * 12_000_000})),
            "a binary frame": lambda: self._send(b"\0" * 1000),
            "not JSON": lambda: self._send("HTTP/1.1 400 Bad Request\r\n\r\n"),
            "many calls": self._many_calls,
            "an odd call": self._odd_calls,
            "an unknown message": lambda: self._call({"_type": "NoSuchMsg", "_ns": "os.system"}, "x"),
            "close": self._close,
            "deaf": self._deaf,
            "endless version": lambda: self._at_reconnect(_without_end),
            "slow version": lambda: self._at_reconnect(_drop_by_drop),
        }

    async def work(self) -> None:
        """Go on until cancelled, each deed once before any comes again."""
        deeds: list[str] = []
        while True:
            if not deeds:
                deeds = list(DEEDS)
                self._chance.shuffle(deeds)
            await asyncio.sleep(self._chance.uniform(0.2, 1.5))
            if not self._receiver.aggregator.connections:
                continue
            deed = deeds.pop()
            self.done[deed] += 1
            with contextlib.suppress(ConnectionClosed):  # the engine may well hang up
                await self._deeds[deed]()

    async def _send(self, frame: str | bytes) -> None:
        await self._receiver.aggregator.connection.send(frame)

    async def _call(self, message: object, call_id: object) -> None:
        call = {"method": "dispatch_message_async", "arguments": {"message_json": message}, "call_id": call_id}
        await self._send(json.dumps({"request": call, "response": None}))

    async def _many_calls(self) -> None:
        for number in range(5_000):
            await self._call({"_type": "InjectCodeMsg", "_ns": "openpectus.protocol.aggregator_messages"}, number)

    async def _odd_calls(self) -> None:
        for call_id in (None, -1, 10**400, [], {"a": 1}, "\x00\x1b[2J", "x" * 100_000):
            await self._call({}, call_id)
        await self._send('{"request": 7, "response": []}')
        await self._send('{"response": {"result": NaN, "call_id": "none"}, "request": null}')

    async def _close(self) -> None:
        await self._receiver.aggregator.connection.close(self._chance.choice((1000, 1001, 1011, 1012)))

    async def _deaf(self) -> None:
        self._receiver.aggregator.deaf = True
        await asyncio.sleep(DEAF_S)
        self._receiver.aggregator.deaf = False
        await self._receiver.aggregator.connection.close()  # what it did not answer is sent again

    async def _at_reconnect(self, answer: Callable[[asyncio.StreamWriter], Awaitable[None]]) -> None:
        """Answer the next questions for the version badly, for a while."""
        aggregator = self._receiver.aggregator
        aggregator.version_stream = answer
        await aggregator.connection.close()
        await asyncio.sleep(DEAF_S)
        aggregator.version_stream = None


async def _without_end(writer: asyncio.StreamWriter) -> None:
    """A body that never ends, until the client hangs up."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"9" * 65_536)
        await writer.drain()


async def _drop_by_drop(writer: asyncio.StreamWriter) -> None:
    """A body of which a byte comes now and then."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while True:
        writer.write(b"9")
        await writer.drain()
        await asyncio.sleep(0.5)
