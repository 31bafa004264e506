"""Functions that remember: one object for each place in which such a function stands, one array element an instance.

Time is the time that really passed between two ticks. While an input is faulty, time does not count: nothing is added
to a total, and nothing is assumed about what happened meanwhile.

When the process ends and another one goes on (`Core.remember`), the time between does not count either. What lasts goes
on where it was: totals, counts, origins, what is held, latched or settled. What fades by itself begins anew: rates,
averages, windows and delays, as nobody knows what they would have seen.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.core.signal import NO_HISTORY, Bools, Floats, Signal, Tick, add_fault, first_fault

Fields = dict[str, NDArray[Any]]


class State:
    """What one function remembers of n instances: `fields`, in which the last axis is the instance."""

    blank: ClassVar[Mapping[str, float]] = {}
    """field -> the value with which it begins"""
    lasting: ClassVar[tuple[str, ...]] = ()
    """The fields that outlive the process."""
    timeless: ClassVar[bool] = False
    """Whether a step changes nothing as long as the inputs stay as they are."""

    def __init__(self, count: int, *constants: float) -> None:  # noqa: ARG002 - for those that have any
        self.fields: Fields = {name: np.full(count, value, np.float64) for name, value in self.blank.items()}
        self.in_step = False
        """Whether all instances have taken a sound sample in the last step, so that nothing is missing from any."""

    def step(self, tick: Tick, *signals: Signal) -> Signal:
        """What comes of the inputs in this tick; nobody may write into it, as it may be a field of this object."""
        raise NotImplementedError

    def reset(self, instances: NDArray[np.intp]) -> None:
        """Begin anew."""
        self.in_step = False
        for name, value in self.blank.items():
            self.fields[name][..., instances] = value

    def adopt(self, old: State, here: NDArray[np.intp], there: NDArray[np.intp]) -> None:
        """Take over what another object of the same function and constants remembers of the same tags."""
        self.recall(old.fields, here, there)

    def recall(self, fields: Mapping[str, NDArray[Any]], here: NDArray[np.intp], there: NDArray[np.intp]) -> None:
        """Take over some fields of the instances `there`."""
        self.in_step = False
        for name, field in fields.items():
            self.fields[name][..., here] = field[..., there]


class Integral(State):
    """The integral over time by the trapezoidal rule, from sound sample to sound sample; never across a restart."""

    blank: ClassVar[Mapping[str, float]] = {"total": 0.0, "last": np.nan}
    lasting = ("total",)

    def step(self, tick: Tick, *signals: Signal) -> Signal:
        (signal,) = signals
        total, last = self.fields["total"], self.fields["last"]
        x: Floats = signal.x
        if signal.faults is not None:
            x = np.where(signal.sound(), x, np.nan)
        piece = last + x
        piece *= 0.5 * tick.elapsed
        if self.in_step and signal.faults is None and tick.elapsed > 0:
            total += piece
        else:
            np.add(total, piece, out=total, where=piece == piece)  # noqa: PLR0124 - false where there is a NaN
        last[:] = x
        self.in_step = signal.faults is None
        return Signal(total, signal.faults)


class Count(State):
    """How often a condition became true; it does not count if it is true at the very first.

    One that was false before a restart and is true after it has become true.
    """

    blank: ClassVar[Mapping[str, float]] = {"total": 0.0, "before": 1.0}
    lasting = ("total", "before")
    timeless = True

    def step(self, tick: Tick, *signals: Signal) -> Signal:  # noqa: ARG002
        (signal,) = signals
        sound = signal.sound()
        rising: Bools = signal.x & (self.fields["before"] == 0) & sound
        self.fields["total"] += rising
        np.copyto(self.fields["before"], signal.x, where=sound)
        return Signal(self.fields["total"], first_fault(signal))


class OnTime(State):
    """For how many seconds a condition was true: it holds from the tick that saw it until the next one.

    A restart is as if the condition had been false meanwhile.
    """

    blank: ClassVar[Mapping[str, float]] = {"total": 0.0, "before": 0.0}
    lasting = ("total",)

    def step(self, tick: Tick, *signals: Signal) -> Signal:
        (signal,) = signals
        sound = signal.sound()
        self.fields["total"] += self.fields["before"] * tick.elapsed
        self.fields["before"][:] = signal.x & sound
        return Signal(self.fields["total"], signal.faults)


class Since(State):
    """By how much a value, as that of a totaliser, has grown since its beginning.

    What the device has counted during a restart is part of it.
    """

    blank: ClassVar[Mapping[str, float]] = {"origin": np.nan}
    lasting = ("origin",)
    timeless = True

    def step(self, tick: Tick, *signals: Signal) -> Signal:  # noqa: ARG002
        (signal,) = signals
        origin = self.fields["origin"]
        np.copyto(origin, signal.x, where=np.isnan(origin) & signal.sound())
        return Signal(signal.x - origin, signal.faults)


class Rate(State):
    """The change a second, from sound sample to sound sample."""

    blank: ClassVar[Mapping[str, float]] = {"last": np.nan, "at": np.nan, "rate": np.nan}

    def step(self, tick: Tick, *signals: Signal) -> Signal:
        (signal,) = signals
        last, at, rate = self.fields["last"], self.fields["at"], self.fields["rate"]
        moved = signal.sound() & ~(tick.now <= at)
        elapsed = np.where(moved, tick.now - at, 1.0)
        np.copyto(rate, (signal.x - last) / elapsed, where=moved)
        np.copyto(last, signal.x, where=moved)
        np.copyto(at, tick.now, where=moved)
        return Signal(rate, add_fault(signal.faults, np.isnan(rate), NO_HISTORY))


class Ema(State):
    """The exponential moving average with a time constant in seconds."""

    blank: ClassVar[Mapping[str, float]] = {"mean": np.nan, "at": np.nan}

    def __init__(self, count: int, seconds: float) -> None:
        super().__init__(count)
        self._seconds = seconds

    def step(self, tick: Tick, *signals: Signal) -> Signal:
        (signal,) = signals
        mean, at = self.fields["mean"], self.fields["at"]
        moved = signal.x - mean
        if self.in_step and signal.faults is None:
            moved *= -math.expm1((float(at[0]) - tick.now) / self._seconds)
            mean += moved
            at.fill(tick.now)
            return Signal(mean)
        moved *= -np.expm1((at - tick.now) / self._seconds)
        moved += mean
        np.copyto(moved, signal.x, where=np.isnan(mean))
        sound = signal.sound()
        np.copyto(mean, moved, where=sound)
        np.copyto(at, tick.now, where=sound)
        self.in_step = signal.faults is None
        return Signal(moved, signal.faults)


class Hold(State):
    """Follows a value, and keeps the last one while a condition is true, over a restart too."""

    blank: ClassVar[Mapping[str, float]] = {"held": np.nan}
    lasting = ("held",)
    timeless = True

    def step(self, tick: Tick, *signals: Signal) -> Signal:  # noqa: ARG002
        signal, holds = signals
        held = self.fields["held"]
        follows = ~holds.x & holds.sound()
        np.copyto(held, signal.x, where=signal.sound() & (follows | (np.isnan(held) & holds.sound())))
        # While it holds, a fault of what it does not look at is no fault.
        faults = None if signal.faults is None else np.where(follows, signal.faults, np.uint16(0))
        faults = first_fault(Signal(held, faults), holds)
        return Signal(held, add_fault(faults, np.isnan(held), NO_HISTORY))


class Debounce(State):
    """A condition that changes only when it has been different for so many seconds on end, without a restart."""

    blank: ClassVar[Mapping[str, float]] = {"settled": np.nan, "since": np.nan}
    lasting = ("settled",)

    def __init__(self, count: int, seconds: float) -> None:
        super().__init__(count)
        self._seconds = seconds

    def step(self, tick: Tick, *signals: Signal) -> Signal:
        (signal,) = signals
        settled, since = self.fields["settled"], self.fields["since"]
        sound = signal.sound()
        np.copyto(settled, signal.x, where=sound & np.isnan(settled))
        differs = sound & (signal.x != (settled != 0))
        since[~differs] = np.nan
        since[differs & np.isnan(since)] = tick.now
        turned = differs & (tick.now - since >= self._seconds)
        np.copyto(settled, signal.x, where=turned)
        since[turned] = np.nan
        return Signal(settled == 1, signal.faults)


class Latch(State):
    """True from when the first condition was true until the second one is, over restarts; if both are, false."""

    blank: ClassVar[Mapping[str, float]] = {"on": 0.0}
    lasting = ("on",)
    timeless = True

    def step(self, tick: Tick, *signals: Signal) -> Signal:  # noqa: ARG002
        sets, resets = signals
        on = self.fields["on"]
        np.copyto(on, 1.0, where=sets.x & sets.sound())
        np.copyto(on, 0.0, where=resets.x & resets.sound())
        return Signal(on == 1, first_fault(sets, resets))
