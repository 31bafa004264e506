"""What the aggregator is told about a skid when it connects: readings, commands, tags and plots (UodInfoMsg)."""

from __future__ import annotations

import re
import uuid

from engine.core.spec import TagSpec
from engine.system import SYSTEM_TAGS, X_AXES
from engine.uod.examples import example_of
from engine.uod.skid import ArgumentSpec, CommandSpec, ProcessValueSpec, Skid
from engine.uod.units import compatible_units
from engine.uod.words import Word, words
from protocol.engine_messages import UodInfoMsg
from protocol.models import (
    CommandDefinition,
    CommandInfo,
    PlotConfiguration,
    ReadingCommand,
    ReadingInfo,
    TagDefinition,
    UodDefinition,
)

_IDS = uuid.UUID("3a0c6f0e-5d0f-4b7e-9a55-3c1d4b2f7e10")
"""The name space of command ids: a web page that is open keeps its buttons when the engine starts again."""
_NUMBER = r"(?P<number>-?[0-9]+[.][0-9]*?|-?[.][0-9]+|-?[0-9]+)"


def uod_info(skid: Skid, plots: PlotConfiguration) -> UodInfoMsg:
    """Describes a skid and its plots, with the tags that the engine itself publishes beside the author's."""
    commands = [_definition(skid, command) for command in skid.commands]
    tags = (*skid.tags, *SYSTEM_TAGS)
    return UodInfoMsg(
        readings=[_reading(skid, tags[value.tag], value) for value in _shown(skid)],
        commands=[CommandInfo(name=command.name, docstring=command.docstring) for command in commands],
        uod_definition=UodDefinition(
            commands=commands,
            system_commands=[_word(word) for word in words([tag.name for tag in tags])],
            tags=[TagDefinition(name=tag.name, unit=tag.unit) for tag in tags],
        ),
        plot_configuration=plots,
        hardware_str="; ".join(f"{', '.join(link.devices)} on {link.name}" for link in skid.links),
        required_roles=set(),
        data_log_interval_seconds=skid.data_log_interval_s,
    )


def _shown(skid: Skid) -> tuple[ProcessValueSpec, ...]:
    """The process values of the author, and after them the time along which they are plotted."""
    run_time = len(skid.tags) + next(index for index, tag in enumerate(SYSTEM_TAGS) if tag.name == X_AXES[0])
    listed = any(value.tag == run_time for value in skid.process_values)
    return skid.process_values if listed else (*skid.process_values, ProcessValueSpec(run_time))


def _reading(skid: Skid, tag: TagSpec, value: ProcessValueSpec) -> ReadingInfo:
    command = None if value.command is None else skid.commands[value.command]
    if command is None:
        return ReadingInfo(
            discriminator="reading",
            tag_name=tag.name,
            valid_value_units=compatible_units(tag.unit),
            entry_data_type=None,
            commands=[],
            command_options=None,
        )
    argument = command.argument
    choices = list(tag.choices) if value.kind == "choice" else []
    call = ReadingCommand(
        command_id=str(uuid.uuid5(_IDS, f"{skid.name}/{value.kind}/{tag.name}")),
        name=tag.name,
        command=command.name,
        choice_names=choices,
    )
    return ReadingInfo(
        discriminator=f"reading_with_{value.kind}",
        tag_name=tag.name,
        valid_value_units=list(argument.units if argument else ()) or [""],
        entry_data_type=None if choices else "str" if argument and argument.kind == "text" else "float",
        commands=[call],
        command_options={choice: f"{command.name}: {choice}" for choice in choices} or None,
    )


def _definition(skid: Skid, command: CommandSpec) -> CommandDefinition:
    """A command with the pattern of its argument and an example for its users."""
    argument, example = command.argument, example_of(skid, command)
    docstring = f"# {command.description}\n{example}" if command.description else example
    pattern = r"^$" if argument is None else _pattern(argument)
    return CommandDefinition(name=command.name, validator=f"RNAP-v1-{pattern}", docstring=docstring)


def _word(word: Word) -> CommandDefinition:
    docstring = f"# {word.meaning}\n{word.example}"
    return CommandDefinition(name=word.name, validator=f"RNAP-v1-{word.pattern}", docstring=docstring)


def _pattern(argument: ArgumentSpec) -> str:
    """The argument as a regular expression, in the very form that the aggregator's editor takes apart to complete units
    and choices (openpectus 0.1.1585, RegexNamedArgumentParser)."""
    if argument.kind == "text":
        return r"^(?P<text>.+)$"
    if argument.kind == "choice":
        choices = "|".join(re.escape(choice) for choice in argument.choices)
        return rf"^(?P<option>({choices}|(|\+)+)(?<!\+))\s*$"
    if not argument.units:
        return rf"^\s*{_NUMBER}\s*$"
    units = "|".join(re.escape(unit).replace("/", r"\/") for unit in argument.units)
    return rf"^\s*{_NUMBER}\s* ?(?P<number_unit>{units})?\s*$"
