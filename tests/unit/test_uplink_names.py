"""Addresses of aggregators as users write them, and uplinks by name."""

from __future__ import annotations

import pytest

from engine.uplinks.address import parse_address
from engine.uplinks.aggregator import AggregatorUplink
from engine.uplinks.contract import UplinkError
from engine.uplinks.file import FileUplink
from engine.uplinks.registry import uplink_class
from engine.uplinks.stdout import StdoutUplink


@pytest.mark.parametrize(
    ("text", "rest", "websocket"),
    [
        ("pc", "http://pc:9800/x", "ws://pc:9800/x"),
        ("pc:9801", "http://pc:9801/x", "ws://pc:9801/x"),
        ("http://pc:9801/", "http://pc:9801/x", "ws://pc:9801/x"),
        ("ws://pc", "http://pc:9800/x", "ws://pc:9800/x"),
        ("https://op.example.org", "https://op.example.org:443/x", "wss://op.example.org:443/x"),
        ("https://op.example.org:8443/lab/", "https://op.example.org:8443/lab/x", "wss://op.example.org:8443/lab/x"),
        ("wss://op.example.org", "https://op.example.org:443/x", "wss://op.example.org:443/x"),
        ("192.0.2.1:80", "http://192.0.2.1:80/x", "ws://192.0.2.1:80/x"),
        ("[::1]:9801", "http://[::1]:9801/x", "ws://[::1]:9801/x"),
    ],
)
def test_an_address_gives_both_urls(text: str, rest: str, websocket: str) -> None:
    address = parse_address(text)
    assert address.http("/x") == rest
    assert address.websocket("/x") == websocket


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no host and port"),
        (":9800", "no host and port"),
        ("pc:port", "Port could not be cast"),
        ("pc:99999", "Port out of range"),
        ("ftp://pc", "ftp:// is not spoken here"),
        ("http://user:word@pc", "no host and port"),
        ("[::1", "Invalid IPv6 URL"),
    ],
)
def test_what_is_no_address_is_said_at_once(text: str, why: str) -> None:
    with pytest.raises(UplinkError, match=f"is no address of an aggregator .*{why}.*write HOST:PORT"):
        parse_address(text)


def test_uplinks_are_found_by_name() -> None:
    assert uplink_class("aggregator") is AggregatorUplink
    assert uplink_class("file") is FileUplink
    assert uplink_class("stdout") is StdoutUplink


@pytest.mark.parametrize(
    ("name", "hint"), [("agregator", "did you mean 'aggregator'"), ("x", "known uplinks: aggregator, file, stdout")]
)
def test_an_unknown_uplink_is_an_error_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(UplinkError, match=hint):
        uplink_class(name)
