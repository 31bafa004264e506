"""What an author may write for a node."""

from __future__ import annotations

import uuid

import pytest
from pydantic import ValidationError

from drivers.opcua.address import BrowsePath, Identifier, Step, parse_address
from drivers.opcua.options import DeviceOptions, PointOptions

GUID = "09087e75-8e5e-499b-954f-f2a9603db28a"


@pytest.mark.parametrize(
    ("text", "namespace", "value"),
    [
        ("ns=2;s=FT01", 2, "FT01"),
        ("i=2258", 0, 2258),
        ("ns=3;s=a;b=c/d", 3, "a;b=c/d"),
        ("nsu=urn:skid;s=FT01", "urn:skid", "FT01"),
        ("nsu=http://skid.example/ua;i=7", "http://skid.example/ua", 7),
        (f"ns=1;g={GUID}", 1, uuid.UUID(GUID)),
        ("ns=1;b=AP8=", 1, b"\x00\xff"),
        ("  ns=2;s=FT01", 2, "FT01"),
        ("ns=2;s=FT01 ", 2, "FT01 "),
        ("ns=2;s=  FT 01", 2, "  FT 01"),
        (" i=2258 ", 0, 2258),
    ],
)
def test_node_ids(text: str, namespace: int | str, value: object) -> None:
    found = parse_address(text)
    assert isinstance(found, Identifier)
    assert (found.namespace, found.value) == (namespace, value)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("Objects/2:System/2:FT01", [Step(0, "Objects"), Step(2, "System"), Step(2, "FT01")]),
        ("/Root/Objects/2:FT01", [Step(0, "Objects"), Step(2, "FT01")]),
        (
            "Objects/Server/ServerStatus/CurrentTime",
            [Step(0, n) for n in ["Objects", "Server", "ServerStatus", "CurrentTime"]],
        ),
        ("Objects/0:Odd/2:a&/b", [Step(0, "Objects"), Step(0, "Odd"), Step(2, "a/b")]),
        ("Objects/nsu=http://a/b/c;Tank/2:L", [Step(0, "Objects"), Step("http://a/b/c", "Tank"), Step(2, "L")]),
        ("Objects/2:Line 1.5: east", [Step(0, "Objects"), Step(2, "Line 1.5: east")]),
    ],
)
def test_browse_paths(text: str, steps: list[Step]) -> None:
    found = parse_address(text)
    assert isinstance(found, BrowsePath)
    assert list(found.steps) == steps


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no node is named"),
        ("ns=2;FT01", "is no NodeId; write for example ns=2;s=FT01"),
        ("ns=two;s=FT01", "is no NodeId"),
        ("ns=2,s=FT01", "is no NodeId"),
        ("ns=70000;s=FT01", "a namespace index is at most 65535"),
        ("ns=2;i=FT01", "a name is written s=FT01"),
        ("ns=2;i=4294967296", "up to 4294967295"),
        ("ns=2;g=FT01", "g= takes a GUID"),
        ("ns=2;b=?", "b= takes base64"),
        ("FT01", "begins at none of Objects, Types, Views"),
        ("2:System/2:FT01", "begins at none of Objects"),
        ("Objects/System/2:FT01", "'System' has no namespace"),
        ("Objects/Server/ServerStatuss", "did you mean 'ServerStatus'"),
        ("Objects//2:FT01", "empty step"),
        ("Objects/70000:FT01", "the namespace index is at most 65535"),
        ("Objects/nsu=urn:skid", "is written nsu=URI;Name"),
    ],
)
def test_what_is_wrong_is_said(text: str, why: str) -> None:
    with pytest.raises(ValidationError) as failed:
        PointOptions(node=text)
    assert why in str(failed.value)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("opc.tcp://192.0.2.10:4840", "opc.tcp://192.0.2.10:4840"),
        ("opc.tcp://PLC1", "opc.tcp://plc1:4840"),
        ("opc.tcp://plc1:4841/Skid/", "opc.tcp://plc1:4841/Skid"),
        ("opc.tcp://[2001:db8::1]:4840", "opc.tcp://[2001:db8::1]:4840"),
    ],
)
def test_equal_endpoints_have_equal_texts(text: str, normal: str) -> None:
    assert DeviceOptions(endpoint=text).endpoint == normal


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("192.0.2.10:4840", "write opc.tcp://"),
        ("http://192.0.2.10", "write opc.tcp://"),
        ("opc.tcp://plc:port", "is no endpoint"),
        ("opc.tcp://joe:secret@plc", "user and password do not belong here"),
    ],
)
def test_what_is_no_endpoint_is_said(text: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why) as failed:
        DeviceOptions(endpoint=text)
    if "secret" in text:
        assert "secret" not in str(failed.value)
