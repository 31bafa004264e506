"""Scaled values come out as the decimals that people expect, against arithmetic in decimals."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Image, Kind, Quality
from engine.core.core import Core
from engine.core.decimals import shortest
from engine.core.scaling import raw_of, value_of
from engine.core.spec import FromExpression, FromPoint, TagSpec
from engine.uod.model import Tag
from engine.uod.value_checks import scale_and_offset


def scaled(kind: Kind, raws: list[Any], scalings: list[tuple[float, float]]) -> list[Any]:
    """The values of tags that are fed by these raw values, each with a scale and an offset."""
    image = Image([kind] * len(raws))
    image.columns[kind][:] = raws
    image.quality[:], image.reason[:] = Quality.GOOD, 0
    specs = [
        TagSpec(f"T{row}", FromPoint(0, row), scale=scale, offset=offset)
        for row, (scale, offset) in enumerate(scalings)
    ]
    core = Core(specs, [image])
    core.take(0)
    return [core.table.value(core.table.row_of(spec.name)) for spec in specs]


@pytest.mark.parametrize(
    ("raw", "scale", "offset", "value"),
    [
        (57, 0.01, 0.0, 0.57),
        (12345, 0.01, 0.0, 123.45),
        (3, 0.1, 0.0, 0.3),
        (-7, 0.001, 0.0, -0.007),
        (57, 0.57, 0.0, 32.49),
        (1005, 0.07, 0.0, 70.35),
        (29315, 0.01, -273.15, 20.0),
        (215, 0.1, -20.0, 1.5),
        (986, 5 / 90, -160 / 9, 37.0),
        (4, 1.1, 2.2, 6.6),
        (1013, 0.0025, 0.0, 2.5325),
        (123456789, 1e-7, 0.0, 12.3456789),
        (0, -0.1, 0.0, 0.0),
        (2**40, 0.001, 0.0, 1099511627.776),
    ],
)
@pytest.mark.parametrize("kind", [Kind.INT, Kind.UINT, Kind.FLOAT])
def test_a_scaled_value_is_the_decimal_that_is_expected(
    kind: Kind, raw: int, scale: float, offset: float, value: float
) -> None:
    if raw < 0 and kind is Kind.UINT:
        raw, value = -raw, -value

    # the second row has another scale: one operand a row instead of one for all
    both = scaled(kind, [raw, raw], [(scale, offset), (0.5, 0.25)])
    (alone,) = scaled(kind, [raw], [(scale, offset)])

    assert (both[0], alone) == (value, value)
    assert math.copysign(1, alone) == math.copysign(1, value)
    assert both[1] == raw * 0.5 + 0.25


@pytest.mark.parametrize(
    ("raw", "scale", "offset", "value"),
    [
        (12.34, 0.01, 0.0, 0.1234),
        (0.1, 57.0, 0.0, 5.7),
        (1013.25, 0.001, 0.0, 1.01325),
        (293.25, 1.0, -273.15, 20.1),
        (-40.1, 0.1, 0.01, -4.0),
        (98.6, 5 / 9, -160 / 9, 37.0),
        (273.15, 1.0, -273.15, 0.0),
    ],
)
@pytest.mark.parametrize("kind", [Kind.FLOAT32, Kind.FLOAT])
def test_a_float_is_the_decimal_that_it_was_before_it_was_rounded(
    kind: Kind, raw: float, scale: float, offset: float, value: float
) -> None:
    (found,) = scaled(kind, [raw], [(scale, offset)])

    assert found == value
    assert math.copysign(1, found) == math.copysign(1, value)


@given(
    st.lists(
        st.tuples(
            st.decimals(-99999, 99999, places=3),
            st.decimals("0.0001", 20, places=4),
            st.decimals(-300, 300, places=2),
        ),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from((Kind.INT, Kind.FLOAT, Kind.FLOAT32)),
)
@settings(max_examples=150, deadline=None)
def test_any_decimal_scaled_by_any_other(drawn: list[tuple[Decimal, Decimal, Decimal]], kind: Kind) -> None:
    raws = [raw.to_integral_value() if kind is Kind.INT else raw for raw, _, _ in drawn]
    if kind is Kind.FLOAT32:  # seven digits are what one of them holds
        raws = [Decimal(str(np.float32(raw))) for raw in raws]
    found = scaled(kind, [int(raw) if kind is Kind.INT else float(raw) for raw in raws], [
        (float(scale), float(offset)) for _, scale, offset in drawn
    ])  # fmt: skip

    for value, raw, (_, scale, offset) in zip(found, raws, drawn, strict=True):
        assert value == float(raw * scale + offset), (raw, scale, offset)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_what_is_no_decimal_of_fifteen_digits_keeps_all_of_its_own(raws: list[float]) -> None:
    """A value moves by a few roundings at most."""
    for value, raw in zip(scaled(Kind.FLOAT, raws, [(3.0, 0.0)] * len(raws)), raws, strict=True):
        assert abs(value - raw * 3.0) <= abs(raw) * 3 * 2**-50


@given(st.lists(st.floats(width=32), min_size=1, max_size=30))
def test_the_shortest_decimal_is_the_same_float32(values: list[float]) -> None:
    column = np.array(values, np.float32)
    with np.errstate(all="ignore"):
        found = shortest(column)

    assert np.array_equal(found.astype(np.float32), column, equal_nan=True)
    for value, narrow in zip(found.tolist(), column, strict=True):
        if 1e-7 < abs(value) < 2**24:
            assert value == float(str(narrow))


def test_what_is_not_finite_stays_so_among_decimals() -> None:
    found = scaled(Kind.FLOAT32, [math.nan, 0.1, math.inf, -math.inf, 3e38], [(0.1, 0.0)] * 5)

    assert found[:4] == [None, 0.01, None, None]
    assert found[4] == pytest.approx(3e37)


@pytest.mark.parametrize(
    ("raw_unit", "unit", "scale", "raw", "value"),
    [
        ("mbar", "bar", 0.1, 5, 0.0005),
        ("mbar", "bar", 1, 57, 0.057),
        ("degF", "degC", 0.1, 986, 37.0),
        ("K", "degC", 0.01, 29325, 20.1),
        ("mL/min", "L/h", 0.1, 33, 0.198),
        ("µS/cm", "mS/cm", 1, 1413, 1.413),
        ("psi", "bar", 1, 10, 0.6894757293168361),
    ],
)
def test_a_unit_that_is_converted_leaves_no_tail(
    raw_unit: str, unit: str, scale: float, raw: int, value: float
) -> None:
    scaling = scale_and_offset(Tag(raw_unit=raw_unit, unit=unit, scale=scale))

    for kind in (Kind.UINT, Kind.FLOAT, Kind.FLOAT32):
        (found,) = scaled(kind, [raw], [scaling])
        assert found == pytest.approx(value, rel=3e-16)
        assert raw_unit == "psi" or found == value


@pytest.mark.parametrize(
    ("raw", "scale", "offset", "value"),
    [
        (57, 0.01, 0.0, 0.57),
        (3, 0.1, 0.0, 0.3),
        (570.0, 0.001, 0.0, 0.57),
        (29315, 0.01, -273.15, 20.0),
        (-5, 0.1, 1.0, 0.5),
    ],
)
def test_one_value_goes_out_and_comes_back_as_it_was(raw: float, scale: float, offset: float, value: float) -> None:
    assert value_of(raw, scale, offset) == value
    assert raw_of(value, scale, offset) == raw


def test_one_value_that_no_float_can_be_is_infinite() -> None:
    assert raw_of(-1e300, 1e-300, 0.0) == -math.inf
    assert value_of(1e300, -1e300, 0.0) == -math.inf
    assert math.isnan(value_of(math.nan, 0.5, 1.0))
    assert value_of(-math.inf, 0.5, 1.0) == -math.inf
    assert raw_of(True, 0.5, 0.0) == 2.0
    assert value_of(np.float64(0.1), 57.0, 0.0) == 5.7


def test_a_unit_that_is_converted_in_an_expression_leaves_no_tail() -> None:
    image = Image([Kind.UINT, Kind.UINT])
    image.columns[Kind.UINT][:] = (9, 57)
    image.quality[:], image.reason[:] = Quality.GOOD, 0
    specs = [
        TagSpec("P", FromPoint(0, 0), unit="mbar"),
        TagSpec("F", FromPoint(0, 1), unit="mL"),
        TagSpec("In bar", FromExpression("P"), unit="bar"),
        TagSpec("In litres", FromExpression("F"), unit="L"),
    ]
    core = Core(specs, [image])
    core.take(0)
    core.derive(0.0)

    assert [core.table.value(core.table.row_of(name)) for name in ("In bar", "In litres")] == [0.009, 0.057]
