"""Derived readings in the tick: what they compute, how quality flows, and what they cost."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Image, Kind, Quality
from engine.core.checking import ExpressionError, Formula, Known, check_expressions
from engine.core.core import Core
from engine.core.shapes import group
from engine.core.spec import FromEngine, FromExpression, FromPoint, TagSpec
from engine.core.table import TagKind


def quotient(a: float, b: float) -> float:
    """Division that does not pass over what is too large, as Python's does."""
    if math.isinf(a / b):
        raise OverflowError
    return a / b


FUNCTIONS: dict[str, Callable[[float, float], float]] = {
    "A + B": operator.add,
    "A - B": operator.sub,
    "A * B": operator.mul,
    "A / B": operator.truediv,
    "A % B": operator.mod,
    "A ^ B": math.pow,
    "-A": lambda a, _: -a,
    "A < B": operator.lt,
    "A <= B": operator.le,
    "A > B": operator.gt,
    "A >= B": operator.ge,
    "A == B": operator.eq,
    "A != B": operator.ne,
    "A > 0 and B > 0": lambda a, b: a > 0 and b > 0,
    "A > 0 or B > 0": lambda a, b: a > 0 or b > 0,
    "not A > B": lambda a, b: not a > b,
    "B != 0 and A / B > 1": lambda a, b: b != 0 and quotient(a, b) > 1,
    "B == 0 or A / B > 1": lambda a, b: b == 0 or quotient(a, b) > 1,
    "where(A > B, A, B)": lambda a, b: max(b, a),
    "where(B != 0, A / B, 0)": lambda a, b: quotient(a, b) if b != 0 else 0.0,
    "min(A, B, 3)": lambda a, b: min(a, b, 3.0),
    "max(A, B, -3)": lambda a, b: max(a, b, -3.0),
    "abs(A)": lambda a, _: abs(a),
    "sqrt(A)": lambda a, _: math.sqrt(a),
    "exp(A)": lambda a, _: math.exp(a),
    "log(A)": lambda a, _: math.log(a),
    "log10(A)": lambda a, _: math.log10(a),
    "sin(A)": lambda a, _: math.sin(a),
    "cos(A)": lambda a, _: math.cos(a),
    "tan(A)": lambda a, _: math.tan(a),
    "asin(A)": lambda a, _: math.asin(a),
    "acos(A)": lambda a, _: math.acos(a),
    "atan(A)": lambda a, _: math.atan(a),
    "1 / exp(A)": lambda a, _: 1 / math.exp(a),
    "1 / (1 / A)": lambda a, _: 1 / quotient(1, a),
}
numbers = st.one_of(
    st.sampled_from((0.0, 1.0, -1.0, 0.5, 2.0, 1000.0, -1e200, 1e300, 3.0)), st.floats(-100, 100, allow_subnormal=False)
)


@pytest.mark.parametrize("text", FUNCTIONS)
@given(pairs=st.lists(st.tuples(numbers, numbers), min_size=3, max_size=3))
@settings(max_examples=40, deadline=None)
def test_every_function_without_a_memory(text: str, pairs: list[tuple[float, float]]) -> None:
    specs: list[TagSpec] = []
    for place in range(len(pairs)):
        specs += [TagSpec(f"{name}{place}", FromEngine(Kind.FLOAT)) for name in "AB"]
        named = "".join(f"{sign}{place}" if sign in "AB" else sign for sign in text)
        specs.append(TagSpec(f"D{place}", FromExpression(named)))
    core = Core(specs, [])
    for place, pair in enumerate(pairs):
        for name, x in zip("AB", pair, strict=True):
            core.set(f"{name}{place}", x)
    core.derive(0.0)
    for place, (a, b) in enumerate(pairs):
        row = core.table.row_of(f"D{place}")
        expected = expected_of(FUNCTIONS[text], a, b)
        if expected is None:
            assert core.table.value(row) is None
            assert core.table.why(row) in {
                "division by zero",
                "outside the domain of a function",
                "too large a number",
            }
        elif isinstance(expected, bool):
            assert core.table.value(row) is expected
        else:
            assert core.table.value(row) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def expected_of(function: Callable[[float, float], float], a: float, b: float) -> float | bool | None:
    """The value; None where arithmetic has none."""
    try:
        value = function(a, b)
    except (ArithmeticError, ValueError):
        return None
    return value if isinstance(value, bool) or math.isfinite(value) else None


