"""Units: what is understood, what converts into what, and what Open Pectus offers."""

from __future__ import annotations

from fractions import Fraction

import pytest

from engine.uod.units import (
    OTHERS,
    QUANTITIES,
    Conversion,
    UnitError,
    compatible_units,
    conversion,
    nearest_unit,
    parse_unit,
    shown,
)


@pytest.mark.parametrize("unit", [unit for units in (*QUANTITIES, OTHERS) for unit in units])
def test_every_unit_of_the_lists_is_understood(unit: str) -> None:
    assert conversion(unit, unit) == Conversion(Fraction(1), Fraction(0))
    assert parse_unit(unit) is not None


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_the_units_of_a_quantity_convert(quantity: tuple[str, ...]) -> None:
    for unit in quantity:
        assert conversion(unit, quantity[0]).scale > 0


@pytest.mark.parametrize(
    ("source", "target", "scale", "offset"),
    [
        ("mbar", "bar", Fraction(1, 1000), 0),
        ("mL/min", "L/h", Fraction(60, 1000), 0),
        ("degF", "degC", Fraction(5, 9), Fraction(-160, 9)),
        ("K", "degC", 1, Fraction(-27315, 100)),
        ("µS/cm", "mS/cm", Fraction(1, 1000), 0),
        ("mAU", "AU", Fraction(1, 1000), 0),
        ("LMH", "L/m2/h", 1, 0),
        ("wt%", "%", 1, 0),
        ("degC/min", "K/min", 1, 0),
        ("ppb", "ppm", Fraction(1, 1000), 0),
        ("%", None, Fraction(1, 100), 0),
        ("", None, 1, 0),
    ],
)
def test_conversions_are_exact(source: str, target: str | None, scale: Fraction, offset: Fraction) -> None:
    assert conversion(source, target) == Conversion(Fraction(scale), Fraction(offset))


@pytest.mark.parametrize(("source", "target"), [("bar", "L/h"), ("CV", "L"), ("pH", None)])
def test_what_does_not_convert_shows_both_dimensions(source: str, target: str | None) -> None:
    with pytest.raises(UnitError) as raised:
        conversion(source, target)

    assert shown(source) in str(raised.value)
    assert shown(target) in str(raised.value)


def test_a_logarithm_is_no_conversion() -> None:
    with pytest.raises(UnitError, match="by a logarithm"):
        conversion("dBm", "mW")


@pytest.mark.parametrize(
    ("text", "near"),
    [("Bar", "bar"), ("degc", "degC"), ("L/hx", "L/h"), ("(((", None), ("2m", "m"), ("m+1", "m"), ("-", None)],
)
def test_an_unknown_unit_names_the_nearest(text: str, near: str | None) -> None:
    with pytest.raises(UnitError) as raised:
        parse_unit(text)

    assert raised.value.near == near
    assert nearest_unit(text) == near


def test_ph_is_no_picohenry() -> None:
    assert shown("pH") == "pH ([acidity])"


@pytest.mark.parametrize(
    ("unit", "offered"),
    [("L/h", ["L/h", "L/min", "L/d"]), ("%", ["%"]), ("mbar", ["mbar"]), (None, [""]), ("", [""])],
)
def test_the_units_that_open_pectus_offers(unit: str | None, offered: list[str]) -> None:
    assert compatible_units(unit) == offered
