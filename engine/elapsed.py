"""Time that has passed, whatever is done to the wall clock.

A wall clock says 1970 after a start without a battery, is set by days when a network comes, and can be wrong by years.
So ages are counted: while the engine runs, and while it was away as far as its computer has been on all the time. Time
in which the computer was off is known to nobody and does not count, so nothing grows too old by it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def since_boot_s() -> float:
    """Seconds on a clock that nobody can set; on Linux it goes on while the computer is suspended."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boottime is None else time.clock_gettime(boottime)


@cache
def boot_id() -> str:
    """Names the time since this computer was switched on; "" where the system has no name for it."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""


@dataclass(frozen=True, slots=True)
class Counted:
    """What had been counted at a moment, to be kept for the next start."""

    passed_s: float = 0.0
    boot: str = ""
    since_boot_s: float = 0.0


class PassedTime:
    """Counts seconds, over restarts."""

    def __init__(self, kept: Counted | None = None) -> None:
        """Go on from what was kept."""
        kept = kept or Counted()
        self._since = since_boot_s()
        is_known = kept.boot != "" and kept.boot == boot_id()
        away_s = max(0.0, self._since - kept.since_boot_s) if is_known else 0.0
        self._base = kept.passed_s + away_s

    @property
    def seconds(self) -> float:
        """What has been counted; it never decreases."""
        return self._base + since_boot_s() - self._since

    def counted(self) -> Counted:
        """What has been counted by now."""
        return Counted(self.seconds, boot_id(), since_boot_s())

    def be_at_least(self, seconds: float) -> None:
        """Leap to `seconds` if less has been counted: something is known to be so old."""
        self._base += max(0.0, seconds - self.seconds)
