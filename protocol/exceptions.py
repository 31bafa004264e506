"""What can go wrong between an engine and an aggregator, one class for each case that a caller can act on."""

from __future__ import annotations


class ProtocolException(Exception):  # noqa: N818  # the name that Open Pectus has given it
    """A message or a reply breaks the protocol: one of the two sides has a fault."""


class ProtocolDeserializationException(ProtocolException):
    """JSON that is no message: unknown type, missing field or wrong type."""


class ProtocolNetworkException(Exception):  # noqa: N818  # the name that Open Pectus has given it
    """The connection is broken, or was never made: the caller waits and connects again."""


class ConnectError(ProtocolNetworkException):
    """No connection could be made."""


class ConnectionLostError(ProtocolNetworkException):
    """The connection closed while it was used, whoever closed it and with whatever code."""


class PeerViolationError(ConnectionLostError):
    """The other side sends what no sound aggregator sends, or more than is taken: it is left alone for a while."""


class CallTimeoutError(ProtocolNetworkException):
    """The other side did not answer a call in time: it is deaf, frozen or cut off, whatever its socket says."""


class RpcReplyError(ProtocolException):
    """The other side answered a call with something that is no reply to it."""
