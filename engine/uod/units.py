"""Units: what an author may write, what converts into what, and what Open Pectus calls the alternatives.

pint takes half a second to load, so it is loaded when the first unit is read, and never by importing this module.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from tokenize import TokenError
from typing import TYPE_CHECKING, Any

from engine.core.units import dimension_of, pint_unit, registry

if TYPE_CHECKING:
    import pint

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

OTHERS = (
    "mbar", "kPa", "psi", "mmHg", "mL/min", "mL/h", "m3", "m3/h", "µL", "mm", "µm", "mg", "t", "mg/L", "rpm", "1/min",
    "1/h", "mA", "A", "mV", "V", "W", "kW", "kWh", "ohm", "pH", "NTU", "ppm", "ppb", "mol/L", "S/cm", "cP", "DV", "d",
)  # fmt: skip
"""More units of a process lab, to guess from when an author mistypes one; pint knows hundreds beside these."""


class UnitError(ValueError):
    """A unit that nobody knows, or two that do not convert; `near` is the nearest known unit, if any."""

    def __init__(self, message: str, near: str | None = None) -> None:
        super().__init__(message)
        self.near = near


@dataclass(frozen=True, slots=True)
class Conversion:
    """to = from * scale + offset, exact."""

    scale: Fraction
    offset: Fraction


@cache
def parse_unit(text: str | None) -> pint.Unit:
    """Read a unit; None and "" are the unit of a plain number.

    Raises `UnitError`.
    """
    import pint

    try:
        return pint_unit(text or "")
    # pint's parser lets pass what its tokenizer and its arithmetic raise
    except (
        pint.PintError,
        TokenError,
        ArithmeticError,
        ValueError,
        TypeError,
        AssertionError,
        AttributeError,
    ) as error:
        near = nearest_unit(text or "")
        raise UnitError(f"{text!r} is no unit that is known here", near) from error


def nearest_unit(text: str) -> str | None:
    """The known unit whose spelling comes nearest, letter case last."""
    known = [unit for quantity in QUANTITIES for unit in quantity] + list(OTHERS)
    folded = {unit.casefold(): unit for unit in reversed(known)}
    if text.casefold() in folded:
        return folded[text.casefold()]
    near = difflib.get_close_matches(text.casefold(), folded, 1, 0.5)
    return folded[near[0]] if near else None


@cache
def conversion(source: str | None, target: str | None) -> Conversion:
    """How a value in one unit becomes a value in another; temperatures have an offset.

    Raises `UnitError` with both dimensions when they do not convert.
    """
    import pint

    wanted = parse_unit(target)
    if source == target:
        return Conversion(Fraction(1), Fraction(0))
    try:
        quantity: Any = registry().Quantity
        zero, one = (Fraction(quantity(Fraction(x), parse_unit(source)).to(wanted).magnitude) for x in (0, 1))
    except pint.PintError as error:
        raise UnitError(f"{shown(source)} does not convert to {shown(target)}") from error
    except TypeError as error:  # fractions have no logarithm, and pint knows no other curves
        raise UnitError(f"{source!r} converts to {target!r} by a logarithm, not by scale and offset") from error
    return Conversion(one - zero, zero)


def shown(unit: str | None) -> str:
    """A unit with its dimension, for messages: "L/h ([length]^3 [time]^-1)"."""
    return f"{unit or 'no unit'} ({dimension_of(parse_unit(unit))})"


def compatible_units(unit: str | None) -> list[str]:
    """The units that Open Pectus offers for entry where a value has this unit; always the unit itself among them."""
    if not unit:
        return [""]
    return next((list(quantity) for quantity in QUANTITIES if unit in quantity), [unit])
