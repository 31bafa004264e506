"""The uplink to an Open Pectus aggregator.

The life of a connection: register, connect, ping, wait to be asked who we are; then UodInfoMsg, what has waited since
the last connection, a snapshot of all tags, and what comes after it. The aggregator forgets all tags when a connection
ends, so the snapshot is whole. An older sample after a newer one would be shown as the newer, so the snapshot is taken
in the same turn as the end of what has waited is marked, and is sent at that mark.

One message is in flight at a time: the aggregator does everything in one thread, and answers users between two of our
messages. Every way in which a connection can end is a reason for the next one.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections import Counter
from itertools import count
from typing import Any, Final, cast

import httpx

from engine.links import backoff_s
from engine.uplinks.address import parse_address
from engine.uplinks.backlog import Backlog, Entry
from engine.uplinks.contract import Engine, TagsFrame, UplinkStatus
from engine.uplinks.registration import RefusedError, register
from protocol.aggregator_messages import AggregatorMessage
from protocol.engine_messages import EngineMessage
from protocol.exceptions import (
    CallTimeoutError,
    ProtocolDeserializationException,
    ProtocolException,
    ProtocolNetworkException,
)
from protocol.frames import addressed, message_body, tags_updated_body
from protocol.messages import ErrorMessage, SuccessMessage
from protocol.rpc import OUTBOUND_LIMIT, RpcChannel, open_channel
from protocol.serialization import deserialize, encode

log = logging.getLogger("skidlink.engine.uplinks.aggregator")

LONGEST_WAIT_S: Final = 0.8
"""Between two tries, so that a network that is back is noticed within a second."""
CONNECT_TIMEOUT_S: Final = 1.5
REST_TIMEOUT_S: Final = 5.0
REQUEST_TIMEOUT_S: Final = 3.0
"""An aggregator that is alive answers within milliseconds, but for ..."""
TIMEOUT_S_PER_BYTE: Final = 30e-6
"""... the first samples of a run: it takes 4 ms for each of their tags, which are some 150 bytes."""
IDLE_S: Final = 2.0
"""A link without traffic is pinged this often."""
CLOSE_WITHIN_S: Final = 2.0
STEADY_S: Final = 5.0
"""A connection that lived this long was a good one: its end is news, and the next try comes at once."""
KINDS_OF_REFUSAL: Final = 100
"""Different refusals that are remembered, so that each is logged once."""


class AggregatorUplink:
    """Delivers to one aggregator, over as many connections as it takes."""

    name = "aggregator"

    def __init__(self, engine: Engine, target: str, *, secret: str = "", backlog: Backlog | None = None) -> None:
        """`target` is HOST:PORT or a URL. Raises `UplinkError` when it is neither."""
        self.status = UplinkStatus()
        self._engine = engine
        self._address = parse_address(target)
        self._secret = secret
        self._tls = ssl.create_default_context() if self._address.secure else None
        self._backlog = Backlog() if backlog is None else backlog
        self._sequence_numbers = count(1)
        self._engine_id = ""
        self._identified = asyncio.Event()
        self._refusals: Counter[str] = Counter()
        self._trouble = ""
        self._connected_at = 0.0

    async def run(self) -> None:
        timeout = httpx.Timeout(REST_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        failures = 0
        async with httpx.AsyncClient(verify=self._tls or False, timeout=timeout) as http:
            while True:
                wait_s = 0.0
                try:
                    await self._connection(http)
                except RefusedError as refusal:
                    self._say(str(refusal))
                    wait_s = refusal.wait_s
                except ProtocolNetworkException as error:
                    self._say(f"{self._address}: {error}")
                failures = 0 if self._steady else failures + 1
                self.status.connected = False
                await asyncio.sleep(max(wait_s, backoff_s(failures, LONGEST_WAIT_S)))

    def put(self, item: TagsFrame | EngineMessage) -> None:
        if isinstance(item, TagsFrame):
            body, plot = tags_updated_body(item.tags, item.run_id), True
        else:
            body, plot = message_body(item), False
        self._backlog.put(body, plot=plot)
        self._count()

    async def close(self) -> None:
        if self.status.connected:
            try:
                async with asyncio.timeout(CLOSE_WITHIN_S):
                    await self._backlog.emptied()
            except TimeoutError:
                pass
        if len(self._backlog):
            log.warning("%s: %d messages could not be delivered before the end", self._address, len(self._backlog))

    @property
    def _steady(self) -> bool:
        """Whether the connection has lived long enough for its end to be news."""
        return self.status.connected and time.monotonic() - self._connected_at > STEADY_S

    async def _connection(self, http: httpx.AsyncClient) -> None:
        """Live through one connection. Never returns; raises why it ended, or never began."""
        message = self._engine.registration().model_copy(update={"secret": self._secret})
        self._engine_id = await register(http, self._address, message)
        self._identified.clear()
        channel = await open_channel(
            self._address.websocket("/engine-rpc"),
            {"get_engine_id_async": self._identify, "dispatch_message_async": self._dispatch},
            tls=self._tls,
            connect_timeout_s=CONNECT_TIMEOUT_S,
            call_timeout_s=REQUEST_TIMEOUT_S,
        )
        ends: list[BaseException] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(channel.serve())
                tasks.create_task(self._deliver(channel))
        except* ProtocolNetworkException as group:
            ends.extend(group.exceptions)
        finally:
            await channel.close()
        raise ends[0]

    async def _deliver(self, channel: RpcChannel) -> None:
        """Send everything there is, and then what comes; ping when nothing comes."""
        await channel.ping()
        await self._asked_who_we_are()
        self._connected()
        await self._send(channel, message_body(self._engine.uod_info()))
        snapshot, mark = self._engine.snapshot(), self._backlog.newest
        while (entry := self._backlog.peek()) and entry.number <= mark:
            await self._send_entry(channel, entry)
        await self._send(channel, tags_updated_body(snapshot.tags, snapshot.run_id))
        while True:
            if entry := self._backlog.peek():
                await self._send_entry(channel, entry)
                continue
            try:
                async with asyncio.timeout(IDLE_S):
                    await self._backlog.filled()
            except TimeoutError:
                await channel.ping()

    async def _send_entry(self, channel: RpcChannel, entry: Entry) -> None:
        await self._send(channel, entry.body)
        self._backlog.pop(entry)
        self._count()

    async def _send(self, channel: RpcChannel, body: bytes) -> None:
        """Send one message and count how it was taken. Raises when nobody can say whether it arrived."""
        if len(body) > OUTBOUND_LIMIT:
            self._refused(f"a message of {len(body) / 2**20:.0f} MiB is more than it takes; it is left out")
            return
        message = addressed(body, self._engine_id, next(self._sequence_numbers))
        timeout_s = REQUEST_TIMEOUT_S + len(body) * TIMEOUT_S_PER_BYTE
        try:
            reply = await channel.dispatch(message, timeout_s=timeout_s)
        except ProtocolException as error:  # an answer all the same: to send the message again would not change it
            self._refused(f"answered a message with what cannot be read: {error}")
            return
        if isinstance(reply, SuccessMessage):
            self.status.sent += 1
        else:
            self._refused(f"refused a message, which is lost: {reply}")

    async def _asked_who_we_are(self) -> None:
        """Wait until the aggregator knows whose connection this is: before, commands of users would not find us."""
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                await self._identified.wait()
        except TimeoutError:
            raise CallTimeoutError("the aggregator did not ask who we are") from None

    async def _identify(self, _: dict[str, Any]) -> str:
        self._identified.set()
        return self._engine_id

    async def _dispatch(self, arguments: dict[str, Any]) -> str:
        """Take a command of a user."""
        raw = arguments.get("message_json")
        try:
            message = deserialize(cast("dict[str, Any]", raw) if isinstance(raw, dict) else {})
        except ProtocolDeserializationException as error:
            log.warning("%s sent a command that cannot be read: %s", self._address, error)
            return encode(ErrorMessage(message=f"the engine cannot read this command: {error}")).decode()
        if not isinstance(message, AggregatorMessage):
            return encode(ErrorMessage(message=f"{type(message).__name__} is no command")).decode()
        return encode(await self._engine.handle(message)).decode()

    def _connected(self) -> None:
        self.status.connected = True
        self._connected_at = time.monotonic()
        self.status.state = f"connected to {self._address} as {self._engine_id}"
        log.info("%s; %d messages have waited", self.status.state, len(self._backlog))

    def _say(self, trouble: str) -> None:
        """Show what is wrong, and log it when it is something new: the next try comes within a second."""
        self.status.state = trouble
        log.log(logging.DEBUG if trouble == self._trouble and not self._steady else logging.WARNING, "%s", trouble)
        self._trouble = trouble

    def _refused(self, what: str) -> None:
        """Count a refusal; of equal ones the first, the tenth, the hundredth ... is logged."""
        self.status.refused += 1
        self._refusals[what] += 1
        times = self._refusals[what]
        if times == 10 ** (len(str(times)) - 1):
            log.error("%s %s%s", self._address, what, f" ({times} times)" if times > 1 else "")
        if len(self._refusals) > KINDS_OF_REFUSAL:
            self._refusals.clear()

    def _count(self) -> None:
        self.status.queued, self.status.dropped = len(self._backlog), self._backlog.dropped
