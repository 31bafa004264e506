"""Reads that ask for a little more than is wanted, so that no answer to another read can pass for theirs. No I/O.

Where answers bear no transaction id, one that comes late or twice is told from the one that is due by its length only.
So a read that is as long as one whose answer may still come takes in some registers, or some times eight bits, beside
its own.
`max_gap`, `max_block` and `readable` say whether it may, and how many.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from drivers.modbus.options import MAX_ADDRESS, DeviceOptions
from drivers.modbus.pdu import MAX_READ_BITS, READ_FUNCTIONS, Request, place_of, read

_FUNCTIONS = frozenset(READ_FUNCTIONS.values())
_REFUSALS = 2
"""How often a read that has been answered has to be refused before it is taken for too long: gateways make excuses."""
_DOUBTS = 3
"""How often wider reads on one side have to be in vain before none is tried there again: a line may lose answers."""


@dataclass(slots=True)
class _Side:
    """What is known of the places behind, or before, those that a read is about."""

    doubts: int = 0
    """How often a wider read had no sound answer, since one had."""
    is_known: bool = False
    """One had a sound answer."""
    refusals: int = 0
    """How often one was refused, since one had a sound answer."""
    longest: int = MAX_READ_BITS
    """The most that a read may ask for; the device refuses more."""


class Widening:
    """The wider reads of one device, and which of them it does not answer."""

    __slots__ = ("_options", "_sides")

    def __init__(self, options: DeviceOptions) -> None:
        self._options = options
        self._sides: dict[tuple[bytes, bool], _Side] = {}
        """the read that is wanted, and whether it is wider behind -> what is known"""

    def of(self, request: Request, mistakable: Mapping[bytes, float]) -> Request:
        """The form of a read that is mistaken least: the read itself, or with some more behind or before it.

        `mistakable`: how answers to others begin -> when they are from; of forms that all begin so, that one is taken
        which the oldest begin with.
        """
        best, age = request, mistakable.get(request.echo)
        if age is None:
            return request
        for wide in self._wider(request):
            other = mistakable.get(wide.echo)
            if other is None:
                return wide
            if other < age:
                best, age = wide, other
        return best

    def is_known(self, wide: Request, request: Request) -> bool:
        """Whether the device has answered such a wider read, so that one without an answer was lost on the line."""
        return self._side(wide, request).is_known

    def answered(self, wide: Request, request: Request) -> None:
        """Note that the device answers a wider form of a read."""
        side = self._side(wide, request)
        side.doubts, side.refusals, side.is_known = 0, 0, True

    def unanswered(self, wide: Request, request: Request) -> None:
        """Note that a wider form of a read had no answer, or no sound one, and the read itself had."""
        self._side(wide, request).doubts += 1

    def refused(self, wide: Request, request: Request) -> None:
        """Note that the device refuses a wider form of a read."""
        side = self._side(wide, request)
        side.refusals += 1
        if not side.is_known or side.refusals >= _REFUSALS:
            side.longest, side.refusals = place_of(wide)[2] - 1, 0

    def unbearable(self, wide: Request, request: Request) -> None:
        """Note that the connection has ended at a wider form of a read, which may have been by chance."""
        side = self._side(wide, request)
        side.doubts += 1 if side.is_known else _DOUBTS

    def _side(self, wide: Request, request: Request) -> _Side:
        is_behind = place_of(wide)[1] == place_of(request)[1]
        return self._sides.setdefault((request.pdu, is_behind), _Side())

    def _wider(self, request: Request) -> Iterator[Request]:
        """The wider reads that the device bears, those with least more first."""
        if request.pdu[0] not in _FUNCTIONS:
            return
        table, address, count = place_of(request)
        step = 8 if table.is_bits else 1
        longest = min(count + self._options.gap(table), self._options.longest(table))
        ranges = self._options.readable.get(table) or ((0, MAX_ADDRESS),)
        for length in range(count + step, longest + 1, step):
            for begin in (address, address + count - length):
                last = begin + length - 1
                if begin >= 0 and any(first <= begin and last <= end for first, end in ranges):
                    side = self._sides.get((request.pdu, begin == address))
                    if side is None or (side.doubts < _DOUBTS and length <= side.longest):
                        yield read(table, begin, length)


def narrowed(data: bytes, wide: Request, request: Request) -> bytes:
    """The data of a read, out of the answer to a wider one."""
    table, begin, _ = place_of(wide)
    _, address, _ = place_of(request)
    start = (address - begin) // 8 if table.is_bits else 2 * (address - begin)
    return data[start : start + request.reply_size - len(request.echo)]


def unlike(before: list[Request]) -> Request:
    """A harmless request whose answer is like that to none before: a little less or more of the last of them."""
    echoes = {request.echo for request in before}
    table, address, count = place_of(before[-1])
    step = 8 if table.is_bits else 1
    counts = [*range(count - step, 0, -step), *range(count + step, count + step * (len(before) + 2), step)]
    return next(request for request in (read(table, address, one) for one in counts) if request.echo not in echoes)
