"""The short way of a reading: a request that is encoded once, and values taken straight from the bytes of the answer.

Rules of this file:

* What it puts into an image is what asyncua's decoder and `codec.decode` put there, value for value.
* One pass over an answer finds where its values are (`scan`); numpy takes them from there (`Layout`). The places hold
  for the next answer too if every byte that is neither a value nor a time is the same; else one more pass finds them.
* Only values of a type that numpy does not know go to asyncua's decoder, one by one, so that none spoils another.
* A length is never believed before it is checked: a message that is not whole raises `ua.UaError`.

Encoding: OPC 10000-6 5.2.2.16 (Variant), 5.2.2.17 (DataValue); messages: OPC 10000-4 5.11.2 (Read), 7.32 and 7.33
(headers). Where a value carries source picoseconds and server timestamp both, asyncua 2.1 takes them in the wrong
order; this file keeps to the specification.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes
from numpy.typing import NDArray

from drivers.contract import Image, Kind, Quality
from drivers.opcua.codec import KINDS, UNDECODABLE, Cell, OnUncertain, Timestamp, Type, quality_of, settle

DECODING_ERRORS = (ua.UaError, ValueError, TypeError, LookupError, AttributeError, OverflowError, struct.error)
"""What asyncua's decoder raises on a value that it does not understand."""

_HAS_VALUE, _HAS_STATUS, _HAS_SOURCE_TIME, _HAS_SERVER_TIME, _HAS_SOURCE_PICO, _HAS_SERVER_PICO = 1, 2, 4, 8, 16, 32
_ARRAY, _MATRIX, _TYPE = 0x80, 0x40, 0x3F

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
_DTYPES = {member.value: np.dtype(code) for member, code in _NUMBERS.items()}
_FIXED = {number: dtype.itemsize for number, dtype in _DTYPES.items()} | {
    Type.Null.value: 0,
    Type.DateTime.value: 8,
    Type.Guid.value: 16,
    Type.StatusCode.value: 4,
}
"""Built-in type -> bytes of a value, where all its values have as many."""
_WIDTHS = bytes(_FIXED.get(encoding, 0) for encoding in range(256))
"""First byte of a Variant -> bytes of its value; 0 where they must be looked for: arrays, texts, structures."""
_COLUMN = np.array([KINDS.get(Type(number), 255) if number < 26 else 255 for number in range(64)], np.uint8)
_PLAIN = np.array([number in _DTYPES for number in range(64)])
_WIDTH_OF = np.array([_FIXED.get(number, 0) for number in range(64)], np.intp)
_TAILS = bytes(
    4 * bool(mask & _HAS_STATUS)
    + 8 * bool(mask & _HAS_SOURCE_TIME)
    + 8 * bool(mask & _HAS_SERVER_TIME)
    + 2 * bool(mask & _HAS_SOURCE_PICO)
    + 2 * bool(mask & _HAS_SERVER_PICO)
    for mask in range(256)
)
"""First byte of a DataValue -> bytes of what follows its Variant."""
_TICKS_PER_S = 10_000_000
_EPOCH_TICKS = 116_444_736_000_000_000
"""1970-01-01 in the ticks of OPC UA, 100 ns since 1601-01-01: OPC 10000-6 5.2.2.5."""
_LAST_TICKS = 2_650_467_743_990_000_000
"""9999-12-31 23:59:59, past which asyncua's decoder holds every time."""
_binary: Any = ua_binary
"""Untyped, as it reads from streams of unknown kinds too."""


def type_id(number: int) -> bytes:
    """The node id in four bytes by which a message begins: OPC 10000-6 5.2.2.9."""
    return struct.pack("<BBH", 1, 0, number)


_READ_REQUEST = type_id(ObjectIds.ReadRequest_Encoding_DefaultBinary)
_READ_RESPONSE = type_id(ObjectIds.ReadResponse_Encoding_DefaultBinary)
_PLAIN_HEADER_END = frozenset(b"\0" + strings + b"\0\0\0" for strings in (b"\xff\xff\xff\xff", b"\0\0\0\0"))
"""No diagnostics, no string table, no additional header: how the header of nearly every answer ends."""
_HEADER_SIZE = 28
_STRUCTURE: Any = ua.Variant(ua.ExtensionObject(), Type.ExtensionObject)
"""Stands for every value that fits no column, so that it need not be decoded."""
_DEEPEST = 100
"""Levels of nesting that a decoder must take: OPC 10000-6 5.1.5."""

