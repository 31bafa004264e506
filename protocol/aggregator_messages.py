"""The messages that an aggregator sends, all but the first on behalf of a user."""

from __future__ import annotations

from typing import ClassVar

from protocol.messages import ErrorMessage, MessageBase, SuccessMessage
from protocol.models import Method

__all__ = [
    "AggregatorMessage",
    "CancelMsg",
    "ErrorMessage",
    "ExecuteControlCommandMsg",
    "ForceMsg",
    "InjectCodeMsg",
    "MethodMsg",
    "RegisterEngineReplyMsg",
    "SuccessMessage",
]


class AggregatorMessage(MessageBase):
    """A message to an engine."""


class RegisterEngineReplyMsg(AggregatorMessage):
    """The answer to a registration."""

    # Both odd parentheses stand there in Open Pectus too.
    TEXT: ClassVar[str] = (
        '(engine_id="{0.engine_id}", success={0.success}, secret_match={0.secret_match})'
        "version_match={0.version_match})aggregator_build_number={0.aggregator_build_number})"
    )

    success: bool
    engine_id: str | None = None
    secret_match: bool | None = None
    version_match: bool | None = None
    """None: not looked at, because something before it was refused."""
    aggregator_build_number: str = ""
    """The aggregator's version."""


class ExecuteControlCommandMsg(AggregatorMessage):
    """A control button was pressed."""

    TEXT: ClassVar[str] = '(name="{0.name}")'

    name: str = ""


class InjectCodeMsg(AggregatorMessage):
    """A user typed a command, entered a process value or chose one."""

    TEXT: ClassVar[str] = '(pcode="{0.pcode}")'

    pcode: str
    """One or more lines of P-code."""


class MethodMsg(AggregatorMessage):
    """A user saved the method."""

    TEXT: ClassVar[str] = '(method="{0.method}")'

    method: Method


class CancelMsg(AggregatorMessage):
    """A user cancels a line of the run log."""

    TEXT: ClassVar[str] = '(exec_id="{0.exec_id}")'

    exec_id: str


class ForceMsg(AggregatorMessage):
    """A user lets a waiting line of the run log start now."""

    TEXT: ClassVar[str] = '(exec_id="{0.exec_id}")'

    exec_id: str
