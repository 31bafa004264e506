"""A value of each built-in type of OPC UA, and what a tag makes of it."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from drivers.contract import Kind
from tests.system.opcua_server import SKID, SkidServer, ua

V = ua.VariantType


NOON = datetime.datetime(2026, 11, 22, 12, 0, 0, 250_000, datetime.UTC)


EVENING = NOON + datetime.timedelta(hours=6)


GUID = uuid.UUID("09087e75-8e5e-499b-954f-f2a9603db28a")


VALUES: dict[str, tuple[Any, Any, Kind, Any]] = {
    "bool": (True, V.Boolean, Kind.BOOL, True),
    "sbyte": (-128, V.SByte, Kind.INT, -128),
    "byte": (255, V.Byte, Kind.UINT, 255),
    "int16": (-32768, V.Int16, Kind.INT, -32768),
    "uint16": (65535, V.UInt16, Kind.UINT, 65535),
    "int32": (-(2**31), V.Int32, Kind.INT, -(2**31)),
    "uint32": (2**32 - 1, V.UInt32, Kind.UINT, 2**32 - 1),
    "int64": (-(2**63), V.Int64, Kind.INT, -(2**63)),
    "int64_max": (2**63 - 1, V.Int64, Kind.INT, 2**63 - 1),
    "uint64": (2**64 - 1, V.UInt64, Kind.UINT, 2**64 - 1),
    "float": (0.5, V.Float, Kind.FLOAT32, 0.5),
    "double": (0.1, V.Double, Kind.FLOAT, 0.1),
    "string": ("Füllstand", V.String, Kind.TEXT, "Füllstand"),
    "null_string": (None, V.String, Kind.TEXT, ""),
    "time": (NOON, V.DateTime, Kind.TEXT, "2026-11-22T12:00:00.250000Z"),
    "guid": (GUID, V.Guid, Kind.TEXT, str(GUID)),
    "bytes": (b"\x00\xff", V.ByteString, Kind.TEXT, "00ff"),
    "localized": (ua.LocalizedText("läuft", "de"), V.LocalizedText, Kind.TEXT, "läuft"),
    "qualified": (ua.QualifiedName("PU01", 2), V.QualifiedName, Kind.TEXT, "2:PU01"),
    "node_id": (ua.NodeId("PU01", 2), V.NodeId, Kind.TEXT, "ns=2;s=PU01"),
    "status": (ua.StatusCode(ua.UInt32(ua.StatusCodes.BadDeviceFailure)), V.StatusCode, Kind.TEXT, "BadDeviceFailure"),
}


@contextmanager
def values_server() -> Generator[SkidServer]:
    """A server with a node for each of these values."""
    server = SkidServer(["urn:other", SKID])
    for name, (value, variant_type, _, _) in VALUES.items():
        server.add(name, value, variant_type)
    yield server
    server.stop()
