"""What an author writes about an OPC UA server and about the nodes on it."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, field_validator

from drivers.contract import Options
from drivers.opcua.address import parse_address

DEFAULT_PORT = 4840
"""OPC 10000-6 7.2 registers it with IANA."""

TypeName = Literal[
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "string"
]


class DeviceOptions(Options):
    """One OPC UA server."""

    model_config = ConfigDict(hide_input_in_errors=True)  # an endpoint with a password in it is not repeated

    endpoint: str
    """As opc.tcp://192.0.2.10:4840, with the path that the server asks for."""
    mode: Literal["poll"] = "poll"
    """poll: every group is read at its cadence in batched requests."""
    timeout_ms: int = Field(default=2000, ge=50, le=60_000)
    """How long the server may take to answer, and to accept a connection."""
    timestamp: Literal["source", "server", "tick"] = "source"
    """Whose time a value carries: the instrument's, the server's, or none but that of our own reading."""

    fast_path: bool = True
    """false: every value goes through asyncua's own decoder, which is slower, should the two ever differ."""

    @field_validator("endpoint")
    @classmethod
    def _normalise(cls, text: str) -> str:
        """Give equal endpoints equal texts: lower case host, port written out, no slash at the end."""
        try:
            url = urlsplit(text.strip())
            port = url.port or DEFAULT_PORT
        except ValueError as error:
            raise ValueError(f"{text!r} is no endpoint ({error}): write opc.tcp://192.0.2.10:4840") from None
        if url.scheme != "opc.tcp" or not url.hostname:
            raise ValueError(f"{text!r} is no endpoint: write opc.tcp://HOST:PORT, as opc.tcp://192.0.2.10:4840")
        if url.username is not None or url.password is not None:
            raise ValueError("an endpoint holds no user and password: this file is read by many")
        host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
        return f"opc.tcp://{host}:{port}{url.path.rstrip('/')}"


class PointOptions(Options):
    """One node of an OPC UA server, or one element of an array."""

    node: str
    """ns=2;s=FT01, nsu=urn:skid;s=FT01, i=2258, Objects/2:System/2:FT01 or Objects/nsu=urn:skid;System/..."""
    index: int | None = Field(default=None, ge=0)
    """Which element of an array, from 0; those of a matrix are counted row by row."""
    type: TypeName | None = None
    """What the node is declared to hold; else it is learned from the server at each connect."""

    @field_validator("node")
    @classmethod
    def _check_node(cls, text: str) -> str:
        return parse_address(text).text
