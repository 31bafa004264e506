"""What is told again and again is told a few times a minute, and then counted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

MINUTE_S: Final = 60.0
TOLD_A_MINUTE: Final = 4
"""Two outages with their ends."""
MOST_SUBJECTS: Final = 1000
"""Subjects that are counted each for itself in a minute."""
OTHERS: Final = "others"


@dataclass(slots=True)
class _Minute:
    ends: float
    told: int = 0
    held_back: int = 0


class Flood:
    """Counts by subject what is told in a minute, which begins with the first of it."""

    def __init__(self, told_a_minute: int = TOLD_A_MINUTE) -> None:
        self._told_a_minute = told_a_minute
        self._minutes: dict[str, _Minute] = {}
        self._over: dict[str, int] = {}
        """Subject -> how many were held back in a minute that is over, as another one has begun"""
        self.due = math.inf
        """When there is a count to take, monotonic seconds."""

    def passes(self, subject: str, now: float) -> bool:
        """Whether to tell one more of a subject at `now`, monotonic seconds; where not, it is counted."""
        minute = self._minutes.get(subject)
        if minute is None and len(self._minutes) >= MOST_SUBJECTS:
            self._forget_over(now)
            if len(self._minutes) >= MOST_SUBJECTS:
                subject, minute = OTHERS, self._minutes.get(OTHERS)
        if minute is None or minute.ends <= now:
            if minute is not None and minute.held_back:
                self._over[subject] = self._over.get(subject, 0) + minute.held_back
            minute = self._minutes[subject] = _Minute(now + MINUTE_S)
        if minute.told < self._told_a_minute:
            minute.told += 1
            return True
        minute.held_back += 1
        self.due = min(self.due, minute.ends)
        return False

    def take_held_back(self, now: float) -> dict[str, int]:
        """Subject -> how many were held back in its minute, for each whose minute is over."""
        self._forget_over(now)
        taken, self._over = self._over, {}
        self.due = min((minute.ends for minute in self._minutes.values() if minute.held_back), default=math.inf)
        return taken

    def _forget_over(self, now: float) -> None:
        """Keep of a minute that is over nothing but its count."""
        for subject in [subject for subject, minute in self._minutes.items() if minute.ends <= now]:
            if held_back := self._minutes.pop(subject).held_back:
                self._over[subject] = self._over.get(subject, 0) + held_back