_int32 = struct.Struct("<i").unpack_from
_uint32 = struct.Struct("<I").unpack_from


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
        self.count = len(nodes)
        self._type = _READ_REQUEST
        token = _binary.nodeid_to_binary(request.RequestHeader.AuthenticationToken)
        self._rest = encoded[len(self._type) + len(token) + 12 :]  # after time (8) and handle (4)

    def body(self, token: bytes, handle: int) -> bytes:
        """The request as it is sent in the session with this authentication token."""
        now = _EPOCH_TICKS + time.time_ns() // 100
        return b"".join((self._type, token, struct.pack("<qI", now, handle), self._rest))


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
        ends = self.tails + _tail_sizes(self)
        return np.concatenate((np.array([self.begin], np.intp), ends[:-1]))[: ends.size]

    def times(self, timestamp: Timestamp) -> NDArray[np.intp]:
        """Where the time of each is; -1 where it has none, or none is asked for."""
        if timestamp == "tick":
            return np.full(self.masks.size, -1, np.intp)
        places = self.tails + 4 * ((self.masks & _HAS_STATUS) != 0)
        flag = _HAS_SOURCE_TIME
        if timestamp == "server":
            flag = _HAS_SERVER_TIME
            places += 8 * ((self.masks & _HAS_SOURCE_TIME) != 0) + 2 * ((self.masks & _HAS_SOURCE_PICO) != 0)
        return np.where(self.masks & flag, places, -1)


def results_begin(body: bytes, expected: bytes = _READ_RESPONSE) -> int:
    """Where an answer goes on after its header; in a read response that is at the count of its results.

    Raises `ua.UaError` if it holds an error, or is no answer of the type that is expected.
    """
    if body[:4] == expected and body[16:20] == b"\0\0\0\0" and body[20:_HEADER_SIZE] in _PLAIN_HEADER_END:
        return _HEADER_SIZE
    buffer = Buffer(body)
    type_id = _binary.nodeid_from_binary(buffer)
    header: Any = _binary.struct_from_binary(ua.ResponseHeader, buffer)
    header.ServiceResult.check()
    if _binary.nodeid_to_binary(type_id) != expected:
        raise ua.UaError(f"a request was answered with {type_id.to_string()}")
    return buffer.cur_pos


def scan(body: bytes, position: int, expected: int | None = None) -> Records:
    """Find the data values of the array whose count is at `position`, in one pass."""
    try:
        count = _int32(body, position)[0]
        if expected is not None and count != expected:
            raise ua.UaError(f"{expected} operations, but {count} answers")
        return scan_values(body, position + 4, count, 0)
    except (IndexError, struct.error) as error:
        raise ua.UaError("the answer ends before its last value") from error


def scan_values(body: bytes, position: int, count: int, prefix: int) -> Records:
    """Find `count` data values, before each of which are `prefix` bytes of something else."""
    begin = position
    masks, encodings = bytearray(), bytearray()
    starts: list[int] = []
    tails: list[int] = []
    for _ in range(count):
        position += prefix
        mask = body[position]
        position += 1
        encoding = 0
        if mask & _HAS_VALUE:
            encoding = body[position]
            position += 1
            starts.append(position)
            width = _WIDTHS[encoding]
            position = position + width if width else _after_value(body, position, encoding, 0)
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


