"""Reads that ask for a little more than is wanted, so that no answer to the read before can pass for theirs. No I/O.

Where answers bear no transaction id, an answer that a line brings twice is told from the next one by its length only.
So two reads of one device that follow each other, as long as each other and at different addresses, are never sent: the
second one takes in a register, or eight bits, beside its own. `max_gap`, `max_block` and `readable` say whether it may.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from drivers.modbus.options import MAX_ADDRESS, DeviceOptions
from drivers.modbus.pdu import READ_FUNCTIONS, Request, place_of, read

_FUNCTIONS = frozenset(READ_FUNCTIONS.values())
_DOUBTS = 3
"""How often a wider read has to be in vain before it is not tried again: a line may have lost the answer."""


class Widening:
    """The wider reads of one device, and which of them it does not answer."""

    __slots__ = ("_doubts", "_options")

    def __init__(self, options: DeviceOptions) -> None:
        self._options = options
        self._doubts: Counter[bytes] = Counter()

    def of(self, request: Request) -> Request | None:
        """The same read with a little more behind or before it; None where the device bears neither."""
        return next((wide for wide in self._wider(request) if self._doubts[wide.pdu] < _DOUBTS), None)

    def answered(self, wide: Request) -> None:
        """Note that the device answers a wider read."""
        self._doubts.pop(wide.pdu, None)

    def unanswered(self, wide: Request) -> None:
        """Note that a wider read had no answer, or no sound one."""
        self._doubts[wide.pdu] += 1

    def refused(self, wide: Request) -> None:
        """Note that the device refuses a wider read."""
        self._doubts[wide.pdu] = _DOUBTS

    def _wider(self, request: Request) -> Iterator[Request]:
        if request.pdu[0] not in _FUNCTIONS:
            return
        table, address, count = place_of(request)
        step = 8 if table.is_bits else 1
        if self._options.gap(table) < step or count + step > self._options.longest(table):
            return
        ranges = self._options.readable.get(table) or ((0, MAX_ADDRESS),)
        for begin in (address, address - step):
            last = begin + count + step - 1
            if any(first <= begin and last <= end for first, end in ranges):
                yield read(table, begin, count + step)


def narrowed(data: bytes, wide: Request, request: Request) -> bytes:
    """The data of a read, out of the answer to a wider one."""
    table, begin, _ = place_of(wide)
    _, address, _ = place_of(request)
    start = (address - begin) // 8 if table.is_bits else 2 * (address - begin)
    return data[start : start + request.reply_size - len(request.echo)]
