"""How a tag's value is made, limited and published: checks, and everything of it in one unit."""

from __future__ import annotations

import math
from fractions import Fraction

from drivers.contract import Kind
from engine.core.stand_ins import stand_in
from engine.core.table import TagKind
from engine.uod.faults import Finding, Path, Severity, did_you_mean
from engine.uod.heartbeats import check_heartbeat
from engine.uod.model import Derived, Tag
from engine.uod.number_text import how_to_write, is_number
from engine.uod.units import UnitError, conversion, parse_unit

_FOR_NUMBERS = (
    "unit", "raw_unit", "scale", "offset", "deadband", "min", "max", "outside", "max_rate", "feedback_tolerance",
)  # fmt: skip
"""The keys that a tag with choices cannot have: its values are words."""
_FOR_READINGS = ("every_ms", "stale_after_ms", "outside", "not_available", "on_bad", "on_bad_value", "simulate")
"""The keys that an output that is never read cannot have."""
_FOR_OUTPUTS = (
    "safe_value", "max_rate", "allow_if", "feedback", "feedback_tolerance", "feedback_after_ms", "momentary",
)  # fmt: skip
"""The keys that a tag that is never written cannot have."""


def check_values(path: Path, part: Tag | Derived) -> list[Finding]:
    """All that can be wrong with the value of one tag, beside its point and its expression."""
    findings = _check_limits(path, part) + _check_unit((*path, "unit"), part.unit) + _check_on_bad(path, part)
    if isinstance(part, Tag):
        findings += _check_choices(path, part) + _check_conversion(path, part) + _check_direction(path, part)
    return findings


def scale_and_offset(tag: Tag) -> tuple[float, float]:
    """value in its unit = raw * scale + offset; worked out in exact fractions of the decimals that were written."""
    unit = conversion(tag.raw_unit, tag.unit) if tag.raw_unit is not None else conversion(None, None)
    scale, offset = Fraction(str(tag.scale)), Fraction(str(tag.offset))
    return float(scale * unit.scale), float(offset * unit.scale + unit.offset)


def deadband(part: Tag | Derived) -> tuple[float, float]:
    """The deadband in the tag's unit, and in per cent of its span.

    Raises `ValueError` where neither can be made out.
    """
    if not isinstance(part.deadband, str):
        return float(part.deadband), 0.0
    if not part.deadband.endswith("%") or part.min is None or part.max is None:
        raise ValueError("a share of the span needs min and max, and the sign %")
    return 0.0, float(part.deadband.removesuffix("%"))


def _check_limits(path: Path, part: Tag | Derived) -> list[Finding]:
    findings: list[Finding] = []
    if part.min is not None and part.max is not None and part.min >= part.max:
        findings.append(Finding((*path, "min"), f"min {part.min:.12g} is not below max {part.max:.12g}"))
    try:
        widths = deadband(part)
    except ValueError:
        hint = how_to_write(str(part.deadband)) or (
            'write a number in the tag\'s unit, or a share of the span as "1%" beside min and max'
        )
        findings.append(Finding((*path, "deadband"), f"the deadband {part.deadband!r} cannot be made out", hint))
    else:
        if not all(0 <= width < math.inf for width in widths):
            findings.append(Finding((*path, "deadband"), "the deadband is below zero"))
    if isinstance(part, Derived) and not isinstance(part.deadband, str):
        hint = "give the deadband as a share of the span, or take them out"
        given = (key for key in ("min", "max") if getattr(part, key) is not None)
        findings += [
            Finding((*path, key), "an expression is not limited: min and max do nothing", hint) for key in given
        ]
    if isinstance(part, Tag) and "outside" in part.model_fields_set and part.min is None and part.max is None:
        findings.append(Finding((*path, "outside"), "there is no min or max to be outside of", "give min or max, too"))
    return findings


def _check_on_bad(path: Path, part: Tag | Derived) -> list[Finding]:
    value = part.on_bad_value
    if part.on_bad == "value" and value is None:
        return [Finding((*path, "on_bad"), "there is no on_bad_value", "give on_bad_value, too")]
    at = (*path, "on_bad_value")
    if part.on_bad != "value" and value is not None:
        return [Finding(at, f"on_bad is {part.on_bad}: on_bad_value does nothing", "write on_bad: value")]
    if not isinstance(part, Tag) or isinstance(value, (bool, str)) or value is None:
        return []
    if part.min is not None and value < part.min:
        return [Finding(at, f"{value:.12g} is below min {part.min:.12g}")]
    if part.max is not None and value > part.max:
        return [Finding(at, f"{value:.12g} is above max {part.max:.12g}")]
    return []