def _after_value(body: bytes, position: int, encoding: int, depth: int) -> int:
    """Where the value of a Variant ends. Raises `ua.UaError` when it is nested too deep."""
    if depth > _DEEPEST:
        raise ua.UaError(f"a value is nested deeper than {_DEEPEST} levels")
    number = encoding & _TYPE
    if encoding & _ARRAY:
        count = max(_int32(body, position)[0], 0)
        position += 4
        if number in _FIXED:
            position += count * _FIXED[number]
        else:
            for _ in range(count):
                position = _after_scalar(body, position, number, depth)
    else:
        position = _after_scalar(body, position, number, depth)
    if encoding & _MATRIX:
        position += 4 + 4 * max(_int32(body, position)[0], 0)
    if position > len(body):
        raise ua.UaError("the answer ends before its last value")
    return position


def _after_scalar(body: bytes, position: int, number: int, depth: int) -> int:
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
            return _after_node_id(body, position)
        case Type.ExtensionObject.value:
            position = _after_node_id(body, position)
            return _after_bytes(body, position + 1) if body[position] & 3 else position + 1
        case Type.Variant.value:
            return _after_value(body, position + 1, body[position], depth + 1)
        case Type.DataValue.value:
            mask = body[position]
            position += 1
            if mask & _HAS_VALUE:
                position = _after_value(body, position + 1, body[position], depth + 1)
            return position + _TAILS[mask]
        case Type.DiagnosticInfo.value:
            return _after_diagnostics(body, position, depth)
        case _ if number in _FIXED:
            return position + _FIXED[number]
        case _:
            return _after_bytes(body, position)


def _after_bytes(body: bytes, position: int) -> int:
    """Texts and byte strings, and the reserved types 26 to 31: OPC 10000-6 5.2.2.16."""
    length = _int32(body, position)[0]
    if length < -1 or length > len(body):
        raise ua.UaError(f"a value says that it is {length} bytes long")
    return position + 4 + max(length, 0)


def _after_node_id(body: bytes, position: int) -> int:
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


def _after_diagnostics(body: bytes, position: int, depth: int) -> int:
    """OPC 10000-6 5.2.2.12."""
    if depth > _DEEPEST:
        raise ua.UaError(f"a value is nested deeper than {_DEEPEST} levels")
    mask = body[position]
    position += 1 + 4 * (mask & 15).bit_count()
    if mask & 0x10:
        position = _after_bytes(body, position)
    if mask & 0x20:
        position += 4
    return _after_diagnostics(body, position, depth + 1) if mask & 0x40 else position


def values_of(body: bytes) -> list[ua.DataValue]:
    """The results of a read response by asyncua's decoder, each on its own: one that it cannot decode says so."""
    return decode_each(body, scan(body, results_begin(body)))


def decode_each(body: bytes, records: Records, prefix: int = 0) -> list[ua.DataValue]:
    """The data values by asyncua's decoder, each on its own."""
    places = zip((records.begins + prefix).tolist(), records.encodings.tolist(), strict=True)
    return [_value_of(body, start, encoding) for start, encoding in places]


def _value_of(body: bytes, start: int, encoding: int) -> ua.DataValue:
    try:
        return _binary.struct_from_binary(ua.DataValue, Buffer(body, start))
    except DECODING_ERRORS:
        if encoding & _TYPE == Type.ExtensionObject.value:
            return ua.DataValue(_STRUCTURE)
        return UNDECODABLE


def _tail_sizes(records: Records) -> NDArray[np.intp]:
    return np.frombuffer(_TAILS, np.uint8)[records.masks].astype(np.intp)


