"""Choosing a way to a server, and keeping secrets out of every message; no server."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path
from typing import Any

import asyncua.ua
import pytest
from pydantic import ValidationError

from drivers.contract import LinkError, Point
from drivers.opcua.certificates import Pins, expiry_warning, given_certificate, own_certificate, thumbprint
from drivers.opcua.driver import OpcUa
from drivers.opcua.faults import link_error
from drivers.opcua.options import DeviceOptions, PointOptions
from drivers.opcua.security import Access, Choice, choose
from tests.system.opcua_server import make_certificate

ua: Any = asyncua.ua
MODES = ua.MessageSecurityMode
URI = "http://opcfoundation.org/UA/SecurityPolicy#"
ENDPOINT = "opc.tcp://plc:4840"
PHRASE = "hunter2"

NONE = Choice(f"{URI}None", MODES.None_, b"c")
OLD = Choice(f"{URI}Basic256", MODES.SignAndEncrypt, b"c")
SIGN = Choice(f"{URI}Aes256_Sha256_RsaPss", MODES.Sign, b"c")
BASIC = Choice(f"{URI}Basic256Sha256", MODES.SignAndEncrypt, b"c")
AES128 = Choice(f"{URI}Aes128_Sha256_RsaOaep", MODES.SignAndEncrypt, b"c")


@pytest.mark.parametrize(
    ("access", "offers", "expected"),
    [
        (Access(), [NONE, SIGN, BASIC, AES128, OLD], BASIC),
        (Access(), [NONE, OLD], NONE),
        (Access(), [NONE, AES128, SIGN], AES128),
        (Access("none"), [NONE, BASIC], NONE),
        (Access("Aes128_Sha256_RsaOaep"), [NONE, BASIC, AES128], AES128),
        (Access("auto", "Sign"), [NONE, BASIC, SIGN], SIGN),
    ],
)
def test_the_best_that_is_offered_and_allowed(access: Access, offers: list[Choice], expected: Choice) -> None:
    assert choose(offers, access, seen_secured=expected.secured) is expected


@pytest.mark.parametrize(
    ("access", "offers", "seen", "why"),
    [
        (Access("Basic256Sha256"), [NONE], False, "does not offer Basic256Sha256: it offers no security"),
        (Access("auto", "Sign"), [BASIC], False, "does not offer security with Sign"),
        (Access(), [OLD], False, "it offers Basic256, SignAndEncrypt"),
        (
            Access("none"),
            [OLD],
            False,
            "switch on Basic256Sha256 on the server and delete security: none, or",
        ),
        (Access("none"), [BASIC], False, "SignAndEncrypt: delete security: none, or"),
        (Access(), [], False, "nothing that this driver knows"),
        (Access(), [NONE], True, "had security when it was first seen"),
    ],
)
def test_what_is_not_offered(access: Access, offers: list[Choice], seen: bool, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        choose(offers, access, seen_secured=seen)


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint": f"opc.tcp://operator:{PHRASE}@plc:4840"},
        {"endpoint": f"opc.tcp://operator:{PHRASE}@plc:notaport"},
        {"endpoint": f"http://operator:{PHRASE}@plc"},
        {"endpoint": ENDPOINT, "password": PHRASE},
        {"endpoint": ENDPOINT, "Password": PHRASE, "user": "operator"},
        {"endpoint": f"opc.tcp://operator:{PHRASE}@plc", "timeout_ms": "long", "mod": "poll"},
    ],
)
def test_a_password_in_the_wrong_place_is_never_repeated(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        DeviceOptions.model_validate(options)
    assert PHRASE not in str(refused.value)
    assert PHRASE not in repr(refused.value.errors())


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"user": "operator"}, "needs a password"),
        ({"user": "operator", "password_env": "A", "password_file": "b"}, "one of them"),
        ({"password_env": "A"}, "without a user"),
        ({"user_certificate": "a.der"}, "belong together"),
        ({"user": "o", "password_env": "A", "user_certificate": "a", "user_key": "b"}, "two ways"),
        ({"security": "none", "security_mode": "Sign"}, "delete it"),
    ],
)
def test_options_that_contradict_each_other(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        DeviceOptions.model_validate({"endpoint": ENDPOINT, **options})


def test_two_users_do_not_share_a_session() -> None:
    def name(options: dict[str, Any]) -> str:
        return OpcUa.link_name(DeviceOptions.model_validate({"endpoint": "opc.tcp://PLC"} | options))

    names = [
        name({}),
        name({"user": "operator", "password_file": "a"}),
        name({"user": "engineer", "password_file": "a"}),
        name({"user_certificate": "/keys/eve.der", "user_key": "/keys/eve.pem"}),
        name({"security": "none"}),
        name({"security": "Basic256Sha256", "security_mode": "Sign"}),
    ]
    assert len(set(names)) == len(names)
    assert names[:2] == [ENDPOINT, f"{ENDPOINT} as operator"]
    assert name({"timeout_ms": 99}) == names[0]


def test_devices_of_one_session_have_one_password() -> None:
    devices = {
        "a": DeviceOptions(endpoint=ENDPOINT, user="operator", password_file=Path("a")),
        "b": DeviceOptions(endpoint=ENDPOINT, user="operator", password_file=Path("b")),
    }
    on = [Point("FT01", "b", PointOptions(node="i=1"), 100)]
    assert [(remark.tag, remark.error) for remark in OpcUa.review(devices, on)] == [("FT01", True)]
    assert OpcUa.review({"b": devices["b"]}, on) == []


def test_passwords_come_from_where_they_are_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "password"
    file.write_bytes(b" with spaces \r\n")
    assert Access(user="o", password_file=file).password() == " with spaces "
    monkeypatch.setenv("PLC", PHRASE)
    access = Access("auto", None, "o", "PLC")
    assert access.password() == PHRASE
    assert PHRASE not in repr(access)
    file.write_bytes(b"\n")
    with pytest.raises(LinkError, match="is empty"):
        Access(user="o", password_file=file).password()


def test_certificates_that_end_are_told_in_time() -> None:
    der, _ = make_certificate("Ends soon", days=5)
    assert "ends on" in expiry_warning(der, "it")
    assert expiry_warning(der, "it", within=datetime.timedelta(0)) == ""
    der, _ = make_certificate("Lasts", days=99)
    assert expiry_warning(der, "it") == ""


def test_a_certificate_that_has_ended_is_named_where_it_may_be_the_cause() -> None:
    status = ua.UaStatusCodeError(ua.StatusCodes.BadCertificateTimeInvalid)
    for error in (status, ConnectionError("connection lost")):
        told = str(
            link_error(ENDPOINT, "renewing the keys", error, 2.0, "trust us", "our certificate ended on 2026-01-01")
        )
        assert "our certificate ended on 2026-01-01; else" in told
        assert "ended on" not in str(link_error(ENDPOINT, "renewing the keys", error, 2.0, "trust us"))


@pytest.mark.parametrize("form", ["pem", "der"])
def test_a_given_certificate_is_read_and_must_have_its_key(tmp_path: Path, form: str) -> None:
    der, key = make_certificate("A client of the site's authority")
    _, other_key = make_certificate("Another")
    certificate, private_key = tmp_path / "certificate", tmp_path / "key"
    pem = ssl.DER_cert_to_PEM_cert(der).encode()
    certificate.write_bytes(pem if form == "pem" else der)
    private_key.write_bytes(key)
    found = given_certificate(certificate, private_key)
    assert (found.der, found.new) == (der, False)
    assert found.application_uri == "urn:freeopcua:python:server"
    assert "delete" not in found.renewal
    private_key.write_bytes(other_key)
    with pytest.raises(LinkError, match="is not the key of certificate"):
        given_certificate(certificate, private_key)
    private_key.write_bytes(b"junk")
    with pytest.raises(LinkError, match="must be PEM or DER"):
        given_certificate(certificate, private_key)
    with pytest.raises(ValueError, match="certificate and private_key belong together"):
        DeviceOptions(endpoint=ENDPOINT, certificate=certificate)


def test_our_certificate_is_made_once_and_readable_by_us_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKIDLINK_DATA", str(tmp_path))
    first, second = own_certificate(), own_certificate()
    assert (first.new, second.new) == (True, False)
    assert first.der == second.der
    assert first.application_uri.startswith("urn:")
    assert thumbprint(first.der) in first.advice
    assert (first.path.parent / "key.pem").stat().st_mode & 0o077 == 0
    first.path.write_bytes(b"junk")
    with pytest.raises(LinkError, match="delete it for a new certificate"):
        own_certificate()


def test_pins_tell_endpoints_apart_and_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKIDLINK_DATA", str(tmp_path))
    pins = Pins()
    assert pins.path("opc.tcp://plc:4840/a") != pins.path("opc.tcp://plc:4840_a")
    pins.check(ENDPOINT, b"one")
    assert pins.keep(ENDPOINT, b"one")
    assert not pins.keep(ENDPOINT, b"one")
    pins.check(ENDPOINT, b"one")
    with pytest.raises(LinkError, match="has changed"):
        pins.check(ENDPOINT, b"two")
