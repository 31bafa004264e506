"""What follows the word of a line: numbers with units, words, texts and durations."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from drivers.contract import Value
from engine.core.spec import TagSpec
from engine.uod.skid import ArgumentSpec, CommandSpec
from engine.uod.units import UnitError, conversion

_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*)")
_EXACT_DIGITS = 21
"""A sign and the digits of the greatest whole number that any device takes."""
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


class CommandError(Exception):
    """A line that cannot be carried out; the message says what is wrong with it and what would do."""


def argument_of(command: CommandSpec, text: str) -> Value | None:
    """The argument of a command of the UOD: a number in its unit, a word, or a text. Raises `CommandError`."""
    name, spec = command.name, command.argument
    bare = text.partition("#")[0].strip()
    if spec is None:
        if bare:
            raise CommandError(f"{name} takes no argument, but there is {bare!r}")
        return None
    match spec.kind:
        case "text":
            return text.strip()
        case "choice":
            return _choice(name, spec.choices, bare)
        case "number":
            return _number(name, spec, bare)


def duration_s(word: str, text: str) -> float:
    """A time in seconds, which is written with its unit. Raises `CommandError`."""
    found = _NUMBER.fullmatch(text)
    if found is None or found[2] not in _SECONDS:
        raise CommandError(f"{word} takes a time in s, min or h, not {text!r}; write {word}: 5 s")
    seconds = float(found[1]) * _SECONDS[found[2]]
    if not 0 <= seconds < math.inf:
        raise CommandError(f"{word} takes no time below zero or without end, as {text!r}")
    return seconds


def whole_number(word: str, text: str) -> int:
    """A count. Raises `CommandError`."""
    if not re.fullmatch(r"\d{1,15}", text):
        raise CommandError(f"{word} takes a whole number, not {text!r}; write {word}: 1")
    return int(text)


def tag_value(tag: TagSpec, text: str) -> Value:
    """A value that a tag may show: one of its choices, a number in its unit, or else a text. Raises `CommandError`."""
    if tag.choices:
        return _choice(tag.name, tuple(tag.choices), text)
    found = _NUMBER.fullmatch(text)
    if found is None or (found[2] and not tag.unit):
        if tag.unit:
            raise CommandError(f"{tag.name} is a number in {tag.unit}, not {text!r}")
        return text
    number, unit = found.groups()
    try:
        converted = conversion(unit or tag.unit, tag.unit)
    except UnitError as error:
        raise CommandError(f"{tag.name} is in {tag.unit}: {error}") from None
    return _scaled(tag.name, number, float(converted.scale), float(converted.offset))


def _choice(name: str, choices: Sequence[str], word: str) -> str:
    if word not in choices:
        raise CommandError(f"{name} takes one of {', '.join(choices)}, not {word!r}")
    return word


def _number(name: str, spec: ArgumentSpec, text: str) -> float | int:
    """The number in the unit of the argument."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise CommandError(f"{name} takes a number, not {text!r}; write {name}: 1.5")
    digits, unit = found.groups()
    scale, offset = 1.0, 0.0
    if unit and unit != spec.unit:
        if unit not in spec.units:
            units = ", ".join(spec.units) or "no unit"
            raise CommandError(f"{name} takes {units}, not {unit!r}")
        scale, offset = spec.units[unit]
    number = _scaled(name, digits, scale, offset)
    shown = f" {spec.unit}" if spec.unit else ""
    if spec.minimum is not None and number < spec.minimum:
        raise CommandError(f"{name}: {number}{shown} is below its min of {spec.minimum:.12g}{shown}")
    if spec.maximum is not None and number > spec.maximum:
        raise CommandError(f"{name}: {number}{shown} is above its max of {spec.maximum:.12g}{shown}")
    return number


def _scaled(name: str, digits: str, scale: float, offset: float) -> float | int:
    """A whole number that needs no conversion stays exact."""
    if (scale, offset) == (1.0, 0.0) and digits.lstrip("+-").isdigit() and len(digits) <= _EXACT_DIGITS:
        return int(digits)
    number = float(digits) * scale + offset
    if not math.isfinite(number):
        raise CommandError(f"{name} takes a finite number, not {digits}")
    return number
