"""What users see and what they can set: the commands and the process values."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from engine.core.spec import TagSpec
from engine.system import SYSTEM_TAGS
from engine.uod.draft import Draft
from engine.uod.faults import Finding, Path, did_you_mean
from engine.uod.model import Command, ProcessValue
from engine.uod.skid import RESERVED_COMMANDS, CommandSpec, OutputSpec, ProcessValueSpec
from engine.uod.units import UnitError, compatible_units, conversion


class Controls:
    """Commands and process values over tags that are resolved already."""

    def __init__(
        self, draft: Draft, tags: Sequence[TagSpec], outputs: Sequence[OutputSpec], made: Collection[str]
    ) -> None:
        """`made` names the tags that are made without being written, sound or not."""
        self.findings: list[Finding] = []
        self.commands: list[CommandSpec] = []
        self.process_values: list[ProcessValueSpec] = []
        self._tags = tags
        self._outputs = outputs
        self._index = {tag.name: index for index, tag in enumerate((*tags, *SYSTEM_TAGS))}
        self._output_of = {tags[output.tag].name: index for index, output in enumerate(outputs)}
        uod = draft.uod
        self._unsound = {name for _, name in draft.broken} | (
            (uod.tags.keys() | uod.derived.keys() | set(made)) - self._index.keys()
        )
        """Names that exist but are at fault themselves: nobody complains of them twice."""
        self._heartbeats = {name for name, tag in uod.tags.items() if tag.heartbeat is not None}
        self._unsound_commands = {name for section, name in draft.broken if section == "commands"}
        for name, command in uod.commands.items():
            self._define(name, command)
        for place, value in zip(draft.listed, uod.process_values, strict=True):
            self._show(("process_values", place), value)

    def _define(self, name: str, command: Command) -> None:
        path = ("commands", name)
        before = len(self.findings)
        self._misnamed(path, name)
        tag = self._output((*path, "sets"), command.sets)
        if tag is not None:
            output = self._output_of[tag.name]
            is_text = isinstance(self._outputs[output].safe_value, str)
            argument = command.argument or ("choice" if tag.choices else "text" if is_text else "number")
            self._check_argument(path, command, argument, tag)
            units = self._units(path, command, argument, tag)
            if len(self.findings) == before:
                self.commands.append(CommandSpec(name, output, argument, units, command.description))
                return
        self._unsound_commands.add(name)

    def _output(self, path: Path, name: str) -> TagSpec | None:
        """The tag of an output; None, with a fault where it is its own, if there is none."""
        if name in self._output_of:
            return self._tags[self._index[name]]
        if name in self._heartbeats:
            self._fault(path, f"{name!r} is a heartbeat: the engine sets it by itself", "name an output")
        elif name in self._index:
            hint = (
                f"make {name} direction: output or both, or choose one of: {', '.join(self._output_of) or 'none yet'}"
            )
            self._fault(path, f"{name!r} is no output: it cannot be set", hint)
        elif name not in self._unsound:
            self._fault(path, f"no output is named {name!r}", did_you_mean(name, self._output_of, "outputs"))
        return None

    def _check_argument(self, path: Path, command: Command, argument: str, tag: TagSpec) -> None:
        at = (*path, "argument")
        if argument == "choice" and not tag.choices:
            self._fault(at, f"{tag.name} has no choices", "give it choices, or make the argument a number")
        if argument != "choice" and tag.choices:
            hint = f"make the argument a choice: {', '.join(tag.choices)}"
            self._fault(at, f"{tag.name} takes one of its choices, no {argument}", hint)
        if argument == "text" and tag.unit:
            self._fault(at, f"{tag.name} has a unit, so it takes a number, no text")
        if argument != "number" and command.units:
            self._fault((*path, "units"), "only a number has units", "take out units")

    def _units(self, path: Path, command: Command, argument: str, tag: TagSpec) -> dict[str, tuple[float, float]]:
        """The units that the author allows, or else all that Open Pectus offers for the tag's own."""
        offered = compatible_units(tag.unit) if tag.unit and argument == "number" else []
        units: dict[str, tuple[float, float]] = {}
        for index, unit in enumerate(command.units or offered):
            try:
                found = conversion(unit, tag.unit)
            except UnitError as error:
                near = f"did you mean {error.near!r}?" if error.near else f"{tag.name} is in {tag.unit or 'no unit'}"
                self._fault((*path, "units", index), str(error), near)
            else:
                units[unit] = (float(found.scale), float(found.offset))
        return units

    def _show(self, path: Path, value: str | ProcessValue) -> None:
        if isinstance(value, str):
            if value in self._index:
                self.process_values.append(ProcessValueSpec(self._index[value]))
            elif value not in self._unsound:
                known = self._index.keys() | self._unsound
                self._fault(path, f"no tag is named {value!r}", did_you_mean(value, known, "tags"))
            return
        kind: Literal["entry", "choice"] = "choice" if value.entry is None else "entry"
        tag = self._output((*path, kind), value.entry or value.choice or "")
        if tag is None:
            return
        if kind == "choice" and not tag.choices:
            self._fault((*path, kind), f"{tag.name} has no choices", f"give it choices, or write entry: {tag.name}")
        elif kind == "entry" and tag.choices:
            self._fault((*path, kind), f"{tag.name} takes one of its choices", f"write choice: {tag.name}")
        elif (command := self._command(path, value, tag)) is not None:
            self.process_values.append(ProcessValueSpec(self._index[tag.name], kind, command))

    def _command(self, path: Path, value: ProcessValue, tag: TagSpec) -> int | None:
        """The command by which a process value is set: the one named, one that sets its tag, or one made for it."""
        output = self._output_of[tag.name]
        setters = {command.name: at for at, command in enumerate(self.commands) if command.output == output}
        if value.command is not None:
            if value.command not in setters and value.command not in self._unsound_commands:
                hint = did_you_mean(value.command, setters, f"commands that set {tag.name}")
                self._fault((*path, "command"), f"no command {value.command!r} sets {tag.name}", hint)
            return setters.get(value.command)
        if setters:
            return setters.get(tag.name, min(setters.values()))
        if tag.name in self._unsound_commands:
            return None
        if self._misnamed(path, tag.name):
            return None
        if any(command.name == tag.name for command in self.commands):
            self._fault(path, f"the command {tag.name!r} sets another tag", "name the command that sets this one")
            return None
        self._define(tag.name, Command(sets=tag.name))
        return len(self.commands) - 1

    def _misnamed(self, path: Path, name: str) -> bool:
        before = len(self.findings)
        if name in RESERVED_COMMANDS:
            self._fault(
                path, f"a command cannot be named {name!r}: that is a word of the engine", "choose another name"
            )
        if ":" in name or "#" in name:
            self._fault(path, f"a command cannot be named {name!r}: in methods : and # are signs", "leave them out")
        return len(self.findings) > before

    def _fault(self, path: Path, message: str, hint: str = "") -> None:
        self.findings.append(Finding(path, message, hint))
