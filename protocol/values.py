"""The values that may stand in a tag on the wire, and what becomes of all others.

One bad value is no private matter: the aggregator fails for all its users on NaN and infinity, and stops storing the
run on an integer beyond 64 bits. So whatever comes in goes out as one of four things:

| in | out |
| --- | --- |
| None | as it is |
| text | as `protocol.texts` has it: without control characters, up to 2,000 characters |
| bool | 1 or 0 |
| an integer from -2**63 to 2**63 - 1 | as it is, exact |
| an integer beyond | the nearest float, or None where there is none |
| a finite float | as it is |
| NaN, infinity | None |
| a numpy scalar | what it holds, by the same rules; a float32 by its own shortest text |
| a decimal or a fraction | the nearest float |
"""

from __future__ import annotations

import math
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from protocol.texts import clean_text

INT_MIN, INT_MAX = -(2**63), 2**63 - 1

_SCALAR: type[Any] = np.generic
_NARROW: tuple[type[Any], ...] = (np.float32, np.float16)
"""Floats whose shortest text is shorter than that of the float64 of equal value."""


def wire_value(value: Any) -> float | int | str | None:
    """Make a value fit for the wire, by the table above.

    Raises `TypeError` for what is no value: bytes, a list, an object.
    """
    plain = value
    if isinstance(value, _SCALAR):
        plain = float(str(value)) if isinstance(value, _NARROW) else value.item()
    if plain is None:
        return None
    if isinstance(plain, str):
        return clean_text(plain)
    if isinstance(plain, int) and INT_MIN <= plain <= INT_MAX:
        return int(plain)
    if isinstance(plain, (Real, Decimal)):
        try:
            number = float(plain)
        except (OverflowError, ValueError):
            return None
        return number if math.isfinite(number) else None
    raise TypeError(f"a tag's value is a number, a text, a boolean or nothing, not {type(value).__name__}")
