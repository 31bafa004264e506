"""What happened on a link and with each of its devices, as plain numbers for whoever wants to look."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from drivers.modbus.pdu import EXCEPTION_NAMES

_COUNTED = (
    "requests", "repeats", "replies", "bytes_sent", "bytes_received", "late", "short", "wrong", "doubtful", "timeouts",
    "silences",
)  # fmt: skip
_SHARES = {"round_trip_p50_ms": 0.5, "round_trip_p99_ms": 0.99}
"""name -> the share of the last round trips that ended within it"""


@dataclass(slots=True)
class DeviceCounters:
    """One device id since the driver was made."""

    requests: int = 0
    """Requests sent, repeats among them."""
    repeats: int = 0
    replies: int = 0
    """Answers that were what was asked for."""
    bytes_sent: int = 0
    bytes_received: int = 0
    """Bytes that came while it was asked."""
    late: int = 0
    """Answers that came after their request was given up."""
    short: int = 0
    """Answers with less data than asked for."""
    wrong: int = 0
    """Answers refused for any other flaw."""
    doubtful: int = 0
    """Answers that may have been earlier ones come once more; what they answered was asked for again."""
    timeouts: int = 0
    silences: int = 0
    """How often it was given up, after which its caller lets it rest (demotion)."""
    exceptions: Counter[int] = field(default_factory=Counter[int])
    """exception code -> how often"""
    round_trips: deque[float] = field(default_factory=lambda: deque[float](maxlen=1024))
    """Seconds from request to answer, the last 1024."""

    def named(self) -> dict[str, float]:
        """All of them by name; round trips in milliseconds, NaN before the first."""
        counts = {name: float(getattr(self, name)) for name in _COUNTED}
        codes = {f"exceptions_{code:02X}": float(self.exceptions[code]) for code in EXCEPTION_NAMES}
        trips = sorted(self.round_trips) or [math.nan]
        shares = {name: 1000 * trips[min(int(share * len(trips)), len(trips) - 1)] for name, share in _SHARES.items()}
        return counts | codes | {"exceptions": float(self.exceptions.total())} | shares


@dataclass(slots=True)
class LinkCounters:
    """One link since the driver was made."""

    connects: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    unasked: int = 0
    """Answers that nobody waited for and nobody had given up."""
    garbled: int = 0
    """Requests after which bytes came that are no frame: noise, collisions, a wrong checksum."""

    @property
    def reconnects(self) -> int:
        """How often the link was opened again."""
        return max(0, self.connects - 1)

    def named(self) -> dict[str, float]:
        """All of them by name."""
        return {
            name: float(getattr(self, name))
            for name in ("bytes_sent", "bytes_received", "unasked", "garbled", "reconnects")
        }


def counted(link: LinkCounters, devices: Mapping[str, DeviceCounters]) -> dict[str, float]:
    """The counters of a link, and those of its devices with the device's name before them."""
    found = link.named()
    for device, counters in devices.items():
        found |= {f"{device}.{name}": value for name, value in counters.named().items()}
    return found
