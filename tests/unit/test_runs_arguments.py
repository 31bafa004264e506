"""What follows the word of a line: numbers as they are typed, in all units that convert."""

from __future__ import annotations

import pytest

from drivers.contract import Kind
from engine.core.spec import FromEngine, TagSpec
from engine.runs.arguments import CommandError, argument_of, duration_s, tag_value, whole_number
from engine.uod.skid import ArgumentSpec, CommandSpec


def number(text: str, unit: str | None = "bar", low: float | None = None, high: float | None = None) -> float | int:
    found = argument_of(CommandSpec("P", (), ArgumentSpec("number", unit, {}, low, high)), text)
    assert isinstance(found, (int, float))
    return found


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("500 mbar", "bar", 0.5),
        ("500mbar", "bar", 0.5),
        ("1 psi", "bar", 0.06894757293168362),
        ("57 mbar", "bar", 0.057),
        ("5.7e2 hPa", "bar", 0.57),
        ("5 l/h", "L/h", 5),
        ("5 \u2103", "degC", 5),
        ("50 °F", "degC", 10.0),
        ("-40 degF", "°C", -40.0),
        ("300 K", "degC", 26.85),
        ("2 min", "s", 120.0),
        ("15 psig", "barg", 1.0342135939752541),
        ("12 %RH", "%", 12),
        ("6 1/min", "rpm", 6),
        ("100 mL/min", "L/h", 6.0),
        ("9223372036854775807", "bar", 2**63 - 1),
        ("0 mbar", "bar", 0.0),
        ("0 degC", "degF", 32.0),
        ("5", None, 5),
    ],
)
def test_a_number_is_taken_in_all_units_that_convert_and_rounded_once(
    text: str, unit: str | None, value: float
) -> None:
    found = number(text, unit)

    assert found == value
    assert repr(found) == repr(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5,5 bar", "P takes a number, not '5,5 bar'; write 5.5 bar: the decimal sign is a point"),
        ("1 000 mbar", "P takes a number, not '1 000 mbar'; write 1000 mbar: a number has no separators in it"),
        ("5 .5", "P takes a number, not '5 .5'; write 5.5: a number has no separators in it"),
        ("\u22125 bar", "P takes a number, not '\u22125 bar'; write -5 bar: the minus sign is the plain -"),
        ("\u0665 bar", "P takes a number, not '\u0665 bar'; write P: 1.5"),
        ("five", "P takes a number, not 'five'; write P: 1.5"),
        ("5 Bar", "P is in bar: 'Bar' is not a unit that is known here; did you mean 'bar'?"),
        ("5 L/h", "P: L/h (flow) does not convert to bar (pressure)"),
        ("5 barg", "P: barg (gauge pressure) does not convert to bar (pressure): a gauge pressure has the"),
        ("5 l/m", "P is in bar: 'l/m' is by the metre; did you mean 'l/min'?"),
        ("1e9999 mbar", "P takes a finite number, not 1e9999"),
        ("1e308 kbar", "P takes a finite number, not 1e308"),
        ("9" * 1_000_000, "P takes a number, not '" + "9" * 100 + "...'; write P: 1.5"),
        ("1e-999999999 mbar", "P is in bar: 'e-999999999 mbar' is not a unit"),
        ("5.5.5", "P is in bar: '.5' is not a unit"),
    ],
)
def test_what_is_not_a_number_here_is_refused_with_the_way_to_write_it(text: str, message: str) -> None:
    with pytest.raises(CommandError) as raised:
        number(text)

    assert str(raised.value).startswith(message)


def test_a_gauge_pressure_for_an_absolute_one_names_its_twin() -> None:
    for text, unit, twin in (("500 mbarg", "bar", "mbar"), ("500 mbar", "barg", "mbarg"), ("7 psig", "psia", "psi")):
        with pytest.raises(CommandError, match=rf"zero, which is not known here; did you mean '{twin}'\?"):
            number(text, unit)


def test_limits_are_those_of_the_unit_of_the_tag() -> None:
    assert number("2000 mbar", "bar", 0, 2) == 2.0
    with pytest.raises(CommandError, match=r"P: 2\.001 bar is above its max of 2 bar"):
        number("2001 mbar", "bar", 0, 2)
    with pytest.raises(CommandError, match=r"P: -0\.001 bar is below its min of 0 bar"):
        number("-1 mbar", "bar", 0, 2)


def test_a_number_without_a_unit_takes_none() -> None:
    with pytest.raises(CommandError, match=r"P takes no unit, not '5 bar'; write P: 5"):
        number("5 bar", None)


def test_a_simulated_value_is_a_number_in_the_unit_of_its_tag() -> None:
    tag = TagSpec("PT01", FromEngine(Kind.FLOAT), unit="bar")

    assert tag_value(tag, "57 mbar") == 0.057
    with pytest.raises(CommandError, match=r"PT01 is a number in bar, not '5,5'; write 5\.5: the decimal sign"):
        tag_value(tag, "5,5")


def test_times_and_counts_show_how_they_are_written() -> None:
    assert duration_s("Wait", "1.5 min") == 90
    with pytest.raises(CommandError, match=r"write 1\.5 min: the decimal sign is a point"):
        duration_s("Wait", "1,5 min")
    assert whole_number("Run counter", "12") == 12
    with pytest.raises(CommandError, match=r"write 1000: a number has no separators"):
        whole_number("Run counter", "1 000")
