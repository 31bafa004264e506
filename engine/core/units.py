"""Units at load: what they are made of, whether an instrument may have them, and what converts into what.

Nothing here runs in the tick. All arithmetic is in exact fractions, so that 0.001 bar a mbar stays 0.001.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache, lru_cache

from engine.core.unit_table import (
    ANGLES,
    DIFFERENCES,
    GAUGE,
    MEASURED,
    MISTAKEN_ALONE,
    NAMED,
    OF_OTHERS,
    PER,
    PER_LENGTH,
    PREFIXES,
    ZEROS,
)
from engine.core.unit_text import MAX_LENGTH, Powers, UnitError, UnitText, atoms, gauge_of, read_unit, tidied

Dimensions = frozenset[tuple[str, Fraction]]
"""{("[length]", 3), ("[time]", -1)}"""
_GAUGE_PRESSURE = "[gauge pressure]"
_GAS = ("[normal volume]", "[standard volume]")
_GREATEST_POWER = 20
_FINEST_POWER = 10**6
"""Bounds of what an expression makes of units: some other power means a mistake, and takes for ever to work out."""


@dataclass(frozen=True, slots=True)
class Measure:
    """What a unit comes to in base units."""

    factor: Fraction
    dimensions: Dimensions


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measurement."""

    powers: Powers
    text: str = field(default="", compare=False)
    """As its author wrote it; "" for one that was computed."""
    flavour: str = field(default="", compare=False)
    """Of what it is a per cent."""

    def __str__(self) -> str:
        return self.text or _product(self.powers)

    @property
    def measure(self) -> Measure:
        """Its factor and dimensions."""
        return _measure(self.powers)

    @property
    def dimension(self) -> str:
        """What people call it, as "flow", or else "length^4 time^-1"."""
        dimensions = self.measure.dimensions
        return _named().get(dimensions) or _product(sorted(dimensions)).replace("[", "").replace("]", "")

    @property
    def zero(self) -> Fraction:
        """Its zero in base units: 273.15 for degC."""
        return Fraction(ZEROS.get(self.single, "0"))

    @property
    def is_difference(self) -> bool:
        """Whether only differences have it, as delta_degC."""
        return self.single in DIFFERENCES.values()

    @property
    def difference(self) -> Unit:
        """The unit of a difference of two values: of degC it is delta_degC, of barg it is bar."""
        return Unit(_differences(self.powers)) if self.single in _DIFFERENCES else self

    @property
    def single(self) -> str:
        """Its name in the table, where it is one unit of the table alone."""
        return self.powers[0][0] if len(self.powers) == 1 and self.powers[0][1] == 1 else ""

    def __mul__(self, other: Unit) -> Unit:
        return Unit(_joined((*_differences(self.powers), *_differences(other.powers))))

    def __truediv__(self, other: Unit) -> Unit:
        return self * other**-1

    def __pow__(self, exponent: float) -> Unit:
        power = Fraction(repr(exponent)) if abs(exponent) <= _GREATEST_POWER else None
        powers = () if power is None else _joined((name, each * power) for name, each in _differences(self.powers))
        if power is None or any(abs(each) > _GREATEST_POWER or each.denominator > _FINEST_POWER for _, each in powers):
            raise UnitError(f"{self} to the power of {exponent:g} is not a unit")
        return Unit(powers)


_DIFFERENCES = DIFFERENCES | {gauge_of(name): name for name in GAUGE}


def _differences(powers: Powers) -> Powers:
    """The same of differences: no product has a zero of its own."""
    return tuple((_DIFFERENCES.get(name, name), power) for name, power in powers)


def _joined(powers: Iterable[tuple[str, Fraction]]) -> Powers:
    found: dict[str, Fraction] = {}
    for name, power in powers:
        found[name] = found.get(name, Fraction(0)) + power
    return tuple((name, power) for name, power in found.items() if power)


def _product(powers: Iterable[tuple[str, Fraction]]) -> str:
    return " ".join(name if power == 1 else f"{name}^{power}" for name, power in powers)


@lru_cache(maxsize=1000)
def _measure(powers: Powers) -> Measure:
    factor = Fraction(1)
    dimensions: list[tuple[str, Fraction]] = []
    for name, power in powers:
        each = _measure_of(name)
        whole = power.denominator == 1
        factor *= each.factor ** int(power) if whole else Fraction(_root(each.factor, power))
        dimensions += [(dimension, own * power) for dimension, own in each.dimensions]
    return Measure(factor, frozenset(_joined(dimensions)))


def _root(factor: Fraction, power: Fraction) -> float:
    try:
        return float(factor) ** float(power)
    except OverflowError:
        raise UnitError("a unit to this power is beyond what a number holds") from None


@cache
def _measure_of(name: str) -> Measure:
    """What one unit of the table comes to."""
    atom, prefix = atoms()[name]
    factor = Fraction(PREFIXES[prefix][1]) if prefix else Fraction(1)
    definition = atom.definition
    if definition.startswith("["):
        return Measure(factor, frozenset({(definition, Fraction(1))}))
    if definition.startswith("gauge "):
        return Measure(
            _measure(read_unit(definition.removeprefix("gauge ")).powers).factor,
            frozenset({(_GAUGE_PRESSURE, Fraction(1))}),
        )
    number, _, rest = definition.partition(" ")
    if not number[0].isdigit():
        number, rest = "1", definition
    if number.startswith("1/") and not number[2].isdigit():  # as 1/min
        number, rest = "1", definition
    measure = _measure(_differences(read_unit(rest).powers))
    return Measure(factor * Fraction(number) * measure.factor, measure.dimensions)


