"""Whether what a process takes of its computer grows. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Growth:
    """What became of one figure after the warm-up."""

    name: str
    first: float
    last: float
    grown: float
    """By how much the fitted line rises over the whole time."""
    allowed: float

    @property
    def passed(self) -> bool:
        return self.grown <= self.allowed

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.first:.0f} to {self.last:.0f}, {self.grown:+.1f} by the fit, {self.allowed:g} allowed"
        )


def growth(name: str, samples: Sequence[tuple[float, float]], allowed: float) -> Growth:
    """Fit (time, figure) by the median of all slopes (Theil and Sen): a fault that takes some tasks or memory for its
    time moves it little, a leak moves it all."""
    picked = samples[:: max(1, len(samples) // 300)]
    slopes = [
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for place, earlier in enumerate(picked)
        for later in picked[place + 1 :]
        if later[0] > earlier[0]
    ]
    edge = max(1, len(samples) // 10)
    return Growth(
        name=name,
        first=statistics.median(value for _, value in samples[:edge]),
        last=statistics.median(value for _, value in samples[-edge:]),
        grown=statistics.median(slopes) * (samples[-1][0] - samples[0][0]) if slopes else 0.0,
        allowed=allowed,
    )
