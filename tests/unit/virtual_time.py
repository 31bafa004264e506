"""A loop in which nobody waits: when there is nothing to do, its clock goes on to when there is."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from types import ModuleType
from typing import Any

import pytest


class VirtualTime(selectors.DefaultSelector):
    """The selector of such a loop, and its clock: what it would wait for has passed already."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("nothing is due, and nothing will ever be")
        self.now += timeout
        return super().select(0)


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: VirtualTime) -> None:
        super().__init__(clock)
        self._clock = clock

    def time(self) -> float:
        return self._clock.now


def run_virtually(
    main: Coroutine[Any, Any, None], clock: VirtualTime, monkeypatch: pytest.MonkeyPatch, *modules: ModuleType
) -> None:
    """Run a coroutine in virtual time, which is the time of these modules, too."""
    for module in modules:
        monkeypatch.setattr(module, "time", clock)
    with asyncio.Runner(loop_factory=lambda: _Loop(clock)) as runner:
        runner.run(main)
