"""What the messages carry, beside plain numbers and texts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, FailFast, Field

from protocol.texts import clean_text
from protocol.values import wire_value


class SystemStateEnum(StrEnum):
    """The values of the tag "System State". The aggregator knows Running; every other one is "ready" to it."""

    Running = "Running"
    Paused = "Paused"
    Holding = "Holding"
    Waiting = "Waiting"
    Stopped = "Stopped"
    Restarting = "Restarting"


class MethodStatusEnum(StrEnum):
    """The values of the tag "Method Status"."""

    OK = "OK"
    ERROR = "Error"


class SystemTagName(StrEnum):
    """The tags that an engine sets itself."""

    BASE = "Base"
    RUN_COUNTER = "Run Counter"
    BLOCK = "Block"
    BLOCK_TIME = "Block Time"
    SCOPE_TIME = "Scope Time"
    PROCESS_TIME = "Process Time"
    RUN_TIME = "Run Time"
    CLOCK = "Clock"
    SYSTEM_STATE = "System State"
    METHOD_STATUS = "Method Status"
    CONNECTION_STATUS = "Connection Status"
    RUN_ID = "Run Id"
    BATCH_NAME = "Batch Name"
    MARK = "Mark"
    ARCHIVER = "Archive filename"
    BLOCK_VOLUME = "Block Volume"
    ACCUMULATED_VOLUME = "Accumulated Volume"
    BLOCK_CV = "Block CV"
    ACCUMULATED_CV = "Accumulated CV"


class TagDirection(StrEnum):
    """Which way a tag's value goes, seen from the hardware."""

    Input = "input"
    Output = "output"
    NA = "na"
    Unspecified = "unspecified"


EntryDataType = Literal["str", "int", "float", "auto"]
"""What a user may type at a reading."""

TagValueType = float | int | str | None


class ProtocolModel(BaseModel):
    """A part of a message. Like a message it holds no NaN and no infinity, and ignores unknown fields."""

    model_config = ConfigDict(from_attributes=True, allow_inf_nan=False, validate_assignment=True)

    TEXT: ClassVar[str] = "()"
    """What `str` says after the name of the class, as in `protocol.messages`."""

    def __str__(self) -> str:
        return type(self).__name__ + self.TEXT.format(self)


class ReadingCommand(ProtocolModel):
    """A command that a user gives from a reading in the web page."""

    command_id: str
    name: str
    command: str
    choice_names: list[str]

    def __str__(self) -> str:
        choices = f", choice_names={self.choice_names}" if self.choice_names else ""
        return f'ReadingCommand(command_id="{self.command_id}", name="{self.name}", command="{self.command}"{choices})'


class ReadingInfo(ProtocolModel):
    """A tag that the web page shows as a process value."""

    discriminator: str
    """reading, reading_with_entry or reading_with_choice. With another one, a reading that has commands vanishes."""
    tag_name: str
    valid_value_units: list[str] | None
    entry_data_type: EntryDataType | None
    commands: list[ReadingCommand]
    command_options: dict[str, str] | None
    """choice -> the P-code that the aggregator sends for it"""

    def __str__(self) -> str:
        commands = f", commands={self.commands}" if self.commands else ""
        return f'ReadingInfo(tag_name="{self.tag_name}", valid_value_units={self.valid_value_units}{commands})'

    def has_command_id(self, command_id: str) -> bool:
        """Whether one of the reading's commands has this id."""
        return any(command.command_id == command_id for command in self.commands)


class CommandInfo(ProtocolModel):
    """A command of the UOD, as the web page offers it."""

    TEXT: ClassVar[str] = '(name="{0.name}", docstring="{0.docstring}")'

    name: str
    docstring: str | None


class TagValue(ProtocolModel):
    """One tag at one moment."""

    # The parenthesis after the direction stands there in Open Pectus too.
    TEXT: ClassVar[str] = (
        '(name="{0.name}", value="{0.value}", value_unit="{0.value_unit}", direction="{0.direction}"), '
        'simulated="{0.simulated}")'
    )

    name: str = ""
    tick_time: float
    """Unix seconds."""
    value: Annotated[TagValueType, BeforeValidator(wire_value)] = None
    """Anything that `protocol.values` can make fit for the wire."""
    value_unit: str | None
    value_formatted: str | None = None
    direction: TagDirection = TagDirection.Unspecified
    simulated: bool | None = None


class RunLogLine(ProtocolModel):
    """One command in the run log."""

    id: str
    command_name: Annotated[str, AfterValidator(clean_text)]
    start: float
    end: float | None
    progress: float | None
    """From 0 to 1."""
    start_values: list[TagValue]
    end_values: list[TagValue]
    forcible: bool | None = None
    cancellable: bool | None = None
    forced: bool | None = None
    cancelled: bool | None = None
    failed: bool | None = None

    def __str__(self) -> str:
        if self.cancelled:
            state = ", cancelled=True"
        elif self.forced:
            state = ", forced=True"
        else:
            state = f", progress={self.progress}" if self.progress is not None else ""
        return f'RunLogLine(id="{self.id}", command_name="{self.command_name}"{state})'


