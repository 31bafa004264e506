"""The ends of axes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.plots.spans import Span, fitted, from_zero, is_flat, is_of_a_process, joined, rounded

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.0, 0.3), (0.0, 0.3)),
        ((20.2, 23.7), (20.0, 24.0)),
        ((-3.0, 97.0), (-20.0, 100.0)),
        ((1_000.0, 1_013.0), (1_000.0, 1_014.0)),
        ((7.0, 7.0), (0.0, 10.0)),
        ((-7.0, -7.0), (-10.0, 0.0)),
        ((0.0, 0.0), (0.0, 1.0)),
    ],
)
def test_ends_are_round_numbers(values: Span, expected: Span) -> None:
    assert rounded(*values) == expected


@given(FINITE, FINITE)
def test_every_span_holds_its_values_and_has_a_length(one: float, other: float) -> None:
    """So far as a plot can go: an axis whose length is infinite cannot be drawn."""
    seen = (min(one, other), max(one, other))
    for low, high in (rounded(*seen), fitted(seen), from_zero(seen)):
        assert math.isfinite(high - low)
        assert low < high
        slack = 1e-8 * (high - low)
        assert low - slack <= min(max(seen[0], -1e300), 1e300)
        assert max(min(seen[1], 1e300), -1e300) <= high + slack


def test_a_live_axis_shows_zero_and_has_room() -> None:
    assert from_zero((20.0, 23.0)) == (0.0, 30.0)
    assert from_zero((-1.0, 7.0)) == (-2.0, 10.0)


def test_a_fitted_axis_shows_zero_only_where_it_is_near() -> None:
    assert fitted((20.2, 23.7)) == (20.0, 24.0)
    assert fitted((2.0, 7.5)) == (0.0, 8.0)
    assert fitted((-7.5, -2.0)) == (-8.0, 0.0)
    assert fitted((5.0, 5.0)) == (0.0, 7.0)


@pytest.mark.parametrize("limits", [(-32_768.0, 32_767.0), (0.0, 65_535.0), (-1e6, 1e6), (5.0, 5.0)])
def test_limits_of_a_data_type_are_no_axis(limits: Span) -> None:
    assert not is_of_a_process(limits)
    assert is_of_a_process((-50.0, 400.0))


def test_joined_and_flat() -> None:
    assert joined(None, (1.0, 2.0), (0.0, 1.5)) == (0.0, 2.0)
    assert joined(None) is None
    assert is_flat((0.0, 100.0), (0.0, 12.0))
    assert not is_flat((0.0, 100.0), (0.0, 13.0))
