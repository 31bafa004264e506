"""Values of OPC UA to values of an image, and back: no I/O in this file.

Rules of this file: a value is decoded exactly or not at all, and a value is written in the type of its node or
refused. What cannot be decoded costs its own point only.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from asyncua import ua
from asyncua.ua.status_codes import StatusCodes, get_name_and_doc

from drivers.contract import Image, Kind, Quality, Value
from drivers.opcua.advice import with_advice
from drivers.reasons import reason_code

Type = ua.VariantType

KINDS: dict[Type, Kind] = {
    Type.Boolean: Kind.BOOL,
    **dict.fromkeys((Type.SByte, Type.Int16, Type.Int32, Type.Int64), Kind.INT),
    **dict.fromkeys((Type.Byte, Type.UInt16, Type.UInt32, Type.UInt64), Kind.UINT),
    Type.Float: Kind.FLOAT32,
    Type.Double: Kind.FLOAT,
    **dict.fromkeys(
        (
            Type.String,
            Type.DateTime,
            Type.Guid,
            Type.ByteString,
            Type.XmlElement,
            Type.NodeId,
            Type.ExpandedNodeId,
            Type.StatusCode,
            Type.QualifiedName,
            Type.LocalizedText,
        ),
        Kind.TEXT,
    ),
}
"""Built-in type -> column; what is not here (structures, variants, data values) fits no column."""

INTEGERS: dict[Type, np.iinfo[Any]] = {
    Type.SByte: np.iinfo(np.int8),
    Type.Byte: np.iinfo(np.uint8),
    Type.Int16: np.iinfo(np.int16),
    Type.UInt16: np.iinfo(np.uint16),
    Type.Int32: np.iinfo(np.int32),
    Type.UInt32: np.iinfo(np.uint32),
    Type.Int64: np.iinfo(np.int64),
    Type.UInt64: np.iinfo(np.uint64),
}

STRUCTURE = "the node is a structure: name the node of one of its fields instead"
MIXED = "each element of the node may be of another type: name a node that holds one value of one type instead"
ARRAY = "the node is an array: give the element to read, as index: 0"
NOT_ARRAY = "the node is no array: delete index"

UNDECODABLE = ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(StatusCodes.BadDecodingError)))
"""Stands for an answer that cannot be decoded."""

_NULL = reason_code("the server has no value for the node (null)")
_STRUCTURE = reason_code(STRUCTURE)
_MIXED = reason_code(MIXED)
_ARRAY = reason_code(ARRAY)
_NOT_ARRAY = reason_code(NOT_ARRAY)
_SHORT = reason_code("the array of the node has no such element: lower index")
_NO_TEXT = reason_code("the server has no text for this number: delete server_texts to see the number")
MOST_TEXT = 1000
"""Characters of a text that are kept, an ellipsis among them where there are more."""
_MOST_BYTES = 4 * MOST_TEXT + 4
"""So many bytes of UTF-8 are at least one character more."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NO_TIME = datetime(1601, 1, 1, tzinfo=UTC)
"""The null DateTime: OPC 10000-6 5.2.2.5."""
_SEVERITY_BITS = 30
_CODE_BITS = 0xFFFF_0000
"""OPC 10000-4 7.39.1: the upper half names the status, the lower half holds flags."""
_UNCERTAIN = 1
_NO_MEASUREMENT = frozenset(
    (
        StatusCodes.UncertainNoCommunicationLastUsableValue,
        StatusCodes.UncertainLastUsableValue,
        StatusCodes.UncertainSubstituteValue,
        StatusCodes.UncertainInitialValue,
    )
)
"""Uncertain by their severity, but no instrument has just measured what comes with them: OPC 10000-8 6.3.2."""

Timestamp = Literal["source", "server", "tick"]
OnUncertain = Literal["publish", "stale"]


@dataclass(frozen=True, slots=True)
class Cell:
    """Where one element of an answer goes."""

    answer: int
    """Position of its node in the request."""
    row: int
    kind: Kind
    position: int
    """Position in the column of its kind."""
    index: int | None
    texts: Mapping[int, str] | None = None
    """Number -> the server's text, where that is the value of the point."""
    on_uncertain: OnUncertain | None = None
    """What the author wants of uncertain values; None: it depends on their status."""


