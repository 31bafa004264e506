"""What follows the word of a line: numbers with units, words, texts and durations."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction

from drivers.contract import Value
from engine.core.spec import TagSpec
from engine.uod.number_text import how_to_write
from engine.uod.skid import ArgumentSpec, CommandSpec
from engine.uod.units import UnitError, conversion, parse_unit

_NUMBER = re.compile(r"([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?)(?![0-9])\s*(.*)", re.DOTALL)
_EXACT_DIGITS = 21
"""A sign and the digits of the greatest whole number that any device takes."""
_MAX_DIGITS = 100
"""Characters of a number; a float needs 24."""
_SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0}


class CommandError(Exception):
    """A line that cannot be carried out; the message says what is wrong with it and what would do."""


class ToldError(CommandError):
    """A line that has failed for a reason that users have been told already."""


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
    found = _number_and_unit(text)
    if found is None or found[1] not in _SECONDS:
        raise CommandError(f"{word} takes a time in s, min or h, not {_cut(text)}; {_way_out(text, f'{word}: 5 s')}")
    seconds = float(found[0]) * _SECONDS[found[1]]
    if not 0 <= seconds < math.inf:
        raise CommandError(f"{word} takes no time below zero or without end, as {text!r}")
    return seconds


def whole_number(word: str, text: str) -> int:
    """A count. Raises `CommandError`."""
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise CommandError(f"{word} takes a whole number, not {_cut(text)}; {_way_out(text, f'{word}: 1')}")
    return int(text)


def tag_value(tag: TagSpec, text: str) -> Value:
    """A value that a tag may show: one of its choices, a number in its unit, or else a text. Raises `CommandError`."""
    if tag.choices:
        return _choice(tag.name, tuple(tag.choices), text)
    found = _number_and_unit(text)
    if found is None or (found[1] and not tag.unit):
        if tag.unit:
            raise CommandError(f"{tag.name} is a number in {tag.unit}, not {_cut(text)}; {_way_out(text, '1.5')}")
        return text
    return _converted(tag.name, *found, tag.unit)


def _choice(name: str, choices: Sequence[str], word: str) -> str:
    if word not in choices:
        raise CommandError(f"{name} takes one of {', '.join(choices)}, not {word!r}")
    return word


def _number(name: str, spec: ArgumentSpec, text: str) -> float | int:
    """The number in the unit of the argument."""
    found = _number_and_unit(text)
    if found is None:
        raise CommandError(f"{name} takes a number, not {_cut(text)}; {_way_out(text, f'{name}: 1.5')}")
    if found[1] and not spec.unit:
        raise CommandError(f"{name} takes no unit, not {_cut(text)}; {_way_out(text, f'{name}: {found[0]}')}")
    number = _converted(name, *found, spec.unit)
    shown = f" {spec.unit}" if spec.unit else ""
    if spec.minimum is not None and number < spec.minimum:
        raise CommandError(f"{name}: {number}{shown} is below its min of {spec.minimum:.12g}{shown}")
    if spec.maximum is not None and number > spec.maximum:
        raise CommandError(f"{name}: {number}{shown} is above its max of {spec.maximum:.12g}{shown}")
    return number


def _number_and_unit(text: str) -> tuple[str, str] | None:
    """A number and what follows it; None for what is not a number, or not as it is written here."""
    found = _NUMBER.fullmatch(text)
    if found is None or len(found[1]) > _MAX_DIGITS or how_to_write(text) is not None:
        return None
    return found[1], found[2].strip()


def _way_out(text: str, example: str) -> str:
    return how_to_write(text) or f"write {example}"


def _cut(text: str) -> str:
    return repr(text if len(text) <= _MAX_DIGITS else f"{text[:_MAX_DIGITS]}...")


def _converted(name: str, digits: str, unit: str, wanted: str | None) -> float | int:
    """A number in the unit that is wanted, which is that of a number without one. Raises `CommandError`."""
    scale, offset = Fraction(1), Fraction(0)
    if unit and unit != wanted:
        try:
            parse_unit(unit)
        except UnitError as error:
            raise CommandError(f"{name} is in {wanted}: {error}{_meant(error)}") from None
        try:
            converted = conversion(unit, wanted)
        except UnitError as error:
            raise CommandError(f"{name}: {error}{_meant(error)}") from None
        scale, offset = converted.scale, converted.offset
    if (scale, offset) == (1, 0) and digits.lstrip("+-").isdigit() and len(digits) <= _EXACT_DIGITS:
        return int(digits)
    number = float(digits)
    if number and math.isfinite(number) and (scale, offset) != (1, 0):
        # exact, and rounded once: 500 mbar are 0.5 bar
        number = _nearest(Fraction(digits) * scale + offset)
    elif not number:
        number = float(offset)
    if not math.isfinite(number):
        raise CommandError(f"{name} takes a finite number, not {digits}")
    return number


def _meant(error: UnitError) -> str:
    return f"; did you mean {error.near!r}?" if error.near else ""


def _nearest(number: Fraction) -> float:
    """The float that is nearest; infinite where there is none."""
    try:
        return float(number)
    except OverflowError:
        return math.inf