@pytest.mark.parametrize(
    ("text", "a", "why"),
    [
        ("1 / A", 0.0, "division by zero"),
        ("1 % A", 0.0, "division by zero"),
        ("0 / A", 0.0, "division by zero"),
        ("sqrt(A)", -1.0, "outside the domain of a function"),
        ("A ^ 0.5", -1.0, "outside the domain of a function"),
        ("exp(A)", 1e3, "too large a number"),
        ("A * A", 1e200, "too large a number"),
        ("1 / exp(A)", 1e3, "too large a number"),
        ("1 / (1 / A)", 0.0, "division by zero"),
        ("where(1 / A > 5, 1, 2)", 0.0, "division by zero"),
        ("1 / A > 5 or A == 0", 0.0, "division by zero"),
    ],
)
def test_arithmetic_that_has_no_result_is_bad_and_says_why(text: str, a: float, why: str) -> None:
    core = Core([TagSpec("A", FromEngine(Kind.FLOAT)), TagSpec("D", FromExpression(text))], [])
    core.set("A", a)
    core.derive(0.0)
    row = core.table.row_of("D")
    assert core.table.value(row) is None
    assert core.table.quality[row] == Quality.BAD
    assert core.table.why(row) == why
    core.set("A", 1.5)
    core.derive(1.0)
    assert core.table.quality[row] == Quality.GOOD


QUALITY_SPECS = [
    TagSpec("A", FromEngine(Kind.FLOAT)),
    TagSpec("B", FromEngine(Kind.INT)),
    TagSpec("Sum", FromExpression("A + B")),
    TagSpec("Twice", FromExpression("Sum * 2")),
    TagSpec("Brave", FromExpression("A + B", ignore_quality=True)),
    TagSpec("Picky", FromExpression("where(A > 0, A, B)")),
    TagSpec("Constant", FromExpression("1 + 2")),
]


@given(st.sampled_from(tuple(Quality)), st.sampled_from(tuple(Quality)), st.sampled_from(("", "tired")), st.booleans())
@settings(deadline=None)
def test_a_derived_tag_is_as_bad_as_its_worst_input(a: Quality, b: Quality, reason: str, ever: bool) -> None:
    core = Core(QUALITY_SPECS, [])
    if ever:
        core.set("A", 1.0)
        core.set("B", 2)
        core.derive(0.0)
    core.set("A", 1.0, quality=a, reason=reason)
    core.set("B", 2, quality=b, reason="worn")
    core.derive(1.0)
    table = core.table
    for name in ("Sum", "Twice", "Picky"):
        row = table.row_of(name)
        assert table.quality[row] == max(a, b)
        if max(a, b) >= Quality.STALE:
            assert table.value(row) is None
            assert table.last_value(row) == ({"Sum": 3.0, "Twice": 6.0, "Picky": 1.0}[name] if ever else None)
        if b > a:
            assert table.why(row) == "worn"
    assert table.value(table.row_of("Brave")) == 3.0
    assert table.value(table.row_of("Constant")) == 3.0


def test_ignoring_quality_does_not_invent_a_value() -> None:
    core = Core(QUALITY_SPECS, [])
    core.set("A", 1.0)
    core.derive(0.0)
    assert core.table.value(core.table.row_of("Brave")) is None
    assert core.table.why(core.table.row_of("Brave")) == "not read yet"


