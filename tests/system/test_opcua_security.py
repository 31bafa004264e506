"""Security and users of the OPC UA driver, against asyncua's server: every policy, pins, passwords, certificates."""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from asyncua.client.client import Client
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import uatcp_to_binary
from typer.testing import CliRunner

from drivers.contract import LinkError
from drivers.opcua.certificates import Pins, data_folder, own_certificate, thumbprint
from engine.cli.app import app
from tests.system.opcua_server import (
    LONG_S,
    SKID,
    Proxy,
    ServerSecurity,
    SkidServer,
    make_certificate,
    opened,
    points,
    skid_node,
    ua,
)

P = ua.SecurityPolicyType
BASIC256SHA256 = "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256"
PHRASE = "s3cret-of-the-lab"
POLICIES = ["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"]
EVERY_POLICY = [
    P.Basic256Sha256_Sign,
    P.Basic256Sha256_SignAndEncrypt,
    P.Aes128Sha256RsaOaep_Sign,
    P.Aes128Sha256RsaOaep_SignAndEncrypt,
    P.Aes256Sha256RsaPss_Sign,
    P.Aes256Sha256RsaPss_SignAndEncrypt,
]


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
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a client certificate, so that not every test makes a key."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SKIDLINK_DATA", str(folder))
        assert own_certificate().new
        assert not own_certificate().new
    return folder


@pytest.fixture(autouse=True)
def data(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That folder, without pins."""
    monkeypatch.setenv("SKIDLINK_DATA", str(own_folder))
    yield own_folder
    for pin in (data_folder() / "servers").glob("*"):
        pin.unlink()


class Trust:
    """Whether a server trusts its clients' certificates."""

    given = True

    async def __call__(self, certificate: Any, description: Any) -> None:
        if not self.given:
            raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)


@pytest.fixture(scope="module")
def trust() -> Trust:
    return Trust()


@pytest.fixture(scope="module")
def guarded(trust: Trust) -> Iterator[SkidServer]:
    """A server with every policy but none."""
    certificate, key = make_certificate("A PLC")
    server = SkidServer([SKID], security=ServerSecurity(certificate, key, EVERY_POLICY, validator=trust))
    server.add("FT01", 1.5)
    yield server
    server.stop()


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


@pytest.fixture(scope="module")
def unguarded() -> Iterator[SkidServer]:
    """A server without any security."""
    server = SkidServer([SKID])
    server.add("FT01", 2.5)
    yield server
    server.stop()


async def value(endpoint: str, **options: Any) -> Any:
    """Read one node twice, so that the second answer goes through a layout that is known."""
    async with opened(endpoint, points(skid_node("FT01")), **options) as driver:
        await driver.read(0)
        await driver.read(0)
        return driver.image.value(0)


@pytest.mark.parametrize("mode", ["Sign", "SignAndEncrypt"])
@pytest.mark.parametrize("policy", POLICIES)
async def test_every_policy_and_mode(guarded: SkidServer, policy: str, mode: str) -> None:
    assert await value(guarded.endpoint, security=policy, security_mode=mode) == 1.5