@cache
def _plausible() -> frozenset[Dimensions]:
    """The dimensions that something may have which is measured, weighed or computed in a lab."""
    per = [_measure(read_unit(text).powers).dimensions for text in PER]
    measured = [_measure(read_unit(text).powers).dimensions for text in MEASURED]
    others = (_measure(read_unit(text).powers).dimensions for text in OF_OTHERS)
    return frozenset(_quotient(one, other) for one in measured for other in per) | _by_length() | frozenset(others)


@cache
def _by_length() -> frozenset[Dimensions]:
    length = _measure_of("m").dimensions
    return frozenset(_quotient(_measure(read_unit(text).powers).dimensions, length) for text in PER_LENGTH)


@cache
def _named() -> dict[Dimensions, str]:
    return {_measure(read_unit(text).powers).dimensions: name for text, name in NAMED.items()}


def _quotient(one: Dimensions, other: Dimensions) -> Dimensions:
    return frozenset(_joined((*one, *((name, -power) for name, power in other))))


def _is_plausible(found: UnitText) -> bool:
    dimensions = _measure(found.powers).dimensions
    if found.is_per_metre:
        return dimensions in _by_length()
    return len(found.powers) == 1 or dimensions in _plausible()  # bar^2 is not written by mistake


@lru_cache(maxsize=1000)
def read(text: str) -> Unit:
    """Read a unit. Raises `UnitError` for one that is not known, and for one that nobody in a lab means."""
    if len(text) <= MAX_LENGTH and (mistaken := MISTAKEN_ALONE.get(tidied(text))) is not None:
        raise UnitError(f"{text!r} {mistaken[0]}", mistaken[1])
    found = read_unit(text)
    powers = found.powers if len(found.powers) == 1 else _differences(found.powers)
    unit = Unit(powers, text, found.flavour)
    if not _is_plausible(found):
        if found.is_per_metre:
            near = "/min".join(text.rsplit("/m", 1))
            raise UnitError(f"{text!r} is by the metre", near)
        raise UnitError(f"{text!r} is {unit.dimension}, which no instrument here measures")
    return unit


def unit(text: str) -> Unit | None:
    """Read a unit; None for one that is not known, which goes with everything: `check` has said so before."""
    try:
        return read(text)
    except UnitError:
        return None


def known_unit(text: str) -> Unit:
    """Read a unit that is known to be known."""
    return Unit(read_unit(text).powers)


def conversion(source: Unit, target: Unit) -> tuple[Fraction, Fraction]:
    """The scale and offset that bring a value from one unit to another, exact.

    Raises `UnitError` where they do not convert.
    """
    one, other = source.measure, target.measure
    if one.dimensions != other.dimensions:
        reason, near = _reason(source, target)
        raise UnitError(f"{_shown(source)} does not convert to {_shown(target)}{reason}", near)
    if source.flavour and target.flavour and source.flavour != target.flavour:
        raise UnitError(f"{source} does not convert to {target}: they are per cents of different things")
    if one.dimensions and _is_angular(source) != _is_angular(target):
        raise UnitError(f"{source} does not convert to {target}: a turn is 2 pi radians or 360 degrees")
    if (source.is_difference and target.zero) or (source.zero and target.is_difference):
        raise UnitError(f"{source} does not convert to {target}: one is a temperature, one a difference of two")
    scale = one.factor / other.factor
    if not 1e-300 < scale < 1e300:
        raise UnitError(f"{source} and {target} are too far apart to convert")
    return scale, (source.zero - target.zero) / other.factor


def _is_angular(unit: Unit) -> bool:
    return any(name in ANGLES for name, _ in unit.powers)


def _shown(unit: Unit) -> str:
    return f"{unit if unit.powers or unit.text else 'no unit'} ({unit.dimension})"


def _reason(source: Unit, target: Unit) -> tuple[str, str]:
    """Why two units do not convert that look as if they did, and the unit that is probably meant for the first."""
    one, other = source.measure.dimensions, target.measure.dimensions
    if source.difference.measure.dimensions == target.difference.measure.dimensions:
        gauges = {gauge_of(name): name for name in GAUGE}
        twins = gauges | {name: gauge for gauge, name in gauges.items()}
        reason = ": a gauge pressure has the pressure of the air as its zero, which is not known here"
        return reason, twins.get(source.single, "")
    if _as_volume(one) == _as_volume(other):
        return ": a volume of gas at normal or standard conditions is an amount of gas", ""
    return "", ""


def _as_volume(dimensions: Dimensions) -> Dimensions:
    """The same with the volumes of gas as volumes."""
    powers = (("[length]", power * 3) if name in _GAS else (name, power) for name, power in dimensions)
    return frozenset(_joined(powers))


def same_unit(one: str | None, other: str | None) -> bool:
    """Whether two texts are one unit: `l/h` and `L/h`, `°C` and `degC`."""
    return unit_key(one) == unit_key(other)


@lru_cache(maxsize=1000)
def unit_key(text: str | None) -> tuple[object, ...]:
    """A key that all spellings of one unit have in common; of a text that is not a unit, the text itself."""
    found = unit(text or "")
    if found is None:
        return (text,)
    measure = found.measure
    return measure.factor, measure.dimensions, found.zero, found.flavour, found.is_difference
