"""The functions of expressions: what each takes and gives, in types and in units, and how it is computed.

A function is described once, here; the checker reads the description, and the evaluator calls `apply`, or makes one
`state` for each place in which the function stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.core.linearisation import current_loop, interpolation, platinum, polynomial, root_flow, thermocouple
from engine.core.signal import Apply, Bools, Signal, Tick, first_fault, numeric
from engine.core.state import Count, Debounce, Ema, Hold, Integral, Latch, OnTime, Rate, Since, State
from engine.core.thermocouples import PIECES
from engine.core.windows import Delay, Deviation, Greatest, Least, Mean, Median


class Type(Enum):
    NUMBER = "a number"
    CONDITION = "a condition"
    CONSTANT = "a plain number"
    """A number that is written out in the expression."""
    SAME = "the same as the others"
    UNKNOWN = "not known yet"
    """What a tag is whose device has not been asked yet."""


class UnitRule(Enum):
    """What a function does to units."""

    COMMON = auto()
    """All arguments are brought to the unit of the first, and so is the result: a + b."""
    DIFFERENCE = auto()
    """As `COMMON`, but the result is a difference: 20 degC - 15 degC is 5 K."""
    COMPARED = auto()
    """As `COMMON`, but the result has no unit: a < b."""
    CHOSEN = auto()
    """As `COMMON` from the second argument on: where(c, a, b)."""
    PRODUCT = auto()
    QUOTIENT = auto()
    POWER = auto()
    ROOT = auto()
    PLAIN = auto()
    """The argument must be without dimension, and so is the result: exp(a)."""
    ANGLE = auto()
    """The argument is an angle, the result without dimension: sin(a)."""
    KEPT = auto()
    """The unit of the first argument; the others have none: ema(a, 10)."""
    CHANGE = auto()
    """As `KEPT`, but the result is a difference."""
    TIMES_SECONDS = auto()
    PER_SECOND = auto()
    SECONDS = auto()
    """The result is a time, whatever the argument."""
    NONE = auto()
    """The result has no dimension, whatever the argument."""
    FREE = auto()
    """Numbers in, numbers out: the author knows the unit."""


def _anything(constants: Sequence[float]) -> str | None:  # noqa: ARG001
    return None


def _positive(constants: Sequence[float]) -> str | None:
    return None if all(constant > 0 for constant in constants) else "the seconds have to be more than 0"


def _spans(constants: Sequence[float]) -> str | None:
    return None if constants[0] > 0 else "the span of the pressure has to be more than 0"


def _points(constants: Sequence[float]) -> str | None:
    if len(constants) % 2:
        return "the points are pairs: x1, y1, x2, y2, ..."
    xs = constants[::2]
    return None if all(a < b for a, b in pairwise(xs)) else "each x has to be more than the one before"


def not_pure(tick: Tick, *signals: Signal) -> Signal:
    """Stands in for `apply` where a function has a memory, and is never called."""
    raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Function:
    """One function or operator."""

    usage: str
    takes: tuple[Type, ...]
    """The type of each argument; the last one holds for all that follow."""
    gives: Type
    unit: UnitRule
    apply: Apply = not_pure
    state: Callable[..., State] | None = None
    least: int | None = None
    """The smallest number of arguments; None: as many as `takes`."""
    most: int | None = None
    """The greatest number of arguments; None: as many as `takes`."""
    input_units: tuple[str, ...] = ()
    """The units to which the first arguments are brought."""
    output_unit: str | None = None
    """The unit of the result, instead of the rule's."""
    check: Callable[[Sequence[float]], str | None] = _anything
    """Says what is wrong with the constants, in their order."""

    def wanted(self, place: int) -> Type:
        """The type of the argument at a place, counted from 0."""
        return self.takes[min(place, len(self.takes) - 1)]


def _compare(operation: Callable[[Any, Any], Bools]) -> Apply:
    def apply(tick: Tick, left: Signal, right: Signal) -> Signal:  # noqa: ARG001
        return Signal(operation(left.x, right.x), first_fault(left, right))

    return apply


