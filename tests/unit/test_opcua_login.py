"""How a user logs in, chosen from what the server takes; and the security that a server had; no server."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import asyncua.ua
import pytest

from drivers.opcua.certificates import Pins
from drivers.opcua.levels import Level, Levels
from drivers.opcua.login import choose_token
from drivers.opcua.security import Access, Choice, choose, offers_of

ua: Any = asyncua.ua
KINDS, MODES = ua.UserTokenType, ua.MessageSecurityMode
URI = "http://opcfoundation.org/UA/SecurityPolicy#"
ENDPOINT = "opc.tcp://plc:4840"
NONE = Choice(f"{URI}None", MODES.None_, b"")
BEST = Choice(f"{URI}Aes256_Sha256_RsaPss", MODES.SignAndEncrypt, b"c")
BASIC = Choice(f"{URI}Basic256Sha256", MODES.SignAndEncrypt, b"c")
SIGN = Choice(f"{URI}Aes256_Sha256_RsaPss", MODES.Sign, b"c")
OLD = Choice(f"{URI}Basic128Rsa15", MODES.SignAndEncrypt, b"c")


def token(kind: Any, policy: str | None = None, name: str = "x") -> Any:
    uri = f"{URI}{policy}" if policy else None
    return ua.UserTokenPolicy(PolicyId=name, TokenType=kind, SecurityPolicyUri=uri)


@pytest.mark.parametrize(
    ("choice", "policies", "expected"),
    [
        (NONE, ["None", "Basic256Sha256"], "Basic256Sha256"),
        (NONE, ["None", "Basic256"], "Basic256"),
        (NONE, [None], "None"),
        (NONE, ["Odd", "Basic256Sha256"], "Basic256Sha256"),
        (BEST, [None], "Aes256_Sha256_RsaPss"),
        (BEST, ["Basic256", "None"], "None"),
        (SIGN, ["None", "Basic256"], "Basic256"),
    ],
)
def test_the_best_way_for_a_password(choice: Choice, policies: list[str | None], expected: str) -> None:
    offered = [token(KINDS.Anonymous), *(token(KINDS.UserName, policy) for policy in policies)]
    assert choose_token(offered, KINDS.UserName, choice).SecurityPolicyUri == f"{URI}{expected}"


def test_a_server_that_says_nothing_of_users_is_asked_as_it_is() -> None:
    assert choose_token([], KINDS.UserName, NONE) is None


@pytest.mark.parametrize(
    ("kind", "offered", "why"),
    [
        (
            KINDS.Anonymous,
            [token(KINDS.UserName), token(KINDS.Certificate)],
            "takes user names, user certificates: give",
        ),
        (KINDS.UserName, [token(KINDS.Anonymous)], "does not take user names, it takes sessions without a user"),
        (KINDS.Certificate, [token(KINDS.UserName)], "does not take user certificates"),
        (KINDS.UserName, [token(KINDS.UserName, "ECC_nistP256")], "secured by ECC_nistP256, which is not supported"),
    ],
)
def test_users_whom_a_server_does_not_take(kind: Any, offered: list[Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        choose_token(offered, kind, NONE)


@pytest.mark.parametrize(
    ("offers", "access", "why"),
    [
        (
            [OLD],
            Access(),
            "offers Basic128Rsa15, SignAndEncrypt, which is no longer safe.*on Basic256Sha256 on the server",
        ),
        ([OLD, NONE], Access("Basic256Sha256"), "or write security: none"),
        ([Choice(BASIC.policy, BASIC.mode, b"")], Access(), "but has no certificate: make or install one"),
        ([BASIC], Access("none"), "delete security: none, or allow sessions without security"),
        ([BASIC], Access("Aes128_Sha256_RsaOaep"), "write one of these"),
    ],
)
def test_a_server_that_offers_nothing_that_will_do(offers: list[Choice], access: Access, why: str) -> None:
    with pytest.raises(ValueError, match=why) as refused:
        choose(offers, access, seen_secured=False)
    assert "Error" not in str(refused.value)


@pytest.mark.parametrize(
    ("offers", "access"),
    [([SIGN, NONE], Access()), ([BASIC], Access()), ([SIGN], Access("Aes256_Sha256_RsaPss"))],
)
def test_less_security_than_before_is_refused(offers: list[Choice], access: Access) -> None:
    with pytest.raises(
        ValueError, match=r"less security than before.*it was Aes256_Sha256_RsaPss, SignAndEnc.*delete /k"
    ):
        choose(offers, access, seen_secured=True, before=BEST.level, kept="/kept.json")


@pytest.mark.parametrize(
    ("access", "offer"),
    [(Access("auto", "Sign"), SIGN), (Access("Basic256Sha256"), BASIC), (Access(), BEST), (Access("none"), NONE)],
)
def test_what_the_author_asks_for_is_no_loss(access: Access, offer: Choice) -> None:
    assert choose([offer], access, seen_secured=True, before=BEST.level) is offer


def test_more_security_than_before_is_welcome() -> None:
    assert choose([BEST, SIGN], Access(), seen_secured=True, before=SIGN.level) is BEST


def test_a_level_belongs_to_the_certificate_that_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("SKIDLINK_DATA", str(tmp_path))
    pins = Pins()
    levels = Levels(pins)
    assert levels.known(ENDPOINT) is None
    pins.keep(ENDPOINT, b"first")
    levels.keep(ENDPOINT, BEST.level, b"first")
    assert levels.known(ENDPOINT) == Level(BEST.policy, "SignAndEncrypt")
    assert levels.known("opc.tcp://other:4840") is None

    pins.path(ENDPOINT).unlink()
    pins.keep(ENDPOINT, b"renewed")
    assert levels.known(ENDPOINT) is None, "who trusts a new certificate begins anew"

    levels.keep(ENDPOINT, SIGN.level, b"renewed")
    levels.path(ENDPOINT).write_bytes(b"\0\0")
    assert levels.known(ENDPOINT) is None
    assert str(levels.path(ENDPOINT)) in caplog.text


def test_the_nearest_of_equal_offers_comes_first_and_a_certificate_serves_them_all() -> None:
    def endpoint(url: str, policy: str, certificate: bytes | None) -> Any:
        server = SimpleNamespace(ApplicationUri="urn:plc")
        return ua.EndpointDescription(
            EndpointUrl=url,
            SecurityPolicyUri=f"{URI}{policy}",
            SecurityMode=MODES.None_,
            ServerCertificate=certificate,
            Server=server,
            UserIdentityTokens=[token(KINDS.Anonymous)],
        )

    far, near = "opc.tcp://10.0.0.1:4840", "opc.tcp://plc:4840/x"
    offers = offers_of(
        [
            endpoint("https://plc:443", "None", None),
            endpoint(far, "None", b"\x30\x82\x00\x01c"),
            endpoint(near, "None", None),
        ],
        ENDPOINT,
    )
    assert [offer.url for offer in offers] == [near, far]
    assert offers[0].certificate == b""
    assert offers[0].spare_certificate == b"\x30\x82\x00\x01c"
    assert (offers[0].application, len(offers[0].tokens)) == ("urn:plc", 1)


def test_every_endpoint_has_a_file_name_that_any_system_takes() -> None:
    endpoints = [f"opc.tcp://plc:4840/{'温度' * 200}", f"opc.tcp://plc:4840/{'x' * 500}", "opc.tcp://plc:4840/../../x"]
    names = {Pins().path(endpoint).name for endpoint in endpoints}
    assert len(names) == 3
    assert all(name.isascii() and len(name) < 130 and "/" not in name for name in names)
    assert {Pins().path(endpoint).parent.name for endpoint in endpoints} == {"servers"}
