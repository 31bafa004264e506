"""What users see and what they can set: the commands and the process values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Literal

from engine.core.spec import TagSpec
from engine.system import SYSTEM_TAGS
from engine.uod.commands import Commands
from engine.uod.draft import Draft
from engine.uod.faults import Finding, Path, did_you_mean
from engine.uod.model import Command, ProcessValue
from engine.uod.skid import CommandSpec, OutputSpec, ProcessValueSpec, SetStep


class Controls:
    """Commands and process values over tags that are resolved already."""

    def __init__(
        self,
        draft: Draft,
        tags: Sequence[TagSpec],
        outputs: Sequence[OutputSpec],
        made: Collection[str],
        is_text: Callable[[str], bool | None],
    ) -> None:
        """`made` names the tags that are made without being written, sound or not; `is_text` says whether a tag takes
        texts, None where only its device knows."""
        self.process_values: list[ProcessValueSpec] = []
        self._findings: list[Finding] = []
        self._index = {tag.name: index for index, tag in enumerate((*tags, *SYSTEM_TAGS))}
        self._tags = tags
        self._outputs = {tags[output.tag].name: index for index, output in enumerate(outputs)}
        uod = draft.uod
        self._unsound = {name for _, name in draft.broken} | (
            (uod.tags.keys() | uod.derived.keys() | set(made)) - self._index.keys()
        )
        """Names that exist but are at fault themselves: nobody complains of them twice."""
        self._heartbeats = {name for name, tag in uod.tags.items() if tag.heartbeat is not None}
        self._commands = Commands(draft, tags, outputs, self._output, is_text)
        for place, value in zip(draft.listed, uod.process_values, strict=True):
            self._show(("process_values", place), value)
        self._commands.exclude()

    @property
    def findings(self) -> list[Finding]:
        return self._commands.findings + self._findings

    @property
    def commands(self) -> list[CommandSpec]:
        return self._commands.specs

    def _output(self, path: Path, name: str) -> int | None:
        """The index of an output; None, with a fault where it is its own, if there is none."""
        if name in self._outputs:
            return self._outputs[name]
        if name in self._heartbeats:
            self._fault(path, f"{name!r} is a heartbeat: the engine sets it by itself", "name an output")
        elif name in self._index:
            hint = f"make {name} direction: output or both, or choose one of: {', '.join(self._outputs) or 'none yet'}"
            self._fault(path, f"{name!r} is no output: it cannot be set", hint)
        elif name not in self._unsound:
            self._fault(path, f"no output is named {name!r}", did_you_mean(name, self._outputs, "outputs"))
        return None

    def _show(self, path: Path, value: str | ProcessValue) -> None:
        if isinstance(value, str):
            if value in self._index:
                self.process_values.append(ProcessValueSpec(self._index[value]))
            elif value not in self._unsound:
                known = self._index.keys() | self._unsound
                self._fault(path, f"no tag is named {value!r}", did_you_mean(value, known, "tags"))
            return
        kind: Literal["entry", "choice"] = "choice" if value.entry is None else "entry"
        output = self._output((*path, kind), value.entry or value.choice or "")
        if output is None:
            return
        tag = self._tags[self._index[value.entry or value.choice or ""]]
        if kind == "choice" and not tag.choices:
            self._fault((*path, kind), f"{tag.name} has no choices", f"give it choices, or write entry: {tag.name}")
        elif kind == "entry" and tag.choices:
            self._fault((*path, kind), f"{tag.name} takes one of its choices", f"write choice: {tag.name}")
        elif (command := self._command(path, value, tag, output)) is not None:
            self.process_values.append(ProcessValueSpec(self._index[tag.name], kind, command))

    def _command(self, path: Path, value: ProcessValue, tag: TagSpec, output: int) -> int | None:
        """The command that sets a process value: the one named, one that does nothing else, or one made for it."""
        commands = self._commands
        setters = {spec.name: at for at, spec in enumerate(commands.specs) if spec.sets(output)}
        if value.command is not None:
            if value.command not in setters and value.command not in commands.unsound:
                hint = did_you_mean(value.command, setters, f"commands that set {tag.name}")
                self._fault((*path, "command"), f"no command {value.command!r} sets {tag.name}", hint)
            return setters.get(value.command)
        plain = {name: at for name, at in setters.items() if commands.specs[at].steps == (SetStep(output),)}
        if plain:
            return plain.get(tag.name, min(plain.values()))
        if tag.name in commands.unsound or commands.is_misnamed(path, tag.name):
            return None
        if any(spec.name == tag.name for spec in commands.specs):
            self._fault(path, f"the command {tag.name!r} does something else", "name the command that sets this one")
            return None
        commands.define(tag.name, Command(sets=tag.name))
        return len(commands.specs) - 1

    def _fault(self, path: Path, message: str, hint: str = "") -> None:
        self._findings.append(Finding(path, message, hint))
