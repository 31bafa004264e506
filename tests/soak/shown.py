"""What a server has shown to its clients, and when it could show anything: the truth that published values are held
against. Pure; times are seconds of `time.monotonic`, which is one clock for all processes of a computer.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from uod_examples.skid import Showing
from uod_examples.skid.model import Value


@dataclass(slots=True)
class Span:
    """From one moment to another; without an end while it lasts."""

    start: float
    end: float = math.inf


class Shown:
    """One server: the frames that it has shown, one after the other, and when it was out of reach."""

    def __init__(self, showings: Sequence[Showing]) -> None:
        """`showings` grows while the server runs."""
        self._showings = showings
        self.dark: list[Span] = []
        """When no client can have got an answer."""
        self.dark_places: dict[str, list[Span]] = {}
        """Place -> when it alone was refused."""

    def between(self, start: float, end: float, place: str = "") -> Iterator[Mapping[str, Value]]:
        """The frames that a client may have read within a time, newest first; those of one place, where it is named."""
        dark = [*self.dark, *self.dark_places.get(place, ())]
        for low, high in reversed(lit(start, end, dark)):
            index = bisect_right(self._showings, high, key=lambda showing: showing.sent) - 1
            while index >= 0:
                if index + 1 < len(self._showings) and self._gone(index) < low:
                    break
                yield self._showings[index].frame.values
                index -= 1

    def newest(self) -> Mapping[str, Value]:
        """The frame that was sent last."""
        return self._showings[-1].frame.values

    def forget(self, before: float) -> None:
        """Let go of dark times that have long passed."""
        self.dark = [span for span in self.dark if span.end >= before]
        self.dark_places = {
            place: [span for span in spans if span.end >= before] for place, spans in self.dark_places.items()
        }

    def _gone(self, index: int) -> float:
        """When no client could read a frame any more: a later one was surely shown."""
        return min(showing.held for showing in self._showings[index + 1 : index + 4])


def lit(start: float, end: float, dark: Sequence[Span]) -> list[tuple[float, float]]:
    """What is left of a time without the dark ones, oldest first."""
    left = [(start, end)]
    for span in sorted(dark, key=lambda span: span.start):
        pieces: list[tuple[float, float]] = []
        for low, high in left:
            if span.end < low or span.start > high:
                pieces.append((low, high))
                continue
            if low <= span.start:
                pieces.append((low, span.start))
            if span.end <= high:
                pieces.append((span.end, high))
        left = pieces
    return left
