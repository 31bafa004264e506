"""What flows between the functions of an expression: a value an instance, and what went wrong on the way to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.reasons import reason_code

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Faults = NDArray[np.uint16] | None
"""(n,) a reason code for each instance, 0 where nothing is wrong; None when nothing is wrong anywhere"""

DIVISION = reason_code("division by zero")
DOMAIN = reason_code("outside the domain of a function")
TOO_LARGE = reason_code("too large a number")
NO_HISTORY = reason_code("not enough history yet")


@dataclass(slots=True)
class Signal:
    """(n,) values of n expressions of one shape; bool for conditions, float64 for numbers."""

    x: NDArray[Any]
    faults: Faults = None

    def sound(self) -> Bools:
        """(n,) where nothing is wrong."""
        return np.ones(self.x.size, np.bool_) if self.faults is None else self.faults == 0


class Tick:
    """One evaluation of all expressions."""

    __slots__ = ("doubtful", "elapsed", "flagged", "now")

    def __init__(self) -> None:
        self.now = 0.0
        """Monotonic seconds."""
        self.elapsed = 0.0
        """Seconds since the last evaluation, 0 in the first one."""
        self.flagged = False
        """Whether the floating point unit has raised a flag since this was last cleared."""
        self.doubtful: Bools | None = None
        """(n,) instances of the group at hand whose value is uncertain"""

    def raise_flag(self, kind: str, flags: int) -> None:  # noqa: ARG002 - numpy's signature for `call`
        self.flagged = True


def first_fault(*signals: Signal) -> Faults:
    """The faults of several signals together; the first one's come first."""
    faults: Faults = None
    for signal in signals:
        if signal.faults is not None:
            faults = signal.faults if faults is None else np.where(faults > 0, faults, signal.faults)
    return faults


def add_fault(faults: Faults, where: Bools, code: int) -> Faults:
    """Mark instances as faulty where they are not yet."""
    if not np.count_nonzero(where):  # several times faster than any()
        return faults
    if faults is None:
        return np.where(where, np.uint16(code), np.uint16(0))
    return np.where(where & (faults == 0), np.uint16(code), faults)


Apply = Callable[..., Signal]
"""(tick, *signals) -> signal"""


def numeric(operation: Callable[..., NDArray[Any]], divides: bool = False) -> Apply:
    """Make a function of numpy one of signals: what is undefined or overflows is a fault, found by the FPU's flags."""

    def apply(tick: Tick, *signals: Signal) -> Signal:
        tick.flagged = False
        x = operation(*[signal.x for signal in signals])
        faults = first_fault(*signals)
        if tick.flagged:
            wrong = ~np.isfinite(x)
            for signal in signals:
                wrong &= np.isfinite(signal.x)
            if divides:
                faults = add_fault(faults, wrong & (signals[-1].x == 0), DIVISION)
            faults = add_fault(faults, wrong & np.isnan(x), DOMAIN)
            faults = add_fault(faults, wrong, TOO_LARGE)
        return Signal(x, faults)

    return apply
