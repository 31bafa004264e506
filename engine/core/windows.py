"""Functions over the last so many seconds, in bounded memory whatever the tick.

A window keeps every sound sample that is younger than its length. Where the tick is so fast that these would be more
than `CAPACITY`, samples closer to each other than a `CAPACITY`-th of the window are kept as one.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from engine.core.signal import NO_HISTORY, Floats, Signal, Tick, add_fault
from engine.core.state import State

CAPACITY = 1024


class Window(State):
    """(samples, n) values and their times, in a buffer whose live part moves to its beginning when it is full."""

    def __init__(self, count: int, seconds: float) -> None:
        super().__init__(count)
        self._seconds = seconds
        self._spacing = seconds / CAPACITY
        self._times: Floats = np.zeros(64)
        self._samples: Floats = np.full((64, count), np.nan)
        self._start: int = 0
        self._stop: int = 0
        self._merged = 0
        """How many samples the last one stands for."""
        self._complete_from = -np.inf
        """No sample that is in the window from this time on is missing."""

    def step(self, tick: Tick, *signals: Signal) -> Signal:
        (signal,) = signals
        self._append(tick.now, signal)
        self._expire(tick.now)
        samples = self._samples[self._start : self._stop]
        x, enough = self.reduce(samples, complete=tick.now >= self._complete_from)
        return Signal(x, add_fault(signal.faults, ~enough, NO_HISTORY))

    def reduce(self, samples: Floats, *, complete: bool) -> tuple[Floats, NDArray[np.bool_]]:
        """(samples, n) -> (n,) values and whether there are samples enough; NaN is a missing one, if not `complete`."""
        raise NotImplementedError

    def merge(self, before: Floats, count: int, x: Floats) -> Floats:
        """One sample out of several that are too close to each other: `before` stands for `count` of them, and x."""
        return np.where(np.isnan(before), x, np.where(np.isnan(x), before, before + (x - before) / (count + 1)))

    def _append(self, now: float, signal: Signal) -> None:
        x: Floats = signal.x.astype(np.float64)
        if signal.faults is not None:
            x[~signal.sound()] = np.nan
            self._complete_from = now + self._seconds
        if self._stop > self._start and now - self._times[self._stop - 1] < self._spacing:
            self._samples[self._stop - 1] = self.merge(self._samples[self._stop - 1], self._merged, x)
            self._merged += 1
            return
        if self._stop == self._times.size:
            self._make_room()
        self._times[self._stop] = now
        self._samples[self._stop] = x
        self._stop += 1
        self._merged = 1

    def _make_room(self) -> None:
        """Move the live part to the beginning, of a buffer twice as large if it fills more than half."""
        live = self._stop - self._start
        times, samples = self._times, self._samples
        if 2 * live > times.size:
            self._times = np.zeros(2 * times.size)
            self._samples = np.full((2 * times.size, samples.shape[1]), np.nan)
        self._times[:live] = times[self._start : self._stop].copy()
        self._samples[:live] = samples[self._start : self._stop].copy()
        self._start, self._stop = 0, live

    def _expire(self, now: float) -> None:
        live = self._times[self._start : self._stop]
        self._start += int(np.searchsorted(live, now - self._seconds, side="right"))

    def reset(self, instances: NDArray[np.intp]) -> None:
        self._samples[:, instances] = np.nan
        if self._stop > self._start:
            self._complete_from = float(self._times[self._stop - 1]) + self._seconds

    def adopt(self, old: State, here: NDArray[np.intp], there: NDArray[np.intp]) -> None:
        if not isinstance(old, Window):
            raise TypeError("a window can only adopt a window")
        live = slice(old._start, old._stop)
        if self._start == self._stop:
            self._times = old._times[live].copy()
            self._samples = np.full((self._times.size, self._samples.shape[1]), np.nan)
            self._stop, self._merged = self._times.size, old._merged
            self._complete_from = np.inf if self._stop == 0 else float(self._times[-1]) + self._seconds
        _, mine, theirs = np.intersect1d(self._times[self._start : self._stop], old._times[live], return_indices=True)
        self._samples[np.ix_(mine + self._start, here)] = old._samples[np.ix_(theirs + old._start, there)]


def _width(samples: Floats) -> int:
    return int(samples.shape[1])


def _counts(samples: Floats) -> NDArray[np.intp]:
    return np.count_nonzero(~np.isnan(samples), axis=0)


class Mean(Window):
    """The mean of the samples."""

    def reduce(self, samples: Floats, *, complete: bool) -> tuple[Floats, NDArray[np.bool_]]:
        return _mean(samples, complete=complete)


def _mean(samples: Floats, *, complete: bool) -> tuple[Floats, NDArray[np.bool_]]:
    if complete and len(samples):
        return samples.mean(axis=0), np.ones(_width(samples), np.bool_)
    counts = _counts(samples)
    total: Floats = np.nansum(samples, axis=0)
    return total / np.maximum(counts, 1), counts > 0


class Deviation(Window):
    """The standard deviation of the samples, of which there have to be two (n - 1 in the denominator)."""

    def reduce(self, samples: Floats, *, complete: bool) -> tuple[Floats, NDArray[np.bool_]]:
        mean, _ = _mean(samples, complete=complete)
        counts = _counts(samples)
        squares: Floats = np.nansum((samples - mean) ** 2, axis=0)
        return np.sqrt(squares / np.maximum(counts - 1, 1)), counts > 1


class Median(Window):
    """The middle sample, or the mean of the two in the middle."""

    def reduce(self, samples: Floats, *, complete: bool) -> tuple[Floats, NDArray[np.bool_]]:  # noqa: ARG002
        counts = _counts(samples)
        if not len(samples):
            return np.zeros(_width(samples)), counts > 0
        ordered = np.sort(samples, axis=0)  # NaN comes last
        every = np.arange(_width(samples))
        low: Floats = ordered[np.maximum(counts - 1, 0) // 2, every]
        high: Floats = ordered[np.minimum(counts // 2, len(samples) - 1), every]
        return (low + high) / 2, counts > 0


class _Extreme(Window):
    """The least or the greatest sample; a sample too close to the last one is folded in, never lost."""

    pick: ClassVar[Any]

    def reduce(self, samples: Floats, *, complete: bool) -> tuple[Floats, NDArray[np.bool_]]:  # noqa: ARG002
        if not len(samples):
            return np.zeros(_width(samples)), np.zeros(_width(samples), np.bool_)
        x: Floats = type(self).pick.reduce(samples, axis=0)
        return x, ~np.isnan(x)

    def merge(self, before: Floats, count: int, x: Floats) -> Floats:  # noqa: ARG002
        return type(self).pick(before, x)


class Least(_Extreme):
    pick = np.fmin


class Greatest(_Extreme):
    pick = np.fmax


class Delay(Window):
    """The value of so many seconds ago: the youngest sound sample that is at least as old."""

    def _expire(self, now: float) -> None:
        live = self._times[self._start : self._stop]
        self._start += max(int(np.searchsorted(live, now - self._seconds, side="right")) - 1, 0)

    def step(self, tick: Tick, *signals: Signal) -> Signal:
        (signal,) = signals
        self._append(tick.now, signal)
        self._expire(tick.now)
        x = self._samples[self._start].copy()
        if self._times[self._start] > tick.now - self._seconds:
            x[:] = np.nan
        # What counts is what was sound then; what the input is like now is said by its quality.
        return Signal(x, add_fault(None, np.isnan(x), NO_HISTORY))

    def merge(self, before: Floats, count: int, x: Floats) -> Floats:  # noqa: ARG002
        return before