class Cells:
    """The cells that an answer fills, as arrays."""

    def __init__(self, cells: Sequence[Cell]) -> None:
        self.cells = cells
        self.answers = np.array([cell.answer for cell in cells], np.intp)
        self.rows = np.array([cell.row for cell in cells], np.intp)
        self.kinds = np.array([cell.kind for cell in cells], np.uint8)
        self.positions = np.array([cell.position for cell in cells], np.intp)
        self.have_texts = np.array([cell.texts is not None for cell in cells], np.bool_)
        self.indices = np.array([-1 if cell.index is None else cell.index for cell in cells], np.intp)
        wanted = [cell.on_uncertain for cell in cells]
        self.on_uncertain: dict[OnUncertain | None, NDArray[np.bool_]] = {}
        """What authors want of uncertain values -> (number of cells,) who wants it."""
        for each in dict.fromkeys(wanted):
            self.on_uncertain[each] = np.array([other == each for other in wanted], np.bool_)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Values of one built-in type, and their places in the column of its kind."""

    dtype: np.dtype[Any]
    places: NDArray[np.intp]
    kind: Kind
    positions: NDArray[np.intp]


class Layout:
    """Where the cells' values are in a message, and in every message of the same shape."""

    def __init__(
        self, body: bytes, records: Records, cells: Cells, slots: NDArray[np.intp], timestamp: Timestamp
    ) -> None:
        """`slots` is (number of cells,): which of the records each cell takes its value from; -1: none."""
        self._body = body
        self._records = records
        self._care: NDArray[np.uint8] | None = None
        chosen = np.flatnonzero(slots >= 0)
        slots = slots[chosen]
        encodings, starts = records.encodings[slots], records.starts[slots]
        types = encodings & _TYPE
        statuses = _statuses(body, records)[slots]
        self.rows = cells.rows[chosen]
        self.qualities = np.zeros(statuses.size, np.uint8)
        self.reasons = np.zeros(statuses.size, np.uint16)
        for status in np.unique(statuses[statuses != 0]).tolist():
            for on_uncertain, wanted in cells.on_uncertain.items():
                alike = (statuses == status) & wanted[chosen]
                self.qualities[alike], self.reasons[alike] = quality_of(status, on_uncertain)
        times = records.times(timestamp)[slots]
        self._timed = np.flatnonzero(times >= 0)
        self._times = times[self._timed]

        texts = cells.have_texts[chosen]
        is_array, indices = (encodings & _ARRAY) != 0, cells.indices[chosen]
        there = np.where(is_array, (indices >= 0) & (indices < _lengths(body, records)[slots]), indices < 0)
        usable = self.qualities != Quality.BAD
        kinds = cells.kinds[chosen]
        plain = usable & there & ~texts & _PLAIN[types] & (_COLUMN[types] == kinds) & ((encodings & _MATRIX) == 0)
        places = starts + np.where(is_array, 4 + indices * _WIDTH_OF[types], 0)
        self._numbers: list[_Numbers] = []
        for number in np.unique(types[plain]).tolist():
            at = np.flatnonzero(plain & (types == number))
            positions = cells.positions[chosen[at]]
            self._numbers.append(_Numbers(_DTYPES[number], places[at], KINDS[Type(number)], positions))
        self._odd: list[tuple[Cell, int, int, int]] = [
            (cells.cells[chosen[at]], int(starts[at]), int(encodings[at]), int(statuses[at]))
            for at in np.flatnonzero(usable & ~plain).tolist()
        ]
        self._unknown: list[Cell] = [
            cells.cells[chosen[at]] for at in np.flatnonzero(statuses == StatusCodes.BadNodeIdUnknown).tolist()
        ]

    def fits(self, body: bytes, begin: int) -> bool:
        """Whether another message has its values in the same places, with the same types and statuses."""
        if len(body) != len(self._body) or begin != self._records.begin:
            return False
        if self._care is None:
            self._care = _care(self._body, self._records)
        differs = np.frombuffer(body, np.uint8) ^ np.frombuffer(self._body, np.uint8)
        return not (differs & self._care).any()

    def fill(self, body: bytes, image: Image) -> list[Cell]:
        """Put the values of a message that fits into their rows; return the cells to be learned anew."""
        for numbers in self._numbers:
            image.columns[numbers.kind][numbers.positions] = anywhere(body, numbers.dtype)[numbers.places]
        image.quality[self.rows] = self.qualities
        image.reason[self.rows] = self.reasons
        seconds = np.full(self.rows.size, np.nan)
        if self._timed.size:
            seconds[self._timed] = _unix(anywhere(body, np.dtype("<i8"))[self._times])
        image.source_time[self.rows] = seconds
        changed = [odd[0] for odd in self._odd if _settle(body, *odd, image)]
        return changed + self._unknown


