"""How an output with a greatest rate goes from where it is to where it is wanted. Pure: time is an argument."""

from __future__ import annotations

import math
from typing import Final

LATE_TICKS: Final = 2.0
"""A step covers no more than so many ticks, however late it is: a scan cycle that stood still is no leap."""


class Ramp:
    """Where an output is on its way; all values are in the unit of its tag."""

    def __init__(self, rate: float, start: float, allowance_s: float) -> None:
        """`rate` is in units a second; `start` is where it is, as far as is known.

        A device that answers within `allowance_s`, which is one tick, does not slow the ramp down; a slower one does,
        so that what has waited for it never comes as a leap. A late tick slows it down, too: see `LATE_TICKS`.
        """
        self.rate = rate
        self.moving = False
        self.position = start
        self._allowance_s = allowance_s
        self._left_at = 0.0
        self._confirmed = start

    def place(self, position: float) -> None:
        """Be at a value at once, and rest there."""
        self.position = position
        self.moving = False

    def start(self, position: float) -> None:
        """Be where the device is known to be."""
        self.place(position)
        self._confirmed = position

    def set_out(self, now: float) -> None:
        """Begin to move from here, or go on moving towards another value."""
        if not self.moving:
            self.moving = True
            self._left_at = now

    def step(self, target: float, now: float) -> float:
        """Move on towards `target` by as much as the time since the last step allows; return the new position."""
        passed = min(max(0.0, now - self._left_at), LATE_TICKS * self._allowance_s)
        most = self.rate * passed
        self._left_at = now
        way = target - self.position
        # What lies within a millionth of a step is there: else the last step would be one of rounding errors.
        self.moving = abs(way) > most * (1 + 1e-6)
        self.position = self.position + math.copysign(most, way) if self.moving else target
        return self.position

    def confirm(self, now: float) -> None:
        """The device has taken the position."""
        self._confirmed = self.position
        self._left_at = max(self._left_at, now - self._allowance_s)

    def fall_back(self) -> None:
        """The device has refused the position: be where it was confirmed last, and rest."""
        self.place(self._confirmed)
