"""Why a link broke, in words that a technician can act upon."""

from __future__ import annotations

import errno
import socket

from asyncua import ua
from asyncua.ua.status_codes import StatusCodes

from drivers.contract import LinkError
from drivers.opcua.codec import status_text

_CERTIFICATE = "CERTIFICATE"
"""Stands for what to do about our certificate, which only the link knows."""
_NO_SECURITY = "the server wants security: delete security: none, or name a policy that the server has"
_CLOCKS = (
    "set the clocks of this machine and of the server; if they are right, the certificate has ended and a new one is "
    "needed"
)
_USER = "give user and its password, or correct them, and see on the server what this user may do"

_ADVICE: dict[int, str] = {
    StatusCodes.BadTooManySessions: "close other clients, or allow more sessions on the server",
    StatusCodes.BadMaxConnectionsReached: "close other clients, or allow more connections on the server",
    StatusCodes.BadTcpServerTooBusy: "close other clients, or allow more connections on the server",
    StatusCodes.BadSecurityPolicyRejected: _NO_SECURITY,
    StatusCodes.BadSecurityModeRejected: _NO_SECURITY,
    StatusCodes.BadSecurityModeInsufficient: _NO_SECURITY,
    StatusCodes.BadSecurityChecksFailed: _CERTIFICATE,
    StatusCodes.BadCertificateUntrusted: _CERTIFICATE,
    StatusCodes.BadCertificateInvalid: _CERTIFICATE,
    StatusCodes.BadCertificateChainIncomplete: _CERTIFICATE,
    StatusCodes.BadCertificateUseNotAllowed: _CERTIFICATE,
    StatusCodes.BadCertificateTimeInvalid: _CLOCKS,
    StatusCodes.BadCertificateIssuerTimeInvalid: _CLOCKS,
    StatusCodes.BadIdentityTokenRejected: _USER,
    StatusCodes.BadIdentityTokenInvalid: _USER,
    StatusCodes.BadUserAccessDenied: _USER,
    StatusCodes.BadTcpEndpointUrlInvalid: "correct the path at the end of endpoint",
    StatusCodes.BadServerHalted: "start the server's program",
    StatusCodes.BadShutdown: "wait until the server is up again",
    StatusCodes.BadSessionIdInvalid: "the server has forgotten the session; was it restarted?",
    StatusCodes.BadSessionClosed: "the server has forgotten the session; was it restarted?",
    StatusCodes.BadSecureChannelIdInvalid: "the server has forgotten the channel; was it restarted?",
}


def link_error(
    endpoint: str, doing: str, error: Exception, timeout_s: float, about_certificate: str = "", ended: str = ""
) -> LinkError:
    """Say what broke while `doing` ("connecting"), and what to do about it.

    `about_certificate` is what to do on the server where it does not trust our certificate, `ended` which certificates
    have ended: some servers close the connection for that without a word.
    """
    return LinkError(f"{endpoint}: {_reason(doing, error, timeout_s, about_certificate, ended)}")


def _reason(doing: str, error: Exception, timeout_s: float, about_certificate: str, ended: str) -> str:
    match error:
        case ua.UaStatusCodeError():
            advice = _ADVICE.get(error.code)
            if advice is _CERTIFICATE:
                advice = about_certificate or _NO_SECURITY
            elif advice is _CLOCKS and ended:
                advice = f"{ended}; else {advice}"
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
            cause = f"{ended}; else was" if ended else "was"
            return f"the connection was lost while {doing} ({error}): {cause} the server stopped or restarted?"
        case ua.UaError() if "No matching endpoints" in str(error):
            return _NO_SECURITY
        case _:
            return (
                f"{doing} failed, the answer is not understood ({type(error).__name__}: {error}): "
                "is this port an OPC UA server's?"
            )
