"""Links of Modbus drivers in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from engine.links import Link

Virtually = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a coroutine in virtual time."""


@asynccontextmanager
async def working(*links: Link) -> AsyncGenerator[Link]:
    """The workers of these links; yields the first one."""
    tasks = [asyncio.create_task(link.run()) for link in links]
    try:
        yield links[0]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
