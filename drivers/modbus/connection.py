"""One open TCP connection: sends a batch of requests to a device, in step with what that device bears.

Rules of this file:

* One batch at a time; within it as many requests are open as the device takes. A batch has one future and one timer.
* Which answer belongs to which request is decided in `transactions`, never here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from drivers.contract import LinkError
from drivers.modbus.counters import DeviceCounters, LinkCounters
from drivers.modbus.frames import FrameBuffer, FramingError, frame
from drivers.modbus.options import DeviceOptions
from drivers.modbus.pdu import (
    ACKNOWLEDGE,
    DEVICE_BUSY,
    Flaw,
    Refusal,
    Reply,
    Request,
)
from drivers.modbus.transactions import Transaction, Transactions

BUSY_PAUSE_S = 0.05
"""How long a device that says it is busy is left alone."""
BUSY = frozenset({DEVICE_BUSY})
BUSY_READING = frozenset({ACKNOWLEDGE, DEVICE_BUSY})
"""The exceptions after which to ask again. A write that is acknowledged is being done, and is not sent twice."""


@dataclass(slots=True)
class Device:
    """One device id on a link."""

    name: str
    options: DeviceOptions
    counters: DeviceCounters = field(default_factory=DeviceCounters)


class _Batch:
    """Requests to one device that are under way."""

    __slots__ = (
        "attempts",
        "device",
        "done",
        "heard",
        "once",
        "pause",
        "replies",
        "requests",
        "timeout",
        "unanswered",
        "waiting",
        "window",
    )

    def __init__(self, device: Device, requests: Sequence[Request], once: bool, done: asyncio.Future[None]) -> None:
        options = device.options
        self.device = device
        self.requests = requests
        self.once = once
        self.done = done
        self.replies: list[Reply | None] = [None] * len(requests)
        self.waiting = deque(range(len(requests)))
        """The places of requests that are yet to be sent."""
        self.attempts = [0] * len(requests)
        self.unanswered = len(requests)
        self.heard = 0.0
        """When the last reply came: a device answers one after the other, and the next has its time from then."""
        self.window = 1 if options.pause_between_requests_ms else options.max_in_flight
        self.timeout = options.timeout_ms / 1000
        self.pause = options.pause_between_requests_ms / 1000


class SilenceError(Exception):
    """A request has had no answer, repeats included."""


class Connection(asyncio.BufferedProtocol):
    """One open connection. Knows what it sent; forgets it all when it is closed."""

    def __init__(self, counters: LinkCounters, *, answers_zero: bool = False) -> None:
        self.transactions = Transactions(counters, answers_zero=answers_zero)
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._counters = counters
        self._frames = FrameBuffer()
        self._transport: asyncio.Transport | None = None
        self._batch: _Batch | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._wakeup: asyncio.TimerHandle | None = None
        self._quiet_until = 0.0
        self._end = ""
        """Why nothing can be sent any longer; empty while the connection is sound."""

    async def run(self, device: Device, requests: Sequence[Request], *, once: bool) -> list[Reply]:
        """Send requests and wait for all their replies, in the order of the requests.

        `once`: a request is repeated only where the device said that it did nothing. Raises `SilenceError`, or
        `LinkError` when the connection is lost.
        """
        batch = _Batch(device, requests, once, self._loop.create_future())
        self._batch = batch
        try:
            self._send()
            await batch.done
        finally:
            self._batch = None
            self._cancel_timers()
            self.transactions.give_up_all(self._loop.time())
        return [reply for reply in batch.replies if reply is not None]

    def hold(self, seconds: float) -> None:
        """Send nothing for a while."""
        self._quiet_until = self._loop.time() + seconds

    async def close(self) -> None:
        """Let the connection go at once."""
        if self._transport is not None:
            self._transport.abort()
            await self.closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        return self._frames.space()

    def buffer_updated(self, nbytes: int) -> None:
        now = self._loop.time()
        self._counters.bytes_received += nbytes
        try:
            for number, device_id, pdu in self._frames.received(nbytes):
                answered = self.transactions.answered(number, device_id, pdu, now)
                if answered is not None and self._batch is not None:
                    self._take(self._batch, *answered, now)
        except FramingError as error:
            self._break(str(error))
            return
        if self._batch is not None and self._batch.waiting:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._break(f"the connection was lost: {exc}" if exc else "the other side closed the connection")
        if not self.closed.done():
            self.closed.set_result(None)

    def _break(self, why: str) -> None:
        """Give the connection up; the first reason is the one that is told."""
        self._end = self._end or why
        if self._batch is not None and not self._batch.done.done():
            self._batch.done.set_exception(LinkError(self._end))
        if self._transport is not None:
            self._transport.abort()

    def _take(self, batch: _Batch, transaction: Transaction, reply: Reply, now: float) -> None:
        """Keep a reply, or ask again where asking again can help."""
        slot = transaction.slot
        batch.heard = now
        if batch.pause:
            self._quiet_until = now + batch.pause
        if not isinstance(reply, bytes):
            busy = isinstance(reply, Refusal) and reply.code in (BUSY if batch.once else BUSY_READING)
            if (busy or (isinstance(reply, Flaw) and not batch.once)) and self._repeat(batch, slot):
                if busy:
                    self._quiet_until = now + max(batch.pause, BUSY_PAUSE_S)
                return
        batch.replies[slot] = reply
        batch.unanswered -= 1
        if not batch.unanswered and not batch.done.done():
            batch.done.set_result(None)

    def _repeat(self, batch: _Batch, slot: int) -> bool:
        """Queue a request again, unless it has been sent often enough."""
        batch.attempts[slot] += 1
        if batch.attempts[slot] > batch.device.options.retries:
            return False
        batch.waiting.appendleft(slot)
        batch.device.counters.repeats += 1
        return True

    def _send(self) -> None:
        """Send as many requests as the device takes now."""
        batch, transport = self._batch, self._transport
        if self._wakeup is not None:
            self._wakeup.cancel()
            self._wakeup = None
        if batch is None or transport is None:
            return
        if transport.is_closing():
            self._break("the connection is closed")
            return
        now = self._loop.time()
        if now < self._quiet_until:
            self._wakeup = self._loop.call_at(self._quiet_until, self._send)
            return
        transactions, counters = self.transactions, batch.device.counters
        device_id = batch.device.options.device_id
        window = 1 if transactions.answers_zero else batch.window
        frames: list[bytes] = []
        while batch.waiting and len(transactions) < window:
            slot = batch.waiting.popleft()
            request = batch.requests[slot]
            number = transactions.begin(device_id, request, slot, now, counters).number
            frames.append(frame(number, device_id, request.pdu))
        if not frames:
            return
        data = b"".join(frames)
        counters.requests += len(frames)
        counters.bytes_sent += len(data)
        self._counters.bytes_sent += len(data)
        transport.write(data)
        if self._timer is None:
            self._timer = self._loop.call_at(now + batch.timeout, self._watch)

    def _watch(self) -> None:
        """Give up what has waited too long, and look again when the next could have."""
        self._timer = None
        batch = self._batch
        if batch is None or batch.done.done():
            return
        now = self._loop.time()
        for transaction in list(self.transactions):
            due = max(transaction.sent, batch.heard) + batch.timeout
            if now < due:
                self._timer = self._loop.call_at(due, self._watch)
                break
            self.transactions.give_up(transaction, now)
            batch.device.counters.timeouts += 1
            if batch.once or not self._repeat(batch, transaction.slot):
                batch.done.set_exception(SilenceError())
                return
        if batch.waiting:
            self._send()

    def _cancel_timers(self) -> None:
        for timer in (self._timer, self._wakeup):
            if timer is not None:
                timer.cancel()
        self._timer = self._wakeup = None
