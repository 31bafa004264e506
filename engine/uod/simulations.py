"""What authors let their tags be simulated by, checked offline by the same checker that compiles it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from engine.core.checking import Known, check_expressions
from engine.core.column_values import column_value
from engine.core.simulation import formula_of
from engine.core.spec import Simulated, TagSpec
from engine.uod.expressions import names_in
from engine.uod.faults import Finding, Path, did_you_mean
from engine.uod.model import Simulation, Tag


def simulated_by(tag: Tag) -> Simulated | None:
    """What a tag is simulated by; a text that is none of its choices is an expression."""
    match tag.simulate:
        case None:
            return None
        case Simulation(value=value, expr=expr, drives_outputs=drives_outputs):
            return Simulated(value, expr, drives_outputs)
        case str(text) if not tag.choices:
            return Simulated(expr=text)
        case value:
            return Simulated(value)


def check_simulations(
    specs: Collection[TagSpec], known: Mapping[str, Known], declared: Collection[str]
) -> list[Finding]:
    """All that is wrong with the simulations of tags that devices feed; `known` are all sound tags, derived ones too.

    An expression over tags that are `declared`, but not sound, is not judged.
    """
    findings: list[Finding] = []
    for spec in specs:
        by = spec.simulated
        if by is not None and by.expr is not None:
            findings += _check_expression(spec, by.expr, known, declared)
        elif by is not None and by.value is not None:
            findings += _check_value(spec, by.value, known[spec.name])
    return findings


def _check_value(spec: TagSpec, value: bool | float | str, known: Known) -> list[Finding]:
    if known.kind is None:  # its device has still to tell what it is
        return []
    try:
        column_value(spec, known.kind, value)
    except ValueError as error:
        hint = did_you_mean(str(value), spec.choices, "choices") if spec.choices else "an expression is {expr: ...}"
        return [Finding(_path(spec), str(error), hint)]
    return []


def _check_expression(spec: TagSpec, text: str, known: Mapping[str, Known], declared: Collection[str]) -> list[Finding]:
    if any(name in declared and name not in known for name in names_in(text)):
        return []
    try:
        formula = formula_of(spec, known[spec.name], text)
    except ValueError as error:
        return [Finding(_path(spec), str(error), "write it as {value: ...}")]
    _, faults = check_expressions(known, {f"the simulation of {spec.name}": formula})
    return [
        Finding(
            _path(spec),
            f"at column {fault.column}: {fault.message}",
            f"did you mean {fault.near}?" if fault.near else "",
        )
        for fault in faults
    ]


def _path(spec: TagSpec) -> Path:
    return ("tags", spec.name, "simulate")
