"""A ReadRequest that is encoded once, however often it is sent: no I/O in this file.

Messages: OPC 10000-4 5.11.2 (Read), 7.32 (request header).
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from typing import Any

from asyncua import ua
from asyncua.ua import ua_binary
from asyncua.ua.object_ids import ObjectIds

from drivers.opcua.records import type_id

_READ_REQUEST = type_id(ObjectIds.ReadRequest_Encoding_DefaultBinary)
_EPOCH_TICKS = 116_444_736_000_000_000
"""1970-01-01 in the ticks of OPC UA, 100 ns since 1601-01-01: OPC 10000-6 5.2.2.5."""
_binary: Any = ua_binary
"""Untyped, as it reads from streams of unknown kinds too."""


def encoded_token(token: ua.NodeId) -> bytes:
    """The authentication token of a session as it stands in the header of each request."""
    return bytes(_binary.nodeid_to_binary(token))


class KeptRead:
    """A ReadRequest that is encoded once; only token, time and handle are new each time."""

    def __init__(self, nodes: Sequence[ua.ReadValueId], timestamps: ua.TimestampsToReturn, timeout_s: float) -> None:
        request: Any = ua.ReadRequest()
        request.RequestHeader.TimeoutHint = int(timeout_s * 1000)
        request.Parameters = ua.ReadParameters(TimestampsToReturn=timestamps, NodesToRead=list(nodes))
        encoded = _binary.struct_to_binary(request)
        self.nodes = nodes
        self.count = len(nodes)
        self._type = _READ_REQUEST
        token = _binary.nodeid_to_binary(request.RequestHeader.AuthenticationToken)
        self._rest = encoded[len(self._type) + len(token) + 12 :]  # after time (8) and handle (4)

    def body(self, token: bytes, handle: int) -> bytes:
        """The request as it is sent in the session with this authentication token."""
        now = _EPOCH_TICKS + time.time_ns() // 100
        return b"".join((self._type, token, struct.pack("<qI", now, handle), self._rest))