def check_stand_in(path: Path, part: Tag | Derived, kind: TagKind) -> list[Finding]:
    """Whether the value that stands in for a bad one is one of the tag's kind."""
    if part.on_bad != "value" or part.on_bad_value is None:
        return []
    choices = part.choices if isinstance(part, Tag) else {}
    try:
        stand_in(part.on_bad_value, kind, choices)
    except ValueError as error:
        text = str(part.on_bad_value)
        hint = did_you_mean(text, choices, "choices") if choices else how_to_write(text) or ""
        return [Finding((*path, "on_bad_value"), str(error), hint)]
    return []


def check_safe_kind(path: Path, tag: Tag, kind: Kind) -> list[Finding]:
    """Whether the point, whose raw kind is known, can take the safe value."""
    safe = tag.safe_value
    if tag.choices or not isinstance(safe, str) or kind is Kind.TEXT or tag.unit or how_to_write(safe):
        return []
    hint = "write true or false" if kind is Kind.BOOL else "write a number, or give the tag choices"
    if kind is not Kind.BOOL and is_number(safe):
        hint = "write it without quotes"
    what = "true or false" if kind is Kind.BOOL else "a number"
    return [Finding((*path, "safe_value"), f"the safe value {safe!r} is not {what}", hint)]


def _check_choices(path: Path, part: Tag) -> list[Finding]:
    findings: list[Finding] = []
    if not part.choices:
        return findings
    texts: dict[int, str] = {}
    for text, raw in part.choices.items():
        first = texts.setdefault(raw, text)
        if first != text:
            findings.append(Finding((*path, "choices", text), f"{first!r} and {text!r} have the same raw value {raw}"))
    for key in _FOR_NUMBERS:
        if key in part.model_fields_set:
            hint = f"take out {key}, or choices"
            findings.append(Finding((*path, key), f"a tag with choices holds words: {key} does nothing", hint))
    return findings


def _check_conversion(path: Path, tag: Tag) -> list[Finding]:
    findings = _check_unit((*path, "raw_unit"), tag.raw_unit)
    if not findings and tag.raw_unit is not None and not _check_unit(path, tag.unit):
        try:
            conversion(tag.raw_unit, tag.unit)
        except UnitError as error:
            hint = "name the unit that the device really gives, or leave raw_unit out"
            if error.near:
                hint = f"if that is what the device gives, write raw_unit: {error.near}"
            findings.append(Finding((*path, "raw_unit"), str(error), hint))
    if tag.scale == 0:
        findings.append(Finding((*path, "scale"), "a scale of 0 makes every value the same"))
    return findings


def _check_unit(path: Path, unit: str | None) -> list[Finding]:
    try:
        parse_unit(unit)
    except UnitError as error:
        hint = f"did you mean {error.near!r}?" if error.near else "write one of docs/reference/units.md, or none"
        return [Finding(path, str(error), hint)]
    return []


def _check_direction(path: Path, tag: Tag) -> list[Finding]:
    if tag.heartbeat is not None:
        return check_heartbeat(path, tag)
    findings: list[Finding] = []
    if "heartbeat_every_ms" in tag.model_fields_set:
        hint = "write heartbeat: toggle or counter, too"
        findings.append(Finding((*path, "heartbeat_every_ms"), "this is no heartbeat", hint))
    if tag.direction == "input":
        for key in _FOR_OUTPUTS:
            if key in tag.model_fields_set:
                hint = f"make it direction: output or both, or take out {key}"
                findings.append(Finding((*path, key), "an input is never written", hint))
        return findings
    if tag.direction == "output":
        for key in _FOR_READINGS:
            if key in tag.model_fields_set:
                hint = f"make it direction: both, or take out {key}"
                findings.append(Finding((*path, key), f"an output is never read: {key} does nothing", hint))
    if tag.safe_value is None:
        if tag.momentary:
            return findings  # nothing of it stays
        message = "this output has no safe_value: it stays as it is when the engine stops or loses control"
        findings.append(Finding(path, message, "name the value that does no harm", Severity.WARNING))
        return findings
    return findings + _check_safe_value((*path, "safe_value"), tag)


def _check_safe_value(path: Path, tag: Tag) -> list[Finding]:
    safe = tag.safe_value
    if tag.choices:
        if safe in tag.choices:
            return []
        return [Finding(path, f"{safe!r} is not among the choices", did_you_mean(str(safe), tag.choices, "choices"))]
    if isinstance(safe, str) and (tag.unit or how_to_write(safe)):
        hint = how_to_write(safe) or f"write a number in {tag.unit}"
        return [Finding(path, f"the safe value {safe!r} is not a number", hint)]
    if isinstance(safe, (bool, str)) or safe is None:
        return []
    if tag.min is not None and safe < tag.min:
        return [Finding(path, f"the safe value {safe} is below min {tag.min:.12g}")]
    if tag.max is not None and safe > tag.max:
        return [Finding(path, f"the safe value {safe} is above max {tag.max:.12g}")]
    return []
