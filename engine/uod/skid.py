"""A skid as the engine runs it: every name resolved, every unit folded in, nothing left to look up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from drivers.contract import Options, Point
from engine.core.spec import TagSpec
from engine.uod.function import FunctionFactory
from engine.uod.model import Author, Value

TICK_MS = 100
"""How often a skid is scanned where its author does not say."""
STALE_AFTER_MS = 2000
STALE_AFTER_READINGS = 3
"""A value is stale after so many missed readings, but not before `STALE_AFTER_MS`."""

RESERVED_TAGS = frozenset({
    "Archive filename", "Base", "Batch Name", "Block", "Block Time", "Clock", "Connection Status", "Mark",
    "Method Status", "Outbox Status", "Process Time", "Run Counter", "Run Id", "Run Time", "Scope Time", "System State",
})  # fmt: skip
"""Names that mean something to Open Pectus when the engine itself sets them; no tag of a UOD may have one."""

RESERVED_COMMANDS = frozenset({
    "Alarm", "Base", "Batch", "Block", "Call macro", "End block", "End blocks", "Error", "Hold",
    "Increment run counter", "Info", "Macro", "Mark", "Notify", "Pause", "Restart",
    "Run counter", "Simulate", "Simulate off", "Start", "Stop", "Unhold", "Unpause", "Wait", "Warning", "Watch",
})  # fmt: skip
"""The words that Open Pectus users give to the engine itself; no command of a UOD may have one."""


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """One physical connection and all that is read and written over it."""

    name: str
    driver: str
    devices: Mapping[str, Options]
    """device name -> the driver's `DeviceOptions`"""
    points: tuple[Point, ...]
    """in the order of the image's rows"""


@dataclass(frozen=True, slots=True)
class FeedbackSpec:
    """The tag that shows whether an output does what it was told."""

    tag: str
    after_s: float
    """How long it may differ from what was set."""
    tolerance: float | None = None
    """By how much it may differ, in the output's unit; None: by no more than is lost on the way to the device."""
    scale: float = 1.0
    """in the output's unit = shown * scale + offset"""
    offset: float = 0.0


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """What is needed to guard an output and to write it: raw = (value - offset) / scale."""

    tag: int
    """Its index among the skid's tags, where unit, limits, choices, scale and offset are."""
    link: int
    row: int
    safe_value: Value | None
    """In the tag's unit, or the text of a choice; None where the author has named none."""
    read_back: bool
    """True where the tag is read as well."""
    max_rate: float | None = None
    """In the tag's unit a second."""
    allowed: str | None = None
    """The derived tag that says whether it may have another value than the safe one."""
    feedback: FeedbackSpec | None = None
    momentary: bool = False
    """The device resets it by itself: each write is an act of its own, and is never repeated."""
    status: str | None = None
    """The tag that tells people why the output is as it is."""


@dataclass(frozen=True, slots=True)
class HeartbeatSpec:
    """A point that the engine writes to show that it is alive."""

    tag: int
    """Its index among the skid's tags."""
    link: int
    row: int
    read_back: bool
    """True where the tag is read as well."""
    every_s: float
    least: int
    most: int
    """It counts from `least` to `most`, and then again."""


@dataclass(frozen=True, slots=True)
class ArgumentSpec:
    """What may follow the name of a command."""

    kind: Literal["number", "choice", "text"]
    unit: str | None = None
    """The unit of a number that is given without one."""
    units: Mapping[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    """A unit that it may be given in -> scale and offset to `unit`."""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SetStep:
    """Set an output and wait until its device has taken it."""

    output: int
    """index among the skid's outputs"""
    value: Value | None = None
    """In the tag's unit, or the text of a choice; None: the argument."""


@dataclass(frozen=True, slots=True)
class WaitStep:
    """Let time go by."""

    seconds: float | None = None
    """None: the argument."""


@dataclass(frozen=True, slots=True)
class UntilStep:
    """Wait for a condition."""

    condition: str
    """the tag that tells whether it is true"""
    expression: str
    """as its author wrote it"""
    timeout_s: float | None = None
    """None: for ever."""


Step = SetStep | WaitStep | UntilStep


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """A word that users and methods may give."""

    name: str
    steps: tuple[Step, ...] = ()
    """Gone through one after the other."""
    argument: ArgumentSpec | None = None
    function: FunctionFactory | None = None
    """Makes the function for one invocation; there are no steps then."""
    excludes: frozenset[str] = frozenset()
    """The commands that it cancels when it is given."""
    description: str = ""
    example: str = ""
    """What its author lets follow the name in the example that users are shown."""

    def sets(self, output: int) -> bool:
        """Whether its argument goes to this output."""
        return SetStep(output) in self.steps


@dataclass(frozen=True, slots=True)
class ProcessValueSpec:
    """One line of the process values."""

    tag: int
    """index among the skid's tags, followed by the engine's own (`engine.system.SYSTEM_TAGS`)"""
    kind: Literal["reading", "entry", "choice"] = "reading"
    command: int | None = None
    """index among the skid's commands; None for a reading"""


@dataclass(frozen=True, slots=True)
class CounterSpec:
    """A tag that shows what is counted on a link, or in the engine."""

    tag: str
    link: int | None
    """None: in the engine"""
    name: str
    """As the link's driver or worker has it: "reconnects", or "pump.timeouts" of one device; else "overruns"."""


@dataclass(frozen=True, slots=True)
class Skid:
    """One skid, ready to run."""

    name: str
    author: Author
    location: str
    file: str
    tick_s: float
    data_log_interval_s: float
    links: tuple[LinkSpec, ...]
    tags: tuple[TagSpec, ...]
    """The tags of devices in the author's order, then the derived ones, then the status of each device."""
    outputs: tuple[OutputSpec, ...]
    commands: tuple[CommandSpec, ...]
    process_values: tuple[ProcessValueSpec, ...]
    counters: tuple[CounterSpec, ...] = ()
    heartbeats: tuple[HeartbeatSpec, ...] = ()
    safe_after_s: float | None = None
    """The outputs go to their safe values when nobody could have given a command for so long; None: never."""
