"""value = raw * scale + offset, for all rows of a block at once, as people expect decimals to come out.

A scale and an offset are taken for the simplest fractions that they can be: 0.01 is 1/100, and degF becomes degC by
5/9. So a raw value is multiplied and shifted by whole numbers, exactly, and divided once: 57 * 0.01 is 0.57, and
12345 * 0.01 is 123.45. A raw value that is a float has been rounded before it came here: `decimals` sees to that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import DTYPES, Kind
from drivers.reasons import reason_code
from engine.core.decimals import shortest, tidied
from engine.core.spec import TagSpec
from engine.core.table import COLUMN_DTYPES, TagKind

OVERFLOW = reason_code("too large for a 64-bit integer once it is scaled")

Codes = NDArray[np.uint16] | None
"""(n,) a reason for each row, 0 where there is none; None when no row has one"""

INTEGER_BOUNDS = {TagKind.INT: (-(2**63), 2**63 - 1), TagKind.UINT: (0, 2**64 - 1)}
_EXACT = 2**53
"""Up to here a float holds every whole number."""
_SIMPLE = 10**6
"""The greatest denominator of a fraction that is nobody's decimal, such as 5/9."""


class WholeScale:
    """value = raw * scale + offset in exact integers."""

    def __init__(self, specs: Sequence[TagSpec], raw: Kind, kind: TagKind) -> None:
        # Arithmetic modulo 2^64 gives the right bits whenever the true result fits, and the raw values for which it
        # fits are known beforehand, exactly, in Python's integers.
        self._scale = np.array([int(spec.scale) % 2**64 for spec in specs], np.uint64)
        self._offset = np.array([int(spec.offset) % 2**64 for spec in specs], np.uint64)
        lows, highs = zip(*(_fitting(spec, TagKind(raw), kind) for spec in specs), strict=True)
        self._low = np.array(lows, DTYPES[raw])
        self._high = np.array(highs, DTYPES[raw])
        self._dtype = COLUMN_DTYPES[kind]

    def apply(self, raw: NDArray[Any], codes: Codes) -> tuple[NDArray[Any], Codes]:
        """Scale the raw values; those that do not fit get a reason."""
        value = (raw.view(np.uint64) * self._scale + self._offset).view(self._dtype)
        return value, mark(codes, (raw < self._low) | (raw > self._high), OVERFLOW)


class RealScale:
    """value = (raw * factor + shift) / divisor in float64."""

    def __init__(self, specs: Sequence[TagSpec], raw: Kind, kind: TagKind) -> None:
        factors, shifts, divisors = zip(*(_whole_numbers(spec.scale, spec.offset) for spec in specs), strict=True)
        # adding 0.0 makes a plain 0 of the -0.0 that a negative factor leaves
        idle_shift = 0.0 if min(factors) > 0 else math.nan
        steps = ((np.multiply, factors, 1.0), (np.add, shifts, idle_shift), (np.divide, divisors, 1.0))
        self._steps = [
            (operation, _operand(operands)) for operation, operands, idle in steps if set(operands) != {idle}
        ]
        self._is_narrow = raw is Kind.FLOAT32
        self._is_rounded = raw in (Kind.FLOAT, Kind.FLOAT32)
        self._distance = _operand([abs(spec.offset) for spec in specs])
        self._stays_finite = stays_finite(specs, raw)
        self._value = np.empty(len(specs), COLUMN_DTYPES[kind])

    def apply(self, raw: NDArray[Any], codes: Codes) -> tuple[NDArray[Any], Codes]:
        """Scale the raw values; the result is overwritten by the next call."""
        if self._stays_finite:
            self.run(raw, self._value)
        else:
            with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is found by our caller
                self.run(raw, self._value)
        return self._value, codes

    def run(self, value: NDArray[Any], out: NDArray[Any]) -> None:
        """Write what is scaled into `out`, finite or not."""
        if self._is_narrow:
            value = shortest(value)
        for operation, operand in self._steps:
            value = operation(value, operand, out)
        if self._is_rounded:
            tidied(out, self._distance)


def value_of(raw: float | int, scale: float, offset: float) -> float:
    """The value of one raw value, rounded once: 57 at a scale of 0.01 is 0.57."""
    if not math.isfinite(raw):
        return raw * scale
    try:
        return float(Fraction(str(raw + 0)) * _exact(scale) + _exact(offset))
    except OverflowError:
        return math.copysign(math.inf, raw * scale)


def raw_of(value: float | int, scale: float, offset: float) -> float:
    """The raw value of one finite value, rounded once; infinite where no float is so large."""
    try:
        return float((Fraction(str(value + 0)) - _exact(offset)) / _exact(scale))
    except OverflowError:
        return math.copysign(math.inf, value / scale)


def mark(codes: Codes, where: NDArray[np.bool_], code: int) -> Codes:
    """Give rows a reason; the first one that a row is given stays."""
    if not np.count_nonzero(where):  # several times faster than any()
        return codes
    if codes is None:
        return np.where(where, np.uint16(code), np.uint16(0))
    codes[where & (codes == 0)] = code
    return codes


def stays_finite(specs: Sequence[TagSpec], raw: Kind) -> bool:
    """Whether no raw value whatever can come to NaN or an infinity."""
    return raw not in (Kind.FLOAT, Kind.FLOAT32) and all(
        math.isfinite(abs(spec.scale) * 2.0**64 + abs(spec.offset)) for spec in specs
    )


def _operand(values: Sequence[float]) -> NDArray[np.float64] | np.float64:
    """An operand for each row, or one for all."""
    return np.float64(values[0]) if len(set(values)) == 1 else np.array(values, np.float64)


def _whole_numbers(scale: float, offset: float) -> tuple[float, float, float]:
    """A factor, a shift and a divisor, whole where there are such that a float can hold."""
    one, other = _fraction(scale), _fraction(offset)
    if one is not None and other is not None:
        divisor = math.lcm(one.denominator, other.denominator)
        found = (int(one * divisor), int(other * divisor), divisor)
        if max(map(abs, found)) <= _EXACT:
            return float(found[0]), float(found[1]), float(divisor)
    return scale, offset, 1.0


@lru_cache(maxsize=4096)
def _exact(number: float) -> Fraction:
    return _fraction(number) or Fraction(number)


def _fraction(number: float) -> Fraction | None:
    """The simplest fraction that is this number to its last digit; None where there is none."""
    if not math.isfinite(number):
        return None
    simple = Fraction(number).limit_denominator(_SIMPLE)
    found = simple if float(simple) == number else Fraction(repr(number))
    return found if max(abs(found.numerator), found.denominator) <= _EXACT else None


def _fitting(spec: TagSpec, raw: TagKind, kind: TagKind) -> tuple[int, int]:
    """The raw integers whose scaled value is within the bounds of its kind; an empty range as (1, 0)."""
    scale, offset = int(spec.scale), int(spec.offset)
    low, high = INTEGER_BOUNDS[kind]
    raw_low, raw_high = INTEGER_BOUNDS[raw]
    if scale == 0:
        return (raw_low, raw_high) if low <= offset <= high else (1, 0)
    low, high = (low - offset, high - offset) if scale > 0 else (offset - high, offset - low)
    first, last = max(-(-low // abs(scale)), raw_low), min(high // abs(scale), raw_high)
    return (first, last) if first <= last else (1, 0)