class RunLog(ProtocolModel):
    """What a run has done so far."""

    lines: list[RunLogLine]

    def __str__(self) -> str:
        return f"RunLog(lines={[str(line) for line in self.lines]})"

    @staticmethod
    def empty() -> RunLog:
        """A log without lines."""
        return RunLog(lines=[])


MOST_LINES = 25_000
"""Of a method: reading so many takes as long as a tick."""


def _lines(value: Any) -> Any:
    lines = cast("list[Any]", value) if isinstance(value, list) else []
    if len(lines) > MOST_LINES:
        raise ValueError(f"a method has {MOST_LINES:,} lines at most, not {len(lines):,}")
    return cast("Any", value)


class MethodLine(ProtocolModel):
    """A line of a method, with the id by which states refer to it."""

    TEXT: ClassVar[str] = '(id="{0.id}", content="{0.content}")'

    id: str
    content: str


class Method(ProtocolModel):
    """The P-code that a user has saved."""

    version: int
    """Counted up by the aggregator with each save."""
    lines: Annotated[list[MethodLine], FailFast(), BeforeValidator(_lines)]

    def __str__(self) -> str:
        return f"Method(lines={[str(line) for line in self.lines]})"

    @staticmethod
    def empty() -> Method:
        """A method without lines, as it is before the first save."""
        return Method(version=0, lines=[])

    @staticmethod
    def from_pcode(pcode: str) -> Method:
        """Make a method of a text, its lines numbered id_1, id_2, ..."""
        lines = [MethodLine(id=f"id_{number}", content=line) for number, line in enumerate(pcode.splitlines(), 1)]
        return Method(version=0, lines=lines)

    def as_pcode(self) -> str:
        """The text of the method, its lines joined by line feeds."""
        return "\n".join(line.content for line in self.lines)


class MethodState(ProtocolModel):
    """How far the method has come, line by line."""

    TEXT: ClassVar[str] = (
        "(started_line_ids={0.started_line_ids}, executed_line_ids={0.executed_line_ids}, "
        "injected_line_ids={0.injected_line_ids}, failed_line_ids={0.failed_line_ids})"
    )

    started_line_ids: list[str]
    executed_line_ids: list[str]
    injected_line_ids: list[str]
    content_locked_line_ids: list[str] = Field(default_factory=list[str])
    """This list and the next came with Open Pectus 0.1.1576: not required of a peer, always sent."""
    locked_line_ids: list[str] = Field(default_factory=list[str])
    failed_line_ids: list[str]

    @staticmethod
    def empty() -> MethodState:
        """No line is in any state."""
        return MethodState(started_line_ids=[], executed_line_ids=[], injected_line_ids=[], failed_line_ids=[])


class ControlState(ProtocolModel):
    """Which of the control buttons are down."""

    TEXT: ClassVar[str] = "(is_running={0.is_running}, is_holding={0.is_holding}, is_paused={0.is_paused})"

    is_running: bool
    is_holding: bool
    is_paused: bool


class PlotColorRegion(ProtocolModel):
    """Colours behind the plot while a process value has certain values."""

    process_value_name: str
    value_color_map: dict[str | int | float, str]
    """value -> a CSS colour, as "#aa33bb" or "rgba(0,0,0,0.2)" """


class PlotAxis(ProtocolModel):
    """A y axis of a plot."""

    label: str
    process_value_names: list[str]
    y_max: int | float
    y_min: int | float
    color: str


class SubPlot(ProtocolModel):
    """One of the plots that stand above each other."""

    axes: list[PlotAxis]
    ratio: int | float
    """Its height, relative to the other plots."""


class PlotConfiguration(ProtocolModel):
    """What the web page plots."""

    process_value_names_to_annotate: list[str]
    color_regions: list[PlotColorRegion]
    sub_plots: list[SubPlot]
    x_axis_process_value_names: list[str]

    @staticmethod
    def empty() -> PlotConfiguration:
        """Nothing is plotted."""
        return PlotConfiguration(
            process_value_names_to_annotate=[], color_regions=[], sub_plots=[], x_axis_process_value_names=[]
        )


class ErrorLogEntry(ProtocolModel):
    """A warning or an error of the engine."""

    TEXT: ClassVar[str] = '(message="{0.message}", created_time={0.created_time}, severity={0.severity})'

    message: Annotated[str, AfterValidator(clean_text)]
    created_time: float
    """Unix seconds."""
    severity: int
    """As in `logging`: 40 is an error; the web page shows every other one as a warning."""


class ErrorLog(ProtocolModel):
    """New warnings and errors."""

    entries: list[ErrorLogEntry]

    def __str__(self) -> str:
        return f"ErrorLog(entries={[str(entry) for entry in self.entries]})"

    @staticmethod
    def empty() -> ErrorLog:
        """A log without entries."""
        return ErrorLog(entries=[])


class TagDefinition(ProtocolModel):
    """A tag, for the P-code editor."""

    name: str
    unit: str | None = None


class CommandDefinition(ProtocolModel):
    """A command, for the P-code editor."""

    name: str
    validator: str | None
    """ "RNAP-v1-" and a regular expression for the arguments; None: all are accepted"""
    docstring: str | None


class UodDefinition(ProtocolModel):
    """What the P-code editor completes and checks."""

    commands: list[CommandDefinition]
    system_commands: list[CommandDefinition]
    tags: list[TagDefinition]
