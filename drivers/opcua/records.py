"""Where the data values of a message are, found in one pass over its bytes: no I/O in this file.

Rules of this file:

* A length or a count is never believed before it is checked: a message that is not whole raises `ua.UaError`.
* What a message costs is bounded by its size, and its size is bounded: nothing is allocated for what it announces, and
  what has to be looked for byte by byte is counted.

Encoding: OPC 10000-6 5.2.2.16 (Variant), 5.2.2.17 (DataValue); messages: OPC 10000-4 5.11.2 (Read), 7.32 and 7.33
(headers).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from asyncua import ua
from asyncua.ua.object_ids import ObjectIds
from numpy.typing import NDArray

from drivers.opcua.codec import Timestamp, Type

HAS_VALUE, HAS_STATUS, HAS_SOURCE_TIME, HAS_SERVER_TIME, HAS_SOURCE_PICO, HAS_SERVER_PICO = 1, 2, 4, 8, 16, 32
ARRAY, MATRIX, TYPE = 0x80, 0x40, 0x3F

_NUMBERS = {
    Type.Boolean: "<u1",
    Type.SByte: "<i1",
    Type.Byte: "<u1",
    Type.Int16: "<i2",
    Type.UInt16: "<u2",
    Type.Int32: "<i4",
    Type.UInt32: "<u4",
    Type.Int64: "<i8",
    Type.UInt64: "<u8",
    Type.Float: "<f4",
    Type.Double: "<f8",
}
DTYPES = {member.value: np.dtype(code) for member, code in _NUMBERS.items()}
FIXED = {number: dtype.itemsize for number, dtype in DTYPES.items()} | {
    Type.Null.value: 0,
    Type.DateTime.value: 8,
    Type.Guid.value: 16,
    Type.StatusCode.value: 4,
}
"""Built-in type -> bytes of a value, where all its values have as many."""
_WIDTHS = bytes(FIXED.get(encoding, 0) for encoding in range(256))
"""First byte of a Variant -> bytes of its value; 0 where they must be looked for: arrays, texts, structures."""
_TAILS = bytes(
    4 * bool(mask & HAS_STATUS)
    + 8 * bool(mask & HAS_SOURCE_TIME)
    + 8 * bool(mask & HAS_SERVER_TIME)
    + 2 * bool(mask & HAS_SOURCE_PICO)
    + 2 * bool(mask & HAS_SERVER_PICO)
    for mask in range(256)
)
"""First byte of a DataValue -> bytes of what follows its Variant."""

_PLAIN_HEADER_END = frozenset(b"\0" + strings + b"\0\0\0" for strings in (b"\xff\xff\xff\xff", b"\0\0\0\0"))
"""No diagnostics, no string table, no additional header: how the header of nearly every answer ends."""
_HEADER_SIZE = 28
_RESULT_AT = 12
"""Where the status is in a response header: OPC 10000-4 7.33."""
_DEEPEST = 100
"""Levels of nesting that a decoder must take: OPC 10000-6 5.1.5."""
_MOST_VALUES = 200_000
"""So many data values may one message have."""
_MOST_STEPS = 20_000
"""So many elements without a fixed size may it have, beside one for each data value: to look for them takes a tenth of
a second, in which the scan cycle stands still."""

int32 = struct.Struct("<i").unpack_from


def type_id(number: int) -> bytes:
    """The node id in four bytes by which a message begins: OPC 10000-6 5.2.2.9."""
    return struct.pack("<BBH", 1, 0, number)


def standard_id(body: bytes, position: int) -> int:
    """The number of a node id of the base namespace, in whichever form it is; -1 for any other node id."""
    match body[position] & 0x3F:
        case 0:
            return body[position + 1]
        case 1 if body[position + 1] == 0:
            return struct.unpack_from("<H", body, position + 2)[0]
        case 2 if body[position + 1 : position + 3] == b"\0\0":
            return struct.unpack_from("<I", body, position + 3)[0]
        case _:
            return -1


READ_RESPONSE = type_id(ObjectIds.ReadResponse_Encoding_DefaultBinary)


class CountError(ua.UaError):
    """The server has answered another number of operations than it was asked."""

    def __init__(self, asked: int, answered: int) -> None:
        super().__init__(f"{asked} operations, but {answered} answers")
        self.answered = answered


@dataclass(frozen=True, slots=True)
class Records:
    """Where the data values of a message are; all arrays are (n,), one place a data value."""

    begin: int
    end: int
    """The message holds them from `begin` to before `end`."""
    masks: NDArray[np.uint8]
    encodings: NDArray[np.uint8]
    """First byte of each Variant; 0 where there is none."""
    starts: NDArray[np.intp]
    """Where the value begins, after that byte."""
    tails: NDArray[np.intp]
    """Where status and times begin."""

    @property
    def begins(self) -> NDArray[np.intp]:
        """Where each begins, with what stands before it."""
        ends = self.tails + tail_sizes(self)
        return np.concatenate((np.array([self.begin], np.intp), ends[:-1]))[: ends.size]

    def times(self, timestamp: Timestamp) -> NDArray[np.intp]:
        """Where the time of each is; -1 where it has none, or none is asked for."""
        if timestamp == "tick":
            return np.full(self.masks.size, -1, np.intp)
        places = self.tails + 4 * ((self.masks & HAS_STATUS) != 0)
        flag = HAS_SOURCE_TIME
        if timestamp == "server":
            flag = HAS_SERVER_TIME
            places += 8 * ((self.masks & HAS_SOURCE_TIME) != 0) + 2 * ((self.masks & HAS_SOURCE_PICO) != 0)
        return np.where(self.masks & flag, places, -1)


def results_begin(body: bytes, expected: bytes = READ_RESPONSE) -> int:
    """Where an answer goes on after its header; in a read response that is at the count of its results.

    Raises `ua.UaError` if it holds an error, or is no answer of the type that is expected.
    """
    if body[:4] == expected and body[16:20] == b"\0\0\0\0" and body[20:_HEADER_SIZE] in _PLAIN_HEADER_END:
        return _HEADER_SIZE
    try:
        begin = after_node_id(body, 0)
        ua.StatusCode(ua.UInt32(struct.unpack_from("<I", body, begin + _RESULT_AT)[0])).check()
        walk = _Walk(body, 1)
        position = walk.after_diagnostics(begin + _RESULT_AT + 4, 0)
        strings = max(int32(body, position)[0], 0)
        position += 4
        for _ in range(min(strings, _MOST_STEPS)):
            position = _after_bytes(body, position)
        position = walk.after_scalar(position, Type.ExtensionObject.value, 0)
    except (IndexError, struct.error) as error:
        raise ua.UaError("the answer ends within its header") from error
    if (sort := standard_id(body, 0)) != standard_id(expected, 0):
        raise ua.UaError(f"a request was answered with a message of the type i={sort}")
    return position


def scan(body: bytes, position: int, expected: int | None = None) -> Records:
    """Find the data values of the array whose count is at `position`, in one pass.

    Raises `ua.UaError`, and `CountError` where there are more or fewer than expected.
    """
    try:
        count = int32(body, position)[0]
        if expected is not None and count != expected:
            raise CountError(expected, count)
        return scan_values(body, position + 4, count, 0)
    except (IndexError, struct.error) as error:
        raise ua.UaError("the answer ends before its last value") from error


def scan_values(body: bytes, position: int, count: int, prefix: int) -> Records:
    """Find `count` data values, before each of which are `prefix` bytes of something else."""
    begin = position
    if count > _MOST_VALUES:
        raise ua.UaError(f"the answer has {count} values")
    walk = _Walk(body, count)
    masks, encodings = bytearray(), bytearray()
    starts: list[int] = []
    tails: list[int] = []
    for _ in range(count):
        position += prefix
        mask = body[position]
        position += 1
        encoding = 0
        if mask & HAS_VALUE:
            encoding = body[position]
            position += 1
            starts.append(position)
            width = _WIDTHS[encoding]
            position = position + width if width else walk.after_value(position, encoding, 0)
        else:
            starts.append(position)
        masks.append(mask)
        encodings.append(encoding)
        tails.append(position)
        position += _TAILS[mask]
    if position > len(body):
        raise ua.UaError("the answer ends before its last value")
    return Records(
        begin,
        position,
        np.frombuffer(masks, np.uint8),
        np.frombuffer(encodings, np.uint8),
        np.array(starts, np.intp),
        np.array(tails, np.intp),
    )


class _Walk:
    """The way through the values of one message."""

    def __init__(self, body: bytes, values: int) -> None:
        self._body = body
        self._steps = _MOST_STEPS + values

    def _step(self) -> None:
        """Raises `ua.UaError` when there are more of them than any sound server asks for."""
        self._steps -= 1
        if self._steps < 0:
            raise ua.UaError(f"the values of the answer have more than {_MOST_STEPS} elements")

    def after_value(self, position: int, encoding: int, depth: int) -> int:
        """Where the value of a Variant ends. Raises `ua.UaError` when it is nested too deep."""
        body = self._body
        if depth > _DEEPEST:
            raise ua.UaError(f"a value is nested deeper than {_DEEPEST} levels")
        number = encoding & TYPE
        if encoding & ARRAY:
            count = max(int32(body, position)[0], 0)
            position += 4
            if number in FIXED:
                position += count * FIXED[number]
            else:
                for _ in range(count):
                    position = self.after_scalar(position, number, depth)
        else:
            position = self.after_scalar(position, number, depth)
        if encoding & MATRIX:
            position += 4 + 4 * max(int32(body, position)[0], 0)
        if position > len(body):
            raise ua.UaError("the answer ends before its last value")
        return position

    def after_scalar(self, position: int, number: int, depth: int) -> int:
        """Where one value of a type ends."""
        body = self._body
        self._step()
        match number:
            case Type.QualifiedName.value:
                return _after_bytes(body, position + 2)
            case Type.LocalizedText.value:
                mask = body[position]
                position += 1
                for flag in (1, 2):
                    if mask & flag:
                        position = _after_bytes(body, position)
                return position
            case Type.NodeId.value | Type.ExpandedNodeId.value:
                return after_node_id(body, position)
            case Type.ExtensionObject.value:
                position = after_node_id(body, position)
                return _after_bytes(body, position + 1) if body[position] & 3 else position + 1
            case Type.Variant.value:
                return self.after_value(position + 1, body[position], depth + 1)
            case Type.DataValue.value:
                mask = body[position]
                position += 1
                if mask & HAS_VALUE:
                    position = self.after_value(position + 1, body[position], depth + 1)
                return position + _TAILS[mask]
            case Type.DiagnosticInfo.value:
                return self.after_diagnostics(position, depth)
            case _ if number in FIXED:
                return position + FIXED[number]
            case _:
                return _after_bytes(body, position)

    def after_diagnostics(self, position: int, depth: int) -> int:
        """Where a DiagnosticInfo ends: OPC 10000-6 5.2.2.12."""
        body = self._body
        if depth > _DEEPEST:
            raise ua.UaError(f"a value is nested deeper than {_DEEPEST} levels")
        self._step()
        mask = body[position]
        position += 1 + 4 * (mask & 15).bit_count()
        if mask & 0x10:
            position = _after_bytes(body, position)
        if mask & 0x20:
            position += 4
        return self.after_diagnostics(position, depth + 1) if mask & 0x40 else position


def _after_bytes(body: bytes, position: int) -> int:
    """Texts and byte strings, and the reserved types 26 to 31: OPC 10000-6 5.2.2.16."""
    length = int32(body, position)[0]
    if length < -1 or length > len(body):
        raise ua.UaError(f"a value says that it is {length} bytes long")
    return position + 4 + max(length, 0)


def after_node_id(body: bytes, position: int) -> int:
    """OPC 10000-6 5.2.2.9 and 5.2.2.10."""
    encoding = body[position]
    position += 1
    match encoding & 0x3F:
        case 0:
            position += 1
        case 1:
            position += 3
        case 2:
            position += 6
        case 3 | 5:
            position = _after_bytes(body, position + 2)
        case 4:
            position += 18
        case form:
            raise ua.UaError(f"a node id has the unknown encoding {form}")
    if encoding & 0x80:
        position = _after_bytes(body, position)
    return position + 4 if encoding & 0x40 else position


def tail_sizes(records: Records) -> NDArray[np.intp]:
    """(n,) bytes of status and times of each data value."""
    return np.frombuffer(_TAILS, np.uint8)[records.masks].astype(np.intp)


def statuses_of(body: bytes, records: Records) -> NDArray[np.uint32]:
    """(n,) the status of each data value, 0 where it has none."""
    found = np.zeros(records.masks.size, np.uint32)
    given = np.flatnonzero(records.masks & HAS_STATUS)
    if given.size:
        found[given] = anywhere(body, np.dtype("<u4"))[records.tails[given]]
    return found


def lengths_of(body: bytes, records: Records) -> NDArray[np.intp]:
    """(n,) elements of each array; 0 where the value is none."""
    found = np.zeros(records.masks.size, np.intp)
    arrays = np.flatnonzero(records.encodings & ARRAY)
    if arrays.size:
        found[arrays] = anywhere(body, np.dtype("<i4"))[records.starts[arrays]]
    return found


def anywhere(body: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A view of a message in which element i is the value that begins at byte i."""
    return np.ndarray((max(len(body) - dtype.itemsize + 1, 0),), dtype, body, strides=(1,))