def _both(tick: Tick, left: Signal, right: Signal) -> Signal:  # noqa: ARG001
    """`and`: where the left side is false, the right one may be as wrong as it likes."""
    x = left.x & right.x
    if right.faults is None:
        return Signal(x, left.faults)
    guarded = Signal(right.x, np.where(left.x | ~left.sound(), right.faults, np.uint16(0)))
    return Signal(x, first_fault(left, guarded))


def _either(tick: Tick, left: Signal, right: Signal) -> Signal:  # noqa: ARG001
    """`or`: where the left side is true, the right one may be as wrong as it likes."""
    x = left.x | right.x
    if right.faults is None:
        return Signal(x, left.faults)
    guarded = Signal(right.x, np.where(left.x & left.sound(), np.uint16(0), right.faults))
    return Signal(x, first_fault(left, guarded))


def _not(tick: Tick, signal: Signal) -> Signal:  # noqa: ARG001
    return Signal(~signal.x, signal.faults)


def _where(tick: Tick, condition: Signal, yes: Signal, no: Signal) -> Signal:  # noqa: ARG001
    """`where`: a fault on the side that is not chosen does not count."""
    x = np.where(condition.x, yes.x, no.x)
    if yes.faults is None and no.faults is None:
        return Signal(x, condition.faults)
    none = np.uint16(0)
    chosen = np.where(
        condition.x, none if yes.faults is None else yes.faults, none if no.faults is None else no.faults
    ).astype(np.uint16)
    return Signal(x, first_fault(condition, Signal(x, chosen)))


