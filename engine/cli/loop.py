"""The event loop of the engine: asyncio's own, or uvloop where it is installed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from enum import StrEnum
from importlib import import_module
from typing import Any, TypeVar

Result = TypeVar("Result")


class LoopName(StrEnum):
    """The loops that can be asked for."""

    AUTO = "auto"
    """uvloop where it is installed, which nobody does for another reason."""
    ASYNCIO = "asyncio"
    UVLOOP = "uvloop"


class NoLoopError(Exception):
    """A loop was asked for that is not there; the message says what to install."""


def run_in(loop: LoopName, work: Coroutine[Any, Any, Result]) -> Result:
    """Run to the end, as `asyncio.run` does. Raises `NoLoopError`."""
    try:
        factory = _factory(loop)
    except NoLoopError:
        work.close()
        raise
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(work)


def _factory(loop: LoopName) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """What makes such a loop; None: asyncio itself."""
    if loop is LoopName.ASYNCIO:
        return None
    try:
        return import_module("uvloop").new_event_loop
    except ImportError:
        if loop is LoopName.AUTO:
            return None
        message = 'uvloop is not installed: pip install "skidlink[fast]" (not on Windows), or --loop asyncio'
        raise NoLoopError(message) from None
