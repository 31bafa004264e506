"""Units: what an author may write, what converts into what, and what Open Pectus calls the alternatives."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from engine.core import units
from engine.core.unit_text import MAX_LENGTH
from engine.core.units import Unit, UnitError, unit_key
from engine.uod import unit_hints

__all__ = [
    "OTHERS",
    "QUANTITIES",
    "Conversion",
    "UnitError",
    "compatible_units",
    "conversion",
    "nearest_unit",
    "parse_unit",
]

QUANTITIES: tuple[tuple[str, ...], ...] = (
    ("s", "min", "h", "ms"),
    ("m", "cm"),
    ("m**2", "m2", "dm2", "cm2"),
    ("kg", "g"),
    ("kg/L", "g/L"),
    ("degC", "degF", "K", "°C", "°F"),
    ("mol",),
    ("L", "mL"),
    ("L/h", "L/min", "L/d"),
    ("Hz", "kHz"),
    ("Pa", "bar", "pascal"),
    ("kg/h", "g/s", "g/min", "g/h"),
    ("mS/cm", "µS/cm"),
    ("%",),
    ("vol%",),
    ("wt%",),
    ("mol%",),
    ("CV",),
    ("AU", "mAU", "milliAU"),
    ("LMH/bar", "L/m2/h/bar", "L/h/m2/bar"),
    ("LMH", "L/m2/h", "L/h/m2"),
)
"""The units that Open Pectus knows, one tuple for each of its quantities (openpectus 0.1.1585, lang/exec/units.py)."""

OFFERED: tuple[tuple[str, ...], ...] = (
    ("s", "min", "h"), ("m", "cm", "mm"), ("kg", "g", "mg"), ("g/L", "mg/L", "kg/L", "kg/m3"), ("degC", "degF", "K"),
    ("L", "mL", "m3"), ("L/h", "L/min", "mL/min", "m3/h", "L/d"), ("bar", "mbar", "kPa", "Pa", "psi"),
    ("barg", "mbarg", "kPag", "psig"), ("kg/h", "g/s", "g/min", "g/h"), ("mS/cm", "µS/cm"), ("AU", "mAU"),
    ("slpm", "sccm"), ("NL/min", "Nm3/h"), ("Sm3/h", "SL/min"), ("rpm", "1/min"), ("Hz", "kHz"), ("V", "mV"),
    ("A", "mA"), ("kW", "W"), ("mol/L", "mM", "µM"), ("mPa.s", "Pa.s", "cP"), ("LMH", "L/m2/h"),
    ("LMH/bar", "L/m2/h/bar"),
)  # fmt: skip
"""What a user may choose from where a value is entered; all else that converts can be typed."""

OTHERS = (
    "mbar", "kPa", "psi", "mmHg", "mL/min", "mL/h", "m3", "m3/h", "µL", "mm", "µm", "mg", "t", "mg/L", "rpm", "1/min",
    "1/h", "mA", "A", "mV", "V", "W", "kW", "kWh", "ohm", "pH", "NTU", "ppm", "ppb", "mol/L", "S/cm", "cP", "DV", "d",
    "barg", "mbarg", "psig", "kPag", "Torr", "inH2O", "mmH2O", "inHg", "sccm", "slpm", "scfm", "NL/min", "Nm3/h",
    "Sm3/h", "gpm", "cfm", "FNU", "OD", "var", "kvar", "VA", "kVA", "%RH", "CV/h", "dB", "mPa.s", "Pa.s", "cSt", "mM",
    "IU", "U/mL", "Ah", "°dH", "°Bx", "m/s", "mg/min", "µg/L", "MPa", "hPa", "uS/cm", "kg/m3", "mol", "kHz", "count",
    "SL/min", "NL", "Nm3", "Sm3", "kgf/cm2", "g/L/h", "cells/mL", "MWh", "GJ", "kJ", "J/g", "J/g/K", "W/m2", "W/m2/K",
)  # fmt: skip
"""More units of a process lab, to guess from when an author mistypes one."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """to = from * scale + offset, exact."""

    scale: Fraction
    offset: Fraction


def parse_unit(text: str | None) -> Unit:
    """Read a unit; None and "" are the unit of a plain number.

    Raises `UnitError` with the nearest unit that is known.
    """
    try:
        return units.read(text or "")
    except UnitError as error:
        near = error.near
        if near is None or (near and not unit_hints.is_unit(near)):
            near = nearest_unit((text or "")[:MAX_LENGTH])
        raise UnitError(str(error), near or None) from error


@lru_cache(maxsize=1000)
def nearest_unit(text: str) -> str | None:
    """The known unit that is probably meant; None where none is near."""
    return unit_hints.nearest_unit(text, [unit for quantity in QUANTITIES for unit in quantity] + list(OTHERS))


def conversion(source: str | None, target: str | None) -> Conversion:
    """How a value in one unit becomes a value in another; temperatures have an offset.

    Raises `UnitError` with both dimensions when they do not convert.
    """
    wanted = parse_unit(target)
    return Conversion(*units.conversion(parse_unit(source), wanted))


def compatible_units(unit: str | None) -> list[str]:
    """The units that are offered for entry where a value has this unit; its own spelling is the first of them."""
    if not unit:
        return [""]
    key = unit_key(unit)
    for quantity in OFFERED:
        if any(unit_key(each) == key for each in quantity):
            return [unit, *(each for each in quantity if unit_key(each) != key)]
    return [unit]
