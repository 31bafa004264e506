"""Looking at devices that nobody has described yet: which are there, what they are, what they let be read.

Gentle by design: one request at a time with a pause between, nothing is written, and there is an end to every search.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from drivers.contract import DeviceError, LinkError
from drivers.modbus.address import Reach
from drivers.modbus.device import Device
from drivers.modbus.identification import identification
from drivers.modbus.link import Link
from drivers.modbus.pdu import DEVICE_FAILURE, MAX_READ_REGISTERS, Flaw, Refusal, Reply, Table, read

PAUSE_S = 0.01
"""Between two requests of a survey."""
REOPEN_S = (0.2, 1.0, 3.0)
"""The pauses between the tries to open a connection anew that the other side has closed."""
SILENT_AT_FIRST = 3
"""So many registers in a row without an answer, and no answer before, are a device that is not there."""
_FAILURE = Refusal(DEVICE_FAILURE)


@dataclass(slots=True)
class Found:
    """What a survey knows of one device."""

    device_id: int
    identity: dict[str, str] = field(default_factory=dict[str, str])
    ranges: dict[Table, list[tuple[int, int]]] = field(default_factory=dict[Table, list[tuple[int, int]]])
    """table -> first and last address of each range that can be read"""
    unfinished: list[Table] = field(default_factory=list[Table])
    """The tables of which not all addresses were asked for, as that took too many requests."""
    is_doubtful: bool = False
    """It answers everything with exception 04: a device that fails, or a server that says so of ids nobody has."""
    answers_as_another: bool = False
    """What comes bears another device id than was asked."""


class Survey:
    """A link that is looked at."""

    def __init__(self, where: Reach, device_ids: Sequence[int], *, timeout_ms: int = 300, retries: int = 0) -> None:
        """Raises `DriverError` where the link or a device id cannot be."""
        self.devices = {
            device_id: Device(
                f"device {device_id}",
                where.device(device_id, timeout_ms=timeout_ms, retries=retries, max_gap=0),  # nothing but what it asks
            )
            for device_id in device_ids
        }
        self.found: list[Found] = []
        """What has been found so far."""
        self.closed_at: list[str] = []
        """The requests at which the other side closed the connection."""
        first = next(iter(self.devices.values())).options
        self.link = Link(where.driver.wire(first), self.devices.values())

    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[Survey]:
        """Connect until the block ends. Raises `LinkError`."""
        await self.link.open()
        try:
            yield self
        finally:
            await self.link.close()

    async def ask(self, device_id: int, table: Table, address: int, count: int) -> Reply | None:
        """One reading; None where nobody answers, or where the connection is closed for it.

        A connection that was closed is opened anew. Raises `LinkError` where that fails.
        """
        await asyncio.sleep(PAUSE_S)
        try:
            (reply,) = await self.link.exchange(self.devices[device_id], [read(table, address, count)])
        except DeviceError:
            return None
        except LinkError:
            if self.link.lost:
                self.closed_at.append(f"device_id {device_id}, {table} {address}")
                await self._reopen()
            return None  # every device that was asked is silent
        return reply

    async def _reopen(self) -> None:
        """Connect again: a device that has just closed a connection may not take the next one at once."""
        for pause_s in REOPEN_S:
            try:
                await self.link.open()
            except LinkError:
                await asyncio.sleep(pause_s)
            else:
                return
        await self.link.open()

    async def present(self, step: Callable[[int], None]) -> None:
        """Find the devices that answer anything at all; `step` is called with each id before it is asked.

        Behind a gateway, those are not among them of which it says that it cannot reach them (exceptions 0A and 0B).
        """
        for device_id in self.devices:
            step(device_id)
            reply = await self.ask(device_id, Table.HOLDING, 0, 1)
            if reply is not None:
                is_doubtful = reply == _FAILURE and await self._fails_everywhere(device_id)
                is_another = reply is Flaw.DEVICE_ID
                self.found.append(Found(device_id, is_doubtful=is_doubtful, answers_as_another=is_another))

    async def _fails_everywhere(self, device_id: int) -> bool:
        for table in (Table.INPUT, Table.COIL, Table.DISCRETE):
            if await self.ask(device_id, table, 0, 1) != _FAILURE:
                return False
        return True

    async def identify(self, found: Found) -> None:
        """Ask a device what it is. To be done last: there are devices that a function they do not know confuses."""
        try:
            found.identity = await identification(self.link, self.devices[found.device_id])
        except DeviceError:
            return
        except LinkError:
            if self.link.lost:
                self.closed_at.append(f"device_id {found.device_id}, identification")
                await self._reopen()

    async def explore(
        self, found: Found, tables: Sequence[Table], last: int, most: int, step: Callable[[int], None]
    ) -> None:
        """Find the readable ranges up to the address `last`, in at most `most` requests a table.

        `step` is called with how many addresses have been settled, `last + 1` in all for each table.
        """
        for table in tables:
            left = most
            unsettled = last + 1
            readable: list[tuple[int, int]] = []
            waiting = [
                (begin, min(begin + MAX_READ_REGISTERS, last + 1)) for begin in range(0, last + 1, MAX_READ_REGISTERS)
            ]
            waiting.reverse()
            while waiting:
                if left <= 0:
                    found.unfinished.append(table)
                    break
                left -= 1
                begin, end = waiting.pop()
                reply = await self.ask(found.device_id, table, begin, end - begin)
                if isinstance(reply, Refusal) and reply.code == 1:
                    break  # the device has no such table
                if not isinstance(reply, bytes) and end - begin > 1:
                    middle = (begin + end) // 2
                    waiting += [(middle, end), (begin, middle)]
                    continue
                unsettled -= end - begin
                step(end - begin)
                if isinstance(reply, bytes):
                    if readable and readable[-1][1] == begin - 1:
                        begin = readable.pop()[0]
                    readable.append((begin, end - 1))
            if unsettled:
                step(unsettled)  # given up, or never there
            if readable:
                found.ranges[table] = readable

    async def cells(self, found: Found) -> dict[str, dict[int, int]]:
        """All that its readable ranges hold now: table -> address -> register or bit."""
        held: dict[str, dict[int, int]] = {}
        for table, ranges in found.ranges.items():
            of = held.setdefault(table.value, {})
            for first, last in ranges:
                for begin in range(first, last + 1, MAX_READ_REGISTERS):
                    count = min(MAX_READ_REGISTERS, last + 1 - begin)
                    reply = await self.ask(found.device_id, table, begin, count)
                    if isinstance(reply, bytes):
                        of |= {begin + place: value for place, value in enumerate(_values(table, reply, count))}
                    else:  # a device with smaller blocks
                        of |= await self.words(found.device_id, table, begin, begin + count - 1)
        return held

    async def words(self, device_id: int, table: Table, first: int, last: int) -> dict[int, int]:
        """Registers or bits one by one, so that one that is refused costs no other: address -> what it holds.

        Raises `DeviceError` where the device answers none of the first ones.
        """
        found: dict[int, int] = {}
        answered = False
        for count, address in enumerate(range(max(0, first), min(last, 0xFFFF) + 1), 1):
            reply = await self.ask(device_id, table, address, 1)
            if reply is None and not answered and count < SILENT_AT_FIRST:
                continue
            if reply is None and not answered:
                raise DeviceError(
                    f"{self.link.name}: device_id {device_id} does not answer: find it with skidlink modbus scan"
                )
            answered = answered or reply is not None
            if isinstance(reply, bytes):
                found[address] = int.from_bytes(reply) & (1 if table.is_bits else 0xFFFF)
        return found


def _values(table: Table, data: bytes, count: int) -> list[int]:
    """The registers or bits of an answer."""
    if table.is_bits:
        return [data[place // 8] >> place % 8 & 1 for place in range(count)]
    return [int.from_bytes(data[2 * place : 2 * place + 2]) for place in range(count)]
