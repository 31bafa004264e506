"""Floats as the decimals that they stand for, a column at a time.

A float is the nearest one to a decimal, and what is computed from it is off by some roundings more: 0.1 * 57 is
5.7000000000000002. A result that is within these roundings of a decimal of 15 digits is that decimal; any other is left
as it is, so that nothing is lost of a value that has more digits.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_ROUNDINGS = 2.0**-51
"""How far a result may be off, by its own size: a rounding of the raw value and three of ours."""
_ATTEMPTS = 4
"""A float32 is looked for among decimals of six, seven, eight and nine digits, which are always enough."""


def _scales(digits: int, exponents: int, bias: int) -> NDArray[np.float64]:
    """For each exponent of a float, the power of ten that leaves a number with it so many digits before the point."""
    places = (digits - math.floor((exponent - bias + 1) * math.log10(2)) - 1 for exponent in range(exponents))
    return np.array([10.0 ** min(max(place, 0), 300) for place in places], np.float64)


_FIFTEEN = _scales(15, 2048, 1023)
_SIX = _scales(6, 256, 127)


def tidied(values: NDArray[np.float64], distance: NDArray[np.float64] | np.float64) -> None:
    """Make decimals of computed values, in place.

    `distance`, of the same shape or one for all, is how much was added to each on the way: 293.25 K less 273.15 are
    20.1 degC, and not 20.100000000000023.
    """
    size = np.abs(values)
    size += distance
    scale = _FIFTEEN[(size.view(np.int64) >> 52)]  # the sign bit is 0
    nearest = values * scale
    np.rint(nearest, nearest)
    nearest /= scale
    size *= _ROUNDINGS
    off = np.subtract(nearest, values, scale)
    is_near = np.less_equal(np.abs(off, off), size)
    nearest += 0.0  # 0.0, and not -0.0
    np.copyto(values, nearest, where=is_near)


def shortest(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """The shortest decimals that are these float32 numbers, as float64: 0.1, not 0.10000000149011612.

    From 2^24 on, where a float32 is a whole number, it is that.
    """
    values = np.ascontiguousarray(values)
    exact = values.astype(np.float64)
    scale = _SIX[(values.view(np.int32) >> 23) & 255]
    found, fits = _rounded(exact, scale, values)
    for _ in range(_ATTEMPTS - 1):
        missing = np.flatnonzero(~fits)
        if not missing.size:
            return found
        scale *= 10.0
        if 4 * missing.size > values.size:
            nearest, hits = _rounded(exact, scale, values)
            np.copyto(found, nearest, where=~fits)
            fits |= hits
        else:
            found[missing], fits[missing] = _rounded(exact[missing], scale[missing], values[missing])
    np.copyto(found, exact, where=~fits)  # what is not finite
    return found


def _rounded(
    exact: NDArray[np.float64], scale: NDArray[np.float64], values: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The numbers rounded to so many places, and whether they are still the same float32."""
    nearest = exact * scale
    np.rint(nearest, nearest)
    nearest /= scale
    return nearest, nearest.astype(np.float32) == values
