"""Units at load: what the units of an expression come to, by pint. Nothing here runs in the tick.

The units that Open Pectus has beyond pint's own (CV, AU, LMH, wt%) are known here too, so that a unit means the same in
a tag, in an expression and in the aggregator.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import Any, cast

_DEFINITIONS = (
    "column_volume = 1 = CV",
    "diavolume = 1 = DV",
    "m3 = meter ** 3",
    "m2 = meter ** 2",
    "dm2 = decimeter ** 2",
    "cm2 = centimeter ** 2",
    "LMH = millimeter / hour",
)
_SPELLINGS = {"vol%": "percent", "wt%": "percent", "mol%": "percent"}


class UnitError(Exception):
    """Two units do not go together; the message shows the dimensions of both."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measurement; equal units have equal factors to the base units."""

    pint: Any
    text: str = field(default="", compare=False)
    """As its author wrote it; "" for one that was computed."""

    def __str__(self) -> str:
        return self.text or f"{self.pint:~}" or "1"

    @property
    def dimension(self) -> str:
        return str(self.pint.dimensionality)

    @property
    def has_offset(self) -> bool:
        """Whether its zero is a matter of convention, as that of degC is."""
        return not _registry().Quantity(1, self.pint)._is_multiplicative

    @property
    def difference(self) -> Unit:
        """The unit of a difference of two values: a difference of two degC is a multiple of kelvin."""
        if not self.has_offset:
            return self
        scale, _ = conversion(self, Unit(_registry().kelvin))
        return Unit(_registry().Unit("kelvin" if scale == 1 else "delta_degF"))

    def __mul__(self, other: Unit) -> Unit:
        return Unit(self.difference.pint * other.difference.pint)

    def __truediv__(self, other: Unit) -> Unit:
        return Unit(self.difference.pint / other.difference.pint)

    def __pow__(self, exponent: float) -> Unit:
        return Unit(self.difference.pint ** Decimal(repr(exponent)))


@cache
def _registry() -> Any:
    from pint import UnitRegistry  # pint takes a third of a second to import, and only expressions need it

    registry: Any = cast("Any", UnitRegistry)(
        autoconvert_offset_to_baseunit=True, non_int_type=Decimal
    )  # exact factors
    for definition in _DEFINITIONS:
        registry.define(definition)
    return registry


@cache
def unit(text: str) -> Unit | None:
    """Read a unit; None for one that pint does not know, which then goes with everything."""
    try:
        return Unit(_registry().Unit(_SPELLINGS.get(text, text)), text)
    except Exception:  # noqa: BLE001 - pint raises whatever its tokenizer, parser and evaluator raise
        return None


def known_unit(text: str) -> Unit:
    """Read a unit that is known to be known."""
    return Unit(_registry().Unit(text))


def conversion(source: Unit, target: Unit) -> tuple[float, float]:
    """The scale and offset that bring a value from one unit to another. Raises `UnitError`."""
    from pint.errors import DimensionalityError

    quantity = _registry().Quantity
    try:
        zero = quantity(Decimal(0), source.pint).to(target.pint).magnitude
        one = quantity(Decimal(1), source.pint).to(target.pint).magnitude
    except DimensionalityError as error:
        raise UnitError(f"{source} is {source.dimension}, {target} is {target.dimension}") from error
    return float(one - zero), float(zero)
