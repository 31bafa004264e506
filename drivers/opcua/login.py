"""Who we are to a server: the user whom the author names, in the form that the server takes.

Rule of this file: a secret is read when it is used, is kept nowhere, and stands in no message.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.client.client import Client
from asyncua.crypto import security_policies
from cryptography import x509

from drivers.contract import LinkError
from drivers.opcua.certificates import Pins, hosts_remark, thumbprint
from drivers.opcua.security import NO_POLICY, POLICIES, Access, Choice, policy_name

_log = logging.getLogger("skidlink.drivers.opcua")

_OLD = (security_policies.SecurityPolicyBasic256.URI, security_policies.SecurityPolicyBasic128Rsa15.URI)
"""Withdrawn by OPC 10000-7, but better for a password than none."""
_TAKEN = {
    ua.UserTokenType.Anonymous: "sessions without a user",
    ua.UserTokenType.UserName: "user names",
    ua.UserTokenType.Certificate: "user certificates",
    ua.UserTokenType.IssuedToken: "issued tokens",
}


async def log_in(client: Client, endpoint: str, access: Access, choice: Choice, pins: Pins) -> None:
    """Activate the session as the user whom the author names. Raises `LinkError` rather than show a password."""
    server = client.security_policy.peer_certificate or b""
    if access.user_certificate is not None and access.user_key is not None:
        _take_token(client, endpoint, ua.UserTokenType.Certificate, choice)
        await _load_user(client, endpoint, access.user_certificate, access.user_key)
        await client.activate_session(certificate=client.user_certificate)
    elif access.user is not None:
        policy = _take_token(client, endpoint, ua.UserTokenType.UserName, choice)
        server = server or choice.spare_certificate
        if policy == NO_POLICY:
            _look_at_clear_password(endpoint, access, choice)
        else:
            _look_at_certificate(endpoint, server, policy)
            client.security_policy.peer_certificate = server
        if server:
            pins.check(endpoint, server)
        await client.activate_session(access.user, access.password())
    else:
        _take_token(client, endpoint, ua.UserTokenType.Anonymous, choice)
        await client.activate_session()
    if server and (choice.secured or access.user is not None) and pins.keep(endpoint, server):
        _log.warning(
            "%s: the server's certificate is seen for the first time and is trusted from now on: thumbprint %s. "
            "Compare it with what the server shows; kept in %s%s",
            endpoint,
            thumbprint(server),
            pins.path(endpoint),
            hosts_remark(server, endpoint),
        )


def _take_token(client: Client, endpoint: str, kind: Any, choice: Choice) -> str:
    """Make a client log in by the best policy that the server has for a kind of user; return what secures the secret.

    Raises `LinkError` where the server takes no such users.
    """
    offered: Sequence[Any] = client._policy_ids or choice.tokens  # pyright: ignore[reportPrivateUsage]
    try:
        token = choose_token(offered, kind, choice)
    except ValueError as error:
        raise LinkError(f"{endpoint}: {error}") from None
    if token is None:
        return choice.policy
    client._policy_ids = [token]  # pyright: ignore[reportPrivateUsage]  # it would take the first of the kind
    return token.SecurityPolicyUri


def choose_token(offered: Sequence[Any], kind: Any, choice: Choice) -> Any:
    """The best of the user token policies of a kind, its security policy written out; None where there are none at all.

    Raises `ValueError` where none fits, with what the server takes. OPC 10000-4 7.42.
    """
    if not offered:
        return None
    fitting = [
        dataclasses.replace(token, SecurityPolicyUri=token.SecurityPolicyUri or choice.policy)
        for token in offered
        if token.TokenType == kind
    ]
    if not fitting:
        taken = ", ".join(dict.fromkeys(_TAKEN.get(token.TokenType, "others") for token in offered))
        raise ValueError(f"the server does not take {_TAKEN[kind]}, it takes {taken}: {_advice(kind)}")
    if kind == ua.UserTokenType.Anonymous:
        return fitting[0]
    ranks = [*POLICIES, *_OLD]
    ranks.insert(0 if choice.mode is ua.MessageSecurityMode.SignAndEncrypt else len(ranks), NO_POLICY)
    known = [token for token in fitting if token.SecurityPolicyUri in ranks]
    if not known:
        wanted = ", ".join(policy_name(token.SecurityPolicyUri) for token in fitting)
        raise ValueError(
            f"the server wants what its users log in by secured by {wanted}, which is not supported: allow "
            "Basic256Sha256 for users on the server"
        )
    return min(known, key=lambda token: ranks.index(token.SecurityPolicyUri))


def _advice(kind: Any) -> str:
    if kind == ua.UserTokenType.Anonymous:
        return "give user and its password, or user_certificate and user_key"
    return "allow such users on the server, or log in as it asks"


def _look_at_clear_password(endpoint: str, access: Access, choice: Choice) -> None:
    """Raises `LinkError` where a password would be read by others and the author has not said that it may."""
    if choice.mode is ua.MessageSecurityMode.SignAndEncrypt:
        return
    if access.security != "none":
        raise LinkError(
            f"{endpoint}: the server takes passwords in clear only, where anybody on the network can read them: switch "
            "on security on the server, or write security: none"
        )
    _log.warning("%s: the password of %s goes over the network in clear", endpoint, access.user)


def _look_at_certificate(endpoint: str, server: bytes, policy: str) -> None:
    """Raises `LinkError` where there is nothing to encrypt a password with."""
    if not server:
        raise LinkError(
            f"{endpoint}: the server wants the password encrypted ({policy_name(policy)}), but has no certificate to "
            "encrypt it with, so the password is not sent: make or install a certificate for the OPC UA server in its "
            "settings (often called server or application certificate) and restart it, or allow sessions without a "
            "user there and delete user"
        )
    try:
        x509.load_der_x509_certificate(server).public_key()
    except ValueError:
        raise LinkError(
            f"{endpoint}: the server's certificate is not a valid X.509 certificate, so the password cannot be "
            "encrypted and is not sent: have the server make a new certificate"
        ) from None


async def _load_user(client: Client, endpoint: str, certificate: Path, key: Path) -> None:
    try:
        await client.load_client_certificate(str(certificate), _form(certificate))
        await client.load_private_key(key, extension=_form(key))
    except (OSError, ValueError, TypeError) as error:
        _log.debug("%s: the certificate of the user", endpoint, exc_info=error)
        raise LinkError(
            f"{endpoint}: the user's certificate {certificate} or key {key} cannot be read: they must be PEM or DER, "
            "the key without a password"
        ) from None


def _form(path: Path) -> str:
    return "pem" if path.read_bytes().lstrip().startswith(b"-----") else "der"
