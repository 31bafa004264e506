"""Where the sessions of a server are held: the URL that the server names, and the addresses at which to try it.

A client asks for the endpoints at a URL that it was given, and holds its session at the URL of the endpoint that it has
chosen (OPC 10000-4 5.4.4). What a server calls itself is often of no use elsewhere: a name that only its own network
knows, the address before a translation (NAT), a loop-back address.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

DEFAULT_PORT = 4840
"""OPC 10000-6 7.2 registers it with IANA."""
DISCOVERY = "/discovery"
"""Where servers answer questions about endpoints that hold no session without security: OPC 10000-6 7.4."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a connection goes."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address_of(url: str) -> Address | None:
    """The address in a URL; None where there is none."""
    try:
        parts = urlsplit(url)
        return Address(parts.hostname, parts.port or DEFAULT_PORT) if parts.hostname else None
    except ValueError:
        return None


def discovery_urls(typed: str) -> list[str]:
    """Where to ask for the endpoints of a server, the likeliest first."""
    if typed.endswith(DISCOVERY):
        return [typed]
    bare = typed.removesuffix(urlsplit(typed).path)
    return list(dict.fromkeys([typed, typed + DISCOVERY, bare + DISCOVERY]))


def addresses(typed: str, named: str, *, keep_host: bool) -> list[Address]:
    """Where to try a session, the likeliest first: `typed` by the author, `named` by the server."""
    given, own = address_of(typed), address_of(named)
    if given is None:
        raise ValueError(f"{typed!r} has no host")
    if keep_host or own is None:
        return [given]
    if _is_local(own.host) and not _is_local(given.host):
        own = Address(given.host, own.port)  # this machine is not meant, but the server's own
    return list(dict.fromkeys([own, Address(given.host, own.port), given]))


def nearness(typed: str, named: str) -> int:
    """How much of what the author typed is in a URL of the server: 0 for all."""
    given, own = address_of(typed), address_of(named)
    if given is None or own is None:
        return 3
    if given.host != own.host:
        return 2
    return 0 if given.port == own.port else 1


def _is_local(host: str) -> bool:
    """Whether it names the machine on which it is used."""
    if host.casefold() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
