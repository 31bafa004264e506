"""The way to all devices of one link, whatever carries the frames.

A device that does not answer is told apart from a dead link: only when every device is silent is the link broken.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence

from drivers.contract import DeviceError, LinkError, UnansweredError
from drivers.modbus.connection import Connection
from drivers.modbus.counters import LinkCounters
from drivers.modbus.device import Device
from drivers.modbus.losses import LostError, SilenceError
from drivers.modbus.patience import Attempt, Patience
from drivers.modbus.pdu import GATEWAY_PATH_UNAVAILABLE, GATEWAY_TARGET_SILENT, Flaw, Refusal, Reply, Request
from drivers.modbus.transactions import Transactions
from drivers.modbus.wires import Wire
from drivers.network_faults import network_fault

log = logging.getLogger("skidlink.drivers.modbus")


class Link:
    """One connection at a time, opened anew after each failure, and what is known of its devices."""

    def __init__(self, wire: Wire, devices: Iterable[Device], *, redials: bool = True) -> None:
        """`redials`: False where the caller has to hear of every connection that ends, as outputs are written anew."""
        self.redials = redials and wire.is_redialled
        """Whether a connection that was of use is opened again without telling the caller."""
        self.name = wire.name
        self.counters = LinkCounters()
        self._wire = wire
        devices = list(devices)
        self._device_ids = {device.options.device_id for device in devices}
        self.patience = Patience(devices)
        self._timeout = max(device.options.timeout_ms for device in devices) / 1000
        self._pause_after_connect = max(device.options.pause_after_connect_ms for device in devices) / 1000
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        self._silent: set[int] = set()
        """The device ids that did not answer when they were last asked on this connection."""
        self._silences: dict[tuple[int, bytes], int] = {}
        """device id and request -> how many responses the device had given when it first left that unanswered"""
        self._is_told_of_ends = False
        self._numbered = True
        """Whether answers have borne transaction ids so far."""
        self._other_id: int | None = None
        """Another device id than was asked last, with which a response has come meanwhile."""
        self._before: Transactions | None = None
        """What the last connection was owed when it ended."""

    async def open(self) -> None:
        """Connect. Raises `LinkError`."""
        await self.close()
        try:
            async with asyncio.timeout(self._timeout):
                connection = await self._wire.connect(self._connection_made)
        except TimeoutError as error:
            raise LinkError(
                f"{self.name}: no connection within {self._timeout * 1000:.0f} ms: check host and port, and that "
                "the device is on"
            ) from error
        except OSError as error:
            why = network_fault(error, host="host", port="port") or (
                f"cannot connect ({error.strerror or error}): check host, port and that the device is on"
            )
            raise LinkError(f"{self.name}: {why}") from error
        connection.hold(self._pause_after_connect)
        self._connection = connection
        self.counters.connects += 1
        self._silent.clear()

    def _connection_made(self) -> Connection:
        frames = self._wire.frames(self.counters)
        self._numbered = self._numbered and frames.numbered
        return Connection(self.counters, frames, self._wire.pace, numbered=self._numbered, before=self._before)

    @property
    def lost(self) -> bool:
        """Whether nothing can be asked before the next `open`."""
        return self._connection is None or self._connection.is_closing

    async def close(self) -> None:
        """Disconnect; does nothing when there is no connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._before = connection.transactions
            await connection.close()

    async def exchange(
        self,
        device: Device,
        requests: Sequence[Request],
        *,
        once: bool = False,
        doubtful: int = 0,
        yields: bool = False,
        proof: Request | None = None,
    ) -> list[Reply]:
        """Send requests to a device and return their replies in the same order.

        `once`, for writes: a request is repeated only where the device said that it did nothing. `doubtful`: so many
        of the last requests are not repeated when they have no answer. `yields`: where other devices share the link, a
        device that answers none of the requests is tried once, and `UnansweredError` says that the caller is to ask
        again when the others have had their turn. `proof`: a read that tells whether a device that is silent answers at
        all, where no better one is known; if it does, the one request has the reply `Flaw.SILENCE`. Raises `LinkError`
        when the connection is lost or every device of the link is silent, and `DeviceError` when this one alone is.
        """
        device_id = device.options.device_id
        async with self._turn:
            attempt = self.patience.attempt(device) if yields else self.patience.whole(device)
            try:
                try:
                    replies = await self._run(device, requests, attempt, once=once, doubtful=doubtful)
                except SilenceError:
                    if proof is None:
                        raise
                    await self._run(device, [device.proof or proof], attempt, doubtful=1)
                    replies: list[Reply] = [Flaw.SILENCE]
            except SilenceError:
                if not once and self._is_alone_unanswered(device, requests):
                    return [Flaw.SILENCE]
                if yields and self.patience.unanswered(device):
                    raise UnansweredError(self._silence(device, 1)) from None
                self._silent.add(device_id)
                device.counters.silences += 1
                message = self._silence(device, 1 if once else device.options.retries + 1)
                if self._silent >= self._device_ids:
                    raise LinkError(message) from None
                raise DeviceError(message) from None
        self._silent.discard(device_id)
        self.patience.answered(device)
        self._silences.pop((device_id, requests[0].pdu), None)
        if not once:
            for request, reply in zip(requests, replies, strict=True):
                if isinstance(reply, bytes):
                    device.proof = request
        for reply in replies:
            if isinstance(reply, Refusal) and reply.code in {GATEWAY_PATH_UNAVAILABLE, GATEWAY_TARGET_SILENT}:
                raise DeviceError(
                    f"{device.name}: the gateway {self.name} cannot reach device_id {device_id}: {reply}; check that "
                    "the device is on, its wiring and its device_id"
                )
        return replies

    async def try_once(self, device: Device, request: Request) -> Reply:
        """Send a request that may cost a timeout or the connection; that it does is a reply, too.

        To be called for a device that has just answered. Raises `LinkError`, `LostError` where the connection ends.
        """
        async with self._turn:
            try:
                (reply,) = await self._run(device, [request], self.patience.guest(device))
            except SilenceError:
                return Flaw.SILENCE
            return reply

    async def _run(
        self,
        device: Device,
        requests: Sequence[Request],
        attempt: Attempt,
        *,
        once: bool = False,
        doubtful: int = 0,
    ) -> list[Reply]:
        """Send requests, over new connections where the other side ends one that has been of use.

        Raises `SilenceError`, or `LinkError`.
        """
        redials = 1 + len(requests) if self.redials and not once else 0
        connection = self._connection
        if connection is None:
            raise LinkError(f"{self.name}: not connected")
        if connection.is_closing and connection.has_delivered and self.redials:
            connection = await self._redial()  # closed since the last reading, as some devices do soon
        replies: list[Reply | None] = [None] * len(requests)
        while True:
            places = [place for place, reply in enumerate(replies) if reply is None]
            rest = sum(place >= len(requests) - doubtful for place in places)
            try:
                found: Sequence[Reply | None] = await connection.run(
                    device, [requests[place] for place in places], attempt, once=once, doubtful=rest
                )
            except LostError as error:
                found = error.replies
                slot = None if error.slot is None else places[error.slot]
                if not connection.has_delivered or not redials:
                    raise LostError(f"{self.name}: {error}", replies, slot) from error
                redials -= 1
                connection = await self._redial()
            except LinkError as error:
                raise LinkError(f"{self.name}: {error}") from error
            finally:
                self._note_numbers(connection)
            for place, reply in zip(places, found, strict=True):
                replies[place] = reply
            if None not in replies:
                return [reply for reply in replies if reply is not None]

    async def _redial(self) -> Connection:
        if not self._is_told_of_ends:
            self._is_told_of_ends = True
            log.info("%s ends connections that are of use: they are opened again at once, and counted", self.name)
        await self.open()
        if self._connection is None:
            raise LinkError(f"{self.name}: not connected")
        return self._connection

    def _is_alone_unanswered(self, device: Device, requests: Sequence[Request]) -> bool:
        """Whether a single request was left unanswered twice, and the device answered others in between."""
        if len(requests) > 1:
            return False
        key, replies = (device.options.device_id, requests[0].pdu), device.counters.replies
        before = self._silences.setdefault(key, replies)
        return replies > before

    def _silence(self, device: Device, tries: int) -> str:
        options = device.options
        asked = "" if tries == 1 else f", asked {tries} times"
        came = "" if self._other_id is None else f" (a response with device_id {self._other_id} came meanwhile)"
        line = f", {self._wire.settings}" if self._wire.settings else ""
        advice = "baudrate, parity and the wires (A and B swapped?), " if line else ""
        return (
            f"{device.name} (device_id {options.device_id} on {self.name}{line}) does not answer within "
            f"{options.timeout_ms} ms{asked}: check {advice}that it is on, its device_id{came} and its timeout_ms"
        )

    def imposture(self, device: Device) -> str:
        """Says what is wrong with a device that has just answered as another one, and what to do."""
        asked, came = device.options.device_id, self._other_id
        return (
            f"{device.name} on {self.name} was asked as device_id {asked} and its responses bear device_id {came}: set "
            f"device_id: {came} if this is the right device; behind a gateway, check which devices it has"
        )

    def _note_numbers(self, connection: Connection) -> None:
        """Remember over reconnects whether answers bear the transaction ids of their requests, and say so once."""
        numbered, self._other_id = connection.transactions.numbered, connection.transactions.other_id
        if self._numbered and not numbered:
            log.warning(
                "%s answers with transaction id 0: one request at a time is sent from now on; set max_in_flight: 1",
                self.name,
            )
        self._numbered = numbered
