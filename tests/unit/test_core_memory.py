"""Functions with a memory, against a reference that keeps every sample of one tag in a list."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Kind, Quality
from engine.core.core import Core
from engine.core.spec import Event, FromEngine, FromExpression, TagSpec
from engine.core.windows import CAPACITY, Window

Sample = tuple[float, float | None]
"""Time, and value; None where it was bad."""
Reference = Callable[[Sequence[Sample]], float | None]

values = st.one_of(st.none(), st.floats(-1e3, 1e3).map(lambda x: round(x, 3)))
gaps = st.sampled_from((0.0, 0.005, 0.1, 0.1, 0.37, 1.0, 4.0, 30.0))
histories = st.lists(st.tuples(gaps, values, values), min_size=1, max_size=40)
WINDOW = 2.5


def sound(samples: Sequence[Sample]) -> list[tuple[float, float]]:
    return [(at, x) for at, x in samples if x is not None]


def integral(samples: Sequence[Sample]) -> float | None:
    total = 0.0
    for (t0, x0), (t1, x1) in pairwise(samples):
        if x0 is not None and x1 is not None:
            total += (x0 + x1) / 2 * (t1 - t0)
    return total


def rate(samples: Sequence[Sample]) -> float | None:
    found = None
    last: tuple[float, float] | None = None
    for at, x in sound(samples):
        if last is not None and at > last[0]:
            found = (x - last[1]) / (at - last[0])
        if last is None or at > last[0]:
            last = at, x
    return found


def ema(samples: Sequence[Sample]) -> float | None:
    mean, before = 0.0, math.nan
    for at, x in sound(samples):
        mean = x if math.isnan(before) else mean + (1 - math.exp(-(at - before) / WINDOW)) * (x - mean)
        before = at
    return None if math.isnan(before) else mean


def since(samples: Sequence[Sample]) -> float | None:
    found = sound(samples)
    return found[-1][1] - found[0][1] if found else None


def delay(samples: Sequence[Sample]) -> float | None:
    old = [x for at, x in samples if at <= samples[-1][0] - WINDOW]
    return old[-1] if old else None


def windowed(reduce: Callable[[list[float]], float], least: int = 1) -> Reference:
    def reference(samples: Sequence[Sample]) -> float | None:
        inside = [x for at, x in sound(samples) if at > samples[-1][0] - WINDOW]
        return reduce(inside) if len(inside) >= least else None

    return reference


def on_time(samples: Sequence[Sample]) -> float | None:
    return sum(t1 - t0 for (t0, x), (t1, _) in pairwise(samples) if x is not None and x > 0)


def count(samples: Sequence[Sample]) -> float | None:
    on = [x > 0 for _, x in sound(samples)]
    return sum(not before and now for before, now in pairwise(on))


def debounced(samples: Sequence[Sample]) -> float | None:
    settled: bool | None = None
    since: float | None = None
    for at, x in samples:
        if x is None:
            since = None
            continue
        settled = x > 0 if settled is None else settled
        if (x > 0) == settled:
            since = None
        else:
            since = at if since is None else since
            if at - since >= WINDOW:
                settled, since = x > 0, None
    return settled


REFERENCES: dict[str, Reference] = {
    "integral({})": integral,
    "rate({})": rate,
    f"ema({{}}, {WINDOW})": ema,
    "since({})": since,
    f"delay({{}}, {WINDOW})": delay,
    f"mean({{}}, {WINDOW})": windowed(statistics.fmean),
    f"median({{}}, {WINDOW})": windowed(statistics.median),
    f"stdev({{}}, {WINDOW})": windowed(statistics.stdev, least=2),
    f"min_over({{}}, {WINDOW})": windowed(min),
    f"max_over({{}}, {WINDOW})": windowed(max),
    "on_time({} > 0)": on_time,
    "count({} > 0)": count,
    f"debounce({{}} > 0, {WINDOW})": debounced,
}


def core_of(*texts: str, backwards: bool = False) -> Core:
    """Two tags A and B of the engine's own, and for each text with a gap one derived tag over each."""
    specs = [TagSpec(name, FromEngine(Kind.FLOAT)) for name in "AB"]
    for place, text in enumerate(texts):
        specs += [TagSpec(f"{name}{place}", FromExpression(text.format(name))) for name in "AB"]
    return Core(specs[::-1] if backwards else specs, [])


def value(core: Core, name: str) -> object:
    return core.table.value(core.table.row_of(name))


