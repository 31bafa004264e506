"""The messages that an engine sends. docs/reference/messages.md says when, and what the aggregator does with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from protocol.messages import MessageBase
from protocol.models import (
    CommandInfo,
    ControlState,
    ErrorLog,
    Method,
    MethodState,
    PlotConfiguration,
    ReadingInfo,
    RunLog,
    TagValue,
    UodDefinition,
)
from protocol.web_push import NotificationTopic, WebPushNotification


def _ident(message: EngineMessage | RegisterEngineMsg) -> str:
    return f"seq: {message.sequence_number:>3}, type: {type(message).__name__}"


class EngineMessage(MessageBase):
    """A message over the WebSocket; number and engine id are set by the uplink that sends it."""

    TEXT: ClassVar[str] = '(engine_id="{0.engine_id}", sequence_number={0.sequence_number})'

    sequence_number: int = -1
    engine_id: str = ""

    @property
    def ident(self) -> str:
        """The message's number and type, for logs."""
        return _ident(self)


class EngineControlMessage(EngineMessage):
    """The base of messages about the link; refused by the aggregator itself."""


class EngineDataMessage(EngineMessage):
    """The base of messages with data; refused by the aggregator itself."""


class PingMsg(EngineControlMessage):
    """Refused by the aggregator: whether it is alive shows the channel's own ping."""


class RegisterEngineMsg(MessageBase):
    """Asks for an engine id. Goes by REST, before there is a WebSocket, and has no engine id for that reason."""

    TEXT: ClassVar[str] = '(computer_name="{0.computer_name}", uod_name="{0.uod_name}", location="{0.location}")'

    computer_name: str
    uod_name: str
    uod_author_name: str
    uod_author_email: str
    uod_filename: str
    location: str
    engine_version: str
    """Compared by the aggregator with its own, as text."""
    secret: str = ""
    sequence_number: int = -2
    ignore_version_error: bool = False

    @property
    def ident(self) -> str:
        """The message's number and type, for logs."""
        return _ident(self)


class UodInfoMsg(EngineMessage):
    """What the unit is: its readings, commands, tags and plots."""

    TEXT: ClassVar[str] = (
        '(engine_id="{0.engine_id}", sequence_number={0.sequence_number}, readings={0.readings}, '
        'commands={0.commands}, hardware_str="{0.hardware_str}", required_roles={0.required_roles}, '
        "data_log_interval_seconds={0.data_log_interval_seconds})"
    )

    readings: list[ReadingInfo]
    commands: list[CommandInfo]
    uod_definition: UodDefinition
    plot_configuration: PlotConfiguration
    hardware_str: str
    required_roles: set[str]
    """Users without one of these do not see the unit; none at all: everybody does."""
    data_log_interval_seconds: float
    """The aggregator stores what comes faster only this often; 0: everything."""


class TagsUpdatedMsg(EngineMessage):
    """Tags that changed, one sample of each."""

    TEXT: ClassVar[str] = '(engine_id="{0.engine_id}", sequence_number={0.sequence_number}, tags={0.tags})'

    tags: list[TagValue] = Field(default_factory=list[TagValue])
    run_id: str | None = None
    """The run that they belong to. The aggregator drops the message when it thinks otherwise, and answers success."""


class TagsBufferedMsg(EngineMessage):
    """The tags of a tick while the aggregator was away. Refused by it: they are sent as `TagsUpdatedMsg`."""

    TEXT: ClassVar[str] = (
        '(engine_id="{0.engine_id}", sequence_number={0.sequence_number}, tags={0.tags}, tick_time={0.tick_time})'
    )

    tags: list[TagValue] = Field(default_factory=list[TagValue])
    tick_time: float


class RunLogMsg(EngineMessage):
    """The whole run log of the active run."""

    TEXT: ClassVar[str] = (
        '(engine_id="{0.engine_id}", sequence_number={0.sequence_number}, id="{0.id}", run_id="{0.run_id}", '
        "runlog={0.runlog})"
    )

    id: str
    run_id: str
    runlog: RunLog


class QueuedRunLogMsg(EngineMessage):
    """The commands that wait for the next start."""

    TEXT: ClassVar[str] = '(engine_id="{0.engine_id}", sequence_number={0.sequence_number}, runlog={0.runlog})'

    runlog: RunLog


class ErrorLogMsg(EngineMessage):
    """New warnings and errors of the engine."""

    TEXT: ClassVar[str] = '(engine_id="{0.engine_id}", sequence_number={0.sequence_number}, log={0.log})'

    log: ErrorLog


class MethodMsg(EngineMessage):
    """The method that the engine has, for an aggregator that lost it."""

    TEXT: ClassVar[str] = '(engine_id="{0.engine_id}", sequence_number={0.sequence_number}, method={0.method})'

    method: Method


class MethodStateMsg(EngineMessage):
    """How far the method has come."""

    TEXT: ClassVar[str] = (
        '(engine_id="{0.engine_id}", sequence_number={0.sequence_number}, method_state={0.method_state})'
    )

    method_state: MethodState


class ControlStateMsg(EngineMessage):
    """Which control buttons are down."""

    TEXT: ClassVar[str] = (
        '(engine_id="{0.engine_id}", sequence_number={0.sequence_number}, control_state={0.control_state})'
    )

    control_state: ControlState


class RunStartedMsg(EngineMessage):
    """A run has begun."""

    TEXT: ClassVar[str] = (
        '(engine_id="{0.engine_id}", sequence_number={0.sequence_number}, run_id="{0.run_id}", '
        "started_tick={0.started_tick})"
    )

    run_id: str
    started_tick: float
    """Unix seconds."""


class RunStoppedMsg(EngineMessage):
    """A run has ended; with it the aggregator makes the record of the run."""

    # The closing parenthesis is missing in Open Pectus too.
    TEXT: ClassVar[str] = (
        '(engine_id="{0.engine_id}", sequence_number={0.sequence_number}, run_id="{0.run_id}", runlog={0.runlog}, '
        'method_state="{0.method_state}", archive_filename="{0.archive_filename}"'
    )

    run_id: str
    runlog: RunLog
    method_state: MethodState
    archive: str | None
    """The text of the whole archive file."""
    archive_filename: str | None


class WebPushNotificationMsg(EngineMessage):
    """A notification for the browsers that subscribed to its topic."""

    TEXT: ClassVar[str] = '(title="{0.notification.title}", body="{0.notification.body}", topic="{0.topic}")'

    notification: WebPushNotification
    topic: NotificationTopic


def print_sequence_range(messages: Sequence[EngineMessage]) -> str:
    """Name the numbers of messages in short, as "1-3,7"; a number that stands there twice begins a new range."""
    ranges: list[tuple[int, int]] = []
    for number in sorted(message.sequence_number for message in messages):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
