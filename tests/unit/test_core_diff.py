"""What counts as changed, against a reference that looks at one tag at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Kind, Quality
from engine.core.core import Core
from engine.core.spec import FromEngine, TagSpec

SPECS = [
    TagSpec("Float", FromEngine(Kind.FLOAT)),
    TagSpec("Float deadband", FromEngine(Kind.FLOAT), deadband=0.5),
    TagSpec("Float span", FromEngine(Kind.FLOAT), minimum=0.0, maximum=50.0, deadband_percent=1.0),
    TagSpec("Float32 deadband", FromEngine(Kind.FLOAT32), deadband=0.25, republish_every_s=3.0),
    TagSpec("Int", FromEngine(Kind.INT), deadband=2.0),
    TagSpec("Uint", FromEngine(Kind.UINT), republish_every_s=2.0),
    TagSpec("Bool", FromEngine(Kind.BOOL), republish_every_s=5.0),
    TagSpec("Text", FromEngine(Kind.TEXT)),
    TagSpec("Choice", FromEngine(Kind.INT), choices={"Off": 0, "On": 1}),
]
BANDS = {"Float deadband": 0.5, "Float span": 0.5, "Float32 deadband": 0.25, "Int": 2.0}
quarters = st.integers(-8, 8).map(lambda x: x / 4)
VALUES: dict[str, st.SearchStrategy[object]] = {
    "Float": quarters,
    "Float deadband": quarters,
    "Float span": quarters,
    "Float32 deadband": quarters,
    "Int": st.sampled_from((-(2**63), -1, 0, 2, 3, 5, 2**63 - 1)),
    "Uint": st.sampled_from((0, 1, 2**63, 2**64 - 1)),
    "Bool": st.booleans(),
    "Text": st.sampled_from(("", "a", "b")),
    "Choice": st.sampled_from(("Off", "On")),
}


@dataclass
class Last:
    """What was last published of one tag, and when."""

    value: object = None
    quality: Quality | None = None
    at: float = -math.inf


def has_changed(spec: TagSpec, value: object, quality: Quality, now: float, last: Last) -> bool:
    if quality != last.quality or (spec.republish_every_s is not None and now - last.at >= spec.republish_every_s):
        return True
    if spec.name in BANDS:
        assert isinstance(value, (int, float))
        assert isinstance(last.value, (int, float))
        return abs(value - last.value) > BANDS[spec.name]
    return value != last.value


@given(
    st.lists(
        st.tuples(
            st.sampled_from((0.25, 0.5, 1.0, 2.5)),
            st.fixed_dictionaries({}, optional={name: st.one_of(st.none(), values) for name, values in VALUES.items()}),
        ),
        max_size=12,
    )
)
@settings(max_examples=200, deadline=None)
def test_changed(turns: list[tuple[float, dict[str, object]]]) -> None:
    core = Core(SPECS, [])
    current: dict[str, object] = {**dict.fromkeys(VALUES, 0), "Text": "", "Bool": False, "Choice": "Off"}
    quality = {spec.name: Quality.BAD for spec in SPECS}
    last = {spec.name: Last() for spec in SPECS}
    now = 100.0
    for gap, values in turns:
        now += gap
        for name, value in values.items():
            core.set(name, value)  # pyright: ignore[reportArgumentType] - drawn to fit
            quality[name] = Quality.BAD if value is None else Quality.GOOD
            current[name] = current[name] if value is None else value
        expected = {
            spec.name
            for spec in SPECS
            if has_changed(spec, current[spec.name], quality[spec.name], now, last[spec.name])
        }
        rows = core.changed(now).tolist()
        assert rows == sorted(rows)
        assert {core.table.names[row] for row in rows} == expected
        for name in expected:
            last[name] = Last(current[name], quality[name], now)
        assert core.changed(now).size == 0


def test_a_slow_drift_gets_out() -> None:
    core = Core([TagSpec("T", FromEngine(Kind.FLOAT), deadband=1.0)], [])
    published: list[int] = []
    for step in range(40):
        core.set("T", step * 0.25)
        if core.changed(float(step)).size:
            published.append(step)
    assert published == [0, 5, 10, 15, 20, 25, 30, 35]


def test_a_drift_that_a_due_row_lets_out_is_the_new_baseline() -> None:
    core = Core([TagSpec("T", FromEngine(Kind.FLOAT), deadband=0.5, republish_every_s=10.0)], [])
    published: list[tuple[float, object]] = []

    def turn(now: float, value: float | None = None) -> None:
        if value is not None:
            core.set("T", value)
        if core.changed(now).size:
            published.append((now, core.table.value(0)))

    turn(0.0, 0.0)
    turn(1.0, 0.4)
    turn(10.0)  # due, and nothing else has happened
    turn(11.0, 0.7)
    turn(12.0, 0.95)
    turn(13.0, 1.4)
    turn(22.0)
    turn(23.0, 1.8)
    assert published == [(0.0, 0.0), (10.0, 0.4), (12.0, 0.95), (22.0, 1.4)]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Kind.FLOAT, math.nan),
        (Kind.FLOAT, math.inf),
        (Kind.UINT, -1),
        (Kind.INT, 2**63),
        (Kind.INT, 1.5),
        (Kind.FLOAT, "x"),
    ],
)
def test_what_does_not_fit_is_refused(kind: Kind, value: float | str) -> None:
    core = Core([TagSpec("T", FromEngine(kind))], [])
    with pytest.raises(ValueError, match="'T' is a"):
        core.set("T", value)
