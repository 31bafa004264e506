"""What is told again and again is told a few times a minute, and then counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MINUTE_S: Final = 60.0
TOLD_A_MINUTE: Final = 4
"""Two outages with their ends."""


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

    def passes(self, subject: str, now: float) -> bool:
        """Whether to tell one more of a subject at `now`, monotonic seconds; where not, it is counted."""
        minute = self._minutes.get(subject)
        if minute is None or minute.ends <= now:
            held_back = 0 if minute is None else minute.held_back
            minute = self._minutes[subject] = _Minute(now + MINUTE_S, held_back=held_back)
        if minute.told < self._told_a_minute:
            minute.told += 1
            return True
        minute.held_back += 1
        return False

    def take_held_back(self, now: float) -> dict[str, int]:
        """Subject -> how many were held back, for each whose minute is over."""
        over = [subject for subject, minute in self._minutes.items() if minute.ends <= now]
        ended = {subject: self._minutes.pop(subject) for subject in over}
        return {subject: minute.held_back for subject, minute in ended.items() if minute.held_back}
