"""What each function does to units, and the factors that bring its arguments to one unit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.core.expression import Call, FaultInExpression, Number
from engine.core.functions import Function, UnitRule
from engine.core.units import Unit, UnitError, conversion, known_unit, unit


@dataclass(frozen=True, slots=True)
class Dimension:
    """What is known of the unit of a part of an expression."""

    unit: Unit | None = None
    """None: unknown, goes with everything."""
    is_literal: bool = False
    """A number written in the expression: has the unit of what it is added to or compared with."""
    is_difference: bool = False
    """Of two values of a unit with an offset: 5 degC more, and not 5 degC."""

    @staticmethod
    def of(text: str | None) -> Dimension:
        """The dimension of a tag of this unit."""
        found = None if text is None else unit(text)
        return Dimension(found, is_difference=found is not None and found.is_difference)

    @staticmethod
    def literal() -> Dimension:
        return Dimension(is_literal=True)


Part = tuple[Any, Dimension]
"""A checked node and its dimension."""


def convert(node: Any, source: Dimension, target: Dimension, column: int) -> Any:
    """Bring a node to another unit. Raises `FaultInExpression` that shows both dimensions."""
    if source.unit is None or target.unit is None:
        return node
    try:
        if source.is_difference:  # 5 K more are 5 degC more: no zero is shifted
            scale, offset = conversion(source.unit.difference, target.unit.difference)
        else:
            scale, offset = conversion(source.unit, target.unit)
    except UnitError as error:
        raise FaultInExpression(f"{source.unit} cannot become {target.unit}: {error}", column) from error
    if scale.numerator == 1 and 1 < scale.denominator <= 2**53:  # 9 / 1000 is 0.009, and 9 * 0.001 is not
        node = Call("/", (node, Number(float(scale.denominator), column)), column)
    elif scale != 1:
        node = Call("*", (node, Number(float(scale), column)), column)
    if offset:
        node = Call("+", (node, Number(float(offset), column)), column)
    return node


def result_of(call: Call, function: Function, parts: Sequence[Part]) -> tuple[tuple[Any, ...], Dimension]:
    """The arguments of a call, brought to the units that it needs, and the dimension of its result.

    Raises `FaultInExpression`.
    """
    try:
        return _result_of(call, function, parts)
    except UnitError as error:
        raise FaultInExpression(str(error), call.column) from error


def _result_of(call: Call, function: Function, parts: Sequence[Part]) -> tuple[tuple[Any, ...], Dimension]:
    rule = function.unit
    wanted = [Dimension.of(each) for each in function.input_units]
    parts = [
        *(_brought(call, part, target) for part, target in zip(parts, wanted, strict=False)),
        *parts[len(wanted) :],
    ]
    first = parts[0][1] if parts else Dimension()
    dimension = Dimension()
    match rule:
        case UnitRule.COMMON | UnitRule.COMPARED | UnitRule.DIFFERENCE:
            parts, dimension = _common(call, parts)
            if rule is UnitRule.COMPARED:
                dimension = Dimension(known_unit(""))
            elif rule is UnitRule.DIFFERENCE and not any(
                part.is_literal or part.is_difference for _, part in parts[1:]
            ):
                dimension = replace(dimension, is_difference=True)
        case UnitRule.CHOSEN:
            chosen, dimension = _common(call, parts[1:])
            parts = [parts[0], *chosen]
        case UnitRule.PRODUCT | UnitRule.QUOTIENT:
            dimension = _product(parts, divides=rule is UnitRule.QUOTIENT)
        case UnitRule.POWER:
            exponent = parts[1][0]
            if first.is_literal:
                dimension = first
            elif isinstance(exponent, Number):
                dimension = _derived(first, lambda base: base**exponent.value)
        case UnitRule.ROOT:
            dimension = _derived(first, lambda base: base**0.5)
        case UnitRule.PLAIN | UnitRule.ANGLE:
            parts = [
                _brought(call, parts[0], Dimension(known_unit("rad" if rule is UnitRule.ANGLE else ""))),
                *parts[1:],
            ]
            dimension = Dimension(known_unit(""))
        case UnitRule.KEPT:
            dimension = first
        case UnitRule.CHANGE:
            dimension = replace(first, is_difference=True)
        case UnitRule.TIMES_SECONDS:
            dimension = _derived(first, lambda base: base * known_unit("s"))
        case UnitRule.PER_SECOND:
            dimension = _derived(first, lambda base: base / known_unit("s"))
        case UnitRule.SECONDS:
            dimension = Dimension(known_unit("s"))
        case UnitRule.NONE:
            dimension = Dimension(known_unit(""))
        case UnitRule.FREE:
            pass
    if function.output_unit is not None:
        dimension = Dimension.of(function.output_unit)
    return tuple(node for node, _ in parts), dimension


def _derived(dimension: Dimension, rule: Callable[[Unit], Unit]) -> Dimension:
    return Dimension() if dimension.unit is None else Dimension(rule(dimension.unit))


def _brought(call: Call, part: Part, target: Dimension) -> Part:
    node, dimension = part
    try:
        return convert(node, dimension, target, call.column), target
    except FaultInExpression as error:
        raise FaultInExpression(f"{call.name}: {error.message}", call.column) from error


def _common(call: Call, parts: Sequence[Part]) -> tuple[list[Part], Dimension]:
    """Bring all parts to the unit of the first one that has a unit."""
    units = [dimension for _, dimension in parts if dimension.unit is not None]
    if not units:
        literal = all(dimension.is_literal for _, dimension in parts)
        return list(parts), Dimension(is_literal=literal)
    if all(part.is_difference for part in units):
        common = units[0]
    else:
        common = next(part for part in units if not part.is_difference)
    found: list[Part] = []
    for node, dimension in parts:
        try:
            found.append((convert(node, dimension, common, call.column), dimension))
        except FaultInExpression as error:
            raise FaultInExpression(
                f"{call.name!r} cannot join {units[0].unit} and {dimension.unit}: {error.message.partition(': ')[2]}",
                call.column,
            ) from error
    unknown = any(dimension.unit is None and not dimension.is_literal for _, dimension in parts)
    return found, Dimension() if unknown else common


def _product(parts: Sequence[Part], *, divides: bool) -> Dimension:
    (_, left), (_, right) = parts
    if left.is_literal and right.is_literal:
        return left
    if right.is_literal:
        return left
    if left.is_literal:
        left = Dimension(known_unit("")) if divides else right
        if not divides:
            return left
    if left.unit is None or right.unit is None:
        return Dimension()
    return Dimension(left.unit / right.unit if divides else left.unit * right.unit)
