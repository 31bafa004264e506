"""Why a link broke, in words that a technician can act upon."""

from __future__ import annotations

from asyncua import ua
from asyncua.ua.status_codes import StatusCodes

from drivers.contract import LinkError
from drivers.network_faults import network_fault
from drivers.opcua.codec import status_text

_KEYS = {"host": "endpoint", "port": "the port in endpoint"}
_CERTIFICATE = "CERTIFICATE"
"""Stands for what to do about our certificate, which only the link knows."""
_SECURITY = "SECURITY"
"""Stands for what to do where the server does not take the security of the connection."""
_NO_DISCOVERY = (
    "the server lets nobody ask without security what it offers, neither here nor at /discovery: correct endpoint, or "
    "allow discovery without security on the server (OPC UA asks for it)"
)
_OTHER_PROGRAM = "; if another program has this port, correct the port in endpoint"
_NOT_TAKEN = "the server does not take what it has offered: name another policy in security, or restart the server"
_CLOCKS = (
    "set the clocks of this machine and of the server; if they are right, the certificate has ended and a new one is "
    "needed"
)
_RENEW = (
    "have a new certificate made for this client (delete its file, or give another one in certificate and private_key) "
    "and trust that on the server"
)
_USER = "give user and its password, or correct them, and see on the server what this user may do"

_ADVICE: dict[int, str] = {
    StatusCodes.BadTooManySessions: "close other clients, or allow more sessions on the server",
    StatusCodes.BadMaxConnectionsReached: "close other clients, or allow more connections on the server",
    StatusCodes.BadTcpServerTooBusy: "close other clients, or allow more connections on the server",
    StatusCodes.BadSecurityPolicyRejected: _SECURITY,
    StatusCodes.BadSecurityModeRejected: _SECURITY,
    StatusCodes.BadSecurityModeInsufficient: _SECURITY,
    StatusCodes.BadSecurityChecksFailed: _CERTIFICATE,
    StatusCodes.BadCertificateUntrusted: _CERTIFICATE,
    StatusCodes.BadCertificateInvalid: _CERTIFICATE,
    StatusCodes.BadCertificateChainIncomplete: _CERTIFICATE,
    StatusCodes.BadCertificateUseNotAllowed: _CERTIFICATE,
    StatusCodes.BadCertificateIssuerUseNotAllowed: _CERTIFICATE,
    StatusCodes.BadCertificateRevocationUnknown: _CERTIFICATE,
    StatusCodes.BadCertificatePolicyCheckFailed: _RENEW,
    StatusCodes.BadCertificateRevoked: _RENEW,
    StatusCodes.BadCertificateIssuerRevoked: _RENEW,
    StatusCodes.BadCertificateUriInvalid: _RENEW,
    StatusCodes.BadCertificateHostNameInvalid: "write the host name in endpoint that the server's certificate has",
    StatusCodes.BadApplicationSignatureInvalid: _RENEW,
    StatusCodes.BadUserSignatureInvalid: "see that user_key is the key of user_certificate",
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


class WrongServerError(ua.UaError):
    """A session was created with another server than the one that was asked for its endpoints."""


_ONLY_DISCOVERY = frozenset(
    (
        StatusCodes.BadSecurityPolicyRejected,
        StatusCodes.BadSecurityModeRejected,
        StatusCodes.BadSecurityModeInsufficient,
        StatusCodes.BadSecurityChecksFailed,
        StatusCodes.BadTcpEndpointUrlInvalid,
        StatusCodes.BadServiceUnsupported,
        StatusCodes.BadNotSupported,
    )
)
"""By these a server refuses a connection without security, or to tell of its endpoints on it."""


def may_answer_beside(cause: BaseException | None) -> bool:
    """Whether a server that failed to tell of its endpoints may do so at its URL for discovery."""
    if isinstance(cause, ua.UaStatusCodeError):
        return cause.code in _ONLY_DISCOVERY
    return isinstance(cause, ConnectionError) and not isinstance(cause, ConnectionRefusedError)


def is_strange(cause: BaseException | None) -> bool:
    """Whether what answers, or is silent, may be no OPC UA server at all."""
    return not isinstance(cause, (ua.UaStatusCodeError, UnicodeError)) and network_fault(cause, **_KEYS) is None


def is_elsewhere(error: LinkError) -> bool:
    """Whether a session may be had at another address, as at this one nobody was met, or somebody else."""
    cause = error.__cause__
    if isinstance(cause, ua.UaStatusCodeError):
        return cause.code == StatusCodes.BadTcpEndpointUrlInvalid
    return isinstance(cause, (OSError, ua.UaError))


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
            if advice is _CERTIFICATE and about_certificate:
                advice = about_certificate
            elif advice in {_CERTIFICATE, _SECURITY}:
                advice = _NO_DISCOVERY if doing == "connecting" else _NOT_TAKEN
            elif advice is _CLOCKS and ended:
                advice = f"{ended}; else {advice}"
            return f"{doing} failed, the server says {status_text(error.code)}{f': {advice}' if advice else ''}"
        case TimeoutError():
            return (
                f"no answer within {timeout_s:g} s while {doing}: is the server running, and the network up? "
                f"If it is only slow, raise timeout_ms{_OTHER_PROGRAM if doing == 'connecting' else ''}"
            )
        case UnicodeError() if doing == "connecting":
            return "the host name is not one that a network can have: correct endpoint, or write the IP address"
        case OSError() if (fault := network_fault(error, **_KEYS)) is not None:
            return fault
        case OSError():
            # Many servers say no word to a client whose certificate they do not trust.
            mistrust = doing == "opening a session" and about_certificate
            cause = f"{ended}; else was" if ended else "was"
            more = f" Or the server does not trust this client: {about_certificate}" if mistrust else ""
            if doing == "connecting":
                more = " If another program has this port, correct the port in endpoint"
            return f"the connection was lost while {doing}: {cause} the server stopped or restarted?{more}"
        case WrongServerError():
            return f"{error}: correct the host name in the server's settings, or write keep_host: true"
        case _:
            return (
                f"{doing} failed, the server's response is not valid ({error or 'it is cut short'}): is the server's "
                "software up to date? -v logs the details"
            )
