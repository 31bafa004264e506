"""How long a tick and each of its phases take, and how late it begins: histograms of fixed size.

A tick only adds its marks to a list; they are sorted into the histograms many ticks at once, which costs a tenth of
sorting in each.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from struct import pack
from typing import Final

import numpy as np
from numpy.typing import NDArray

PHASES: Final = ("snapshot", "convert", "control", "derive", "diff", "pack", "write")
"""In their order: which links have read; their values into the table; the engine's own tags and run control; derived
readings and age; what has changed; frames to the uplinks; outputs, run log and archive."""
TIMED: Final = ("late", *PHASES, "tick")
"""All that has a histogram; `late` is how long after its time a tick began."""

AT_ONCE: Final = 512
"""Ticks to sort in at once."""
A_DOUBLING: Final = 4
"""Buckets from one duration to twice as long: a quantile is exact to 19 %."""
SHORTEST_S: Final = 1e-6
BUCKETS: Final = 26 * A_DOUBLING
"""The last one begins above half a minute."""

Marks = tuple[float, ...]
"""How late a tick began, when it began, and when each of its phases ended; seconds of one clock."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How a duration was spread, in seconds; zeros where it has not been measured yet."""

    p50: float
    p99: float
    max: float


class Timing:
    """The histograms of one scan cycle since its start."""

    def __init__(self) -> None:
        self._waiting: list[float] = []
        self.add: Callable[[Marks], None] = self._waiting.extend
        """Take the marks of one tick, until `sort_in`."""
        self._counts: NDArray[np.int64] = np.zeros((len(TIMED), BUCKETS), np.int64)
        self._longest: NDArray[np.float64] = np.zeros(len(TIMED))

    def spread(self, name: str) -> Spread:
        """The spread of one of `TIMED`."""
        self.sort_in()
        place = TIMED.index(name)
        longest = float(self._longest[place])
        summed: list[int] = np.cumsum(self._counts[place]).tolist()
        p50, p99 = (min(_end_of(bisect_left(summed, share * summed[-1])), longest) for share in (0.5, 0.99))
        return Spread(p50, p99, longest)

    def sort_in(self) -> None:
        """Bring what has been taken into the histograms."""
        if not self._waiting:
            return
        # Packing is several times faster than to make an array of the list.
        packed = pack(f"{len(self._waiting)}d", *self._waiting)
        self._waiting.clear()
        marks = np.frombuffer(packed).reshape(-1, len(PHASES) + 2)
        durations = np.column_stack((marks[:, :1], np.diff(marks[:, 1:]), marks[:, -1:] - marks[:, 1:2]))
        steps = np.ceil(np.log2(np.maximum(durations, SHORTEST_S) / SHORTEST_S) * A_DOUBLING)
        buckets = np.minimum(steps, BUCKETS - 1).astype(np.intp) + np.arange(len(TIMED)) * BUCKETS
        self._counts += np.bincount(buckets.ravel(), minlength=self._counts.size).reshape(self._counts.shape)
        np.maximum(self._longest, durations.max(axis=0), out=self._longest)


def _end_of(bucket: int) -> float:
    """The longest duration of a bucket."""
    return SHORTEST_S * 2.0 ** (bucket / A_DOUBLING)


def in_words(timing: Timing, name: str) -> str:
    """A spread as people read it: "p50 0.21 ms, p99 0.43 ms, at most 2.10 ms"."""
    spread = timing.spread(name)
    return f"p50 {spread.p50 * 1e3:.3g} ms, p99 {spread.p99 * 1e3:.3g} ms, at most {spread.max * 1e3:.3g} ms"
