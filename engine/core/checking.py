"""Expressions are checked before anything runs: names, types, units and order, all faults at once.

The checker also rewrites: unit conversions become factors, and the words of choices become numbers, so that what is
left for the evaluator is plain arithmetic.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter

from engine.core.expression import Call, FaultInExpression, Node, Number, SameText, Tag, Text, parse, quoted
from engine.core.functions import FUNCTIONS, Function, Type
from engine.core.table import TagKind
from engine.core.unit_rules import Dimension, convert, result_of


@dataclass(frozen=True, slots=True)
class Known:
    """What an expression may know of a tag."""

    kind: TagKind | None
    """None: it is not known before its device has been asked; goes with everything."""
    unit: str | None = None
    choices: tuple[str, ...] = ()
    is_difference: bool = False
    """Of two values, so that in degC or K it is so many degrees more, and no temperature."""


@dataclass(frozen=True, slots=True)
class Formula:
    """A derived tag as its author wrote it."""

    text: str
    unit: str | None = None
    ignore_quality: bool = False
    is_condition: bool = False
    """It has to be true or false."""


@dataclass(frozen=True, slots=True)
class ExpressionFault:
    """Something wrong in an expression."""

    tag: str
    """The derived tag at fault."""
    column: int
    """Where in its expression, one-based."""
    message: str
    near: str | None = None
    """The known name that may have been meant."""

    def __str__(self) -> str:
        hint = f"; did you mean {self.near}?" if self.near else ""
        return f"{self.tag}: column {self.column}: {self.message}{hint}"


class ExpressionError(Exception):
    """Expressions that cannot be compiled; `faults` has all of them."""

    def __init__(self, faults: Sequence[ExpressionFault]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Checked:
    """A derived tag that can be compiled."""

    node: Node
    kind: TagKind
    """FLOAT or BOOL"""
    inputs: tuple[str, ...]
    """The tags that it names."""
    ignore_quality: bool
    identity: str
    """What it computes of what, with all units: where this differs, a total is a total of something else."""


def check_expressions(
    tags: Mapping[str, Known], derived: Mapping[str, Formula]
) -> tuple[dict[str, Checked], list[ExpressionFault]]:
    """Check derived tags over other tags; return the sound ones in the order of their dependency, and all faults."""
    faults: list[ExpressionFault] = []
    nodes: dict[str, Node] = {}
    for name, formula in derived.items():
        try:
            nodes[name] = parse(formula.text)
        except FaultInExpression as error:
            faults.append(ExpressionFault(name, error.column, error.message, error.near))
    needs = {name: [tag.name for tag in _tags(node) if tag.name in derived] for name, node in nodes.items()}
    try:
        order = [name for name in TopologicalSorter(needs).static_order() if name in nodes]
    except CycleError as error:
        cycle: list[str] = list(reversed(error.args[1]))
        column = next(tag.column for tag in _tags(nodes[cycle[0]]) if tag.name == cycle[1])
        faults.append(ExpressionFault(cycle[0], column, f"a cycle: {' needs '.join(map(quoted, cycle))}"))
        order = list(nodes)
    known = dict(tags)
    for name, formula in derived.items():
        known[name] = Known(TagKind.FLOAT, formula.unit)
    sound: dict[str, Checked] = {}
    for name in order:
        checker = _Checker(known, derived[name])
        node = checker.whole(nodes[name])
        faults += [ExpressionFault(name, fault.column, fault.message, fault.near) for fault in checker.faults]
        known[name] = replace(known[name], kind=checker.kind, is_difference=checker.is_difference)
        if node is not None and not checker.faults:
            inputs = tuple(dict.fromkeys(tag.name for tag in _tags(nodes[name])))
            formula = derived[name]
            of = ", ".join(_with_unit(quoted(tag), known[tag].unit) for tag in inputs)
            identity = _with_unit(formula.text, formula.unit) + (f" of {of}" if of else "")
            sound[name] = Checked(node, checker.kind, inputs, formula.ignore_quality, identity)
    return sound, faults


def _with_unit(what: str, unit: str | None) -> str:
    return what if unit is None else f"{what} [{unit}]"


def _tags(node: Node) -> list[Tag]:
    if isinstance(node, Call):
        return [tag for argument in node.arguments for tag in _tags(argument)]
    return [node] if isinstance(node, Tag) else []


@dataclass(frozen=True, slots=True)
class Operand:
    """A checked argument."""

    node: Node
    type: Type
    dimension: Dimension


class _Checker:
    """Checks one expression, and goes on after a fault as far as that makes sense."""

    def __init__(self, known: Mapping[str, Known], formula: Formula) -> None:
        self._known = known
        self._formula = formula
        self.faults: list[FaultInExpression] = []
        self.kind = TagKind.FLOAT
        self.is_difference = False

    def whole(self, node: Node) -> Node | None:
        operand = self._check(node)
        if operand is None:
            return None
        if self._formula.is_condition and operand.type is Type.UNKNOWN:
            operand = _as_condition(operand)
        if operand.type is Type.CONDITION:
            self.kind = TagKind.BOOL
            return operand.node
        if self._formula.is_condition:
            message = f"this is {operand.type.value}, but has to be {Type.CONDITION.value}, as PT01 < 3"
            self.faults.append(FaultInExpression(message, node.column))
            return None
        self.is_difference = operand.dimension.is_difference
        try:
            return convert(operand.node, operand.dimension, Dimension.of(self._formula.unit), 1)
        except FaultInExpression as error:
            self.faults.append(error)
            return None

    def _check(self, node: Node) -> Operand | None:
        try:
            match node:
                case Number():
                    return Operand(node, Type.CONSTANT, Dimension.literal())
                case Text() | SameText():
                    raise FaultInExpression("a text can only be compared with a tag: Tag == 'text'", node.column)
                case Tag():
                    return self._tag(node)
                case Call():
                    return self._call(node)
        except FaultInExpression as error:
            self.faults.append(error)
            return None

    def _tag(self, node: Tag) -> Operand:
        known = self._lookup(node)
        if known.kind is TagKind.TEXT:
            raise FaultInExpression(f"{quoted(node.name)} is a text: compare it, == 'text'", node.column)
        if known.kind is TagKind.CHOICE:
            word = known.choices[0] if known.choices else "..."
            raise FaultInExpression(f"{quoted(node.name)} is a choice: compare it, == '{word}'", node.column)
        kind = Type.UNKNOWN if known.kind is None else Type.CONDITION if known.kind is TagKind.BOOL else Type.NUMBER
        dimension = Dimension.of(known.unit)
        return Operand(node, kind, replace(dimension, is_difference=dimension.is_difference or known.is_difference))

    def _lookup(self, node: Tag) -> Known:
        if known := self._known.get(node.name):
            return known
        names = difflib.get_close_matches(node.name, self._known, 1)
        near = quoted(names[0]) if names else None
        if near is None:
            longer = [name for name in self._known if name.startswith(node.name) and quoted(name) != name]
            near = quoted(longer[0]) if longer else None
        raise FaultInExpression(f"no tag is named {quoted(node.name)}", node.column, near)

    def _call(self, node: Call) -> Operand | None:
        if node.name in ("==", "!=") and any(isinstance(argument, Text) for argument in node.arguments):
            return self._text(node)
        function = FUNCTIONS.get(node.name)
        if function is None:
            near = difflib.get_close_matches(node.name, FUNCTIONS, 1)
            raise FaultInExpression(f"no function is named {node.name!r}", node.column, near[0] if near else None)
        operands = [self._check(argument) for argument in node.arguments]
        _check_count(node, function)
        found = [operand for operand in operands if operand is not None]
        if len(found) < len(operands):
            return None
        found = _settled(function, found)
        kind = _check_types(node, function, found)
        wrong = function.check([part.value for part in node.arguments[1:] if isinstance(part, Number)])
        if wrong is not None:
            raise FaultInExpression(f"{wrong}: {function.usage}", node.column)
        nodes, dimension = result_of(node, function, [(each.node, each.dimension) for each in found])
        return Operand(Call(node.name, nodes, node.column), kind, dimension)

    def _text(self, node: Call) -> Operand:
        tags = [argument for argument in node.arguments if isinstance(argument, Tag)]
        texts = [argument for argument in node.arguments if isinstance(argument, Text)]
        if len(tags) != 1 or len(texts) != 1:
            raise FaultInExpression("a text can only be compared with a tag: Tag == 'text'", node.column)
        tag, text = tags[0], texts[0]
        known = self._lookup(tag)
        if known.kind is None:
            # It has no value yet, so neither has this: it is bad until its device has been asked.
            same: Node = Call("!=", (tag, tag), node.column)
        elif known.kind is TagKind.TEXT:
            same = SameText(tag.name, text.value, node.column)
        elif known.kind is TagKind.CHOICE:
            if text.value not in known.choices:
                near = difflib.get_close_matches(text.value, known.choices, 1)
                words = ", ".join(map(repr, known.choices))
                message = f"{quoted(tag.name)} has no choice {text.value!r}, only {words}"
                raise FaultInExpression(message, text.column, repr(near[0]) if near else None)
            same = Call("==", (tag, Number(known.choices.index(text.value), text.column)), node.column)
        else:
            raise FaultInExpression(f"{quoted(tag.name)} is no text", text.column)
        if node.name == "!=":
            same = Call("not", (same,), node.column)
        return Operand(same, Type.CONDITION, Dimension.literal())


def _check_count(node: Call, function: Function) -> None:
    least = len(function.takes) if function.least is None else function.least
    most = len(function.takes) if function.most is None else function.most
    count = len(node.arguments)
    if not least <= count <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        noun = "argument" if wanted == "1" else "arguments"
        raise FaultInExpression(f"takes {wanted} {noun}, not {count}: {function.usage}", node.column)


def _settled(function: Function, operands: Sequence[Operand]) -> list[Operand]:
    """Take each operand of unknown type for what is wanted where it stands."""
    same_is_condition = any(
        operand.type is Type.CONDITION and function.wanted(place) is Type.SAME for place, operand in enumerate(operands)
    )
    found: list[Operand] = []
    for place, operand in enumerate(operands):
        wanted = function.wanted(place)
        if operand.type is not Type.UNKNOWN:
            found.append(operand)
        elif wanted is Type.CONDITION or (wanted is Type.SAME and same_is_condition):
            found.append(_as_condition(operand))
        else:
            found.append(replace(operand, type=Type.NUMBER))
    return found


def _as_condition(operand: Operand) -> Operand:
    """An operand of unknown type, taken for true where it is not zero."""
    column = operand.node.column
    node = Call("!=", (operand.node, Number(0.0, column)), column)
    return Operand(node, Type.CONDITION, Dimension.literal())


def _check_types(node: Call, function: Function, operands: Sequence[Operand]) -> Type:
    same: Type | None = None
    for place, operand in enumerate(operands):
        wanted = function.wanted(place)
        is_condition = operand.type is Type.CONDITION
        if wanted is Type.SAME:
            found = Type.CONDITION if is_condition else Type.NUMBER
            same = same or found
            right = found is same
        else:
            right = {Type.CONDITION: is_condition, Type.CONSTANT: operand.type is Type.CONSTANT}.get(
                wanted, not is_condition
            )
        if not right:
            raise FaultInExpression(
                f"argument {place + 1} has to be {wanted.value}, not {operand.type.value}: {function.usage}",
                node.column,
            )
    return same or function.gives if function.gives is Type.SAME else function.gives
