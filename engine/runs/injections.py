"""Lines that were given together, and their order.

Rules of this file:

* The lines of an injection are carried out in their order; where one fails, the lines after it are left out.
* Wait, Pause and Hold let the lines after them wait, and no other injection.
* What does not fit into the time of a tick goes on in the next one, before everything that was given later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.outputs import OutputRefusedError
from engine.runs.arguments import CommandError
from engine.runs.budget import Budget
from engine.runs.ongoing import Ongoing
from engine.runs.pcode import Line
from protocol.messages import ErrorMessage


@dataclass(slots=True, eq=False)
class Injection:
    """Lines that were given together, and have not been carried out yet."""

    lines: deque[tuple[str, Line]] = field(default_factory=deque[tuple[str, Line]])
    """with the id that each has in the run log"""
    delay: Ongoing | None = None
    """The wait that delays them. None: there is none, but they wait while the run is paused or held."""
    postponed: bool = False
    """They wait for nothing but the next tick."""


class Injections:
    """Those that have lines left, and are under way."""

    def __init__(
        self,
        carry_out: Callable[[str, Line, Injection], bool],
        fail: Callable[[str, Line, Exception, int], ErrorMessage],
        is_halted: Callable[[], bool],
        budget: Budget,
    ) -> None:
        """`carry_out` does what a line asks for, and returns True when the lines after it have to wait; `fail` writes
        down that one could not be done, and how many lines after it are left out, and returns the answer."""
        self._carry_out = carry_out
        self._fail = fail
        self._is_halted = is_halted
        self._budget = budget
        self._all: list[Injection] = []

    @property
    def lines_left(self) -> int:
        """How many lines have not been carried out."""
        return sum(len(injection.lines) for injection in self._all)

    def add(self, injection: Injection) -> ErrorMessage | None:
        """Carry out an injection as far as it need not wait; return why one of its lines could not be."""
        return self._carry_on(injection)  # while an earlier one is postponed, the time of this tick is spent

    def go_on(self) -> None:
        """Go on, in a new tick."""
        self._budget.renew()
        for injection in list(self._all):
            if self._budget.is_spent:
                return
            if injection not in self._all:
                continue  # a line of another one has stopped the run
            waits = self._is_halted() or not (injection.delay is None or injection.delay.over)
            if injection.postponed or not waits:
                self._carry_on(injection)

    def clear(self) -> int:
        """Leave out all that is left; how many lines that is."""
        left = self.lines_left
        self._all.clear()
        return left

    def _carry_on(self, injection: Injection) -> ErrorMessage | None:
        injection.postponed = False
        if injection.delay is not None and injection.delay.cancelled:
            injection.lines.clear()  # with a wait go the lines that it delays
        while injection.lines:
            if self._budget.is_spent:
                injection.postponed = True
                break
            line_id, line = injection.lines.popleft()
            injection.delay = None
            try:
                with self._budget:
                    waits = self._carry_out(line_id, line, injection)
            except (CommandError, OutputRefusedError) as error:
                left_out = len(injection.lines)
                injection.lines.clear()
                self._keep(injection)
                return self._fail(line_id, line, error, left_out)
            if waits:
                break
        self._keep(injection)
        return None

    def _keep(self, injection: Injection) -> None:
        """See to it that it is among all while it has lines, and not any more then."""
        if injection.lines and injection not in self._all:
            self._all.append(injection)
        elif not injection.lines and injection in self._all:
            self._all.remove(injection)
