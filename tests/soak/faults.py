"""What goes wrong in a soak, and when: drawn from a seed before it begins. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from tests.soak.points import BUSES

WARM_UP_S = 20.0
"""So long nothing goes wrong at the beginning ..."""
CALM_S = 30.0
"""... and at the end."""

KINDS: dict[str, tuple[str, ...]] = {
    "link": (
        "drop", "drop", "late", "late", "refuse", "silent", "silent", "frozen", "frozen values", "restart",
        "half-open", "half-open", "point",
    ),
    "uplink": ("drop", "late", "refuse", "silent", "half-open"),
    "clock": ("forward", "back"),
}  # fmt: skip
LASTS_S: dict[str, tuple[float, float]] = {
    "drop": (0.0, 0.0),
    "late": (2.0, 8.0),
    "refuse": (0.5, 8.0),
    "silent": (0.3, 8.0),
    "frozen": (0.3, 6.0),
    "frozen values": (1.0, 5.0),
    "restart": (0.0, 0.0),
    "half-open": (0.0, 0.0),
    "point": (1.0, 5.0),
    "forward": (5.0, 10.0),
    "back": (5.0, 10.0),
}
GAPS_S = {"link": (6.0, 25.0), "uplink": (10.0, 30.0), "clock": (30.0, 60.0)}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong."""

    at: float
    """Seconds after the beginning."""
    lasts: float
    where: str
    """A bus, "uplink" or "clock"."""
    kind: str
    amount: float
    """Between 0 and 1: how late, how far, which one."""

    def __str__(self) -> str:
        return f"{self.at:7.1f} s  {self.where:6}  {self.kind}" + (f" for {self.lasts:.1f} s" if self.lasts else "")


def drawn(seed: int, duration_s: float) -> list[Fault]:
    """The faults of a soak, in order of time; of one place they do not overlap."""
    found: list[Fault] = []
    for where in (*BUSES, "uplink", "clock"):
        found += _drawn_for(where, random.Random(f"{seed} {where}"), duration_s - CALM_S)
    return sorted(found, key=lambda fault: fault.at)


def _drawn_for(where: str, chance: random.Random, until: float) -> list[Fault]:
    sort = "link" if where in BUSES else where
    found: list[Fault] = []
    left: list[str] = []
    at = WARM_UP_S + chance.uniform(0.0, GAPS_S[sort][0])
    while True:
        if not left:  # each kind comes before one comes again
            left = list(KINDS[sort])
            chance.shuffle(left)
        kind = left.pop()
        lasts = chance.uniform(*LASTS_S[kind])
        if at + lasts > until:
            return found
        found.append(Fault(at, lasts, where, kind, chance.random()))
        at += lasts + chance.uniform(*GAPS_S[sort])


def counted(faults: Sequence[Fault]) -> dict[str, int]:
    """Kind -> how often."""
    found: dict[str, int] = {}
    for fault in faults:
        found[fault.kind] = found.get(fault.kind, 0) + 1
    return dict(sorted(found.items()))
