"""Values by asyncua's decoder, one by one, so that none spoils another: no I/O in this file.

Rules of this file:

* asyncua sees no value but of a type that fits a column, or the texts of an enumeration: in a structure or in a Variant
  within a Variant a server could announce millions of values of no size, and asyncua would make them all.
* Nothing is decoded that nobody wants: of an array no more elements than are asked for.
"""

from __future__ import annotations

import struct
from typing import Any, cast

from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary
from asyncua.ua.object_ids import ObjectIds

from drivers.opcua.codec import KINDS, UNDECODABLE, Type
from drivers.opcua.records import (
    ARRAY,
    HAS_VALUE,
    TYPE,
    Records,
    after_node_id,
    int32,
    results_begin,
    scan,
    standard_id,
)

DECODING_ERRORS = (
    ua.UaError, ValueError, TypeError, LookupError, AttributeError, AssertionError, OverflowError, RecursionError,
    struct.error,
)  # fmt: skip
"""What asyncua raises on values and messages that it does not understand."""
STRUCTURE: Any = ua.Variant(ua.ExtensionObject(), Type.ExtensionObject)
"""Stands for every value that fits no column, so that it need not be decoded."""
_MIXED: Any = ua.Variant([], Type.Variant, is_array=True)
"""The same for an array of Variants."""
MOST_ELEMENTS = 100_000
"""Of a longer array the elements behind are not looked at where all of it is asked for."""

_LONGEST_TAIL = 24
"""Bytes of status, two times and two picoseconds."""
_binary: Any = ua_binary
"""Untyped, as it reads from streams of unknown kinds too."""


def values_of(body: bytes, expected: int | None = None) -> list[ua.DataValue]:
    """The results of a read response; one that cannot be decoded says so by its status.

    Raises `ua.UaError` where it is an error or not whole, `CountError` where it has not as many results as expected.
    """
    return decode_each(body, scan(body, results_begin(body), expected))


def whole_number(answer: Any) -> int | None:
    """The whole number in an answer; None where it has none, whatever else it may have."""
    found = None if answer.Value is None else answer.Value.Value
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def elements_of(answer: Any) -> list[Any]:
    """The elements of the array in an answer; none where it has none, whatever else it may have."""
    return list_of(None if answer.Value is None else answer.Value.Value)


def list_of(found: Any) -> list[Any]:
    """A list as it is; an empty one for everything else."""
    return cast("list[Any]", found) if isinstance(found, list) else []


def decode_each(body: bytes, records: Records, prefix: int = 0) -> list[ua.DataValue]:
    """The data values, each on its own."""
    columns = (records.begins + prefix, records.encodings, records.starts, records.tails)
    return [_value_of(body, *places) for places in zip(*(column.tolist() for column in columns), strict=True)]


def variant_of(body: bytes, start: int, encoding: int, end: int, most: int = MOST_ELEMENTS) -> Any:
    """A Variant whose first byte is `encoding` and whose value is from `start` to before `end`.

    A matrix comes as the list of its elements, row by row. Raises one of `DECODING_ERRORS`.
    """
    number = encoding & TYPE
    if number == Type.Null.value:
        return ua.Variant()
    if number == Type.ExtensionObject.value and _is_enum_values(body, start, encoding):
        return _binary.variant_from_binary(Buffer(body, start - 1))
    if number == Type.Variant.value:
        return _MIXED
    if number > Type.DiagnosticInfo.value or Type(number) not in KINDS:
        return STRUCTURE
    if not encoding & ARRAY:
        return _binary.variant_from_binary(Buffer(bytes((number,)) + body[start:end]))
    count = struct.pack("<i", min(int32(body, start)[0], most))
    return _binary.variant_from_binary(Buffer(bytes((number | ARRAY,)) + count + body[start + 4 : end]))


def _value_of(body: bytes, begin: int, encoding: int, start: int, tail: int) -> ua.DataValue:
    try:
        variant = variant_of(body, start, encoding, tail) if body[begin] & HAS_VALUE else None
        found: Any = _binary.struct_from_binary(ua.DataValue, Buffer(_without_value(body, begin, tail)))
    except DECODING_ERRORS:
        return UNDECODABLE
    return ua.DataValue(
        variant,
        found.StatusCode,
        found.SourceTimestamp,
        found.ServerTimestamp,
        found.SourcePicoseconds,
        found.ServerPicoseconds,
    )


def _without_value(body: bytes, begin: int, tail: int) -> bytes:
    return bytes((body[begin] & ~HAS_VALUE,)) + body[tail : tail + _LONGEST_TAIL]


def _is_enum_values(body: bytes, start: int, encoding: int) -> bool:
    """Whether a Variant holds the texts of an enumeration, which are structures: OPC 10000-3 8.40."""
    position, count = start, 1
    if encoding & ARRAY:
        position, count = start + 4, int32(body, start)[0]
    for _ in range(count):
        after = after_node_id(body, position)
        if standard_id(body, position) != ObjectIds.EnumValueType_Encoding_DefaultBinary or body[after] != 1:
            return False
        position = after + 5 + int32(body, after + 1)[0]
    return True
