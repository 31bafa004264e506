"""What users type, press and choose: lines of P-code, and what they ask for.

A line is a word, and where the word takes one a colon and an argument; what follows a # is a comment. The argument of
a command of the UOD that takes a text is taken as it stands.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from drivers.contract import Value
from engine.core.spec import FromPoint
from engine.runs.arguments import CommandError, argument_of, duration_s, tag_value, whole_number
from engine.uod.expressions import names_in
from engine.uod.faults import nearest
from engine.uod.skid import RESERVED_COMMANDS, CommandSpec, Skid
from engine.uod.words import bases

LINE_CHARS: Final = 1_000
_THRESHOLD = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s+(?=\S)")
_CONTROL: Final = ("Start", "Stop", "Restart", "Pause", "Unpause", "Hold", "Unhold")
_WITH_DURATION: Final = ("Pause", "Hold")
_OTHERS: Final = (
    "Base", "Batch", "Error", "Increment run counter", "Info", "Mark", "Run counter", "Simulate", "Simulate off",
    "Wait", "Warning",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Invoke:
    """Give a command of the UOD."""

    command: CommandSpec
    argument: Value | None = None


@dataclass(frozen=True, slots=True)
class Wait:
    """Let the lines after this one wait."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Note:
    """Write something down about the run, in one of the engine's own tags."""

    tag: Literal["Mark", "Batch Name", "Base", "Run Counter"]
    value: str | int


@dataclass(frozen=True, slots=True)
class CountRun:
    """Add one to the counter of runs."""


@dataclass(frozen=True, slots=True)
class Say:
    """Tell the users something, in the log."""

    severity: Literal["Info", "Warning", "Error"]
    text: str


@dataclass(frozen=True, slots=True)
class Simulate:
    """Show a value in the place of what a device says."""

    tag: str
    value: Value | None = None
    expr: str | None = None
    """What the value is computed by; without either, the tag shows again what its device says."""


@dataclass(frozen=True, slots=True)
class Control:
    """Press one of the buttons of the run."""

    word: str
    seconds: float | None = None
    """For how long; None: until somebody ends it."""


Instruction = Invoke | Wait | Note | CountRun | Say | Simulate | Control


@dataclass(frozen=True, slots=True)
class Line:
    """A line that was read."""

    text: str
    """As the user wrote it."""
    asks: Instruction

    @property
    def needs_run(self) -> bool:
        """Whether it writes into a run, so that it has to wait for one."""
        return isinstance(self.asks, Note | CountRun)


class LineReader:
    """Reads lines by the commands and tags of one UOD."""

    def __init__(self, skid: Skid) -> None:
        self._commands: Mapping[str, CommandSpec] = {command.name: command for command in skid.commands}
        self._tags = {tag.name: tag for tag in skid.tags}
        self._bases = bases(self._tags)

    def read(self, line: str) -> Line:
        """What one line asks for. Raises `CommandError`."""
        if len(line) > LINE_CHARS:
            raise CommandError(f"this line has {len(line)} characters; a line has {LINE_CHARS} at most")
        word, _, rest = line.partition(":")
        word = word.partition("#")[0].strip()
        if (command := self._commands.get(word)) is not None:
            return Line(line.strip(), Invoke(command, argument_of(command, rest)))
        argument = rest.partition("#")[0].strip()
        match word:
            case "Wait":
                asks: Instruction = Wait(duration_s(word, argument))
            case "Mark":
                asks = Note("Mark", _text(word, argument))
            case "Batch":
                asks = Note("Batch Name", _text(word, argument))
            case "Base":
                asks = Note("Base", self._base(argument))
            case "Run counter":
                asks = Note("Run Counter", whole_number(word, argument))
            case "Increment run counter":
                asks = CountRun()
                _nothing(word, argument)
            case "Info" | "Warning" | "Error":
                asks = Say(word, _text(word, argument))
            case "Simulate":
                asks = self._simulate(argument)
            case "Simulate off":
                asks = Simulate(self._simulated(argument))
            case _ if word in _CONTROL:
                asks = self._control(word, argument)
            case _:
                raise CommandError(self._unknown(line, word))
        return Line(line.strip(), asks)

    def _base(self, unit: str) -> str:
        if unit not in self._bases:
            raise CommandError(f"Base takes one of {', '.join(self._bases)}, not {unit!r}")
        return unit

    @staticmethod
    def _control(word: str, argument: str) -> Control:
        if word in _WITH_DURATION and argument:
            return Control(word, duration_s(word, argument))
        _nothing(word, argument)
        return Control(word)

    def _simulate(self, argument: str) -> Simulate:
        name, equals, text = argument.partition("=")
        if not equals or not text.strip():
            raise CommandError("write Simulate: TAG = value unit, as Simulate: PT01 = 1.5 bar, or TAG = expression")
        tag, text = self._simulated(name.strip()), text.strip()
        if not self._tags[tag].choices and any(named in self._tags for named in names_in(text)):
            return Simulate(tag, expr=text)
        return Simulate(tag, tag_value(self._tags[tag], text))

    def _simulated(self, name: str) -> str:
        can_be = [tag.name for tag in self._tags.values() if isinstance(tag.source, FromPoint)]
        if name in can_be:
            return name
        if name in self._tags:
            raise CommandError(f"{name} is fed by no device and cannot be simulated; simulate what it rests on")
        raise CommandError(f"no tag is named {name!r}; {_did_you_mean(name, can_be, 'tags')}")

    def _unknown(self, line: str, word: str) -> str:
        known = (*self._commands, *_CONTROL, *_OTHERS)
        if word in RESERVED_COMMANDS:
            return f"{word!r} belongs into a method and cannot be given by hand"
        if found := _THRESHOLD.match(line.strip()):
            return f"a line that is given by hand is carried out at once: leave out the threshold {found[1]}"
        return f"{word!r} is no command of this skid; {_did_you_mean(word, known, 'commands')}"


def lines_of(pcode: str) -> list[str]:
    """The lines that say something: neither empty nor only a comment."""
    return [line.strip() for line in pcode.splitlines() if line.strip() and not line.lstrip().startswith("#")]


def _text(word: str, argument: str) -> str:
    if not argument:
        raise CommandError(f"{word} takes a text, as {word}: a text")
    return argument


def _nothing(word: str, argument: str) -> None:
    if argument:
        raise CommandError(f"nothing can follow {word}, but there is {argument!r}")


def _did_you_mean(name: str, known: list[str] | tuple[str, ...], what: str) -> str:
    near = nearest(name, known)
    return f"did you mean {near}?" if near else f"{what} are: {', '.join(known) or 'none'}"
