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
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import uatcp_to_binary

from drivers.contract import LinkError
from drivers.opcua.certificates import Pins, data_folder, own_certificate, thumbprint
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
    value_of,
)

pytestmark = pytest.mark.usefixtures("without_pins")

P = ua.SecurityPolicyType
POLICIES = ["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"]
EVERY_POLICY = [
    P.Basic256Sha256_Sign,
    P.Basic256Sha256_SignAndEncrypt,
    P.Aes128Sha256RsaOaep_Sign,
    P.Aes128Sha256RsaOaep_SignAndEncrypt,
    P.Aes256Sha256RsaPss_Sign,
    P.Aes256Sha256RsaPss_SignAndEncrypt,
]


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


@pytest.mark.parametrize("mode", ["Sign", "SignAndEncrypt"])
@pytest.mark.parametrize("policy", POLICIES)
async def test_every_policy_and_mode(guarded: SkidServer, policy: str, mode: str) -> None:
    assert await value_of(guarded.endpoint, security=policy, security_mode=mode) == 1.5


async def test_auto_takes_the_best_and_pins_the_server(guarded: SkidServer, caplog: pytest.LogCaptureFixture) -> None:
    async with opened(guarded.endpoint, points(skid_node("FT01"))) as driver:
        link: Any = driver._link
        assert link._client.security_policy.URI.endswith("Aes256_Sha256_RsaPss")
        assert link._client.security_policy.Mode == ua.MessageSecurityMode.SignAndEncrypt
    pinned = Pins().known(guarded.endpoint)
    assert pinned is not None
    assert thumbprint(pinned) in caplog.text
    caplog.clear()
    assert await value_of(guarded.endpoint) == 1.5
    assert not caplog.records


async def test_no_security_is_not_offered_and_that_is_told(guarded: SkidServer) -> None:
    with pytest.raises(LinkError, match=r"does not offer none: it offers .*: delete security: none, or allow"):
        await value_of(guarded.endpoint, security="none")


async def test_a_changed_server_certificate_is_refused(guarded: SkidServer) -> None:
    other, _ = make_certificate("Somebody else")
    Pins().keep(guarded.endpoint, other)
    with pytest.raises(LinkError, match="certificate has changed") as refused:
        await value_of(guarded.endpoint)
    assert thumbprint(other) in str(refused.value)
    assert str(Pins().path(guarded.endpoint)) in str(refused.value)
    Pins().path(guarded.endpoint).unlink()
    assert await value_of(guarded.endpoint) == 1.5


async def test_security_is_not_given_up_in_silence(unguarded: SkidServer) -> None:
    certificate, _ = make_certificate("The PLC as it was")
    Pins().keep(unguarded.endpoint, certificate)
    with pytest.raises(LinkError, match="had security when it was first seen"):
        await value_of(unguarded.endpoint)
    assert await value_of(unguarded.endpoint, security="none") == 2.5


async def test_a_server_that_does_not_trust_us_is_told_apart(guarded: SkidServer, trust: Trust) -> None:
    trust.given = False
    try:
        with pytest.raises(LinkError) as refused:
            await value_of(guarded.endpoint)
    finally:
        trust.given = True
    own = own_certificate()
    assert "trust this client's certificate on the server" in str(refused.value)
    assert thumbprint(own.der) in str(refused.value)
    assert str(own.path) in str(refused.value)
    assert Pins().known(guarded.endpoint) is None
    assert await value_of(guarded.endpoint) == 1.5


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


async def test_a_proxy_in_between_is_another_endpoint(guarded: SkidServer) -> None:
    async with Proxy(guarded.port) as proxy:
        assert await value_of(proxy.endpoint) == 1.5
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
    assert await value_of(guarded.endpoint) == 1.5
    with offering(guarded, ua.MessageSecurityMode.Sign):
        with pytest.raises(LinkError, match="offers less security than before") as refused:
            await value_of(guarded.endpoint)
        assert await value_of(guarded.endpoint, security_mode="Sign") == 1.5, "the author asks for it"
        with pytest.raises(LinkError, match="offers less security than before"):
            await value_of(guarded.endpoint)
        kept = str(Pins().path(guarded.endpoint).with_suffix(".json"))
        assert f"delete {kept}" in str(refused.value)
        await asyncio.to_thread(Path(kept).unlink)
        assert await value_of(guarded.endpoint) == 1.5
    assert await value_of(guarded.endpoint) == 1.5, "more than before is welcome"
    with offering(guarded, ua.MessageSecurityMode.Sign), pytest.raises(LinkError, match="less security than before"):
        await value_of(guarded.endpoint)


async def test_better_security_that_was_hidden_at_first_is_told(
    guarded: SkidServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    get = Client.get_endpoints

    async def filtered(self: Client) -> Any:
        return [found for found in await get(self) if found.SecurityMode == ua.MessageSecurityMode.Sign]

    monkeypatch.setattr(Client, "get_endpoints", filtered)  # as it comes to us through somebody in between
    assert await value_of(guarded.endpoint) == 1.5
    assert "offers Aes256_Sha256_RsaPss, SignAndEncrypt, too, but did not say so before the session" in caplog.text
    caplog.clear()
    assert await value_of(guarded.endpoint, security_mode="Sign") == 1.5
    assert "too, but did not say so" not in caplog.text


async def test_the_first_contact_without_security_is_told_once(
    unguarded: SkidServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(unguarded.endpoint, points(skid_node("FT01"))) as driver:
        await driver.open()
    assert caplog.text.count("the server offers no security") == 1
    caplog.clear()
    assert await value_of(unguarded.endpoint, security="none") == 2.5
    assert not [record for record in caplog.records if record.name.startswith("skidlink")]


async def test_what_asyncua_logs_is_for_debugging_only(
    guarded: SkidServer, trust: Trust, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "skidlink")
    trust.given = False
    try:
        with pytest.raises(LinkError):
            await value_of(guarded.endpoint)
    finally:
        trust.given = True
    assert not logging.getLogger("asyncua").propagate  # pytest listens to it all the same
    translated = [record for record in caplog.records if record.name == "skidlink.drivers.opcua.asyncua"]
    assert any("BadCertificateUntrusted" in record.getMessage() for record in translated)
    assert {record.levelno for record in translated} == {logging.DEBUG}
