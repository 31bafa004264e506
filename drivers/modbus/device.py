"""One device id on a link, and what has been seen of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from drivers.modbus.counters import DeviceCounters
from drivers.modbus.options import DeviceOptions
from drivers.modbus.pdu import Request
from drivers.modbus.widening import Widening


@dataclass(slots=True)
class Device:
    """One device id on a link."""

    name: str
    options: DeviceOptions
    counters: DeviceCounters = field(default_factory=DeviceCounters)
    spare_s: float = math.inf
    """How long its readings can wait for another device of the link before one of them is stale."""
    unanswered: int = 0
    """Consecutive tries that it left unanswered; kept over reconnects."""
    proof: Request | None = None
    """The read that it answered last: where it answers this, it is there."""
    widening: Widening = field(init=False)

    def __post_init__(self) -> None:
        self.widening = Widening(self.options)
