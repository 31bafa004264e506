"""One TCP connection to one or more devices: sends batches of requests, in step with what each device bears.

Rules of this file:

* One batch at a time; within it as many requests are open as the device takes. A batch has one future and one timer.
* Which answer belongs to which request is decided in `transactions`, never here.
* A device that does not answer is told apart from a dead link: only when every device of the link is silent is the
  link broken.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

from drivers.contract import DeviceError, LinkError
from drivers.modbus.counters import DeviceCounters, LinkCounters
from drivers.modbus.frames import FrameBuffer, FramingError, frame
from drivers.modbus.options import DeviceOptions
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

log = logging.getLogger("skidlink.drivers.modbus")

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
            self._fail(LinkError(str(error)))
            return
        if self._batch is not None and self._batch.waiting:
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(LinkError(f"the connection was lost: {exc}" if exc else "the other side closed the connection"))
        if not self.closed.done():
            self.closed.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self._batch is not None and not self._batch.done.done():
            self._batch.done.set_exception(error)
        if self._transport is not None and isinstance(error, LinkError):
            self._transport.abort()

    def _take(self, batch: _Batch, transaction: Transaction, reply: Reply, now: float) -> None:
        """Keep a reply, or ask again where asking again can help."""
        slot = transaction.slot
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
        if batch is None or transport is None or transport.is_closing():
            if batch is not None:
                self._fail(LinkError("the connection is closed"))
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
            if now < transaction.sent + batch.timeout:
                self._timer = self._loop.call_at(transaction.sent + batch.timeout, self._watch)
                break
            self.transactions.give_up(transaction, now)
            batch.device.counters.timeouts += 1
            if batch.once or not self._repeat(batch, transaction.slot):
                self._fail(SilenceError())
                return
        if batch.waiting:
            self._send()

    def _cancel_timers(self) -> None:
        for timer in (self._timer, self._wakeup):
            if timer is not None:
                timer.cancel()
        self._timer = self._wakeup = None


class Link:
    """The way to all devices behind one host and port."""

    def __init__(self, name: str, host: str, port: int, devices: Iterable[Device]) -> None:
        self.name = name
        self.counters = LinkCounters()
        self._host = host
        self._port = port
        devices = list(devices)
        self._device_ids = {device.options.device_id for device in devices}
        self._timeout = max(device.options.timeout_ms for device in devices) / 1000
        self._pause_after_connect = max(device.options.pause_after_connect_ms for device in devices) / 1000
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        self._silent: set[int] = set()
        """The device ids that did not answer when they were last asked on this connection."""
        self._answers_zero = False

    async def open(self) -> None:
        """Connect. Raises `LinkError`."""
        await self.close()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._timeout):
                _, connection = await loop.create_connection(
                    lambda: Connection(self.counters, answers_zero=self._answers_zero), self._host, self._port
                )
        except TimeoutError as error:
            raise LinkError(
                f"{self.name}: no connection within {self._timeout * 1000:.0f} ms: check host and port, and that "
                "the device is on"
            ) from error
        except OSError as error:
            raise LinkError(
                f"{self.name}: cannot connect ({error.strerror or error}): check host, port and that the device is on"
            ) from error
        connection.hold(self._pause_after_connect)
        self._connection = connection
        self.counters.connects += 1
        self._silent.clear()

    async def close(self) -> None:
        """Disconnect; does nothing when there is no connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def exchange(self, device: Device, requests: Sequence[Request], *, once: bool = False) -> list[Reply]:
        """Send requests to a device and return their replies in the same order.

        `once`, for writes: a request is repeated only where the device said that it did nothing. Raises `LinkError`
        when the connection is lost or every device of the link is silent, and `DeviceError` when this one alone is.
        """
        device_id = device.options.device_id
        async with self._turn:
            connection = self._connection
            if connection is None:
                raise LinkError(f"{self.name}: not connected")
            try:
                replies = await connection.run(device, requests, once=once)
            except SilenceError:
                self._silent.add(device_id)
                message = self._silence(device, once=once)
                if self._silent >= self._device_ids:
                    raise LinkError(message) from None
                raise DeviceError(message) from None
            except LinkError as error:
                raise LinkError(f"{self.name}: {error}") from error
            finally:
                self._note_zero(connection)
        self._silent.discard(device_id)
        for reply in replies:
            if isinstance(reply, Refusal) and reply.code in {GATEWAY_PATH_UNAVAILABLE, GATEWAY_TARGET_SILENT}:
                raise DeviceError(
                    f"{device.name}: the gateway {self.name} cannot reach device_id {device_id}: {reply}; check that "
                    "the device is on, its wiring and its device_id"
                )
        return replies

    def _silence(self, device: Device, *, once: bool) -> str:
        options = device.options
        asked = "" if once else f", asked {options.retries + 1} times"
        return (
            f"{device.name} (device_id {options.device_id} on {self.name}) does not answer within "
            f"{options.timeout_ms} ms{asked}: check that it is on, its device_id and its timeout_ms"
        )

    def _note_zero(self, connection: Connection) -> None:
        """Remember over reconnects that answers bear no transaction id, and say so once."""
        if connection.transactions.answers_zero and not self._answers_zero:
            self._answers_zero = True
            log.warning(
                "%s answers with transaction id 0: one request at a time is sent from now on; set max_in_flight: 1",
                self.name,
            )
