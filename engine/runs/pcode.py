"""What users type, press and choose: lines of P-code that name a command of the UOD, and what they ask of an output."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from engine.core.spec import TagSpec
from engine.uod.skid import CommandSpec, Skid

Value = bool | int | float | str

_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(.*?)\s*$")


class CommandError(Exception):
    """A line that cannot be carried out; the message says what is wrong with it and what would do."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a line asks for."""

    line: str
    """As the user wrote it."""
    tag: str
    value: Value
    """In the unit of the tag, or the text of a choice."""


class CommandReader:
    """Reads lines by the commands of one UOD."""

    def __init__(self, skid: Skid) -> None:
        self._commands = {command.name: command for command in skid.commands}
        self._tags = {command.name: skid.tags[skid.outputs[command.output].tag] for command in skid.commands}

    def read(self, line: str) -> Wish:
        """What one line asks for. Raises `CommandError`."""
        name, _, argument = line.partition(":")
        command = self._commands.get(name.strip())
        if command is None:
            near = difflib.get_close_matches(name.strip(), self._commands, 1)
            hint = f"did you mean {near[0]}?" if near else f"commands are: {', '.join(self._commands) or 'none'}"
            raise CommandError(f"{name.strip()!r} is no command of this skid; {hint}")
        tag = self._tags[command.name]
        match command.argument:
            case "text":
                value: Value = argument.strip()
            case "choice":
                value = _choice(command, tag, argument.partition("#")[0].strip())
            case "number":
                value = _number(command, tag, argument.partition("#")[0])
        return Wish(line.strip(), tag.name, value)


def lines_of(pcode: str) -> list[str]:
    """The lines that say something: neither empty nor only a comment."""
    return [line.strip() for line in pcode.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _choice(command: CommandSpec, tag: TagSpec, word: str) -> str:
    if word not in tag.choices:
        raise CommandError(f"{command.name} takes one of {', '.join(tag.choices)}, not {word!r}")
    return word


def _number(command: CommandSpec, tag: TagSpec, argument: str) -> float | int:
    """The number in the unit of the tag; a whole number that needs no conversion stays exact."""
    found = _NUMBER.match(argument)
    if found is None:
        raise CommandError(f"{command.name} takes a number, not {argument.strip()!r}; write {command.name}: 1.5")
    text, unit = found.groups()
    scale, offset = 1.0, 0.0
    if unit and unit != tag.unit:
        if unit not in command.units:
            units = ", ".join(command.units) or "no unit"
            raise CommandError(f"{command.name} takes {units}, not {unit!r}")
        scale, offset = command.units[unit]
    if (scale, offset) == (1.0, 0.0):
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    return float(text) * scale + offset
