"""How long this computer has been suspended."""

from __future__ import annotations

import time


def suspended_s() -> float:
    """Seconds since its start in which this computer was suspended and monotonic time stood still, as on Linux; 0 where
    monotonic time goes on, or nobody knows."""
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return 0.0 if boottime is None else time.clock_gettime(boottime) - time.clock_gettime(time.CLOCK_MONOTONIC)
