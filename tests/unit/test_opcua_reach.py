"""Where to ask a server for its endpoints, and where to try its sessions."""

from __future__ import annotations

import pytest

from drivers.opcua.reach import Address, addresses, discovery_urls, nearness

TYPED = "opc.tcp://192.0.2.10:4840"


def test_discovery_is_tried_where_the_author_says_first() -> None:
    assert discovery_urls(TYPED) == [TYPED, f"{TYPED}/discovery"]
    assert discovery_urls(f"{TYPED}/milo") == [f"{TYPED}/milo", f"{TYPED}/milo/discovery", f"{TYPED}/discovery"]
    assert discovery_urls(f"{TYPED}/discovery") == [f"{TYPED}/discovery"]


@pytest.mark.parametrize(
    ("typed", "named", "expected"),
    [
        (TYPED, TYPED, ["192.0.2.10:4840"]),
        (TYPED, "opc.tcp://192.0.2.10:4841/x", ["192.0.2.10:4841", "192.0.2.10:4840"]),
        (TYPED, "opc.tcp://PLC:4841", ["plc:4841", "192.0.2.10:4841", "192.0.2.10:4840"]),
        (TYPED, "opc.tcp://PLC", ["plc:4840", "192.0.2.10:4840"]),
        (TYPED, "opc.tcp://localhost:4841", ["192.0.2.10:4841", "192.0.2.10:4840"]),
        (TYPED, "opc.tcp://0.0.0.0:4840/", ["192.0.2.10:4840"]),
        (TYPED, "opc.tcp://[::1]:4840", ["192.0.2.10:4840"]),
        (TYPED, "", ["192.0.2.10:4840"]),
        (TYPED, "opc.tcp://[nonsense:99999999", ["192.0.2.10:4840"]),
        (
            "opc.tcp://localhost:4840",
            "opc.tcp://127.0.0.1:4841",
            ["127.0.0.1:4841", "localhost:4841", "localhost:4840"],
        ),
        ("opc.tcp://[2001:db8::1]:4840", "opc.tcp://plc:1", ["plc:1", "[2001:db8::1]:1", "[2001:db8::1]:4840"]),
    ],
)
def test_where_a_session_is_tried(typed: str, named: str, expected: list[str]) -> None:
    assert list(map(str, addresses(typed, named, keep_host=False))) == expected
    (only,) = addresses(typed, named, keep_host=True)
    assert str(only) == expected[-1]


def test_the_nearest_of_several_endpoints() -> None:
    urls = ["opc.tcp://10.0.0.1:4840", "opc.tcp://192.0.2.10:4841", "opc.tcp://192.0.2.10:4840/x", "nonsense"]
    assert [nearness(TYPED, url) for url in urls] == [2, 1, 0, 3]


def test_an_address_of_version_6_is_written_in_brackets() -> None:
    assert str(Address("2001:db8::1", 4840)) == "[2001:db8::1]:4840"
