"""How the way to a server is secured: policy and mode, chosen anew at each connect.

Rules of this file:

* A secret is read when it is used, is kept nowhere, and stands in no message.
* A server that was seen with security is never talked to with less, unless the author asks for it.
"""

from __future__ import annotations

import datetime
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
)
from drivers.opcua.levels import Level
from drivers.opcua.reach import nearness

SecurityName = Literal["auto", "none", "Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"]
ModeName = Literal["Sign", "SignAndEncrypt"]

_URI = "http://opcfoundation.org/UA/SecurityPolicy#"
NO_POLICY = f"{_URI}None"
POLICIES: dict[str, Any] = {
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
    keep_host: bool = False

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
            why = "it is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else error.strerror
            raise LinkError(f"password_file {self.password_file} cannot be read: {why}") from None
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
    url: str = ""
    """Where its sessions are held; "" where the server has not said."""
    tokens: tuple[Any, ...] = ()
    """The user token policies."""
    application: str = ""
    """The URI of the server's application."""
    spare_certificate: bytes = b""
    """The server's, from another of its offers, where this one has none."""

    @property
    def secured(self) -> bool:
        return self.mode in _MODES

    def __str__(self) -> str:
        return f"{policy_name(self.policy)}, {self.mode.name}" if self.secured else "no security"

    @property
    def level(self) -> Level:
        """What a server with this choice must offer ever after."""
        return Level(self.policy, self.mode.name)


def policy_name(uri: str) -> str:
    """The short name of a security policy, as people know it."""
    return uri.removeprefix(_URI)


def choose(
    offers: Sequence[Choice], access: Access, *, seen_secured: bool, before: Level | None = None, kept: str = ""
) -> Choice:
    """The best of a server's offers that the author allows, and no less than it had `before`.

    `kept` is the file that remembers that. Raises `ValueError` that says what to do instead.
    """
    fitting = [offer for offer in offers if _fits(offer, access)]
    if fitting and not (access.security == "auto" and seen_secured and not best_of(fitting).secured):
        best = best_of(fitting)
        if best.secured and before is not None and is_less(best, before, access):
            raise ValueError(
                f"the server offers less security than before, so nothing is sent to it: it was "
                f"{policy_name(before.policy)}, {before.mode}, and the best is now {best}. Somebody in between may "
                f"hide the better one. Switch it on again on the server; if the server was changed on purpose, delete "
                f"{kept}"
            )
        return best
    offered = "; ".join(dict.fromkeys(map(str, offers))) or "nothing that this driver knows"
    if fitting:
        raise ValueError(
            f"the server had security when it was first seen, and offers none now ({offered}): switch it on again on "
            "the server, or write security: none"
        )
    wanted = "security" if access.security == "auto" else access.security
    mode = f" with {access.mode}" if access.mode else ""
    raise ValueError(f"the server does not offer {wanted}{mode}: it offers {offered}{_way_out(offers, access)}")


def _way_out(offers: Sequence[Choice], access: Access) -> str:
    """What to do where nothing of what a server offers will do."""
    if not offers:
        return ""
    if access.security == "none":
        usable = any(offer.policy in POLICIES and offer.certificate for offer in offers)
        way = "delete security: none" if usable else "switch on Basic256Sha256 on the server and delete security: none"
        return f": {way}, or allow sessions without security on the server"
    if any(offer.secured and offer.policy in POLICIES and not offer.certificate for offer in offers):
        return ", but has no certificate: make or install one for the OPC UA server in its settings, and restart it"
    if any(offer.policy in POLICIES for offer in offers):
        return ": write one of these, or switch on on the server what you want"
    old = any(offer.secured for offer in offers)
    why = ", which is no longer safe and is not supported" if old else ""
    none = any(offer.policy == NO_POLICY for offer in offers)
    return f"{why}: switch on Basic256Sha256 on the server (a newer firmware may have it)" + (
        ", or write security: none" if none else ""
    )


def is_less(choice: Choice, before: Level, access: Access) -> bool:
    """Whether a choice is less secure than one before, in what the author has left open."""
    modes, ranks = [mode.name for mode in _MODES], list(POLICIES)
    if before.mode not in modes or before.policy not in ranks:
        return False
    here, there = modes.index(choice.mode.name), modes.index(before.mode)
    if here != there:
        return here > there and access.mode is None
    return access.security == "auto" and ranks.index(choice.policy) > ranks.index(before.policy)


def _fits(offer: Choice, access: Access) -> bool:
    if not offer.secured:
        return access.security in {"auto", "none"} and access.mode is None and offer.policy == NO_POLICY
    if offer.policy not in POLICIES or not offer.certificate:
        return False
    name_fits = access.security in {"auto", offer.policy.removeprefix(_URI)}
    return name_fits and access.mode in {None, offer.mode.name}


def best_of(offers: Sequence[Choice]) -> Choice:
    """The most secure of some offers, all of them with policies that are known."""
    ranks = [*POLICIES, NO_POLICY]
    modes = [*_MODES, ua.MessageSecurityMode.None_]
    return min(offers, key=lambda offer: (modes.index(offer.mode), ranks.index(offer.policy)))


def offers_of(endpoints: Sequence[Any], typed: str) -> list[Choice]:
    """What a server offers, of the transport that we speak; first what is nearest to the URL that the author typed."""
    spoken = [found for found in endpoints if str(found.EndpointUrl).startswith("opc.tcp")]
    spoken.sort(key=lambda found: nearness(typed, str(found.EndpointUrl)))
    spare = next((single(found.ServerCertificate) for found in spoken if found.ServerCertificate), b"")
    return [
        Choice(
            found.SecurityPolicyUri or NO_POLICY,
            found.SecurityMode,
            single(found.ServerCertificate or b""),
            str(found.EndpointUrl),
            tuple(found.UserIdentityTokens or ()),
            str(found.Server.ApplicationUri or ""),
            spare,
        )
        for found in spoken
    ]


async def secure(client: Client, endpoint: str, choice: Choice, own: OwnCertificate, pins: Pins) -> None:
    """Make a client use a choice. Raises `LinkError` when the server is not who it was."""
    pins.check(endpoint, choice.certificate)
    try:
        peer = await uacrypto.load_certificate(choice.certificate)
    except ValueError:
        raise LinkError(
            f"{endpoint}: the server's certificate is not a valid X.509 certificate: have the server make a new one, "
            "or write security: none if it allows that"
        ) from None
    host = await uacrypto.load_certificate(own.der)
    key = await uacrypto.load_private_key(own.key, extension="pem")
    client.application_uri = own.application_uri
    client.security_policy = POLICIES[choice.policy](peer, host, key, choice.mode)
    client.uaclient.set_security(client.security_policy)


def expiry_warnings(own: OwnCertificate | None, choice: Choice, within: datetime.timedelta | None = None) -> list[str]:
    """What to say of certificates that have ended, or will `within` so long, else soon."""
    found = expiry_warning(choice.certificate, "the server's certificate", within=within) if choice.secured else ""
    ours = "" if own is None else expiry_warning(own.der, f"our certificate {own.path}", own.renewal, within)
    return [warning for warning in (found, ours) if warning]