async def test_auto_takes_the_best_and_pins_the_server(guarded: SkidServer, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(guarded.endpoint, points(skid_node("FT01"))) as driver:
        link: Any = driver._link
        assert link._client.security_policy.URI.endswith("Aes256_Sha256_RsaPss")
        assert link._client.security_policy.Mode == ua.MessageSecurityMode.SignAndEncrypt
    pinned = Pins().known(guarded.endpoint)
    assert pinned is not None
    assert thumbprint(pinned) in caplog.text
    caplog.clear()
    assert await value(guarded.endpoint) == 1.5
    assert not caplog.records


async def test_what_is_not_offered_is_told(guarded: SkidServer, members_only: SkidServer) -> None:
    with pytest.raises(LinkError, match=r"does not offer Aes256_Sha256_RsaPss: it offers .*Basic256Sha256, SignAndEnc"):
        await value(members_only.endpoint, security="Aes256_Sha256_RsaPss")
    with pytest.raises(LinkError, match=r"does not offer none: it offers .*: delete security: none, or allow"):
        await value(guarded.endpoint, security="none")


async def test_a_changed_server_certificate_is_refused(guarded: SkidServer) -> None:
    other, _ = make_certificate("Somebody else")
    Pins().keep(guarded.endpoint, other)
    with pytest.raises(LinkError, match="certificate has changed") as refused:
        await value(guarded.endpoint)
    assert thumbprint(other) in str(refused.value)
    assert str(Pins().path(guarded.endpoint)) in str(refused.value)
    Pins().path(guarded.endpoint).unlink()
    assert await value(guarded.endpoint) == 1.5


async def test_security_is_not_given_up_in_silence(unguarded: SkidServer) -> None:
    certificate, _ = make_certificate("The PLC as it was")
    Pins().keep(unguarded.endpoint, certificate)
    with pytest.raises(LinkError, match="had security when it was first seen"):
        await value(unguarded.endpoint)
    assert await value(unguarded.endpoint, security="none") == 2.5


async def test_a_server_that_does_not_trust_us_is_told_apart(guarded: SkidServer, trust: Trust) -> None:
    trust.given = False
    try:
        with pytest.raises(LinkError) as refused:
            await value(guarded.endpoint)
    finally:
        trust.given = True
    own = own_certificate()
    assert "trust this client's certificate on the server" in str(refused.value)
    assert thumbprint(own.der) in str(refused.value)
    assert str(own.path) in str(refused.value)
    assert Pins().known(guarded.endpoint) is None
    assert await value(guarded.endpoint) == 1.5


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
    assert await value(members_only.endpoint, **options) == 1.5
    file.write_text("wrong-one")
    monkeypatch.setenv("PLC_PASSWORD", "wrong-one")
    with pytest.raises(LinkError, match="give user and its password") as refused:
        await value(members_only.endpoint, **options)
    file.unlink()
    monkeypatch.delenv("PLC_PASSWORD")
    with pytest.raises(LinkError, match=r"PLC_PASSWORD is not set|cannot be read"):
        await value(members_only.endpoint, **options)
    for told in (caplog.text, str(refused.value)):
        assert PHRASE not in told
        assert "wrong-one" not in told


async def test_users_with_certificates(members_only: SkidServer, user_files: tuple[Path, Path]) -> None:
    certificate, key = user_files
    assert await value(members_only.endpoint, user_certificate=certificate, user_key=key) == 1.5
    with pytest.raises(LinkError, match="cannot be read"):
        await value(members_only.endpoint, user_certificate=key, user_key=key)
    with pytest.raises(LinkError, match="give user and its password"):
        await value(members_only.endpoint)


async def test_a_password_is_not_sent_in_clear_unasked(
    unguarded: SkidServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PLC_PASSWORD", PHRASE)
    options: dict[str, Any] = {"user": "operator", "password_env": "PLC_PASSWORD"}
    with pytest.raises(LinkError, match="takes passwords in clear only"):
        await value(unguarded.endpoint, **options)
    assert await value(unguarded.endpoint, security="none", **options) == 2.5
    assert "goes over the network in clear" in caplog.text


async def test_a_secured_session_survives_the_renewal_of_its_keys(
    guarded: SkidServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.opcua.session.CHANNEL_LIFETIME_S", LONG_S)
    monkeypatch.setattr("drivers.opcua.session._RENEW_AFTER", 0.002)
    async with opened(guarded.endpoint, points(skid_node("FT01"))) as driver:
        link: Any = driver._link
        connection = link._client.uaclient.protocol._connection
        first = connection.security_token.TokenId
        async with asyncio.timeout(60):
            while connection.security_token.TokenId < first + 2:
                await driver.read(0)
        assert driver.image.value(0) == 1.5


async def test_a_certificate_that_nears_its_end_in_mid_session_is_told(
    guarded: SkidServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("drivers.opcua.session._PROBES_PER_SESSION_TIMEOUT", 600)
    async with opened(guarded.endpoint, points(skid_node("FT01"))) as driver:
        assert "ends on" not in caplog.text
        monkeypatch.setattr("drivers.opcua.certificates.WARN_BEFORE", datetime.timedelta(days=100))
        async with asyncio.timeout(60):
            while "the server's certificate ends on" not in caplog.text:
                await asyncio.sleep(0.02)
        await driver.read(0)
        assert driver.image.value(0) == 1.5  # the session goes on: it is the server that decides
    assert caplog.text.count("the server's certificate ends on") == 1


async def test_a_server_that_refuses_new_keys_breaks_the_link_and_is_told(
    guarded: SkidServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.opcua.session.CHANNEL_LIFETIME_S", LONG_S)
    monkeypatch.setattr("drivers.opcua.session._RENEW_AFTER", 0.002)
    monkeypatch.setattr("drivers.opcua.certificates.WARN_BEFORE", datetime.timedelta(0))
    begin = UaProcessor.open_secure_channel

    def refuse_renewal(self: Any, header: Any, sequence: Any, body: Any) -> None:
        if not self._connection.is_open():
            begin(self, header, sequence, body)
            return
        status = ua.StatusCode(ua.UInt32(ua.StatusCodes.BadCertificateTimeInvalid))
        error = ua.ErrorMessage(status, "the certificate has ended")
        self._transport.write(uatcp_to_binary(ua.MessageType.Error, error))

    monkeypatch.setattr(UaProcessor, "open_secure_channel", refuse_renewal)
    async with opened(guarded.endpoint, points(skid_node("FT01"))) as driver:
        link: Any = driver._link
        async with asyncio.timeout(60):
            await asyncio.wait([link._upkeep])
        with pytest.raises(LinkError, match="renewing the keys of the session"):
            await driver.read(0)


async def test_a_client_certificate_of_the_site_is_used(
    guarded: SkidServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKIDLINK_DATA", str(tmp_path / "data"))
    files = tmp_path / "client.der", tmp_path / "client.pem"
    for file, content in zip(files, make_certificate("A client of the site"), strict=True):
        file.write_bytes(content)
    options: dict[str, Any] = {"certificate": files[0], "private_key": files[1]}
    async with opened(guarded.endpoint, points(skid_node("FT01")), **options) as driver:
        link: Any = driver._link
        assert link._client.security_policy.host_certificate == files[0].read_bytes()
        await driver.read(0)
        assert driver.image.value(0) == 1.5
    assert not (data_folder() / "own").exists()


async def test_browsing_as_a_user_with_a_certificate(members_only: SkidServer, user_files: tuple[Path, Path]) -> None:
    arguments = ["opcua", "browse", members_only.endpoint, "--find", "FT01"]
    as_user = ["--user-certificate", str(user_files[0]), "--user-key", str(user_files[1])]
    shown = await asyncio.to_thread(CliRunner().invoke, app, [*arguments, *as_user])
    assert shown.exit_code == 0, shown.output
    assert "1.5" in shown.stdout
    refused = await asyncio.to_thread(CliRunner().invoke, app, arguments)
    assert refused.exit_code == 1
    assert "give user and its password" in refused.stderr


async def test_a_proxy_in_between_is_another_endpoint(guarded: SkidServer) -> None:
    async with Proxy(guarded.port) as proxy:
        assert await value(proxy.endpoint) == 1.5
        assert Pins().known(proxy.endpoint) is not None
        assert Pins().known(guarded.endpoint) is None


def offering(server: SkidServer, *kept: Any) -> AbstractContextManager[None]:
    """Hide all endpoints of a server but those of some modes, as somebody in between can."""
    iserver: Any = server.server.iserver
    get = iserver.get_endpoints

    async def filtered(*arguments: Any, **options: Any) -> Any:
        return [found for found in await get(*arguments, **options) if found.SecurityMode in kept]

    @contextmanager
    def patched() -> Generator[None]:
        iserver.get_endpoints = filtered
        try:
            yield
        finally:
            del iserver.get_endpoints

    return patched()


async def test_a_server_is_not_talked_to_with_less_security_than_before(guarded: SkidServer) -> None:
    assert await value(guarded.endpoint) == 1.5
    with offering(guarded, ua.MessageSecurityMode.Sign):
        with pytest.raises(LinkError, match="offers less security than before") as refused:
            await value(guarded.endpoint)
        assert await value(guarded.endpoint, security_mode="Sign") == 1.5, "the author asks for it"
        with pytest.raises(LinkError, match="offers less security than before"):
            await value(guarded.endpoint)
        kept = str(Pins().path(guarded.endpoint).with_suffix(".json"))
        assert f"delete {kept}" in str(refused.value)
        await asyncio.to_thread(Path(kept).unlink)
        assert await value(guarded.endpoint) == 1.5
    assert await value(guarded.endpoint) == 1.5, "more than before is welcome"
    with offering(guarded, ua.MessageSecurityMode.Sign), pytest.raises(LinkError, match="less security than before"):
        await value(guarded.endpoint)


async def test_better_security_that_was_hidden_at_first_is_told(
    guarded: SkidServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    get = Client.get_endpoints

    async def filtered(self: Client) -> Any:
        return [found for found in await get(self) if found.SecurityMode == ua.MessageSecurityMode.Sign]

    monkeypatch.setattr(Client, "get_endpoints", filtered)  # as it comes to us through somebody in between
    assert await value(guarded.endpoint) == 1.5
    assert "offers Aes256_Sha256_RsaPss, SignAndEncrypt, too, but did not say so before the session" in caplog.text
    caplog.clear()
    assert await value(guarded.endpoint, security_mode="Sign") == 1.5
    assert "too, but did not say so" not in caplog.text


async def test_the_first_contact_without_security_is_told_once(
    unguarded: SkidServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(unguarded.endpoint, points(skid_node("FT01"))) as driver:
        await driver.open()
    assert caplog.text.count("the server offers no security") == 1
    caplog.clear()
    assert await value(unguarded.endpoint, security="none") == 2.5
    assert not [record for record in caplog.records if record.name.startswith("skidlink")]


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
            await value(unguarded.endpoint, security=security, **options)
        assert PHRASE not in str(told.value)
        assert "Error" not in str(told.value)
    with pytest.raises(LinkError, match="does not take sessions without a user, it takes user names: give user"):
        await value(unguarded.endpoint)


async def test_what_asyncua_logs_is_for_debugging_only(
    guarded: SkidServer, trust: Trust, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "skidlink")
    trust.given = False
    try:
        with pytest.raises(LinkError):
            await value(guarded.endpoint)
    finally:
        trust.given = True
    assert not logging.getLogger("asyncua").propagate  # pytest listens to it all the same
    translated = [record for record in caplog.records if record.name == "skidlink.drivers.opcua.asyncua"]
    assert any("BadCertificateUntrusted" in record.getMessage() for record in translated)
    assert {record.levelno for record in translated} == {logging.DEBUG}