def _folded(operation: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def fold(first: NDArray[Any], *others: NDArray[Any]) -> NDArray[Any]:
        for other in others:
            first = operation(first, other)
        return first

    return fold


def _number(usage: str, operation: Callable[..., Any], unit: UnitRule, count: int, divides: bool = False) -> Function:
    return Function(usage, (Type.NUMBER,) * count, Type.NUMBER, unit, numeric(operation, divides))


def _condition(usage: str, operation: Callable[[Any, Any], Bools]) -> Function:
    return Function(usage, (Type.NUMBER, Type.NUMBER), Type.CONDITION, UnitRule.COMPARED, _compare(operation))


def _many(usage: str, operation: Callable[..., Any]) -> Function:
    return Function(usage, (Type.NUMBER,), Type.NUMBER, UnitRule.COMMON, numeric(_folded(operation)), least=2, most=20)


_N, _C, _K = Type.NUMBER, Type.CONDITION, Type.CONSTANT
FUNCTIONS: dict[str, Function] = {
    "+": _number("a + b", np.add, UnitRule.COMMON, 2),
    "-": _number("a - b", np.subtract, UnitRule.DIFFERENCE, 2),
    "*": _number("a * b", np.multiply, UnitRule.PRODUCT, 2),
    "/": _number("a / b", np.divide, UnitRule.QUOTIENT, 2, divides=True),
    "%": _number("a % b", np.mod, UnitRule.COMMON, 2, divides=True),
    "neg": _number("-a", np.negative, UnitRule.KEPT, 1),
    "power": Function("a ^ 2", (Type.NUMBER, Type.NUMBER), Type.NUMBER, UnitRule.POWER, numeric(np.power)),
    "==": _condition("a == b", np.equal),
    "!=": _condition("a != b", np.not_equal),
    "<": _condition("a < b", np.less),
    "<=": _condition("a <= b", np.less_equal),
    ">": _condition("a > b", np.greater),
    ">=": _condition("a >= b", np.greater_equal),
    "and": Function("c and d", (_C, _C), _C, UnitRule.NONE, _both),
    "or": Function("c or d", (_C, _C), _C, UnitRule.NONE, _either),
    "not": Function("not c", (_C,), _C, UnitRule.NONE, _not),
    "where": Function("where(c, a, b)", (_C, Type.SAME, Type.SAME), Type.SAME, UnitRule.CHOSEN, _where),
    "min": _many("min(a, b, ...)", np.minimum),
    "max": _many("max(a, b, ...)", np.maximum),
    "abs": _number("abs(a)", np.abs, UnitRule.KEPT, 1),
    "sqrt": _number("sqrt(a)", np.sqrt, UnitRule.ROOT, 1),
    "exp": _number("exp(a)", np.exp, UnitRule.PLAIN, 1),
    "log": _number("log(a)", np.log, UnitRule.PLAIN, 1),
    "log10": _number("log10(a)", np.log10, UnitRule.PLAIN, 1),
    "sin": _number("sin(a)", np.sin, UnitRule.ANGLE, 1),
    "cos": _number("cos(a)", np.cos, UnitRule.ANGLE, 1),
    "tan": _number("tan(a)", np.tan, UnitRule.ANGLE, 1),
    "asin": _number("asin(a)", np.arcsin, UnitRule.PLAIN, 1),
    "acos": _number("acos(a)", np.arccos, UnitRule.PLAIN, 1),
    "atan": _number("atan(a)", np.arctan, UnitRule.PLAIN, 1),
    "polynomial": Function("polynomial(a, c0, c1, ...)", (_N, _K), _N, UnitRule.FREE, polynomial, least=2, most=20),
    "interpolate": Function(
        "interpolate(a, x1, y1, x2, y2, ...)",
        (_N, _K),
        _N,
        UnitRule.FREE,
        interpolation,
        least=5,
        most=101,
        check=_points,
    ),
    "sqrt_flow": Function(
        "sqrt_flow(dp, dp_span, flow_span)", (_N, _K, _K), _N, UnitRule.FREE, root_flow, check=_spans
    ),
    "current_loop": Function(
        "current_loop(current, at_4_mA, at_20_mA)", (_N, _K, _K), _N, UnitRule.FREE, current_loop, input_units=("mA",)
    ),
    "pt100": Function("pt100(a)", (_N,), _N, UnitRule.FREE, platinum(100.0), input_units=("ohm",), output_unit="degC"),
    "pt1000": Function(
        "pt1000(a)", (_N,), _N, UnitRule.FREE, platinum(1000.0), input_units=("ohm",), output_unit="degC"
    ),
    **{
        f"thermocouple_{letter.lower()}": Function(
            f"thermocouple_{letter.lower()}(voltage, cold_junction)",
            (_N,),
            _N,
            UnitRule.FREE,
            thermocouple(letter),
            least=1,
            most=2,
            input_units=("mV", "degC"),
            output_unit="degC",
        )
        for letter in PIECES
    },
    "integral": Function("integral(a)", (_N,), _N, UnitRule.TIMES_SECONDS, state=Integral),
    "since": Function("since(a)", (_N,), _N, UnitRule.CHANGE, state=Since),
    "rate": Function("rate(a)", (_N,), _N, UnitRule.PER_SECOND, state=Rate),
    "ema": Function("ema(a, seconds)", (_N, _K), _N, UnitRule.KEPT, state=Ema, check=_positive),
    "mean": Function("mean(a, seconds)", (_N, _K), _N, UnitRule.KEPT, state=Mean, check=_positive),
    "median": Function("median(a, seconds)", (_N, _K), _N, UnitRule.KEPT, state=Median, check=_positive),
    "stdev": Function("stdev(a, seconds)", (_N, _K), _N, UnitRule.CHANGE, state=Deviation, check=_positive),
    "min_over": Function("min_over(a, seconds)", (_N, _K), _N, UnitRule.KEPT, state=Least, check=_positive),
    "max_over": Function("max_over(a, seconds)", (_N, _K), _N, UnitRule.KEPT, state=Greatest, check=_positive),
    "delay": Function("delay(a, seconds)", (_N, _K), _N, UnitRule.KEPT, state=Delay, check=_positive),
    "hold": Function("hold(a, c)", (_N, _C), _N, UnitRule.KEPT, state=Hold),
    "debounce": Function("debounce(c, seconds)", (_C, _K), _C, UnitRule.NONE, state=Debounce, check=_positive),
    "latch": Function("latch(set, reset)", (_C, _C), _C, UnitRule.NONE, state=Latch),
    "count": Function("count(c)", (_C,), _N, UnitRule.NONE, state=Count),
    "on_time": Function("on_time(c)", (_C,), _N, UnitRule.SECONDS, state=OnTime),
}
