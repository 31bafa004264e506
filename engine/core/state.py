"""Functions that remember: one object for each place in which such a function stands, one array element an instance.

Time is the time that really passed between two ticks. While an input is faulty, time does not count: nothing is added
to a total, and nothing is assumed about what happened meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.core.signal import Bools, Floats, Signal, Tick, first_fault

Fields = dict[str, NDArray[Any]]


class State:
    """What one function remembers of n instances: `fields`, in which the last axis is the instance."""

    blank: ClassVar[Mapping[str, float]] = {}
    """field -> the value with which it begins"""

    def __init__(self, count: int, *constants: float) -> None:  # noqa: ARG002 - for those that have any
        self.fields: Fields = {name: np.full(count, value, np.float64) for name, value in self.blank.items()}

    def step(self, tick: Tick, *signals: Signal) -> Signal:
        raise NotImplementedError

    def reset(self, instances: NDArray[np.intp]) -> None:
        """Begin anew."""
        for name, value in self.blank.items():
            self.fields[name][..., instances] = value

    def adopt(self, old: State, here: NDArray[np.intp], there: NDArray[np.intp]) -> None:
        """Take over what another object of the same function and constants remembers of the same tags."""
        for name, field in self.fields.items():
            field[..., here] = old.fields[name][..., there]


class Integral(State):
    """The integral over time by the trapezoidal rule, from sound sample to sound sample."""

    blank: ClassVar[Mapping[str, float]] = {"total": 0.0, "last": np.nan}

    def step(self, tick: Tick, *signals: Signal) -> Signal:
        (signal,) = signals
        total, last = self.fields["total"], self.fields["last"]
        x: Floats = signal.x.astype(np.float64)
        piece = (last + x) * (0.5 * tick.elapsed)
        if signal.faults is not None:
            x[~signal.sound()] = np.nan
            piece[~signal.sound()] = 0.0
        if np.isnan(last).any():
            piece[np.isnan(last)] = 0.0
        total += piece
        last[:] = x
        return Signal(total.copy(), signal.faults)


class Count(State):
    """How often a condition became true; it does not count if it is true at the very first."""

    blank: ClassVar[Mapping[str, float]] = {"total": 0.0, "before": 1.0}

    def step(self, tick: Tick, *signals: Signal) -> Signal:  # noqa: ARG002
        (signal,) = signals
        sound = signal.sound()
        rising: Bools = signal.x & (self.fields["before"] == 0) & sound
        self.fields["total"] += rising
        np.copyto(self.fields["before"], signal.x, where=sound)
        return Signal(self.fields["total"].copy(), first_fault(signal))


class OnTime(State):
    """For how many seconds a condition was true: it holds from the tick that saw it until the next one."""

    blank: ClassVar[Mapping[str, float]] = {"total": 0.0, "before": 0.0}

    def step(self, tick: Tick, *signals: Signal) -> Signal:
        (signal,) = signals
        sound = signal.sound()
        self.fields["total"] += self.fields["before"] * tick.elapsed
        self.fields["before"][:] = signal.x & sound
        return Signal(self.fields["total"].copy(), signal.faults)
