"""What the scan cycle and the ways out know of each other.

The scan puts what changed into every uplink and goes on: `put` neither waits nor fails. An uplink asks the engine for
the whole picture whenever it has somebody to tell it to. All of it happens in one event loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from protocol.aggregator_messages import AggregatorMessage
from protocol.engine_messages import EngineMessage, RegisterEngineMsg, UodInfoMsg
from protocol.messages import ErrorMessage, SuccessMessage


class UplinkError(Exception):
    """An uplink that can never work as it was asked for: a missing folder, an address that is none."""


@dataclass(frozen=True, slots=True)
class TagsFrame:
    """The changed tags of one tick."""

    tags: bytes
    """A JSON array of tag values, one sample a tag, as `protocol.pack` makes it."""
    tick_time: float
    """Unix seconds."""
    run_id: str | None
    """The run that the samples belong to."""


@dataclass(slots=True)
class UplinkStatus:
    """How an uplink is doing, for the status line; written by the uplink, read by anyone."""

    state: str = "starting"
    """In a few words, with the reason when it is not well."""
    connected: bool = False
    takes_commands: bool = False
    """Whether users give commands by this way."""
    sent: int = 0
    """Messages that the other side has accepted."""
    refused: int = 0
    """Messages that the other side, or a limit of its, would not take; each kind is logged."""
    dropped: int = 0
    """Messages that no longer fitted into the queue."""
    queued: int = 0
    fill: float = 0.0
    """How much of its bound the queue uses; above 1 it is thinned."""


class Engine(Protocol):
    """What an uplink may ask of the engine, at any time; nothing here blocks."""

    def registration(self) -> RegisterEngineMsg:
        """Who we are. Secret, version and `ignore_version_error` are filled in by the uplink."""
        ...

    def uod_info(self) -> UodInfoMsg: ...

    def snapshot(self) -> TagsFrame:
        """All tags as they were at the last tick, with the run that is active now."""
        ...

    def states(self) -> Sequence[EngineMessage]:
        """What has to be known beside the tags: the states of control and method, the run log, the latest errors."""
        ...

    async def handle(self, message: AggregatorMessage) -> SuccessMessage | ErrorMessage:
        """Take a command of a user: check it, set it going, and answer. Work that lasts comes after the answer.

        The aggregator hangs up after two seconds without an answer, so after 1.5 s the call is cancelled and the user
        is told that the command was not taken. What is refused stands in the error log, too.
        """
        ...


class Uplink(Protocol):
    """A way out."""

    name: str
    status: UplinkStatus

    async def run(self) -> None:
        """Deliver until cancelled. Troubles of the other side are logged and outlasted, never raised."""
        ...

    def put(self, item: TagsFrame | EngineMessage) -> None:
        """Take something to deliver, in order. Never waits, never raises; what cannot be kept is counted."""
        ...

    async def close(self) -> None:
        """Deliver what can be delivered within two seconds; the caller then cancels `run`. Never raises."""
        ...
