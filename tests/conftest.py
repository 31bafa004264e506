"""What holds for every test: no task is left running, and the network is the loopback."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator

import pytest


@pytest.fixture
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Fail a test that leaves a task of its own running."""
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)  # lets a task that was just cancelled end
    leaked = [task for task in asyncio.all_tasks() - before if task is not asyncio.current_task() and not task.done()]
    for task in leaked:
        task.cancel()
    await asyncio.gather(*leaked, return_exceptions=True)
    assert not leaked, "tasks left running: " + ", ".join(repr(task.get_coro()) for task in leaked)


@pytest.fixture(autouse=True)
def leaked_task_check(request: pytest.FixtureRequest) -> None:
    """Put `no_leaked_tasks` around every coroutine test, outside all its other fixtures."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("no_leaked_tasks")
