"""The places of one device that it does not let be read, as all its scan groups have learned them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.modbus.pdu import Table
from drivers.modbus.plan import Block, Span


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
    """Refused places -> why, as a code of `drivers.reasons`; `version` changes with them."""

    __slots__ = ("_reasons", "version")

    def __init__(self) -> None:
        self._reasons: dict[Place, int] = {}
        self.version = 0

    def add(self, place: Place, reason: int) -> None:
        """Note a place that the device refuses."""
        if place not in self._reasons:
            self._reasons[place] = reason
            self.version += 1

    def remove(self, place: Place) -> None:
        """Note that the device answers a place again."""
        if self._reasons.pop(place, None) is not None:
            self.version += 1

    def split(self, block: Block) -> tuple[list[Block], list[tuple[Block, int]]]:
        """The parts of a block around all places that are known, and its points in such places with the reason."""
        inside = [place for place in self._reasons if place.table is block.table and place.is_in(block)]
        if not inside:
            return [block], []
        lost: list[tuple[Block, int]] = []
        runs: list[list[int]] = [[]]
        for index, span in enumerate(block.spans):
            reason = next((self._reasons[place] for place in inside if place.is_in(span)), None)
            if reason is not None:
                lost.append((block.part(index, index + 1), reason))
                runs.append([])
            elif runs[-1] and _crosses(inside, block.spans[runs[-1][0]], span):
                runs.append([index])
            else:
                runs[-1].append(index)
        return [block.part(run[0], run[-1] + 1) for run in runs if run], lost


def _crosses(places: Sequence[Place], first: Span, last: Span) -> bool:
    return any(first.address <= place.address and place.end <= last.end for place in places)
