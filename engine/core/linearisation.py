"""What an instrument's raw signal means: resistance thermometers, thermocouples, current loops, flow from pressure."""

from __future__ import annotations

import math
from functools import cache

import numpy as np

from drivers.reasons import reason_code
from engine.core.signal import Apply, Floats, Signal, Tick, add_fault, first_fault
from engine.core.thermocouples import LOWEST, PIECES, voltage

OUT_OF_RANGE = reason_code("outside of what this sensor can measure")
LOOP_FAILED_LOW = reason_code("current loop at or below 3.6 mA: broken wire or failed instrument")
LOOP_FAILED_HIGH = reason_code("current loop at or above 21 mA: short circuit or failed instrument")

# IEC 60751:2022, section 4.2: R(t) = R0 * (1 + A t + B t^2), and + C (t - 100) t^3 below 0 degC
_A, _B, _C = 3.9083e-3, -5.775e-7, -4.183e-12
_PT_LOW, _PT_HIGH = -200.0, 850.0
_NEWTON_STEPS = 4
"""From the closed form of the warm side, four steps reach the last digit anywhere between -200 and 0 degC."""


def platinum_ratio(t: Floats) -> Floats:
    """R(t) / R0 of a platinum thermometer at temperatures in degC."""
    cold = np.minimum(t, 0.0)
    return 1 + _A * t + _B * t**2 + _C * (cold - 100) * cold**3


def platinum(r0: float) -> Apply:
    """Temperature in degC from resistance in ohm, for a platinum thermometer of R0 ohm at 0 degC."""
    low, high = platinum_ratio(np.array([_PT_LOW, _PT_HIGH]))

    def apply(tick: Tick, resistance: Signal) -> Signal:  # noqa: ARG001
        ratio = resistance.x / r0
        faults = add_fault(resistance.faults, (ratio < low) | (ratio > high), OUT_OF_RANGE)
        ratio = np.clip(ratio, low, high)
        t = (-_A + np.sqrt(_A**2 - 4 * _B * (1 - ratio))) / (2 * _B)
        if (ratio < 1).any():
            cold = np.minimum(t, 0.0)
            for _ in range(_NEWTON_STEPS):
                slope = _A + 2 * _B * cold + _C * (4 * cold - 300) * cold**2
                cold = cold - (platinum_ratio(cold) - ratio) / slope
            t = np.where(ratio < 1, cold, t)
        return Signal(t, faults)

    return apply


@cache
def _reference(letter: str) -> tuple[Floats, Floats, int]:
    """Temperatures a tenth of a degree apart, their voltages, and the first place from which they rise."""
    low, high = PIECES[letter][0][0], PIECES[letter][-1][1]
    tenths: Floats = np.arange(math.ceil(low * 10), math.floor(high * 10 + 1), dtype=np.float64)
    t = tenths / 10
    return t, voltage(letter, t), int(np.searchsorted(t, LOWEST[letter]))


def thermocouple(letter: str) -> Apply:
    """Temperature in degC from a voltage in mV, and the temperature of the cold junction in degC (0 if not given).

    Interpolates the reference function, inverted; off by less than 0.0001 degC.
    """

    def apply(tick: Tick, measured: Signal, junction: Signal | None = None) -> Signal:  # noqa: ARG001
        t, e, first = _reference(letter)
        x, faults = measured.x, measured.faults
        if junction is not None:
            faults = first_fault(measured, junction)
            faults = add_fault(faults, (junction.x < t[0]) | (junction.x > t[-1]), OUT_OF_RANGE)
            x = x + np.interp(junction.x, t, e)
        faults = add_fault(faults, (x < e[first]) | (x > e[-1]), OUT_OF_RANGE)
        return Signal(np.interp(x, e[first:], t[first:]), faults)

    return apply


def current_loop(tick: Tick, current: Signal, low: Signal, high: Signal) -> Signal:
    """4 to 20 mA as `low` to `high`, with the bands of NAMUR NE 43: failed, and saturated, which is uncertain."""
    mA = current.x  # noqa: N806 - the unit's own spelling
    faults = add_fault(first_fault(current, low, high), mA <= 3.6, LOOP_FAILED_LOW)
    faults = add_fault(faults, mA >= 21.0, LOOP_FAILED_HIGH)
    saturated = (mA < 3.8) | (mA > 20.5)
    if saturated.any():
        tick.doubtful = saturated if tick.doubtful is None else tick.doubtful | saturated
    return Signal(low.x + (mA - 4.0) / 16.0 * (high.x - low.x), faults)


def root_flow(tick: Tick, pressure: Signal, pressure_span: Signal, flow_span: Signal) -> Signal:  # noqa: ARG001
    """Flow from the pressure across an orifice; the noise of no flow, below zero, is no flow."""
    x = flow_span.x * np.sqrt(np.maximum(pressure.x, 0.0) / pressure_span.x)
    return Signal(x, first_fault(pressure))


def polynomial(tick: Tick, signal: Signal, *coefficients: Signal) -> Signal:  # noqa: ARG001
    """c0 + c1 a + c2 a^2 ..."""
    x = np.zeros_like(signal.x)
    for coefficient in reversed(coefficients):
        x = x * signal.x + coefficient.x
    return Signal(x, signal.faults)


def interpolation(tick: Tick, signal: Signal, *points: Signal) -> Signal:  # noqa: ARG001
    """Straight lines through the points x1, y1, x2, y2, ...; beyond the ends their values hold."""
    xs, ys = [point.x for point in points[::2]], [point.x for point in points[1::2]]
    y = ys[0].copy()
    for x0, y0, x1, y1 in zip(xs, ys, xs[1:], ys[1:], strict=False):
        part = np.clip((signal.x - x0) / (x1 - x0), 0.0, 1.0)
        y = np.where(signal.x > x0, y0 * (1 - part) + y1 * part, y)
    return Signal(y, signal.faults)
