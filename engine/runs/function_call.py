"""One invocation of a command that is a Python function of the UOD.

Whatever the author's code raises, `SystemExit` too, ends its command and nothing else. How long it takes is watched and
limited: it runs between two ticks of the scan cycle, which stands still meanwhile.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Final

import numpy as np

from drivers.contract import Quality, Value
from engine.core.table import Table
from engine.runs.activities import Writer
from engine.runs.arguments import CommandError
from engine.runs.time_limit import described, limited
from engine.uod.faults import did_you_mean
from engine.uod.function import CommandFunction, FunctionFactory, Reading

log = logging.getLogger("skidlink.engine.runs")

LIMIT_S: Final = 5.0
"""A call that takes longer is interrupted: its author meant to wait, and the whole engine would wait for ever."""


@dataclass(slots=True)
class FunctionCounters:
    """How the functions of a UOD have behaved since the start."""

    function_calls: int = 0
    function_faults: int = 0
    """Calls that raised something, or were interrupted."""
    slow_functions: int = 0
    """Calls that took longer than a tick."""


FUNCTION_COUNTERS = tuple(field.name for field in fields(FunctionCounters))


class FunctionCall:
    """Runs one invocation as an `engine.runs.activities.Activity`, and is what the function knows of the engine."""

    forcible = False

    def __init__(
        self,
        name: str,
        factory: FunctionFactory,
        argument: Value | None,
        *,
        table: Callable[[], Table],
        outputs: Writer,
        tick_s: float,
        counters: FunctionCounters,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.progress: float | None = None
        self.elapsed_s = 0.0
        self._name = name
        self._factory = factory
        self._argument = argument
        self._table = table
        self._outputs = outputs
        self._tick_s = tick_s
        self._counters = counters
        self._clock = clock
        self._function: CommandFunction | None = None
        self._began: float | None = None
        self._warned = False
        self._in_engine = False
        """The function is in a call of the engine's, which is not to be interrupted half done."""

    def go_on(self, now: float) -> bool:
        """Start it, or let it go on; raises `CommandError` when it has raised something."""
        if self._began is None:
            self._began = now
            self._call("start", self._start)
            return False
        self.elapsed_s = now - self._began
        if (function := self._function) is not None:
            self._call("progress", lambda: self._go_on(function))
        if self.progress is None or self.progress < 1:
            return False
        self._end()
        return True

    def force(self) -> None: ...

    def cancel(self) -> None:
        """Let the function leave off and clean up; what it raises then is logged."""
        function = self._function
        if function is not None:
            self._clean_up("cancel", lambda: function.cancel(self))
            self._end()

    # What the function may know and do

    def read(self, tag: str) -> Reading:
        table = self._table()
        if tag not in table:
            raise LookupError(f"no tag is named {tag!r}; {did_you_mean(tag, table.names, 'tags')}")
        row = table.row_of(tag)
        quality = Quality(int(table.quality[row]))
        return Reading(table.value(row), table.units[row], quality, bool(table.simulated[row]))

    def set(self, tag: str, value: Value) -> None:
        with self._uninterrupted():
            # Authors compute with numpy, and its numbers are to go no further.
            self._outputs.wish(tag, value if isinstance(value, str) else np.asarray(value).item())

    def log(self, message: str) -> None:
        with self._uninterrupted():
            log.info("%s: %s", self._name, message)

    def warn(self, message: str) -> None:
        with self._uninterrupted():
            log.warning("%s: %s", self._name, message)

    @contextmanager
    def _uninterrupted(self) -> Generator[None]:
        self._in_engine = True
        try:
            yield
        finally:
            self._in_engine = False

    # Its life

    def _start(self) -> None:
        self._function = self._factory()
        self._function.start(self, self._argument)

    def _go_on(self, function: CommandFunction) -> None:
        progress = function.progress(self)
        if progress is not None:
            progress = float(progress)
            if not math.isfinite(progress):
                raise ValueError(f"progress is a number from 0 to 1, or None, not {progress}")
            progress = min(1.0, max(0.0, progress))
        self.progress = progress

    def _end(self) -> None:
        function, self._function = self._function, None
        if function is not None:
            self._clean_up("finish", lambda: function.finish(self))

    def _call(self, what: str, work: Callable[[], None]) -> None:
        """Do a part of the work; where that fails, leave off and raise `CommandError`."""
        if (error := self._attempt(what, work)) is not None:
            self.cancel()
            raise CommandError(f"{self._name} failed in its {what}: {described(error)}") from error

    def _clean_up(self, what: str, work: Callable[[], None]) -> None:
        if (error := self._attempt(what, work)) is not None:
            log.error("%s: its %s has failed: %s", self._name, what, described(error), exc_info=error)

    def _attempt(self, what: str, work: Callable[[], None]) -> BaseException | None:
        """Let the author's code work; return what it raised, once that is counted."""
        self._counters.function_calls += 1
        began = self._clock()
        error = limited(work, LIMIT_S, lambda: not self._in_engine)
        self._watch(what, self._clock() - began)
        self._counters.function_faults += error is not None
        return error

    def _watch(self, what: str, took_s: float) -> None:
        if took_s <= self._tick_s:
            return
        self._counters.slow_functions += 1
        if not self._warned:
            self._warned = True
            log.warning(
                "%s: its %s took %.3g s and held up the scan cycle, which ticks every %g s; it must not wait",
                self._name, what, took_s, self._tick_s,
            )  # fmt: skip
