"""The clock of a test process, which can be put forward.

A time-out that a fault has to reach would be short for the sake of the test, and then a slow machine reaches it with
nothing wrong. So it is long here, and the fault puts the clock forward. A test says when; no waiting is left.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

IN_FLIGHT_S = 0.02
"""How long what was sent may still be on its way to its reader on the loopback."""


class Clock:
    """Stands in for `time.monotonic`, and with it for the time of all event loops. It never goes back."""

    def __init__(self) -> None:
        self._real = time.monotonic
        self._ahead = 0.0

    def __call__(self) -> float:
        return self._real() + self._ahead

    def leap(self, seconds: float) -> None:
        """Put the clock forward, from within the event loop whose timers are to notice."""
        self._ahead += seconds

    def leap_soon(self, seconds: float) -> None:
        """Put the clock forward once what is already on its way has arrived."""
        asyncio.get_running_loop().call_later(IN_FLIGHT_S, self.leap, seconds)

    @asynccontextmanager
    async def racing(self) -> AsyncGenerator[None]:
        """Let a second pass every few milliseconds, in which whatever is due has its turns."""

        async def race() -> None:
            while True:
                await asyncio.sleep(0.01)
                self.leap(0.99)

        task = asyncio.create_task(race(), name="racing clock")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
