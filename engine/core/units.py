"""Units at load: what an author may write, and what the units of an expression come to, by pint.

Nothing here runs in the tick. The units that Open Pectus has beyond pint's own (CV, AU, LMH, wt%) are known here, so
that a unit means the same in a tag, in an expression and in the aggregator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import pint

_DEFINITIONS = (
    "m3 = m**3",
    "dm3 = dm**3",
    "cm3 = cm**3",
    "m2 = m**2",
    "dm2 = dm**2",
    "cm2 = cm**2",
    "LMH = L/m**2/h",
    "column_volume = 1 = CV",  # a count: what a volume divided by the volume of a column comes to
    "dead_volume = 1 = DV",
    "acidity = [acidity] = pH",  # pint alone reads picohenry
    "ppb = 1e-9",
    "turbidity = [turbidity] = NTU = FNU",
)
_PERCENTS = {"vol%": "percent", "wt%": "percent", "mol%": "percent"}


@cache
def registry() -> pint.UnitRegistry[Any]:
    """The one pint registry, in exact fractions so that 0.001 bar a mbar stays 0.001."""
    import pint  # it takes half a second, so it is loaded when the first unit is read

    # annotated for floats, but made for fractions, too
    exact = cast("type[float]", Fraction)
    made: pint.UnitRegistry[Any] = pint.UnitRegistry(non_int_type=exact, autoconvert_offset_to_baseunit=True)
    for definition in _DEFINITIONS:
        made.define(definition)
    return made


@cache
def pint_unit(text: str) -> pint.Unit:
    """Read a unit; "" is the unit of a plain number. Raises whatever pint's tokenizer, parser and arithmetic raise."""
    return registry().Unit(_PERCENTS.get(text, text or "dimensionless"))


def dimension_of(unit: pint.Unit) -> str:
    """The dimension of a unit as people read it: "[length]^3 [time]^-1"."""
    return _product(dict(unit.dimensionality.items()))


def _product(powers: Mapping[str, Any]) -> str:
    # pint's own formatter cannot spell the exact fractions that powers are here
    return " ".join(name if power == 1 else f"{name}^{power}" for name, power in powers.items()) or "a plain number"


class UnitError(Exception):
    """Two units do not go together; the message shows the dimensions of both."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measurement; equal units have equal factors to the base units."""

    pint: Any
    text: str = field(default="", compare=False)
    """As its author wrote it; "" for one that was computed."""

    def __str__(self) -> str:
        return self.text or _product({registry().get_symbol(name): power for name, power in self.pint._units.items()})

    @property
    def dimension(self) -> str:
        """As "[length]^3 [time]^-1"."""
        return dimension_of(self.pint)

    @property
    def has_offset(self) -> bool:
        """Whether its zero is a matter of convention, as that of degC is."""
        quantity: Any = registry().Quantity
        return not quantity(1, self.pint)._is_multiplicative

    @property
    def is_difference(self) -> bool:
        """Whether only differences have it, as delta_degC."""
        return any(name.startswith("delta_") for name in self.pint._units)

    @property
    def difference(self) -> Unit:
        """The unit of a difference of two values: a difference of two degC is a multiple of kelvin."""
        if not self.has_offset:
            return self
        scale, _ = conversion(self, known_unit("kelvin"))
        return known_unit("kelvin" if scale == 1 else "delta_degF")

    def __mul__(self, other: Unit) -> Unit:
        return Unit(self.difference.pint * other.difference.pint)

    def __truediv__(self, other: Unit) -> Unit:
        return Unit(self.difference.pint / other.difference.pint)

    def __pow__(self, exponent: float) -> Unit:
        return Unit(self.difference.pint ** Fraction(repr(exponent)))


@cache
def unit(text: str) -> Unit | None:
    """Read a unit; None for one that pint does not know, which then goes with everything."""
    try:
        return Unit(pint_unit(text), text)
    except Exception:  # noqa: BLE001 - pint raises whatever its tokenizer, parser and evaluator raise
        return None


def known_unit(text: str) -> Unit:
    """Read a unit that is known to be known."""
    return Unit(pint_unit(text))


def conversion(source: Unit, target: Unit) -> tuple[float, float]:
    """The scale and offset that bring a value from one unit to another. Raises `UnitError`."""
    from pint.errors import DimensionalityError

    quantity: Any = registry().Quantity
    try:
        zero = quantity(Fraction(0), source.pint).to(target.pint).magnitude
        one = quantity(Fraction(1), source.pint).to(target.pint).magnitude
    except DimensionalityError as error:
        raise UnitError(f"{source} is {source.dimension}, {target} is {target.dimension}") from error
    return float(one - zero), float(zero)
