"""Where the aggregator is, as a user writes it."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from engine.uplinks.contract import UplinkError

PLAIN_PORT, SECURE_PORT = 9800, 443
"""The ports on which Open Pectus listens, and engines look for it, when nothing else is said."""


@dataclass(frozen=True, slots=True)
class Address:
    """An aggregator's place on the network."""

    netloc: str
    """"host:port", an IPv6 host in brackets"""
    secure: bool
    path: str = ""
    """What a reverse proxy puts in front of the aggregator's own paths."""

    def http(self, path: str) -> str:
        """The URL of a REST path."""
        return f"{'https' if self.secure else 'http'}://{self.netloc}{self.path}{path}"

    def websocket(self, path: str) -> str:
        """The URL of a WebSocket path."""
        return f"{'wss' if self.secure else 'ws'}://{self.netloc}{self.path}{path}"

    def __str__(self) -> str:
        return f"{'https://' if self.secure else ''}{self.netloc}{self.path}"


def parse_address(text: str) -> Address:
    """Read HOST, HOST:PORT or a URL (http, https, ws, wss). Raises `UplinkError`."""
    try:
        url = urlsplit(text if "://" in text else f"http://{text}")
        port = url.port
    except ValueError as error:
        raise _wrong(text, str(error)) from error
    if url.scheme not in {"http", "https", "ws", "wss"}:
        raise _wrong(text, f"{url.scheme}:// is not spoken here")
    if not url.hostname or url.username is not None or url.query or url.fragment:
        raise _wrong(text, "it is no host and port")
    secure = url.scheme in {"https", "wss"}
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    if port is None:
        port = SECURE_PORT if secure else PLAIN_PORT
    return Address(f"{host}:{port}", secure, url.path.rstrip("/"))


def _wrong(text: str, why: str) -> UplinkError:
    return UplinkError(f"{text!r} is no address of an aggregator ({why}); write HOST:PORT or https://HOST:PORT")