# Samples nearer to each other than a 1024th of the window are merged: the gaps here are 0, or longer than that.
@pytest.mark.parametrize("text", REFERENCES)
@given(history=histories)
@settings(max_examples=25, deadline=None)
def test_every_function_with_a_memory(text: str, history: list[tuple[float, float | None, float | None]]) -> None:
    core = core_of(text)
    seen: dict[str, list[Sample]] = {"A": [], "B": []}
    now = 1000.0
    for place, (gap, *pair) in enumerate(history):
        if gap == 0.0 and place:
            continue  # two ticks at one time have a test of their own
        now += gap
        for name, x in zip("AB", pair, strict=True):
            core.set(name, x)
            seen[name].append((now, x))
        core.derive(now)
        for name, x in zip("AB", pair, strict=True):
            expected = REFERENCES[text](seen[name])
            if x is None:
                assert value(core, f"{name}0") is None
            elif expected is None:
                assert core.table.why(core.table.row_of(f"{name}0")) == "not enough history yet"
            else:
                assert value(core, f"{name}0") == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_two_evaluations_at_one_time_change_nothing() -> None:
    core = core_of("integral({})", "rate({})", "ema({}, 5)", "on_time({} > 0)", "mean({}, 5)")
    names = [f"A{place}" for place in range(5)]
    for now in (0.0, 1.0, 2.0):
        core.set("A", now)
        core.set("B", 0.0)
        core.derive(now)
    before = [value(core, name) for name in names]
    core.derive(2.0)
    assert [value(core, name) for name in names] == before


def test_a_late_tick_does_not_bend_a_total() -> None:
    core = core_of("integral({})", "on_time({} > 0)")
    for now in (0.0, 0.1, 0.2, 7.9, 8.0):
        core.set("A", 3.0)
        core.set("B", 0.0)
        core.derive(now)
    assert value(core, "A0") == pytest.approx(24.0)
    assert value(core, "A1") == pytest.approx(8.0)


@given(x=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
@settings(deadline=None)
def test_latch(x: list[tuple[bool, bool]]) -> None:
    specs = [TagSpec(name, FromEngine(Kind.BOOL)) for name in ("S", "R")]
    core = Core([*specs, TagSpec("L", FromExpression("latch(S, R)"))], [])
    on = False
    for now, (sets, resets) in enumerate(x):
        core.set("S", sets)
        core.set("R", resets)
        core.derive(float(now))
        on = not resets and (on or sets)
        assert value(core, "L") is on


@given(x=st.lists(st.tuples(st.floats(-10, 10), st.booleans()), min_size=1, max_size=30))
@settings(deadline=None)
def test_hold(x: list[tuple[float, bool]]) -> None:
    specs = [TagSpec("X", FromEngine(Kind.FLOAT)), TagSpec("C", FromEngine(Kind.BOOL))]
    core = Core([*specs, TagSpec("H", FromExpression("hold(X, C)"))], [])
    held: float | None = None
    for now, (number, holds) in enumerate(x):
        core.set("X", number)
        core.set("C", holds)
        core.derive(float(now))
        held = number if held is None or not holds else held
        assert value(core, "H") == held


def test_a_window_is_bounded_however_fast_the_tick() -> None:
    core = core_of("max_over({}, 5)", "mean({}, 5)")
    for tick in range(12_000):
        core.set("A", float(tick % 100))
        core.set("B", 1.0)
        core.derive(tick / 1000)
    assert value(core, "A0") == 99.0
    assert value(core, "A1") == pytest.approx(49.5, abs=0.5)
    assert value(core, "B1") == 1.0
    windows = [state for program in core._derived._programs for state in program.states if isinstance(state, Window)]
    assert len(windows) == 2
    assert all(window._times.size <= 4 * CAPACITY for window in windows)


def test_what_is_reset_by_what() -> None:
    specs = [
        TagSpec("X", FromEngine(Kind.FLOAT)),
        TagSpec("Run", FromExpression("integral(X)")),
        TagSpec("Never", FromExpression("integral(X)", reset_on=())),
        TagSpec("Block", FromExpression("integral(X)", reset_on=(Event.RUN_START, Event.BLOCK_START))),
    ]
    core = Core(specs, [])
    core.set("X", 1.0)

    def totals(now: float) -> list[object]:
        core.derive(now)
        return [value(core, name) for name in ("Run", "Never", "Block")]

    assert totals(0.0) == [0, 0, 0]
    assert totals(10.0) == [10, 10, 10]
    core.reset(event=Event.BLOCK_START)
    assert totals(11.0) == [11, 11, 0]
    core.reset(event=Event.RUN_START)
    assert totals(12.0) == [0, 12, 0]
    core.reset(["Never"])
    assert totals(13.0) == [1, 0, 1]


def test_memory_goes_on_in_a_new_plan() -> None:
    texts = list(REFERENCES)
    old, one = core_of(*texts), core_of(*texts)
    new = core_of(*texts, backwards=True)
    for tick in range(60):
        now, x = tick * 0.3, math.sin(tick) * 10
        if tick == 30:
            new.adopt(old)
        for core in (one, new if tick >= 30 else old):
            core.set("A", x)
            core.set("B", -x)
            core.derive(now)
    for place in range(len(texts)):
        for name in "AB":
            assert value(new, f"{name}{place}") == pytest.approx(value(one, f"{name}{place}")), texts[place]


def test_a_bad_input_is_not_counted_and_shows() -> None:
    core = core_of("integral({})")
    for now, x in ((0.0, 1.0), (1.0, 1.0), (2.0, None), (3.0, 1.0), (4.0, 1.0)):
        core.set("A", x)
        core.set("B", 0.0)
        core.derive(now)
        assert core.table.quality[core.table.row_of("A0")] == (Quality.BAD if x is None else Quality.GOOD)
    assert value(core, "A0") == 2.0
