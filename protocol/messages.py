"""What all messages share, and the three replies."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class MessageBase(BaseModel):
    """A message of the protocol, over REST and over the WebSocket alike. Unknown fields on the way in are ignored.

    No number of a message can be NaN or infinite: both would stop the aggregator's REST interface for all its users.
    """

    model_config = ConfigDict(allow_inf_nan=False, validate_assignment=True)

    TEXT: ClassVar[str] = '(version="{0.version}")'
    """What `str` says after the name of the class; the texts are those of Open Pectus, so that logs can be compared."""

    version: int = 0
    """Never looked at by anyone."""

    def __str__(self) -> str:
        return type(self).__name__ + self.TEXT.format(self)


class SuccessMessage(MessageBase):
    """The message was accepted. Of tags it does not say that they were stored: those of a wrong run are dropped."""


class ErrorMessage(MessageBase):
    """The message could not be acted on."""

    TEXT: ClassVar[str] = '(version="{0.version}", message="{0.message}", exception_message="{0.exception_message}")'

    message: str | None = None
    exception_message: str | None = None
    caller_error: bool = False
    """True when the user asked for something that cannot be had now, so that the web page says so."""


class ProtocolErrorMessage(ErrorMessage):
    """The message could not be read, or its handling failed: nothing of it is stored."""

    TEXT: ClassVar[str] = '(version="{0.version}", protocol_msg="{0.protocol_msg}")'

    protocol_msg: str


RpcErrorMessage = ErrorMessage | ProtocolErrorMessage
RpcStatusMessage = SuccessMessage | RpcErrorMessage
