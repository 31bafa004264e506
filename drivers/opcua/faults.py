"""Why a link broke, in words that a technician can act upon."""

from __future__ import annotations

import errno
import socket

from asyncua import ua
from asyncua.ua.status_codes import StatusCodes

from drivers.contract import LinkError
from drivers.opcua.codec import status_text

_OPEN_TO_ALL = "this driver connects without security and as an anonymous user: allow both on the server"

_ADVICE: dict[int, str] = {
    StatusCodes.BadTooManySessions: "close other clients, or allow more sessions on the server",
    StatusCodes.BadMaxConnectionsReached: "close other clients, or allow more connections on the server",
    StatusCodes.BadTcpServerTooBusy: "close other clients, or allow more connections on the server",
    StatusCodes.BadSecurityPolicyRejected: _OPEN_TO_ALL,
    StatusCodes.BadSecurityModeRejected: _OPEN_TO_ALL,
    StatusCodes.BadSecurityModeInsufficient: _OPEN_TO_ALL,
    StatusCodes.BadSecurityChecksFailed: _OPEN_TO_ALL,
    StatusCodes.BadIdentityTokenRejected: _OPEN_TO_ALL,
    StatusCodes.BadIdentityTokenInvalid: _OPEN_TO_ALL,
    StatusCodes.BadUserAccessDenied: _OPEN_TO_ALL,
    StatusCodes.BadTcpEndpointUrlInvalid: "correct the path at the end of endpoint",
    StatusCodes.BadServerHalted: "start the server's program",
    StatusCodes.BadShutdown: "wait until the server is up again",
    StatusCodes.BadSessionIdInvalid: "the server has forgotten the session; was it restarted?",
    StatusCodes.BadSessionClosed: "the server has forgotten the session; was it restarted?",
    StatusCodes.BadSecureChannelIdInvalid: "the server has forgotten the channel; was it restarted?",
}


def link_error(endpoint: str, doing: str, error: Exception, timeout_s: float) -> LinkError:
    """Say what broke while `doing` ("connecting"), and what to do about it."""
    return LinkError(f"{endpoint}: {_reason(doing, error, timeout_s)}")


def _reason(doing: str, error: Exception, timeout_s: float) -> str:
    match error:
        case ua.UaStatusCodeError():
            advice = _ADVICE.get(error.code)
            return f"{doing} failed, the server says {status_text(error.code)}{f': {advice}' if advice else ''}"
        case TimeoutError():
            return (
                f"no answer within {timeout_s:g} s while {doing}: is the server running, and the network up? "
                "If it is only slow, raise timeout_ms"
            )
        case socket.gaierror():
            return "the host name is not known: correct endpoint, or write the IP address"
        case ConnectionRefusedError():
            return "nothing listens at this port: start the server, or correct the port in endpoint"
        case OSError(errno=errno.EHOSTUNREACH | errno.ENETUNREACH):
            return "no way to the host: check network, cable and address"
        case OSError():
            return f"the connection was lost while {doing} ({error}): was the server stopped or restarted?"
        case ua.UaError() if "No matching endpoints" in str(error):
            return f"the server offers no endpoint without security: {_OPEN_TO_ALL}"
        case _:
            return (
                f"{doing} failed, the answer is not understood ({type(error).__name__}: {error}): "
                "is this port an OPC UA server's?"
            )
