"""The commands of a UOD: what they set, in which steps, and what may follow their names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from engine.core.spec import TagSpec
from engine.runs.arguments import CommandError, argument_of
from engine.uod.awaited import condition_name
from engine.uod.draft import Draft
from engine.uod.faults import Finding, Path, did_you_mean
from engine.uod.function import FunctionFactory
from engine.uod.model import ARGUMENT, Command, Value
from engine.uod.model import Step as WrittenStep
from engine.uod.number_text import how_to_write
from engine.uod.skid import RESERVED_COMMANDS, ArgumentSpec, CommandSpec, OutputSpec, SetStep, Step, UntilStep, WaitStep
from engine.uod.units import UnitError, compatible_units, conversion

_OF_TIME = ("s", "min", "h")
_FOR_FUNCTIONS = ("choices", "min", "max")
"""The keys of a command whose argument is not that of a tag."""


class Commands:
    """Commands over outputs that are resolved already."""

    def __init__(
        self,
        draft: Draft,
        tags: Sequence[TagSpec],
        outputs: Sequence[OutputSpec],
        find: Callable[[Path, str], int | None],
        is_text: Callable[[str], bool | None],
    ) -> None:
        """`find` gives the index of the output of a name, or None after it has said what is wrong with the name;
        `is_text` whether a tag takes texts, None where only its device knows."""
        self.findings: list[Finding] = []
        self.specs: list[CommandSpec] = []
        self.unsound = {name for section, name in draft.broken if section == "commands"}
        """Names that exist but are at fault themselves: nobody complains of them twice."""
        self._tags = tags
        self._outputs = outputs
        self._find = find
        self._is_text = is_text
        self._excludes: dict[str, Sequence[str]] = {}
        for name, command in draft.uod.commands.items():
            self.define(name, command)

    def define(self, name: str, command: Command) -> None:
        """Add a command, or else its faults."""
        path = ("commands", name)
        before = len(self.findings)
        self.is_misnamed(path, name)
        if command.runs is not None:
            steps, argument = (), self._of_function(path, command)
        else:
            steps, argument = self._of_steps(name, command)
        if len(self.findings) > before or steps is None:
            self.unsound.add(name)
            return
        function: FunctionFactory | None = command.runs
        spec = CommandSpec(
            name, steps, argument, function, description=command.description, example=command.example.strip()
        )
        if spec.example:
            self._check_example(path, spec)
        self._excludes[name] = command.excludes
        self.specs.append(spec)

    def _check_example(self, path: Path, spec: CommandSpec) -> None:
        """Whether the command would take its own example."""
        try:
            argument_of(spec, spec.example)
        except CommandError as error:
            self._fault((*path, "example"), f"the command would refuse this: {error}", "write what it takes")

    def is_misnamed(self, path: Path, name: str) -> bool:
        """Whether no command can have this name."""
        before = len(self.findings)
        if name in RESERVED_COMMANDS:
            self._fault(
                path, f"a command cannot be named {name!r}: that is a word of the engine", "choose another name"
            )
        if ":" in name or "#" in name:
            self._fault(path, f"a command cannot be named {name!r}: in methods : and # are signs", "leave them out")
        return len(self.findings) > before

    def exclude(self) -> None:
        """Let commands exclude each other, once all are defined."""
        names = {spec.name for spec in self.specs}
        pairs: set[tuple[str, str]] = set()
        for name, excluded in self._excludes.items():
            for place, other in enumerate(excluded):
                path = ("commands", name, "excludes", place)
                if other == name:
                    self._fault(path, "a command always takes the place of itself", "take it out")
                elif other in names:
                    pairs |= {(name, other), (other, name)}
                elif other not in self.unsound:
                    self._fault(path, f"no command is named {other!r}", did_you_mean(other, names, "commands"))
        self.specs = [
            replace(spec, excludes=frozenset(other for name, other in pairs if name == spec.name))
            for spec in self.specs
        ]

    # What a command does

    def _of_steps(self, name: str, command: Command) -> tuple[tuple[Step, ...] | None, ArgumentSpec | None]:
        """The steps and the argument of a command; None instead of the steps where any of them is at fault."""
        path = ("commands", name)
        for key in _FOR_FUNCTIONS:
            if key in command.model_fields_set:
                self._fault((*path, key), "the tag that is set says what it takes", f"take out {key}")
        given = command.steps or [WrittenStep(set=command.sets, to=ARGUMENT)]
        found: list[Step] = []
        takers: list[tuple[Path, ArgumentSpec]] = []
        for place, step in enumerate(given):
            at = (*path, "steps", place)
            if step.wait_until is not None:
                timeout_s = None if step.timeout_s is None else float(step.timeout_s)
                found.append(UntilStep(condition_name(name, place), step.wait_until, timeout_s))
            elif step.wait_s is not None:
                found.append(WaitStep(None if isinstance(step.wait_s, str) else step.wait_s))
                if step.wait_s == ARGUMENT:
                    takers.append(((*at, "wait_s"), self._duration(path, command)))
            elif step.set is not None and step.to is not None:
                output = self._find((*at, "set") if command.steps else (*path, "sets"), step.set)
                if output is None:
                    continue
                found.append(SetStep(output, None if step.to == ARGUMENT else step.to))
                tag = self._tags[self._outputs[output].tag]
                if step.to == ARGUMENT:
                    takers.append(((*at, "to"), self._argument_of(path, command, tag)))
                else:
                    self._check((*at, "to"), tag, step.to)
        if not takers:
            for key in ("argument", "units"):
                if key in command.model_fields_set:
                    hint = f"write {ARGUMENT} where it belongs, as {{set: PU01, to: {ARGUMENT}}}"
                    self._fault((*path, key), "no step takes the argument", hint)
        return tuple(found) if len(found) == len(given) else None, self._joined(takers)

    def _of_function(self, path: Path, command: Command) -> ArgumentSpec | None:
        kind = command.argument
        keys = {"number": ("units", "min", "max"), "choice": ("choices",)}.get(kind or "", ())
        for key in ("units", *_FOR_FUNCTIONS):
            if key in command.model_fields_set and key not in keys:
                self._fault((*path, key), f"this does nothing where the argument is {kind or 'not given'}")
        if kind is None:
            return None
        if kind == "choice" and not command.choices:
            self._fault((*path, "argument"), "there is nothing to choose from", "list the words under choices")
        if command.min is not None and command.max is not None and command.min >= command.max:
            self._fault((*path, "min"), f"min {command.min:.12g} is not below max {command.max:.12g}")
        unit = command.units[0] if command.units else None
        units = self._converted(path, command.units, unit, "what the function gets")
        return ArgumentSpec(kind, unit, units, command.min, command.max, tuple(command.choices))

    # What a command takes

    def _argument_of(self, path: Path, command: Command, tag: TagSpec) -> ArgumentSpec:
        """What can follow the name of a command that sets this tag to it."""
        inferred: Literal["number", "choice", "text"] = (
            "choice" if tag.choices else "text" if self._is_text(tag.name) else "number"
        )
        kind = command.argument or inferred
        at = (*path, "argument")
        if kind == "choice" and not tag.choices:
            self._fault(at, f"{tag.name} has no choices", "give it choices, or make the argument a number")
        if kind != "choice" and tag.choices:
            hint = f"make the argument a choice: {', '.join(tag.choices)}"
            self._fault(at, f"{tag.name} takes one of its choices, no {kind}", hint)
        if kind == "text" and tag.unit:
            self._fault(at, f"{tag.name} has a unit, so it takes a number, no text")
        elif kind != "choice" and not tag.choices and self._is_text(tag.name) is (kind == "number"):
            taken = "text" if kind == "number" else "number"
            self._fault(at, f"{tag.name} takes a {taken}, not a {kind}", f"write argument: {taken}, or leave it out")
        if kind != "number" and command.units:
            self._fault((*path, "units"), "only a number has units", "take out units")
        offered = compatible_units(tag.unit) if tag.unit and kind == "number" else []
        units = self._converted(path, command.units or offered, tag.unit, tag.name)
        return ArgumentSpec(kind, tag.unit, units, tag.minimum, tag.maximum, tuple(tag.choices))

    def _duration(self, path: Path, command: Command) -> ArgumentSpec:
        """What can follow the name of a command that waits for so long."""
        if command.argument not in {None, "number"}:
            self._fault((*path, "argument"), f"a wait takes a number of seconds, no {command.argument}", "take it out")
        return ArgumentSpec("number", "s", self._converted(path, command.units or _OF_TIME, "s", "a wait"), 0.0)

    def _converted(
        self, path: Path, units: Sequence[str], unit: str | None, whose: str
    ) -> dict[str, tuple[float, float]]:
        """Units with their scale and offset to another one."""
        found: dict[str, tuple[float, float]] = {}
        for index, each in enumerate(units):
            try:
                converted = conversion(each, unit)
            except UnitError as error:
                near = f"did you mean {error.near!r}?" if error.near else f"{whose} is in {unit or 'no unit'}"
                self._fault((*path, "units", index), str(error), near)
            else:
                found[each] = (float(converted.scale), float(converted.offset))
        return found

    def _joined(self, takers: Sequence[tuple[Path, ArgumentSpec]]) -> ArgumentSpec | None:
        """The one argument that goes to all of these; where they differ, that is a fault."""
        if not takers:
            return None
        (_, first), *others = takers
        lows, highs = [first.minimum], [first.maximum]
        for path, other in others:
            if (other.kind, other.unit, other.choices) != (first.kind, first.unit, first.choices):
                hint = "set one of them to a fixed value, or by a command of its own"
                self._fault(path, f"one argument cannot be {_shown(first)} and {_shown(other)}", hint)
            lows.append(other.minimum)
            highs.append(other.maximum)
        low = max((low for low in lows if low is not None), default=None)
        high = min((high for high in highs if high is not None), default=None)
        return replace(first, minimum=low, maximum=high)

    def _check(self, path: Path, tag: TagSpec, value: Value) -> None:
        """Whether an output can ever take this value."""
        if tag.choices:
            if value not in tag.choices:
                hint = did_you_mean(str(value), tag.choices, "choices")
                self._fault(path, f"{value!r} is not among the choices of {tag.name}", hint)
            return
        is_text = self._is_text(tag.name)
        if isinstance(value, str):
            if is_text is False or tag.unit:
                hint = how_to_write(value) or ""
                if value.strip() == ARGUMENT:
                    hint = f"write {ARGUMENT} for what follows the command's name"
                self._fault(path, f"{tag.name} takes a number, not {value!r}", hint)
        elif is_text:
            self._fault(path, f"{tag.name} takes a text, not {value!r}", "put it in quotes")
        elif tag.minimum is not None and value < tag.minimum:
            self._fault(path, f"{value} is below min {tag.minimum:.12g} of {tag.name}")
        elif tag.maximum is not None and value > tag.maximum:
            self._fault(path, f"{value} is above max {tag.maximum:.12g} of {tag.name}")

    def _fault(self, path: Path, message: str, hint: str = "") -> None:
        self.findings.append(Finding(path, message, hint))


def _shown(argument: ArgumentSpec) -> str:
    if argument.kind == "choice":
        return f"one of {', '.join(argument.choices)}"
    return f"a {argument.kind}" + (f" in {argument.unit}" if argument.unit else "")
