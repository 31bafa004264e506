"""Users of the OPC UA driver, by password and by certificate, against asyncua's server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asyncua.crypto.permission_rules import User, UserRole
from typer.testing import CliRunner

from drivers.contract import LinkError
from engine.cli.app import app
from tests.system.opcua_server import (
    SKID,
    ServerSecurity,
    SkidServer,
    make_certificate,
    ua,
    value_of,
)

pytestmark = pytest.mark.usefixtures("without_pins")


PHRASE = "s3cret-of-the-lab"


P = ua.SecurityPolicyType
BASIC256SHA256 = "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256"


class Users:
    """Lets in one user by password, and one by certificate."""

    def __init__(self, certificate: bytes) -> None:
        self._certificate = certificate

    def get_user(self, iserver: Any, username: Any = None, password: Any = None, certificate: Any = None) -> Any:
        del iserver
        known = (username, password) == ("operator", PHRASE) or (username is None and certificate == self._certificate)
        return User(role=UserRole.User) if known else None


@pytest.fixture(scope="module")
def user_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The certificate of a user and its key."""
    folder = tmp_path_factory.mktemp("user")
    certificate, key = make_certificate("An operator")
    files = folder / "operator.der", folder / "operator.pem"
    for file, content in zip(files, (certificate, key), strict=True):
        file.write_bytes(content)
    return files


@pytest.fixture(scope="module")
def members_only(user_files: tuple[Path, Path]) -> Iterator[SkidServer]:
    """A server that lets in known users only."""
    certificate, key = make_certificate("A PLC with users")
    tokens = [ua.UserNameIdentityToken, ua.X509IdentityToken]
    users = Users(user_files[0].read_bytes())
    policies = [P.NoSecurity, P.Basic256Sha256_SignAndEncrypt]
    server = SkidServer([SKID], security=ServerSecurity(certificate, key, policies, users, tokens))
    server.add("FT01", 1.5)
    yield server
    server.stop()


@pytest.mark.parametrize("security", ["auto", "none"])
@pytest.mark.parametrize("source", ["password_env", "password_file"])
async def test_users_with_passwords(
    members_only: SkidServer,
    security: str,
    source: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "password"
    file.write_text(f"{PHRASE}\n")
    monkeypatch.setenv("PLC_PASSWORD", PHRASE)
    given = {"password_env": "PLC_PASSWORD", "password_file": file}[source]
    options: dict[str, Any] = {"security": security, "user": "operator", source: given}
    assert await value_of(members_only.endpoint, **options) == 1.5
    file.write_text("wrong-one")
    monkeypatch.setenv("PLC_PASSWORD", "wrong-one")
    with pytest.raises(LinkError, match="give user and its password") as refused:
        await value_of(members_only.endpoint, **options)
    file.unlink()
    monkeypatch.delenv("PLC_PASSWORD")
    with pytest.raises(LinkError, match=r"PLC_PASSWORD is not set|cannot be read"):
        await value_of(members_only.endpoint, **options)
    for told in (caplog.text, str(refused.value)):
        assert PHRASE not in told
        assert "wrong-one" not in told


async def test_users_with_certificates(members_only: SkidServer, user_files: tuple[Path, Path]) -> None:
    certificate, key = user_files
    assert await value_of(members_only.endpoint, user_certificate=certificate, user_key=key) == 1.5
    with pytest.raises(LinkError, match="cannot be read"):
        await value_of(members_only.endpoint, user_certificate=key, user_key=key)
    with pytest.raises(LinkError, match="give user and its password"):
        await value_of(members_only.endpoint)


async def test_a_password_is_not_sent_in_clear_unasked(
    unguarded: SkidServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PLC_PASSWORD", PHRASE)
    options: dict[str, Any] = {"user": "operator", "password_env": "PLC_PASSWORD"}
    with pytest.raises(LinkError, match="takes passwords in clear only"):
        await value_of(unguarded.endpoint, **options)
    assert await value_of(unguarded.endpoint, security="none", **options) == 2.5
    assert "goes over the network in clear" in caplog.text


async def test_browsing_as_a_user_with_a_certificate(members_only: SkidServer, user_files: tuple[Path, Path]) -> None:
    arguments = ["opcua", "browse", members_only.endpoint, "--find", "FT01"]
    as_user = ["--user-certificate", str(user_files[0]), "--user-key", str(user_files[1])]
    shown = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, *as_user])
    assert shown.exit_code == 0, shown.output
    assert "1.5" in shown.stdout
    refused = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert refused.exit_code == 1
    assert "give user and its password" in refused.stderr


async def test_a_password_without_a_certificate_to_encrypt_it_is_not_sent(
    unguarded: SkidServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLC_PASSWORD", PHRASE)
    iserver: Any = unguarded.server.iserver
    get = iserver.get_endpoints

    async def bare(*arguments: Any, **options: Any) -> Any:
        found = await get(*arguments, **options)
        for endpoint in found:
            endpoint.ServerCertificate = None
            endpoint.UserIdentityTokens = [
                ua.UserTokenPolicy("user", ua.UserTokenType.UserName, SecurityPolicyUri=BASIC256SHA256)
            ]
        return found

    monkeypatch.setattr(iserver, "get_endpoints", bare)
    options: dict[str, Any] = {"user": "operator", "password_env": "PLC_PASSWORD"}
    for security in ("auto", "none"):
        with pytest.raises(
            LinkError, match="has no certificate to encrypt it with, so the password is not sent"
        ) as told:
            await value_of(unguarded.endpoint, security=security, **options)
        assert PHRASE not in str(told.value)
        assert "Error" not in str(told.value)
    with pytest.raises(LinkError, match="does not take sessions without a user, it takes user names: give user"):
        await value_of(unguarded.endpoint)


async def test_a_policy_that_is_not_offered_is_told(members_only: SkidServer) -> None:
    with pytest.raises(LinkError, match=r"does not offer Aes256_Sha256_RsaPss: it offers .*Basic256Sha256, SignAndEnc"):
        await value_of(members_only.endpoint, security="Aes256_Sha256_RsaPss")
