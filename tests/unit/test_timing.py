"""The histograms of the scan cycle against numpy's own quantiles."""

from __future__ import annotations

import numpy as np
import pytest

from engine.timing import AT_ONCE, PHASES, TIMED, Timing, in_words


def marks(late: float, *phases: float) -> tuple[float, ...]:
    return (late, *np.cumsum((1000.0, *phases)).tolist())


def test_a_quantile_is_right_to_a_fifth_and_the_longest_exactly() -> None:
    timing = Timing()
    durations = np.random.default_rng(5).lognormal(-8, 1, (AT_ONCE * 3 + 7, len(PHASES)))
    for row in durations:
        timing.add(marks(row[0], *row))
    expected = dict(zip(TIMED, np.column_stack((durations[:, :1], durations, durations.sum(axis=1))).T, strict=True))
    for name, seconds in expected.items():
        spread = timing.spread(name)
        for found, share in ((spread.p50, 0.5), (spread.p99, 0.99)):
            true = np.quantile(seconds, share)
            assert 0.97 * true <= found <= 1.25 * true, name
        assert spread.max == pytest.approx(seconds.max(), rel=1e-6)


def test_what_is_out_of_range_has_its_place_too() -> None:
    timing = Timing()
    timing.add(marks(0.0, 0, 0, 0, 0, 0, 0, 3600))
    timing.add(marks(-0.0004, 0, 0, 0, 0, 0, 0, 3600))
    assert timing.spread("write").p50 > 30
    assert timing.spread("tick").max == 3600
    assert timing.spread("derive").p99 <= 1e-6
    assert timing.spread("late").max == 0


def test_nothing_measured_is_zero() -> None:
    spread = Timing().spread("tick")
    assert (spread.p50, spread.p99, spread.max) == (0, 0, 0)


def test_people_read_milliseconds() -> None:
    timing = Timing()
    timing.add(marks(0.0, *[0.001] * len(PHASES)))
    assert in_words(timing, "tick") == "p50 7 ms, p99 7 ms, at most 7 ms"
