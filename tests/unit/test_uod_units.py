"""Units: what is understood, what converts into what, and what Open Pectus offers."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.unit_table import MISTAKEN_ALONE
from engine.core.unit_text import atoms
from engine.core.units import same_unit
from engine.uod.units import (
    OTHERS,
    QUANTITIES,
    Conversion,
    UnitError,
    compatible_units,
    conversion,
    nearest_unit,
    parse_unit,
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

    for unit in (source, target):
        assert f"{unit or 'no unit'} ({parse_unit(unit).dimension})" in str(raised.value)


@pytest.mark.parametrize(
    ("text", "near"),
    [("Bar", "bar"), ("degc", "degC"), ("L/hx", "L/h"), ("(((", None), ("2m", "m"), ("m+1", None)],
)
def test_an_unknown_unit_names_the_nearest(text: str, near: str | None) -> None:
    with pytest.raises(UnitError) as raised:
        parse_unit(text)

    assert raised.value.near == near
    assert nearest_unit(text) == near


def test_ph_is_no_picohenry() -> None:
    assert parse_unit("pH").dimension == "acidity"


@pytest.mark.parametrize(
    ("meant", "spellings"),
    [
        ("L/h", ["l/h", "L / h", "L·h-1", "l h^-1", "L/hr", "litre/hour", "L per h", "lph", "[L/h]", "\u2113/h"]),
        ("degC", ["°C", "\u2103", "\u00baC", "deg C", "Celsius"]),
        ("degF", ["°F", "\u2109", "deg F"]),
        ("m3/h", ["m³/h", "m^3/h", "m**3/h", "m3 h-1", "m³·h⁻¹"]),
        ("µS/cm", ["\u03bcS/cm", "uS/cm"]),
        ("barg", ["bar(g)", "bar g", "bar (g)", "bar_g", "barü", "bar(ü)", "bar gauge"]),
        ("kPag", ["kPa(g)", "kPa g"]),
        ("bar", ["bara", "bar(a)", "bar abs", "bar(abs)", "bard"]),
        ("psi", ["psia", "PSI", "lbf/in2", "psid"]),
        ("Nm3/h", ["Nm³/h", "Nm^3/h", "m³n/h"]),
        ("NL/min", ["Nl/min", "ln/min", "L_n/min"]),
        ("slpm", ["SLPM", "slm", "SL/min", "sl/min"]),
        ("sccm", ["SCCM", "scc/min"]),
        ("gpm", ["GPM", "gal/min"]),
        ("Torr", ["torr", "TORR"]),
        ("NTU", ["FNU", "FAU"]),
        ("%RH", ["% r.H.", "% RH", "%rH", "rH%"]),
        ("vol%", ["% v/v", "Vol.-%", "% (v/v)"]),
        ("wt%", ["% w/w", "Gew.-%"]),
        ("mPa.s", ["mPa·s", "mPa*s", "mPa s", "cP", "mPa\u22c5s"]),
        ("cSt", ["mm2/s", "mm²/s"]),
        ("rpm", ["1/min", "RPM", "U/min", "r/min", "min-1", "min⁻¹", "/min"]),
        ("L/m2/h", ["LMH", "L/(m2 h)", "L m-2 h-1", "L/(m²·h)", "l/m²/h"]),
        ("kohm", ["kΩ", "k\u2126", "kOhm"]),
        ("kvar", ["kVAr"]),
        ("mol/L", ["M", "mol/l"]),
        ("°dH", ["dH", "°KH"]),
        ("°Bx", ["Brix", "°Brix"]),
        ("inH2O", ["inWC"]),
        ("psig", ["PSIG", "psi(g)", "psiG"]),
        ("mbarg", ["mbarG", "mbar(g)"]),
        ("V", ["VDC", "V AC", "Vrms"]),
        ("mA", ["mADC"]),
        ("NL/min", ["NLPM"]),
        ("mL/min", ["ml/min", "cc/min", "ccm/min"]),
        ("SmL/min", ["sccm", "Sml/min"]),
        ("mln/min", ["NmL/min", "mLn/min", "NCCM"]),
        ("", ["-", "1", "[-]"]),
    ],
)
def test_the_spellings_of_one_unit(meant: str, spellings: list[str]) -> None:
    for spelling in spellings:
        assert same_unit(spelling, meant), spelling
        assert conversion(spelling, meant) == Conversion(Fraction(1), Fraction(0))


@pytest.mark.parametrize(
    ("text", "near", "why"),
    [
        ("C", "degC", "the coulomb"),
        ("J/g/C", "J/g/degC", "the coulomb"),
        ("F", "degF", "the farad"),
        ("l/H", "l/h", "the henry"),
        ("l/m", "l/min", "by the metre"),
        ("ml/m", "ml/min", "by the metre"),
        ("m3/m", "m3/min", "by the metre"),
        ("kg/m", "kg/min", "by the metre"),
        ("NL/m", "NL/min", "by the metre"),
        ("L/M", "L/min", "no instrument"),
        ("mPas", "mPa.s", "mPa times s"),
        ("nm3/h", "Nm3/h", "not a unit"),
        ("nm³/h", "Nm3/h", "not a unit"),
        ("nl/min", "nL/min", "nanolitres"),
        ("Mbar", "mbar", "a million bar"),
        ("kg/cm2", "kgf/cm2", "a mass per area"),
        ("kg/cm²", "kgf/cm2", "a mass per area"),
        ("bar.g", "barg", "no instrument"),
        ("W/m2 K", "W/m2/K", "belongs to the denominator"),
        ("L/h*bar", "L/h/bar", "belongs to the denominator"),
        ("PSi", "psi", "not a unit"),
        ("ms/cm", "mS/cm", "no instrument"),
        ("us/cm", "uS/cm", "no instrument"),
        ("mm/S", "mm/s", "by the siemens"),
        ("W/mK", "W/m/K", "by metre and kelvin"),
        ("kJ/g/mK", "J/g/K", "a thousandth of a kelvin"),
        ("N/A", None, "there is no unit"),
        ("n/a", None, "there is no unit"),
        ("S", "s", "the siemens"),
        ("lb/in2", "psi", "a mass per area"),
        ("kg/cm2g", "kgf/cm2g", "a mass per area"),
        ("Hours", "hours", "not a unit"),
        ("KWH", "kWh", "not a unit"),
        ("ML/MIN", "mL/min", "not a unit"),
        ("inH20", "inH2O", "not a unit"),
        ("mg/L SiO2", "mg/L", "denominator"),
        ("µS/cm (25 °C)", "µS/cm", "denominator"),
        ("V(DC)", "V", "not a unit"),
        ("%abc", "%", "not a unit"),
        ("Celcius", "celsius", "not a unit"),
        ("öre/kWh", None, "not a unit"),
        ("kpa", "kPa", "not a unit"),
        ("MPA", "MPa", "not a unit"),
    ],
)
def test_what_is_written_from_habit_names_what_is_meant(text: str, near: str | None, why: str) -> None:
    with pytest.raises(UnitError, match=why) as raised:
        parse_unit(text)

    assert raised.value.near == near


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        ("barg", "bara", "a gauge pressure has the pressure of the air as its zero"),
        ("psi", "psig", "a gauge pressure has the pressure of the air as its zero"),
        ("Nm3/h", "m3/h", "an amount of gas"),
        ("slpm", "NL/min", "an amount of gas"),
        ("%RH", "vol%", "per cents of different things"),
        ("rad/s", "rpm", "a turn is 2 pi radians"),
        ("degC", "delta_degC", "one a difference of two"),
        ("dBm", "mW", r"signal level"),
        ("IU", "U", "does not convert"),
        ("NTU", "AU", "does not convert"),
        ("sccm", "bar", r"\(pressure\)$|standard conditions\)$"),
    ],
)
def test_what_looks_alike_does_not_convert(one: str, other: str, reason: str) -> None:
    for source, target in ((one, other), (other, one)):
        with pytest.raises(UnitError, match=reason):
            conversion(source, target)
    assert not same_unit(one, other)


@pytest.mark.parametrize(
    ("source", "target", "scale"),
    [
        ("psig", "barg", Fraction(8896443230521, 1290320000) / 100_000),
        ("mbarg", "barg", Fraction(1, 1000)),
        ("sccm", "slpm", Fraction(1, 1000)),
        ("Nm3/h", "NL/min", Fraction(1000, 60)),
        ("gpm", "L/min", Fraction("3.785411784")),
        ("rpm", "Hz", Fraction(1, 60)),
        ("deg", "rad", Fraction("0.017453292519943295")),
        ("kvar", "kW", 1),
        ("%RH", "%", 1),
        ("CV/h", "1/h", 1),
        ("L/pulse", "L", 1),
        ("kWh", "MJ", Fraction(36, 10)),
        ("Torr", "mbar", Fraction(20265, 15200)),
        ("mM", "mol/L", Fraction(1, 1000)),
    ],
)
def test_units_of_a_lab_convert_exactly(source: str, target: str, scale: Fraction) -> None:
    assert conversion(source, target) == Conversion(Fraction(scale), Fraction(0))


@given(st.text(alphabet="mLlhgbarsPa%°/()·*^²³-0123456789 .", max_size=45) | st.text(max_size=60))
def test_any_text_is_a_unit_or_an_error(text: str) -> None:
    try:
        found = parse_unit(text)
    except UnitError as error:
        assert str(error)  # noqa: PT017 - either way is right
    else:
        assert found.measure.factor > 0


def test_every_unit_of_the_table_has_a_measure() -> None:
    for name in atoms().keys() - MISTAKEN_ALONE.keys():
        assert parse_unit(name).measure.factor > 0


def test_the_case_of_a_prefix_decides() -> None:
    assert conversion("MW", "mW") == Conversion(Fraction(10**9), Fraction(0))
    assert conversion("mPa", "MPa") == Conversion(Fraction(1, 10**9), Fraction(0))


@pytest.mark.parametrize(
    ("unit", "offered"),
    [
        ("L/h", ["L/h", "L/min", "mL/min", "m3/h", "L/d"]),
        ("l/h", ["l/h", "L/min", "mL/min", "m3/h", "L/d"]),
        ("°C", ["°C", "degF", "K"]),
        ("barg", ["barg", "mbarg", "kPag", "psig"]),
        ("%", ["%"]),
        ("mbar", ["mbar", "bar", "kPa", "Pa", "psi"]),
        ("NTU", ["NTU"]),
        (None, [""]),
        ("", [""]),
    ],
)
def test_the_units_that_are_offered(unit: str | None, offered: list[str]) -> None:
    assert compatible_units(unit) == offered
