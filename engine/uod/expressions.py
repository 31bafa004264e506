"""The expressions of a UOD, checked offline by the same checker that compiles them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from engine.core.checking import Checked, ExpressionFault, Formula, Known, check_expressions
from engine.core.expression import Call, FaultInExpression, Node, Tag, parse
from engine.core.functions import FUNCTIONS
from engine.uod.faults import Finding, did_you_mean
from engine.uod.model import Derived
from engine.uod.value_checks import check_stand_in


def check_derived(
    known: Mapping[str, Known], derived: Mapping[str, Derived], unsound: set[str], conditions: Collection[str]
) -> tuple[dict[str, Checked], list[Finding]]:
    """The sound derived tags over `known` ones, and all faults; of one that rests on `unsound` tags, only names count.

    `conditions` are those of the derived tags that have to be true or false.
    """
    names = {*known, *derived, *unsound}
    unsound = _spread(unsound, derived)
    formulas = {
        name: Formula(part.expr, part.unit, part.ignore_quality, name in conditions)
        for name, part in derived.items()
        if name not in unsound
    }
    checked, faults = check_expressions(known, formulas)
    findings = [_finding(fault) for fault in faults]
    for name, each in checked.items():
        findings += check_stand_in(("derived", name), derived[name], each.kind)
    for name, part in derived.items():
        if "reset_on" in part.model_fields_set and not _remembers(part.expr):
            message = "nothing in this expression has a memory: reset_on does nothing"
            findings.append(Finding(("derived", name, "reset_on"), message, "take it out"))
    for name in unsound & derived.keys():
        for missing in sorted(set(names_in(derived[name].expr)) - names):
            hint = did_you_mean(missing, names, "tags")
            findings.append(Finding(("derived", name, "expr"), f"no tag is named {missing}", hint))
    return checked, findings


def _spread(unsound: set[str], derived: Mapping[str, Derived]) -> set[str]:
    """The unsound tags and all that rest on them."""
    needs = {name: set(names_in(part.expr)) for name, part in derived.items()}
    while more := {name for name, names in needs.items() if name not in unsound and names & unsound}:
        unsound = unsound | more
    return unsound


def names_in(text: str) -> Iterator[str]:
    """The tags that an expression names; none where it cannot be read, which is the checker's to say."""
    try:
        yield from _tags(parse(text))
    except FaultInExpression:
        return


def _remembers(text: str) -> bool:
    """Whether a function in an expression has a memory; one that cannot be read is not judged."""
    try:
        nodes = [parse(text)]
    except FaultInExpression:
        return True
    for node in nodes:
        if isinstance(node, Call):
            nodes.extend(node.arguments)
    functions = [FUNCTIONS.get(node.name) for node in nodes if isinstance(node, Call)]
    return any(function is None or function.state is not None for function in functions)


def _tags(node: Node) -> Iterator[str]:
    if isinstance(node, Tag):
        yield node.name
    elif isinstance(node, Call):
        for argument in node.arguments:
            yield from _tags(argument)


def _finding(fault: ExpressionFault) -> Finding:
    hint = f"did you mean {fault.near}?" if fault.near else ""
    return Finding(("derived", fault.tag, "expr"), f"at column {fault.column}: {fault.message}", hint)