@lru_cache(maxsize=4096)
def quality_of(status: int, on_uncertain: OnUncertain | None = None) -> tuple[Quality, int]:
    """Quality by severity and meaning, and the code of the reason, which keeps the name of the status.

    An uncertain value that nobody has just measured is stale, unless the author publishes all that is uncertain.
    """
    severity = status >> _SEVERITY_BITS
    if severity == 0:
        return Quality.GOOD, 0
    quality = Quality.BAD
    if severity == _UNCERTAIN:
        wanted = on_uncertain or ("stale" if status & _CODE_BITS in _NO_MEASUREMENT else "publish")
        quality = Quality.STALE if wanted == "stale" else Quality.UNCERTAIN
    return quality, reason_code(with_advice(f"the server says {status_text(status)}", status))


def status_text(status: int) -> str:
    """The name of a status code and what the specification says about it."""
    code = status & _CODE_BITS
    name, meaning = get_name_and_doc(code)
    return f"0x{code:08X}" if meaning.startswith("Unknown StatusCode") else f"{name} ({meaning.strip().rstrip('.')})"


def decode(answers: Sequence[ua.DataValue], cells: Sequence[Cell], image: Image, timestamp: Timestamp) -> list[Cell]:
    """Fill the rows of a group from the answers to its request; return the cells whose node must be learned anew."""
    changed: list[Cell] = []
    for cell in cells:
        answer = answers[cell.answer]
        if settle(cell, 0 if answer.StatusCode is None else answer.StatusCode.value, answer.Value, image):
            changed.append(cell)
        image.source_time[cell.row] = _unix(answer, timestamp)
    return changed


def settle(cell: Cell, status: int, variant: Any, image: Image) -> bool:
    """Fill one row but for its time; true when its node must be learned anew.

    A row that has no value keeps the one it had, and says so by its quality.
    """
    changed = status == StatusCodes.BadNodeIdUnknown
    quality, reason = quality_of(status, cell.on_uncertain)
    if quality is not Quality.BAD:
        value, found, lacking = element(variant, cell.index)
        if lacking:
            quality, reason = Quality.BAD, reason if reason and lacking == _NULL else lacking
        elif cell.texts is not None:
            text = cell.texts.get(value) if isinstance(value, int) else None
            if text is None:
                quality, reason = Quality.BAD, _NO_TEXT
            else:
                image.columns[cell.kind][cell.position] = text
        elif KINDS[found] is not cell.kind:
            quality, reason = Quality.BAD, _misfit(found, cell.kind)
            changed = True
        else:
            image.columns[cell.kind][cell.position] = as_text(value, found) if cell.kind is Kind.TEXT else value
    image.quality[cell.row] = quality
    image.reason[cell.row] = reason
    return changed


def element(value: ua.Variant | None, index: int | None) -> tuple[Any, Type, int]:
    """The one value that a point takes of a node's, its type, and the code of the reason where there is none.

    A byte string counts as an array of bytes, which it is by its structure: OPC 10000-4 5.11.4.2.
    """
    if value is None or value.VariantType is Type.Null:
        return None, Type.Null, _NULL
    found = value.VariantType
    if found not in KINDS:
        return None, found, _MIXED if found is Type.Variant else _STRUCTURE
    if not value.is_array:
        if index is None:
            return value.Value, found, 0
        if found is not Type.ByteString:
            return None, found, _NOT_ARRAY
        found, elements = Type.Byte, list(value.Value or b"")
    elif index is None:
        return None, found, _ARRAY
    else:
        elements = ua.flatten(value.Value) or []
    return (elements[index], found, 0) if index < len(elements) else (None, found, _SHORT)


def as_text(value: Any, found: Type) -> str:
    """A value that is no number as text: ISO 8601 in UTC for times, hexadecimal for bytes."""
    match found:
        case Type.String | Type.XmlElement:
            return _clean(value)
        case Type.LocalizedText:
            return _clean(value.Text)
        case Type.ByteString:
            return _shortened((value or b"")[:MOST_TEXT].hex())
        case Type.DateTime:
            return _utc(value).isoformat().replace("+00:00", "Z")
        case Type.QualifiedName:
            return _shortened(f"{value.NamespaceIndex}:{_clean(value.Name)}")
        case Type.StatusCode:
            return status_text(value.value).partition(" ")[0]
        case Type.NodeId | Type.ExpandedNodeId:
            return _clean(value.to_string())
        case _:
            return str(value)


