"""The ends of an axis, from the values that it has to show."""

from __future__ import annotations

import math
from typing import Final

Span = tuple[float, float]
"""The lower and the upper end, the lower one first."""

_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0, 20.0)
_GRIDS: Final = 8
"""Steps in a span, at least."""
HUGE: Final = 1e5
"""Limits that are farther apart are those of a data type, not of a process."""
GREATEST: Final = 1e300
"""An axis ends here, so that its length is a finite number."""
LEAST: Final = 1e-280
"""What is nearer to zero counts as zero."""
LEAST_SHARE: Final = 1e-9
"""Values that differ by less than this share of them are one."""
ROOM: Final = 1.25
"""An axis is longer than its values by this factor, so that a page that is open has room for what comes."""
FLAT: Final = 1 / 8
"""A curve that needs less than this share of its axis looks like a line."""


def joined(*spans: Span | None) -> Span | None:
    """The shortest span that holds all of these; None where there is none."""
    found = [span for span in spans if span is not None]
    return (min(low for low, _ in found), max(high for _, high in found)) if found else None


def rounded(low: float, high: float) -> Span:
    """The span, its ends moved outwards to round numbers. One without length becomes as long as its value is great."""
    low, high = _bounded(low), _bounded(high)
    greatest = max(abs(low), abs(high))
    if greatest < LEAST:
        return 0.0, 1.0
    if high - low < greatest * LEAST_SHARE:
        low, high = min(low * ROOM, 0.0), max(high * ROOM, 0.0)
    least = (high - low) / _GRIDS
    power = 10.0 ** math.floor(math.log10(least))
    step = next(each * power for each in _STEPS if each * power >= least * (1 - 1e-9))
    return _times(math.floor(low / step + 1e-9), step), _times(math.ceil(high / step - 1e-9), step)


def from_zero(seen: Span) -> Span:
    """An axis that shows these values with zero, and has room for greater ones."""
    return rounded(min(_bounded(seen[0]), 0.0) * ROOM, max(_bounded(seen[1]), 0.0) * ROOM)


def fitted(seen: Span) -> Span:
    """An axis that shows these values as large as it can; with zero, where zero is near."""
    low, high = seen
    width = high - low
    if 0 < low <= width or -width <= high < 0:
        return rounded(min(low, 0.0), max(high, 0.0))
    return rounded(low, high)


def is_of_a_process(span: Span) -> bool:
    """Whether limits say what a process can come to, and not what a data type can hold."""
    low, high = span
    whole_type = low <= -32_767 or high in {32_767.0, 65_535.0, 65_536.0}
    return low < high and high - low <= HUGE and not whole_type


def is_flat(axis: Span, needed: Span) -> bool:
    """Whether what is needed is too small a share of the axis to be seen."""
    return needed[1] - needed[0] < FLAT * (axis[1] - axis[0])


def _bounded(end: float) -> float:
    return min(max(end, -GREATEST), GREATEST)


def _times(count: int, step: float) -> float:
    """A multiple of a step without the dust of its decimals: 0.3, not 0.30000000000000004."""
    return float(f"{count * step:.12g}")
