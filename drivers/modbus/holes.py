"""The places of one device that it does not let be read, as all its scan groups have learned them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.modbus.pdu import Flaw, Refusal, Table
from drivers.modbus.plan import Block, Span

Hole = tuple[Refusal | Flaw, int]
"""Why a place is not answered, and the same as a code of `drivers.reasons`."""


@dataclass(frozen=True, slots=True)
class Place:
    """The addresses of points that were refused together."""

    table: Table
    address: int
    end: int

    def is_in(self, block: Block | Span) -> bool:
        """Whether to read it is to read this place too."""
        return block.address <= self.address and self.end <= block.end


def place_of(block: Block) -> Place:
    """The place that a block reads."""
    return Place(block.table, block.address, block.end)


class Holes:
    """Places that are not answered, and why; `version` changes with them."""

    __slots__ = ("_holes", "version")

    def __init__(self) -> None:
        self._holes: dict[Place, Hole] = {}
        self.version = 0

    def __contains__(self, place: Place) -> bool:
        return place in self._holes

    def add(self, place: Place, failure: Refusal | Flaw, reason: int) -> None:
        """Note a place that the device does not answer."""
        if place not in self._holes:
            self._holes[place] = failure, reason
            self.version += 1

    def remove(self, place: Place) -> None:
        """Note that the device answers a place again."""
        if self._holes.pop(place, None) is not None:
            self.version += 1

    def crosses(self, block: Block) -> bool:
        """Whether to read a block is to read such a place."""
        return any(place.table is block.table and place.is_in(block) for place in self._holes)

    def split(self, block: Block) -> tuple[list[tuple[int, int]], list[tuple[int, Hole]]]:
        """The spans of a block around all places that are known, as ranges, and those in such places."""
        inside = [place for place in self._holes if place.table is block.table and place.is_in(block)]
        if not inside:
            return [(0, len(block.spans))], []
        lost: list[tuple[int, Hole]] = []
        runs: list[list[int]] = [[]]
        for index, span in enumerate(block.spans):
            hole = next((self._holes[place] for place in inside if place.is_in(span)), None)
            if hole is not None:
                lost.append((index, hole))
                runs.append([])
            elif runs[-1] and _crosses(inside, block.spans[runs[-1][0]], span):
                runs.append([index])
            else:
                runs[-1].append(index)
        return [(run[0], run[-1] + 1) for run in runs if run], lost


def _crosses(places: Sequence[Place], first: Span, last: Span) -> bool:
    return any(first.address <= place.address and place.end <= last.end for place in places)
