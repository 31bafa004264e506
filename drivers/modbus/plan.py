"""Points to block requests: what is read together, in how many requests, and where each answer goes.

A gap costs two bytes a register. A request costs its frame, the device's turnaround and, behind a serial gateway, two
silences: about twenty characters of 19,200 baud. So reading up to eight registers that nobody asked for is cheaper
than asking twice, and a device with holes in its map seldom has one that small between two values of the same kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from drivers.contract import DriverError, Group, Image
from drivers.modbus.codec import Decoder, Field
from drivers.modbus.options import MAX_ADDRESS, DeviceOptions
from drivers.modbus.pdu import Request, Table, read


@dataclass(frozen=True, slots=True)
class Span:
    """The addresses that one point needs, or several points in the very same place."""

    address: int
    end: int
    fields: tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """One read request, and where its answer belongs."""

    table: Table
    spans: tuple[Span, ...]
    offset: int
    """Where in the group's raw bytes its first address lies."""
    request: Request

    @property
    def address(self) -> int:
        """The first address that it reads."""
        return self.spans[0].address

    @property
    def end(self) -> int:
        """The address behind the last one that it reads."""
        return _end(self.spans)

    @property
    def count(self) -> int:
        """How many registers or bits it reads."""
        return self.end - self.address

    @property
    def fields(self) -> list[Field]:
        """The points that it feeds."""
        return [field for span in self.spans for field in span.fields]

    def __str__(self) -> str:
        last = self.address + self.count - 1
        return f"{self.table} {self.address}" if self.count == 1 else f"{self.table} {self.address} to {last}"

    def part(self, begin: int, end: int) -> Block:
        """The block that reads the spans `begin` to `end` (exclusive) of this one, to the same place."""
        spans = self.spans[begin:end]
        address = spans[0].address
        width = 1 if self.table.is_bits else 2
        request = read(self.table, address, _end(spans) - address)
        return Block(self.table, spans, self.offset + width * (address - self.address), request)

    def joined(self, other: Block) -> Block:
        """The block that reads this one and one behind it, both parts of one block."""
        spans = self.spans + other.spans
        return replace(self, spans=spans, request=read(self.table, self.address, _end(spans) - self.address))

    def store(self, raw: bytearray, data: bytes) -> None:
        """Put an answer's data into the group's raw bytes."""
        if self.table.is_bits:
            data = np.unpackbits(np.frombuffer(data, np.uint8), count=self.count, bitorder="little").tobytes()
        raw[self.offset : self.offset + len(data)] = data


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """How one group is read."""

    group: Group
    fields: tuple[Field, ...]
    blocks: tuple[Block, ...]
    raw_size: int
    decoder: Decoder


def _end(spans: Iterable[Span]) -> int:
    return max(span.end for span in spans)


def spans_of(fields: Iterable[Field]) -> list[Span]:
    """Put the fields of one table that are in the very same place together, in the order of their addresses."""
    places: dict[tuple[int, int], list[Field]] = {}
    for field in fields:
        places.setdefault((field.address, field.end), []).append(field)
    return [Span(address, end, tuple(places[address, end])) for address, end in sorted(places)]


def coalesce(
    spans: Iterable[Span], max_gap: int, max_block: int, readable: Sequence[tuple[int, int]] = ()
) -> list[tuple[Span, ...]]:
    """Gather spans, ascending, into runs no longer than `max_block` with gaps no longer than `max_gap`.

    Where it is declared what is `readable` (first and last address of each range), a run is within one range and no
    gap is too wide there; what is outside is not read across any gap.
    """
    runs: list[list[Span]] = []
    begin = end = 0
    within: tuple[int, int] | None = None
    for span in spans:
        found = next((each for each in readable if each[0] <= span.address and span.end <= each[1] + 1), None)
        gap = max_gap if not readable else 0 if found is None else MAX_ADDRESS
        if runs and found == within and span.address - end <= gap and max(end, span.end) - begin <= max_block:
            runs[-1].append(span)
            end = max(end, span.end)
        else:
            runs.append([span])
            begin, end = span.address, span.end
        within = found
    return [tuple(run) for run in runs]


def plan_group(group: Group, fields: Sequence[Field], device: DeviceOptions, image: Image) -> GroupPlan:
    """Plan the reading of one group. Raises `DriverError` when a point is longer than its device's `max_block`."""
    blocks: list[Block] = []
    starts: dict[int, int] = {}
    offset = 0
    for table in Table:
        width = 1 if table.is_bits else 2
        longest = device.longest(table)
        mine = [field for field in fields if field.table is table]
        for field in mine:
            if field.count > longest:
                raise DriverError(
                    f"{group.device}: {field.tag} ({field}) takes {too_long(field.count, device.max_block)}"
                )
        if not device.numbered and device.max_gap:
            longest -= 8 if table.is_bits else 1  # room for `widening`
        for run in coalesce(spans_of(mine), device.gap(table), longest, device.readable.get(table, ())):
            first = run[0].address
            block = Block(table, run, offset, read(table, first, _end(run) - first))
            blocks.append(block)
            starts.update((field.row, offset + width * (field.address - first)) for field in block.fields)
            offset += width * block.count
    return GroupPlan(group, tuple(fields), tuple(blocks), offset, Decoder(fields, starts, image))


def too_long(count: int, max_block: int) -> str:
    """Say that a value does not fit one request of its device."""
    return f"{count} registers, more than the max_block {max_block} of its device: read it whole or not at all"


def describe(device: str, plans: Iterable[GroupPlan]) -> str:
    """Say what reading a device once costs."""
    blocks = [block for plan in plans for block in plan.blocks]
    if not blocks:
        return f"{device}: nothing to read"
    bits = sum(block.count for block in blocks if block.table.is_bits)
    registers = sum(block.count for block in blocks) - bits
    touched = " and ".join(_counted(count, noun) for count, noun in ((registers, "register"), (bits, "bit")) if count)
    tags = sum(len(block.fields) for block in blocks)
    verb = "touches" if len(blocks) == 1 else "touch"
    return f"{device}: {_counted(len(blocks), 'request')} {verb} {touched} for {_counted(tags, 'tag')}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
