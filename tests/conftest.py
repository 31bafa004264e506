"""What holds for every test: no task is left running, the network is the loopback, no machine is too slow."""

from __future__ import annotations

import asyncio
import inspect
import socket
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.clock import Clock

# The same examples on every machine, however long they take: what fails here fails everywhere. Other ones are looked
# for by `pytest --hypothesis-profile=search`.
settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", settings.get_profile("same"), derandomize=False, max_examples=2000)
settings.load_profile("same")


@pytest.fixture(scope="session")
def clock() -> Iterator[Clock]:
    """The clock of this process, to be put forward."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "monotonic", found := Clock())
        yield found


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of the loopback at which nobody listens, held so that nobody begins to."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


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
