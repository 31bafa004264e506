"""The uplink to an Open Pectus aggregator.

The life of a connection: register, connect, ping, wait to be asked who we are; then UodInfoMsg, and the repair of the
run, because the aggregator forgets all of a run but its id when a connection ends, and that too when it is killed. Then
all that has waited, oldest first and one tick a message; then a snapshot of all tags and all states, in the turn in
which nothing waits any more; and then what comes.

One message is in flight at a time: the aggregator does everything in one thread, and answers users between two of our
messages. Every way in which a connection can end is a reason for the next one.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections import Counter
from collections.abc import Awaitable
from itertools import count
from typing import Any, Final, TypeVar, cast

import httpx

from engine.backoff import backoff_s
from engine.store import Store
from engine.uplinks.address import parse_address
from engine.uplinks.contract import Engine, TagsFrame, UplinkStatus
from engine.uplinks.entries import Entry
from engine.uplinks.outbox import Outbox
from engine.uplinks.plot_log import is_recorded, newest_stored
from engine.uplinks.registration import RefusedError, register
from engine.uplinks.splitting import parts_of
from protocol.aggregator_messages import AggregatorMessage, ExecuteControlCommandMsg, InjectCodeMsg
from protocol.engine_messages import EngineMessage, RunStoppedMsg
from protocol.exceptions import (
    CallTimeoutError,
    PeerViolationError,
    ProtocolDeserializationException,
    ProtocolException,
    ProtocolNetworkException,
)
from protocol.frames import addressed, message_body, tags_updated_body
from protocol.messages import ErrorMessage, SuccessMessage
from protocol.models import MethodState, RunLog
from protocol.rpc import OUTBOUND_LIMIT, RpcChannel, open_channel
from protocol.serialization import deserialize, encode

log = logging.getLogger("skidlink.engine.uplinks.aggregator")

LONGEST_WAIT_S: Final = 0.5
"""Between two tries, so that a network that is back is noticed within a second."""
CONNECT_TIMEOUT_S: Final = 1.5
REST_TIMEOUT_S: Final = 2.0
REQUEST_TIMEOUT_S: Final = 3.0
"""An aggregator that is alive answers within milliseconds, but for ..."""
TIMEOUT_S_PER_BYTE: Final = 30e-6
"""... the first samples of a run: it takes 4 ms for each of their tags, which are some 150 bytes."""
IDLE_S: Final = 2.0
"""A link without traffic is pinged this often."""
VIOLATION_WAIT_S: Final = 10.0
"""After a connection on which the other side sent what is not taken."""
RECORDS_WITHIN_S: Final = 120.0
"""An aggregator that still sends its records after so long will never end."""
CLOSE_WITHIN_S: Final = 2.0
STEADY_S: Final = 5.0
"""A connection that lived this long was a good one: its end is news, and the next try comes at once."""
LONGEST_SHOWN: Final = 500
"""Characters of what the other side says that are logged."""
KINDS_OF_REFUSAL: Final = 100
"""Different refusals that are remembered, so that each is logged once."""
MAINTAIN_EVERY_S: Final = 5.0
MEMORY_BYTES: Final = 64 * 2**20
"""The bound of an outbox that has no file."""
TOLD_OTHERWISE: Final = (InjectCodeMsg, ExecuteControlCommandMsg)
"""Commands whose refusal users read in the error log, where the engine has written it. Of an error reply to these the
web page shows nothing but "Internal Server Error" or "Bad Request", so the reply is a success: it has arrived."""
NO_RUN: Final = message_body(
    RunStoppedMsg(
        run_id="", runlog=RunLog.empty(), method_state=MethodState.empty(), archive=None, archive_filename=None
    )
)
"""Ends whatever run the aggregator believes in; where there is none it means nothing."""


Told = TypeVar("Told")


class AggregatorUplink:
    """Delivers to one aggregator, over as many connections as it takes."""

    name = "aggregator"

    def __init__(self, engine: Engine, target: str, *, secret: str = "", outbox: Outbox | None = None) -> None:
        """`target` is HOST:PORT or a URL. Raises `UplinkError` when it is neither.

        Without an outbox one in memory is made: then nothing that waits outlives the engine.
        """
        self.status = UplinkStatus(takes_commands=True)
        self._engine = engine
        self._address = parse_address(target)
        self._secret = secret
        self._tls = ssl.create_default_context() if self._address.secure else None
        self._memory = Store() if outbox is None else None
        self._outbox = outbox or Outbox(cast("Store", self._memory), limit_bytes=MEMORY_BYTES)
        self._sequence_numbers = count(1)
        self._engine_id = ""
        self._identified = asyncio.Event()
        self._refusals: Counter[str] = Counter()
        self._trouble = ""
        self._connected_at = 0.0

    async def run(self) -> None:
        if self._memory:
            self._memory.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._maintain())
                tasks.create_task(self._connect_again_and_again())
        finally:
            if self._memory:
                await self._memory.close()

    def put(self, item: TagsFrame | EngineMessage) -> None:
        for part in parts_of(item) if isinstance(item, TagsFrame) else (item,):
            self._outbox.put(part)
        self._count()

    async def close(self) -> None:
        if self.status.connected:
            try:
                async with asyncio.timeout(CLOSE_WITHIN_S):
                    await self._outbox.emptied()
            except TimeoutError:
                pass
        if self._outbox.waiting:
            fate = "are lost" if self._memory else "are kept for the next start"
            log.warning("%s: %d messages could not be delivered and %s", self._address, self._outbox.waiting, fate)

    async def _maintain(self) -> None:
        while True:
            await self._outbox.maintain()
            self._count()
            await asyncio.sleep(MAINTAIN_EVERY_S)

    async def _connect_again_and_again(self) -> None:
        timeout = httpx.Timeout(REST_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        failures = 0
        # No connection is kept for later: one that was cut without a word would cost a time-out.
        limits = httpx.Limits(max_keepalive_connections=0)
        async with httpx.AsyncClient(verify=self._tls or False, timeout=timeout, limits=limits) as http:
            while True:
                wait_s = 0.0
                try:
                    await self._connection(http)
                except RefusedError as refusal:
                    self._say(str(refusal))
                    wait_s = refusal.wait_s
                except PeerViolationError as violation:
                    self._say(f"{self._address}: {violation}; trying again in {VIOLATION_WAIT_S:g} s")
                    wait_s = VIOLATION_WAIT_S
                except ProtocolNetworkException as error:
                    self._say(f"{self._address}: {error}")
                self._outbox.go_offline()
                failures = 0 if self._steady else failures + 1
                self.status.connected = False
                await asyncio.sleep(max(wait_s, backoff_s(failures, LONGEST_WAIT_S)))

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
                tasks.create_task(self._deliver(channel, http))
        except* ProtocolNetworkException as group:
            ends.extend(group.exceptions)
        finally:
            await channel.close()
        raise next((end for end in ends if isinstance(end, PeerViolationError)), ends[0])

    async def _deliver(self, channel: RpcChannel, http: httpx.AsyncClient) -> None:
        """Tell everything there is, and then what comes; ping when nothing comes."""
        await channel.ping()
        await self._asked_who_we_are()
        self._connected()
        info = self._engine.uod_info()
        self._outbox.retain_s = info.data_log_interval_seconds
        await self._send(channel, message_body(info))
        await self._repair(channel, http)
        while True:
            while entry := await self._outbox.next():
                await self._send_entry(channel, entry)
            # What comes from here on comes after this snapshot: there is no other turn between.
            snapshot, states = self._engine.snapshot(), self._engine.states()
            self._outbox.go_live()
            for part in parts_of(snapshot):
                await self._send(channel, tags_updated_body(part.tags, part.run_id))
            for state in states:
                await self._send(channel, message_body(state))
            while self._outbox.live:
                await self._deliver_next(channel)

    async def _deliver_next(self, channel: RpcChannel) -> None:
        if entry := await self._outbox.next():
            await self._send_entry(channel, entry)
            return
        try:
            async with asyncio.timeout(IDLE_S):
                await self._outbox.filled()
        except TimeoutError:
            await channel.ping()

    async def _repair(self, channel: RpcChannel, http: httpx.AsyncClient) -> None:
        """Bring the aggregator to the run that our next message belongs to, and find out what it has of it."""
        outbox = self._outbox
        while (first := await outbox.first_run()) is not None:
            start, ended = first
            if ended and await self._told_within(is_recorded(http, self._address, start.run)):
                await outbox.forget(start.run)
                continue
            await self._send(channel, start.body)
            newest = await self._told_within(newest_stored(http, self._address, self._engine_id))
            await outbox.rewind(start, newest)
            break
        else:
            await self._send(channel, NO_RUN)
            await outbox.rewind()
        self._count()

    async def _told_within(self, answer: Awaitable[Told]) -> Told | None:
        """What the aggregator tells of its records; None where it does not come to an end."""
        try:
            async with asyncio.timeout(RECORDS_WITHIN_S):
                return await answer
        except TimeoutError:
            log.warning(
                "%s has not told all of its records within %g s; going on without", self._address, RECORDS_WITHIN_S
            )
            return None

    async def _send_entry(self, channel: RpcChannel, entry: Entry) -> None:
        await self._send(channel, entry.body)
        self._outbox.acknowledge(entry)
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
            self._refused(f"answered a message with what cannot be read: {str(error)[:LONGEST_SHOWN]}")
            return
        if isinstance(reply, SuccessMessage):
            self.status.sent += 1
        else:
            self._refused(f"refused a message, which is lost: {str(reply)[:LONGEST_SHOWN]}")

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
        reply = await self._engine.handle(message)
        if isinstance(reply, ErrorMessage) and isinstance(message, TOLD_OTHERWISE):
            reply = SuccessMessage()
        return encode(reply).decode()

    def _connected(self) -> None:
        self.status.connected = True
        self._connected_at = time.monotonic()
        self.status.state = f"connected to {self._address} as {self._engine_id}"
        log.info("%s; %d messages have waited", self.status.state, self._outbox.waiting)

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
        status, outbox = self.status, self._outbox
        status.queued, status.dropped, status.fill = outbox.waiting, outbox.lost, outbox.fill
