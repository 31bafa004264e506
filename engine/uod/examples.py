"""Examples of commands, harmless when they are sent as they stand.

Open Pectus shows an example for each command, and people copy it. So it asks for what its author has written, or for
the safe value of the output that it sets, or for as little as it can.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.core.spec import TagSpec
from engine.uod.skid import ArgumentSpec, CommandSpec, OutputSpec, SetStep, Skid


def example_of(skid: Skid, command: CommandSpec) -> str:
    """The line that shows how a command is given."""
    argument = command.argument
    if argument is None:
        return command.name
    if command.example:
        return f"{command.name}: {command.example}"
    outputs = [skid.outputs[step.output] for step in command.steps if isinstance(step, SetStep) and step.value is None]
    asked = _safe(argument, outputs) or _least(argument, _choices(skid.tags, outputs))
    return f"{command.name}: {asked}".rstrip()


def _safe(argument: ArgumentSpec, outputs: list[OutputSpec]) -> str:
    """The safe value of the outputs that the argument goes to; "" where they have none in common that it may be."""
    values = {output.safe_value for output in outputs}
    if len(values) != 1:
        return ""
    value = values.pop()
    if argument.kind != "number":
        return str(value) if value in argument.choices or (argument.kind == "text" and value) else ""
    if isinstance(value, (str, type(None))) or value != _within(argument, float(value)):
        return ""
    return _number(argument, float(value))


def _least(argument: ArgumentSpec, raw: Mapping[str, int]) -> str:
    """What asks for the least: the number nearest to zero, the choice whose raw value is zero, no text at all."""
    if argument.kind == "number":
        return _number(argument, _within(argument, 0.0))
    if argument.kind == "choice":
        return min(argument.choices, key=lambda choice: abs(raw.get(choice, 0)))
    return ""


def _choices(tags: tuple[TagSpec, ...], outputs: list[OutputSpec]) -> Mapping[str, int]:
    return tags[outputs[0].tag].choices if outputs else {}


def _within(argument: ArgumentSpec, number: float) -> float:
    """The number nearest to this one that the argument may be."""
    if argument.minimum is not None:
        number = max(number, argument.minimum)
    return number if argument.maximum is None else min(number, argument.maximum)


def _number(argument: ArgumentSpec, number: float) -> str:
    return f"{number:.12g} {argument.unit or ''}".strip()
