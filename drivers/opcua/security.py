"""Who we are to a server and how the way to it is secured: policy, mode, user; chosen anew at each connect.

Rules of this file:

* A secret is read when it is used, is kept nowhere, and stands in no message.
* A server that was seen with security is never talked to without, unless the author asks for it.
"""

from __future__ import annotations

import datetime
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from asyncua import ua
from asyncua.client.client import Client
from asyncua.crypto import security_policies, uacrypto

from drivers.contract import LinkError
from drivers.opcua.certificates import (
    OwnCertificate,
    Pins,
    expiry_warning,
    given_certificate,
    own_certificate,
    single,
    thumbprint,
)

_log = logging.getLogger("skidlink.drivers.opcua")

SecurityName = Literal["auto", "none", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"]
ModeName = Literal["Sign", "SignAndEncrypt"]

_URI = "http://opcfoundation.org/UA/SecurityPolicy#"
NO_POLICY = f"{_URI}None"
_POLICIES: dict[str, Any] = {
    f"{_URI}Aes256_Sha256_RsaPss": security_policies.SecurityPolicyAes256Sha256RsaPss,
    f"{_URI}Basic256Sha256": security_policies.SecurityPolicyBasic256Sha256,
    f"{_URI}Aes128_Sha256_RsaOaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
}
"""From the best to the least; those that OPC 10000-7 has withdrawn are left out."""
_MODES = (ua.MessageSecurityMode.SignAndEncrypt, ua.MessageSecurityMode.Sign)


@dataclass(frozen=True, slots=True)
class Access:
    """What the author has said of how to reach a server, and as whom."""

    security: SecurityName = "auto"
    mode: ModeName | None = None
    user: str | None = None
    password_env: str | None = None
    password_file: Path | None = None
    user_certificate: Path | None = None
    user_key: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None

    @property
    def name(self) -> str:
        """What tells two sessions with one endpoint apart; "" for an anonymous one with automatic security."""
        user = self.user or (self.user_certificate and self.user_certificate.stem)
        security = "" if self.security == "auto" else f", security {self.security}"
        return f"{f' as {user}' if user else ''}{security}{f', {self.mode}' if self.mode else ''}"

    def own_certificate(self) -> OwnCertificate:
        """The certificate by which the server knows this client; blocks. Raises `LinkError`."""
        if self.certificate is None or self.private_key is None:
            return own_certificate()
        return given_certificate(self.certificate, self.private_key)

    def password(self) -> str:
        """Read the password from where the author says. Raises `LinkError` when it is not there."""
        if self.password_env is not None:
            found = os.environ.get(self.password_env)
            if not found:
                raise LinkError(f"the environment variable {self.password_env} is not set: put the password into it")
            return found
        if self.password_file is None:
            return ""
        try:
            found = self.password_file.read_text("utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise LinkError(f"password_file {self.password_file} cannot be read: {type(error).__name__}") from None
        if not found:
            raise LinkError(f"password_file {self.password_file} is empty: write the password into it")
        return found


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the ways that a server offers."""

    policy: str
    """Its URI."""
    mode: ua.MessageSecurityMode
    certificate: bytes
    """The server's, DER; b"" where there is none."""

    @property
    def secured(self) -> bool:
        return self.mode in _MODES

    def __str__(self) -> str:
        return f"{self.policy.removeprefix(_URI)}, {self.mode.name}" if self.secured else "no security"


def choose(offers: Sequence[Choice], access: Access, *, seen_secured: bool) -> Choice:
    """The best of a server's offers that the author allows. Raises `ValueError` that says what to do instead."""
    fitting = [offer for offer in offers if _fits(offer, access)]
    if fitting and not (access.security == "auto" and seen_secured and not _best(fitting).secured):
        return _best(fitting)
    offered = "; ".join(dict.fromkeys(map(str, offers))) or "nothing that this driver knows"
    if fitting:
        raise ValueError(
            f"the server had security when it was first seen, and offers none now ({offered}): switch it on again on "
            "the server, or write security: none"
        )
    wanted = "security" if access.security == "auto" else access.security
    mode = f" with {access.mode}" if access.mode else ""
    raise ValueError(f"the server does not offer {wanted}{mode}: it offers {offered}")


def _fits(offer: Choice, access: Access) -> bool:
    if not offer.secured:
        return access.security in {"auto", "none"} and access.mode is None and offer.policy == NO_POLICY
    if offer.policy not in _POLICIES or not offer.certificate:
        return False
    name_fits = access.security in {"auto", offer.policy.removeprefix(_URI)}
    return name_fits and access.mode in {None, offer.mode.name}


def _best(offers: Sequence[Choice]) -> Choice:
    ranks = [*_POLICIES, NO_POLICY]
    modes = [*_MODES, ua.MessageSecurityMode.None_]
    return min(offers, key=lambda offer: (modes.index(offer.mode), ranks.index(offer.policy)))


def offers_of(endpoints: Sequence[Any]) -> list[Choice]:
    """What a server offers, of the transport that we speak."""
    return [
        Choice(found.SecurityPolicyUri, found.SecurityMode, single(found.ServerCertificate or b""))
        for found in endpoints
        if str(found.EndpointUrl).startswith("opc.tcp")
    ]


async def secure(client: Client, endpoint: str, choice: Choice, own: OwnCertificate, pins: Pins) -> None:
    """Make a client use a choice. Raises `LinkError` when the server is not who it was."""
    pins.check(endpoint, choice.certificate)
    peer = await uacrypto.load_certificate(choice.certificate)
    host = await uacrypto.load_certificate(own.der)
    key = await uacrypto.load_private_key(own.key, extension="pem")
    client.application_uri = own.application_uri
    client.security_policy = _POLICIES[choice.policy](peer, host, key, choice.mode)
    client.uaclient.set_security(client.security_policy)


async def log_in(client: Client, endpoint: str, access: Access, choice: Choice, pins: Pins) -> None:
    """Activate the session as the user whom the author names. Raises `LinkError` rather than show a password."""
    server = client.security_policy.peer_certificate or b""
    if access.user_certificate is not None and access.user_key is not None:
        try:
            await client.load_client_certificate(str(access.user_certificate), _form(access.user_certificate))
            await client.load_private_key(access.user_key, extension=_form(access.user_key))
        except (OSError, ValueError, TypeError) as error:
            raise LinkError(
                f"{endpoint}: the user's certificate {access.user_certificate} or key {access.user_key} cannot be "
                f"read ({type(error).__name__}): they must be PEM or DER, the key without a password"
            ) from None
        await client.activate_session(certificate=client.user_certificate)
    elif access.user is not None:
        if server:
            pins.check(endpoint, server)
        wanted: Any = client.server_policy(ua.UserTokenType.UserName)
        policy = wanted.SecurityPolicyUri
        if policy in {None, "", NO_POLICY} and choice.mode is not ua.MessageSecurityMode.SignAndEncrypt:
            if access.security != "none":
                raise LinkError(
                    f"{endpoint}: the server takes passwords in clear only, where anybody on the network can read "
                    "them: switch on security on the server, or write security: none"
                )
            _log.warning("%s: the password of %s goes over the network in clear", endpoint, access.user)
        await client.activate_session(access.user, access.password())
    else:
        await client.activate_session()
    if server and (choice.secured or access.user is not None) and pins.keep(endpoint, server):
        _log.warning(
            "%s: the server's certificate is seen for the first time and is trusted from now on: thumbprint %s. "
            "Compare it with what the server shows; kept in %s",
            endpoint,
            thumbprint(server),
            pins.path(endpoint),
        )


def expiry_warnings(own: OwnCertificate | None, choice: Choice, within: datetime.timedelta | None = None) -> list[str]:
    """What to say of certificates that have ended, or will `within` so long, else soon."""
    found = expiry_warning(choice.certificate, "the server's certificate", within=within) if choice.secured else ""
    ours = "" if own is None else expiry_warning(own.der, f"our certificate {own.path}", own.renewal, within)
    return [warning for warning in (found, ours) if warning]


def _form(path: Path) -> str:
    return "pem" if path.read_bytes().lstrip().startswith(b"-----") else "der"
