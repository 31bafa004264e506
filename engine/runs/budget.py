"""The share of a tick that the lines of users may take, so that no number of them stops the scan."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Final

SHARE: Final = 0.25
"""of a tick"""
LEAST_LINES: Final = 5
"""So many lines are carried out in each tick, however long they take."""


class Budget:
    """Measures what is done `with` it, one line at a time."""

    def __init__(self, tick_s: float, clock: Callable[[], float] = time.perf_counter) -> None:
        self._most_s = SHARE * tick_s
        self._clock = clock
        self._began = 0.0
        self._used_s = 0.0
        self._lines = 0

    @property
    def is_spent(self) -> bool:
        """Whether everything else has to wait for the next tick."""
        return self._lines >= LEAST_LINES and self._used_s >= self._most_s

    def renew(self) -> None:
        """Begin a new tick."""
        self._used_s, self._lines = 0.0, 0

    def __enter__(self) -> None:
        self._lines += 1
        self._began = self._clock()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._used_s += self._clock() - self._began