class Reader:
    """Decodes the answers to one request, whose cells stay the same."""

    def __init__(self, count: int, cells: Sequence[Cell], timestamp: Timestamp) -> None:
        self._count = count
        self._cells = Cells(cells)
        self._timestamp: Timestamp = timestamp
        self._layout: Layout | None = None

    def layout_of(self, body: bytes) -> Layout:
        """Find where an answer has its values. Raises `ua.UaError` when it is an error, or no whole answer."""
        begin = results_begin(body)
        if self._layout is None or not self._layout.fits(body, begin + 4):
            records = scan(body, begin, self._count)
            self._layout = Layout(body, records, self._cells, self._cells.answers, self._timestamp)
        return self._layout


def _settle(body: bytes, cell: Cell, start: int, encoding: int, status: int, image: Image) -> bool:
    """Fill a cell whose value is no plain number."""
    if encoding == Type.String.value and cell.kind is Kind.TEXT and cell.index is None and cell.texts is None:
        length = max(_int32(body, start)[0], 0)
        image.columns[Kind.TEXT][cell.position] = body[start + 4 : start + 4 + length].decode("utf-8", "replace")
        return False
    number = encoding & _TYPE
    if number > Type.DiagnosticInfo.value or (number and Type(number) not in KINDS):
        return settle(cell, status, _STRUCTURE, image)
    if number == 0 and encoding & _ARRAY == 0:
        return settle(cell, status, None, image)
    try:
        variant = _binary.variant_from_binary(Buffer(body, start - 1))
    except DECODING_ERRORS:
        return settle(cell, StatusCodes.BadDecodingError, None, image)
    return settle(cell, status, variant, image)


def _statuses(body: bytes, records: Records) -> NDArray[np.uint32]:
    found = np.zeros(records.masks.size, np.uint32)
    given = np.flatnonzero(records.masks & _HAS_STATUS)
    if given.size:
        found[given] = anywhere(body, np.dtype("<u4"))[records.tails[given]]
    return found


def _lengths(body: bytes, records: Records) -> NDArray[np.intp]:
    """Elements of each array; 0 where the value is none."""
    found = np.zeros(records.masks.size, np.intp)
    arrays = np.flatnonzero(records.encodings & _ARRAY)
    if arrays.size:
        found[arrays] = anywhere(body, np.dtype("<i4"))[records.starts[arrays]]
    return found


def _care(body: bytes, records: Records) -> NDArray[np.uint8]:
    """(size of the message,): 0 for each byte that may differ without moving or changing the meaning of any other."""
    care = np.zeros(len(body), np.uint8)
    care[records.begin : records.end] = 0xFF
    types = records.encodings & _TYPE
    is_array = (records.encodings & _ARRAY) != 0
    for width in np.unique(_WIDTH_OF[types]).tolist():
        starts = records.starts[(_WIDTH_OF[types] == width) & ~is_array]
        care[starts[:, None] + np.arange(width)] = 0
    for at in np.flatnonzero(is_array & _PLAIN[types]).tolist():
        start = int(records.starts[at]) + 4
        care[start : start + max(_int32(body, start - 4)[0], 0) * int(_WIDTH_OF[types[at]])] = 0
    for start in records.starts[records.encodings == Type.String.value].tolist():
        care[start + 4 : start + 4 + max(_int32(body, start)[0], 0)] = 0
    after_status = records.tails + 4 * ((records.masks & _HAS_STATUS) != 0)
    sizes = _tail_sizes(records) - (after_status - records.tails)
    for size in np.unique(sizes).tolist():
        care[after_status[sizes == size][:, None] + np.arange(size)] = 0
    return care


def anywhere(body: bytes, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A view of a message in which element i is the value that begins at byte i."""
    return np.ndarray((max(len(body) - dtype.itemsize + 1, 0),), dtype, body, strides=(1,))


def _unix(ticks: NDArray[np.int64]) -> NDArray[np.float64]:
    """Unix seconds, to the microsecond as asyncua has them; NaN for the null time."""
    microseconds = np.minimum(ticks, _LAST_TICKS) // 10
    seconds = (microseconds - _EPOCH_TICKS // 10) / 1e6
    return np.where(microseconds <= 0, np.nan, seconds)