def test_a_derived_tag_is_as_old_as_its_oldest_input() -> None:
    images = [Image([Kind.FLOAT]), Image([Kind.FLOAT])]
    specs = [
        TagSpec("A", FromPoint(0, 0), stale_after_s=2.0),
        TagSpec("B", FromPoint(1, 0), stale_after_s=5.0),
        TagSpec("C", FromExpression("A + B")),
        TagSpec("D", FromExpression("C * B")),
    ]
    core = Core(specs, images)
    for image, received in zip(images, (10.0, 8.0), strict=True):
        image.quality[:], image.reason[:], image.received[:] = Quality.GOOD, 0, received
        image.columns[Kind.FLOAT][0] = 1.0
    for link in (0, 1):
        core.take(link)
    core.derive(10.0)
    received = dict(zip(core.table.names, core.table.received.tolist(), strict=True))
    assert received == {"A": 10.0, "B": 8.0, "C": 8.0, "D": 8.0}
    core.derive(12.5)
    assert {name: core.table.quality[row] for row, name in enumerate(core.table.names)} == {
        "A": Quality.STALE,
        "B": Quality.GOOD,
        "C": Quality.STALE,
        "D": Quality.STALE,
    }
    images[0].received[:] = 12.6
    core.take(0)
    core.derive(12.7)
    assert not core.table.quality.any()
    images[1].received[:] = 12.6
    core.take(0)
    core.derive(13.5)  # link 1 was not taken: its tag is as old as it was
    assert core.table.quality[core.table.row_of("B")] == Quality.STALE


def test_expressions_of_one_shape_are_one_group() -> None:
    tags = {f"P{place}": Known(TagKind.FLOAT, "bar") for place in range(2000)}
    shapes = (
        "P{0} - P{1}",
        "integral(P{0} * {2})",
        "mean(P{0}, 60)",
        "where(P{0} > {2}, P{0}, P{1})",
        "sqrt(abs(P{1}))",
    )
    formulas = {
        f"D{place}": Formula(shapes[place % 5].format(place, place + 1000, place + 1.5)) for place in range(1000)
    }
    checked, faults = check_expressions(tags, formulas)
    assert not faults
    groups = group(checked)
    assert [len(each.names) for each in groups] == [200] * 5


def test_a_window_of_another_length_is_another_group() -> None:
    tags = {"A": Known(TagKind.FLOAT)}
    checked, _ = check_expressions(tags, {"M1": Formula("mean(A, 5)"), "M2": Formula("mean(A, 6)")})
    assert len(group(checked)) == 2


def test_all_faults_of_all_expressions_are_raised_at_once() -> None:
    specs = [TagSpec("A", FromExpression("B +")), TagSpec("C", FromExpression("nothing"))]
    with pytest.raises(ExpressionError) as raised:
        Core(specs, [])
    assert {fault.tag for fault in raised.value.faults} == {"A", "C"}


def test_what_stays_bad_is_written_once() -> None:
    core = Core([TagSpec("A", FromEngine(Kind.FLOAT)), TagSpec("D", FromExpression("1 / A"))], [])
    core.set("A", 0.0)
    for now in (0.0, 1.0, 2.0):
        core.derive(now)
    turn = core._cells.quality_turn
    core.derive(3.0)
    assert core._cells.quality_turn == turn
    core.set("A", 4.0)
    core.derive(4.0)
    assert core.table.value(core.table.row_of("D")) == 0.25


def test_units_become_factors() -> None:
    specs = [
        TagSpec("P", FromEngine(Kind.FLOAT), unit="bar"),
        TagSpec("Q", FromEngine(Kind.FLOAT), unit="mbar"),
        TagSpec("T", FromEngine(Kind.FLOAT), unit="degC"),
        TagSpec("U", FromEngine(Kind.FLOAT), unit="degF"),
        TagSpec("dP", FromExpression("P - Q"), unit="Pa"),
        TagSpec("dT", FromExpression("T - U"), unit="K"),
        TagSpec("Mean", FromExpression("(T + U) / 2"), unit="K"),
        TagSpec("Warmer", FromExpression("T > U")),
        TagSpec("Sine", FromExpression("sin(`A 1`)")),
        TagSpec("A 1", FromEngine(Kind.FLOAT), unit="degree"),
    ]
    core = Core(specs, [])
    for name, x in {"P": 1.5, "Q": 500.0, "T": 30.0, "U": 68.0, "A 1": 30.0}.items():
        core.set(name, x)
    core.derive(0.0)
    found = {name: core.table.value(core.table.row_of(name)) for name in ("dP", "dT", "Mean", "Warmer", "Sine")}
    assert found == {
        "dP": pytest.approx(100_000.0),
        "dT": pytest.approx(10.0),
        "Mean": pytest.approx(298.15),
        "Warmer": True,
        "Sine": pytest.approx(0.5),
    }
