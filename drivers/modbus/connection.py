"""One open connection: sends a batch of requests to a device, in step with what that device bears.

Rules of this file:

* One batch at a time; within it as many requests are open as the device takes. A batch has one future and one timer.
* Which answer belongs to which request is decided in `transactions`, never here. Where that can only be told by their
  length, a request that is as long as that before it is sent in a wider form (`widening`), and cut to size here.
* Times on a serial line are counted from the last byte that was sent or heard on it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from drivers.modbus.batch import Batch
from drivers.modbus.counters import LinkCounters
from drivers.modbus.device import Device
from drivers.modbus.frames import Frames, FramingError
from drivers.modbus.losses import LostError, SilenceError
from drivers.modbus.patience import Attempt
from drivers.modbus.pdu import (
    ACKNOWLEDGE,
    DEVICE_BUSY,
    GATEWAY_PATH_UNAVAILABLE,
    GATEWAY_TARGET_SILENT,
    Flaw,
    Refusal,
    Reply,
    Request,
)
from drivers.modbus.transactions import Transaction, Transactions
from drivers.modbus.widening import narrowed

MOST_UNUSED = 1 << 20
"""How many bytes may come on a network without a response among them; a device floods, or is none."""
MOST_UNUSED_ON_A_LINE = 1 << 16
"""The same for lines, where what is no frame is looked through byte by byte."""
MOST_DOUBTS = 2
"""How often a request is sent again as its answer was in doubt, beside its retries."""
BUSY_PAUSE_S = 0.05
"""How long a device that says it is busy is left alone."""
BUSY = frozenset({DEVICE_BUSY})
BUSY_READING = frozenset({ACKNOWLEDGE, DEVICE_BUSY})
"""The exceptions after which to ask again. A write that is acknowledged is being done, and is not sent twice."""
PASSING = BUSY_READING | {GATEWAY_PATH_UNAVAILABLE, GATEWAY_TARGET_SILENT}
"""The exceptions that say nothing about what was asked for."""


@dataclass(frozen=True, slots=True)
class Pace:
    """What a serial line asks of time; nothing elsewhere."""

    byte_s: float = 0.0
    """How long one byte takes."""
    silence_s: float = 0.0
    """How long the line must have been silent before a request."""


class Outlet(Protocol):
    """The sending side of a transport: what a connection needs of `asyncio.Transport`."""

    def write(self, data: bytes, /) -> None: ...
    def is_closing(self) -> bool: ...
    def abort(self) -> None: ...


class Connection(asyncio.BufferedProtocol):
    """One open connection. Knows what it sent; forgets it all when it is closed."""

    def __init__(
        self,
        counters: LinkCounters,
        frames: Frames,
        pace: Pace,
        *,
        numbered: bool,
        before: Transactions | None = None,
    ) -> None:
        """`numbered`: False where it is known that the other side does not repeat transaction ids. `before`: what the
        connection before is owed."""
        self.transactions = Transactions(counters, numbered=numbered and frames.numbered)
        if before is not None:
            self.transactions.adopt(before, asyncio.get_running_loop().time())
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._loop = asyncio.get_running_loop()
        self._counters = counters
        self._frames = frames
        self._pace = pace
        self._outlet: Outlet | None = None
        self._batch: Batch | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._wakeup: asyncio.TimerHandle | None = None
        self._quiet_until = 0.0
        self.has_delivered = False
        """Whether it has brought any response."""
        self._unused = 0
        """How many bytes have come since the last response, or since requests were sent last."""
        self._end = ""
        """Why nothing can be sent any longer; empty while the connection is sound."""

    async def run(
        self, device: Device, requests: Sequence[Request], attempt: Attempt, *, once: bool = False, doubtful: int = 0
    ) -> list[Reply]:
        """Send requests and wait for all their replies, in the order of the requests.

        `once`: a request is repeated only where the device said that it did nothing. `doubtful`: so many of the last
        requests are not repeated at all. A request without an answer has the reply `Flaw.SILENCE` where the device
        answers others. Raises `SilenceError`, or `LinkError` when the connection is lost.
        """
        batch = Batch(device, requests, attempt, once, doubtful, self._loop.create_future())
        self._batch = batch
        self._unused = 0
        self.transactions.new_exchange()
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
        self._quiet_until = max(self._quiet_until, self._loop.time() + seconds)

    async def close(self) -> None:
        """Let the connection go at once."""
        if self._outlet is not None:
            self._outlet.abort()
            await self.closed

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._outlet = cast("Outlet", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - asyncio's signature
        return self._frames.space()

    def buffer_updated(self, nbytes: int) -> None:
        now = self._loop.time()
        self._counters.bytes_received += nbytes
        self._unused += nbytes
        if self._unused > (MOST_UNUSED if self._frames.numbered else MOST_UNUSED_ON_A_LINE):
            self._break(
                f"{self._unused} bytes came and no response among them: check that a Modbus device is at the other "
                "end, and that nothing else sends there"
            )
            return
        if self._pace.silence_s:
            self.hold(self._pace.silence_s)
        batch = self._batch
        if batch is not None:
            batch.device.counters.bytes_received += nbytes
        try:
            frames = self._frames.received(nbytes)
            if len(frames) > 1 and not self.transactions.numbered:
                frames = self.transactions.undoubted(frames, now)
            for number, device_id, pdu in frames:
                answered = self.transactions.answered(number, device_id, pdu, now)
                if answered is not None and batch is not None:
                    self._take(batch, *answered, now)
        except FramingError as error:
            self._break(str(error))
            return
        if batch is not None and batch.waiting:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._break(f"the connection was lost: {exc}" if exc else "the other side closed the connection")
        if not self.closed.done():
            self.closed.set_result(None)

    def _break(self, why: str) -> None:
        """Give the connection up; the first reason is the one that is told."""
        self._end = self._end or why
        if self._batch is not None and not self._batch.done.done():
            slot = self._at_fault(self._batch)
            self._batch.done.set_exception(LostError(self._end, list(self._batch.replies), slot))
        if self._outlet is not None:
            self._outlet.abort()

    def _at_fault(self, batch: Batch) -> int | None:
        """The place of the request at which the connection ends; None where it was not one of those wanted."""
        transaction = next(iter(self.transactions), None)
        if transaction is None:
            return None
        wanted = batch.requests[transaction.slot]
        if transaction.request is wanted:
            return transaction.slot
        if not transaction.is_probe:  # it may be what is beside the place that the device cannot bear
            batch.device.widening.unbearable(transaction.request, wanted)
        return None

    def _take(self, batch: Batch, transaction: Transaction, reply: Reply, now: float) -> None:
        """Keep a reply, or ask again where asking again can help."""
        batch.heard = now
        self._unused = 0
        self.has_delivered = True
        if batch.pause:
            self.hold(batch.pause)
        if reply is Flaw.COPY and not batch.once and batch.doubts[transaction.slot] <= batch.retries + MOST_DOUBTS:
            batch.doubts[transaction.slot] += 1
            if not transaction.is_probe:
                batch.waiting.appendleft(transaction.slot)
            return
        if transaction.is_probe:
            if not isinstance(reply, bytes):
                # It could be the late answer to something else: all there is left is to let the time pass for one.
                self.hold(batch.timeout)
                self.transactions.settle(transaction.device_id, now + batch.timeout)
            return
        slot = transaction.slot
        if transaction.request is not batch.requests[slot]:
            narrow = self._narrow(batch, transaction, reply)
            if narrow is None:
                batch.waiting.appendleft(slot)
                return
            reply = narrow
        elif batch.plain and slot in batch.plain and isinstance(reply, bytes):
            batch.device.widening.unanswered(batch.plain.pop(slot), transaction.request)
        if not isinstance(reply, bytes):
            busy = isinstance(reply, Refusal) and reply.code in (BUSY if batch.once else BUSY_READING)
            if (busy or (isinstance(reply, Flaw) and not batch.once)) and self._repeat(batch, slot):
                batch.waiting.appendleft(slot)
                if busy:
                    self.hold(max(batch.pause, BUSY_PAUSE_S))
                return
        batch.replies[slot] = reply
        batch.unanswered -= 1
        if not batch.unanswered and not batch.done.done():
            batch.done.set_result(None)

    @staticmethod
    def _narrow(batch: Batch, transaction: Transaction, reply: Reply) -> Reply | None:
        """What the answer to a wider form of a request says to the request; None where it has to be sent again."""
        wide, slot = transaction.request, transaction.slot
        if isinstance(reply, bytes):
            batch.device.widening.answered(wide, batch.requests[slot])
            return narrowed(reply, wide, batch.requests[slot])
        if isinstance(reply, Flaw):
            if reply is Flaw.COPY or batch.device.widening.is_known(wide, batch.requests[slot]):
                return reply
            batch.plain[slot] = wide
            return None
        if reply.code in PASSING:
            return reply
        batch.device.widening.refused(wide, batch.requests[slot])
        return None

    @staticmethod
    def _repeat(batch: Batch, slot: int) -> bool:
        """Whether a request may be sent again."""
        batch.attempts[slot] += 1
        if batch.attempts[slot] > batch.retries:
            return False
        batch.device.counters.repeats += 1
        return True

    @property
    def is_closing(self) -> bool:
        """Whether it is closed, or will be as soon as its transport has been told."""
        return self.closed.done() or (self._outlet is not None and self._outlet.is_closing())

    def _send(self) -> None:
        """Send as many requests as the device takes now."""
        batch, outlet = self._batch, self._outlet
        if self._wakeup is not None:
            self._wakeup.cancel()
            self._wakeup = None
        if batch is None or outlet is None:
            return
        if outlet.is_closing():
            self._break("the connection is closed")
            return
        now = self._loop.time()
        if now < self._quiet_until:
            self._wakeup = self._loop.call_at(self._quiet_until, self._send)
            return
        transactions, counters, waiting = self.transactions, batch.device.counters, batch.waiting
        device_id = batch.device.options.device_id
        numbered, frame, begin, requests = transactions.numbered, self._frames.frame, transactions.begin, batch.requests
        room = (batch.window if numbered else 1) - len(transactions)
        data: list[bytes] = []
        while waiting and room > 0:
            room -= 1
            slot = waiting[0]
            request, is_probe = (requests[slot], False) if numbered else self._unmistakable(batch, slot, now)
            if not is_probe:
                waiting.popleft()
            number = begin(device_id, request, slot, now, counters, is_probe).number
            data.append(frame(number, device_id, request.pdu))
        if not data:
            return
        counters.requests += len(data)
        sent = b"".join(data)
        counters.bytes_sent += len(sent)
        self._counters.bytes_sent += len(sent)
        outlet.write(sent)
        if self._timer is None:
            self._timer = self._loop.call_at(now + batch.timeout, self._watch)

    def _unmistakable(self, batch: Batch, slot: int, now: float) -> tuple[Request, bool]:
        """What to send for a request whose answer is known by its form alone, and whether that is a probe."""
        request, device, transactions = batch.requests[slot], batch.device, self.transactions
        device_id = device.options.device_id
        if slot not in batch.plain:
            mistakable = transactions.mistakable(device_id, request, now)
            if batch.doubts[slot]:
                mistakable[request.echo] = math.inf
            request = device.widening.of(request, mistakable)
        probe = transactions.probe(device_id, request, now)
        return (request, False) if probe is None else (probe, True)

    def _due(self, batch: Batch, transaction: Transaction) -> float:
        """When an open request has waited too long."""
        due = max(transaction.sent, batch.heard) + batch.timeout
        if self._pace.byte_s:
            request = transaction.request
            due += self._pace.byte_s * (self._frames.size(len(request.pdu)) + self._frames.size(request.reply_size))
        return due

    def _watch(self) -> None:
        """Give up what has waited too long, and look again when the next could have."""
        self._timer = None
        batch = self._batch
        if batch is None or batch.done.done():
            return
        now = self._loop.time()
        for transaction in list(self.transactions):
            due = self._due(batch, transaction)
            if now < due:
                self._timer = self._loop.call_at(due, self._watch)
                break
            if self._frames.is_amid_frame:
                batch.device.counters.timeouts += 1
                self._break(
                    f"only a part of a response came within {batch.timeout * 1000:.0f} ms: raise timeout_ms if the "
                    "line behind a gateway is slow"
                )
                return
            self.transactions.give_up(transaction, now)
            batch.device.counters.timeouts += 1
            once = batch.once and not transaction.is_probe
            if not once and self._repeat(batch, transaction.slot):
                if not transaction.is_probe:
                    batch.waiting.appendleft(transaction.slot)
            elif not (
                transaction.is_probe
                or transaction.request is batch.requests[transaction.slot]
                or (batch.brief and not batch.heard)
                or batch.device.widening.is_known(transaction.request, batch.requests[transaction.slot])
            ):
                batch.plain[transaction.slot] = transaction.request
                batch.waiting.appendleft(transaction.slot)
            elif not self._leave(batch, transaction):
                batch.done.set_exception(SilenceError())
                return
        if batch.waiting and not batch.done.done():
            self._send()

    @staticmethod
    def _leave(batch: Batch, transaction: Transaction) -> bool:
        """Go on without the answer to one request; False where it seems that the device answers none."""
        if batch.once or transaction.is_probe or (not batch.heard and (batch.brief or batch.unheard)):
            return False
        batch.unheard.append(transaction.slot)
        batch.replies[transaction.slot] = Flaw.SILENCE
        batch.unanswered -= 1
        if not batch.heard:  # one more chance: the next request is sent once
            batch.attempts = [batch.retries] * len(batch.requests)
        if not batch.unanswered:
            if not batch.heard:
                return False
            batch.done.set_result(None)
        return True

    def _cancel_timers(self) -> None:
        for timer in (self._timer, self._wakeup):
            if timer is not None:
                timer.cancel()
        self._timer = self._wakeup = None
