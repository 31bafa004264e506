"""Where the instructions of a run come from, beside its users: the seam at which methods are interpreted.

The scan cycle asks once a tick, while a run is neither held nor paused, for the lines that are due; they are carried
out as if a user had injected them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from engine.runs.pcode import lines_of
from protocol.models import Method, MethodState

log = logging.getLogger("skidlink.engine.runs")


class MethodFailedError(Exception):
    """A method that cannot go on; the message names its line, and says what is wrong with it."""


class InstructionSource(Protocol):
    """Says in a run what is to be done next."""

    def begin(self, method: Method) -> None:
        """A run begins with this method, which may have no lines."""
        ...

    def next(self, now: float) -> Sequence[str]:
        """The lines of P-code to carry out in this tick, in their order; `now` is in monotonic seconds.

        Raises `MethodFailedError`: the run is then paused.
        """
        ...

    def state(self) -> MethodState:
        """How far the method has come, line by line: the same object until it changes."""
        ...

    def end(self) -> None:
        """The run is over."""
        ...


class NoInstructions:
    """Interprets no method: what happens in a run is what its users do."""

    def __init__(self) -> None:
        self._state = MethodState.empty()

    def begin(self, method: Method) -> None:
        if lines_of(method.as_pcode()):
            log.error("this version of Skidlink does not carry out methods: the run goes without it, by hand")

    def next(self, now: float) -> Sequence[str]:  # noqa: ARG002
        return ()

    def state(self) -> MethodState:
        return self._state

    def end(self) -> None: ...
