"""Time limits around calls of asyncua."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator


@contextlib.asynccontextmanager
async def within(seconds: float) -> AsyncGenerator[None]:
    """Bound the time of what asyncua does, as `asyncio.timeout`. Raises `TimeoutError`.

    Where an answer comes in the very turn in which its time is over, asyncua's `wait_for` on Python 3.11 (wait_for2)
    raises a kind of CancelledError of its own. `asyncio.timeout` would not take it for its own doing, and a task that
    nobody has cancelled would end as cancelled.
    """
    async with asyncio.timeout(seconds):
        try:
            yield
        except asyncio.CancelledError as error:
            if type(error) is asyncio.CancelledError:
                raise
            raise asyncio.CancelledError from error