def _clean(text: str | None) -> str:
    """Null is the empty string (OPC 10000-6 5.1.9); bytes that are no UTF-8 become U+FFFD, which JSON can carry."""
    return "" if text is None else cut(text.encode("utf-8", "surrogateescape"))


def cut(text: bytes) -> str:
    """The beginning of a text, with an ellipsis in its last place where there is more."""
    return _shortened(text[:_MOST_BYTES].decode("utf-8", "replace"))


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"


def _utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _unix(answer: ua.DataValue, timestamp: Timestamp) -> float:
    time = None
    if timestamp == "source":
        time = answer.SourceTimestamp
    elif timestamp == "server":
        time = answer.ServerTimestamp
    if time is None or (time := _utc(time)) <= _NO_TIME:
        return math.nan
    return (time - _EPOCH).total_seconds()


@lru_cache(maxsize=1024)
def _misfit(found: Type, kind: Kind) -> int:
    return reason_code(f"the node now sends {found.name} where it sent {_KIND_NAMES[kind]}: it is learned anew soon")


def encode(value: Value, target: Type) -> ua.Variant:
    """Make the value that a node of type `target` takes. Raises `ValueError` with the reason where it does not fit."""
    if target is Type.Boolean:
        if not isinstance(value, bool):
            raise ValueError(f"takes true or false, not {value!r}")
        return ua.Variant(value, target)
    if target in INTEGERS:
        return ua.Variant(_integer(value, target), target)
    if target in {Type.Float, Type.Double}:
        return ua.Variant(_real(value, target), target)
    if target not in _FROM_TEXT:
        raise ValueError(f"is of type {target.name}, which cannot be written")
    make, what = _FROM_TEXT[target]
    try:
        return ua.Variant(make(value), target)
    except (ValueError, TypeError):
        raise ValueError(f"takes {what}, not {value!r}") from None


def _integer(value: bool | float | str, target: Type) -> int:
    if isinstance(value, bool | str) or not math.isfinite(value) or value != int(value):
        raise ValueError(f"takes a whole number, not {value!r}")
    limits = INTEGERS[target]
    if not int(limits.min) <= value <= int(limits.max):
        raise ValueError(f"is {target.name} and takes {limits.min} to {limits.max}, not {value!r}")
    return int(value)


def _real(value: bool | float | str, target: Type) -> float:
    if isinstance(value, bool | str) or not math.isfinite(value):
        raise ValueError(f"takes a number, not {value!r}")
    limit = float(np.finfo(np.float32 if target is Type.Float else np.float64).max)
    if abs(value) > limit:
        raise ValueError(f"is {target.name} and takes numbers up to {limit:g}, not {value!r}")
    if isinstance(value, int) and int(np.float32(value) if target is Type.Float else float(value)) != value:
        raise ValueError(f"is {target.name} and cannot hold the whole number {value!r} exactly")
    return float(value)


def _text(text: object) -> str:
    if not isinstance(text, str):
        raise TypeError(text)
    return text


def _time(text: str) -> datetime:
    """A time without a zone is in UTC."""
    return _utc(datetime.fromisoformat(text)).astimezone(UTC)


_FROM_TEXT: dict[Type, tuple[Callable[[Any], Any], str]] = {
    Type.String: (_text, "a text"),
    Type.LocalizedText: (lambda text: ua.LocalizedText(_text(text)), "a text"),
    Type.ByteString: (bytes.fromhex, "bytes in hexadecimal"),
    Type.DateTime: (_time, "a time as 2026-01-31T12:00:00Z"),
    Type.Guid: (lambda text: uuid.UUID(_text(text)), "a GUID as 09087e75-8e5e-499b-954f-f2a9603db28a"),
}

_KIND_NAMES = {
    Kind.FLOAT32: "Float",
    Kind.FLOAT: "Double",
    Kind.INT: "a signed integer",
    Kind.UINT: "an unsigned integer",
    Kind.BOOL: "Boolean",
    Kind.TEXT: "a text",
}
