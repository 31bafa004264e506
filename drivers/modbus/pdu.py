"""Protocol data units: what is asked, and whether an answer is one.

Source: MODBUS Application Protocol Specification V1.1b3, section 6 (functions) and 7 (exceptions). A request carries
what its answer must begin with and how long it must be, so that no answer of another request passes for its own.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum, StrEnum


class Table(StrEnum):
    """The four tables of a device, in the words of the UOD."""

    COIL = "coil"
    DISCRETE = "discrete"
    INPUT = "input"
    HOLDING = "holding"

    @property
    def is_bits(self) -> bool:
        """Whether an address holds one bit, not a register of sixteen."""
        return self is Table.COIL or self is Table.DISCRETE

    @property
    def is_writable(self) -> bool:
        """Whether the protocol has a function that writes here."""
        return self in {Table.COIL, Table.HOLDING}


class Function(IntEnum):
    """The function codes in use (sections 6.1 to 6.21)."""

    READ_COILS = 0x01
    READ_DISCRETE_INPUTS = 0x02
    READ_HOLDING_REGISTERS = 0x03
    READ_INPUT_REGISTERS = 0x04
    WRITE_SINGLE_COIL = 0x05
    WRITE_SINGLE_REGISTER = 0x06
    WRITE_MULTIPLE_COILS = 0x0F
    WRITE_MULTIPLE_REGISTERS = 0x10
    MASK_WRITE_REGISTER = 0x16
    READ_DEVICE_IDENTIFICATION = 0x2B


READ_FUNCTIONS = {
    Table.COIL: Function.READ_COILS,
    Table.DISCRETE: Function.READ_DISCRETE_INPUTS,
    Table.HOLDING: Function.READ_HOLDING_REGISTERS,
    Table.INPUT: Function.READ_INPUT_REGISTERS,
}

MAX_READ_REGISTERS = 125
MAX_READ_BITS = 2000
MAX_WRITE_REGISTERS = 123
"""What fits one request (sections 6.1, 6.3, 6.12)."""

ILLEGAL_FUNCTION = 0x01
ILLEGAL_DATA_ADDRESS = 0x02
ILLEGAL_DATA_VALUE = 0x03
DEVICE_FAILURE = 0x04
ACKNOWLEDGE = 0x05
DEVICE_BUSY = 0x06
GATEWAY_PATH_UNAVAILABLE = 0x0A
GATEWAY_TARGET_SILENT = 0x0B

EXCEPTION_NAMES = {
    ILLEGAL_FUNCTION: "illegal function",
    ILLEGAL_DATA_ADDRESS: "illegal data address",
    ILLEGAL_DATA_VALUE: "illegal data value",
    DEVICE_FAILURE: "device failure",
    ACKNOWLEDGE: "acknowledged, still at work",
    DEVICE_BUSY: "device busy",
    0x07: "negative acknowledge",
    0x08: "memory parity error",
    GATEWAY_PATH_UNAVAILABLE: "gateway path unavailable",
    GATEWAY_TARGET_SILENT: "gateway target device failed to respond",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """The device answered with an exception."""

    code: int

    def __str__(self) -> str:
        return f"{EXCEPTION_NAMES.get(self.code, 'unknown exception')} (exception {self.code:02X})"


class Flaw(StrEnum):
    """Why an answer is not the answer to its request."""

    SILENCE = "the device answers other requests, but not this one"
    CLOSED = "the connection ends whenever this is asked for"

    SHORT = "the device answers with less than was asked for"
    LONG = "the device answers with more than was asked for"
    FUNCTION = "the device answers with another function than was asked for"
    ECHO = "the device's answer does not repeat what was asked for"
    DEVICE_ID = "the answer bears another device_id than was asked"
    COPY = "the answer may be that to an earlier request, which the line has brought once more"


Reply = bytes | Refusal | Flaw
"""What came of a request: the data behind its echo (nothing for a write), an exception, or an answer to be refused."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a device."""

    pdu: bytes
    echo: bytes
    """What the answer begins with: of a read the function and the byte count, of a write all that it must repeat."""
    reply_size: int
    """The bytes of an answer that is no exception; 0 where only the answer itself tells."""

    def check(self, pdu: bytes) -> Reply:
        """Tell what an answer says; nothing but the very length and echo asked for passes as data."""
        if len(pdu) == (self.reply_size or reply_size(pdu)) and pdu.startswith(self.echo):
            return pdu[len(self.echo) :]
        function = pdu[0]
        if function == self.pdu[0] | 0x80:
            return Refusal(pdu[1]) if len(pdu) == 2 else Flaw.LONG
        if function != self.pdu[0]:
            return Flaw.FUNCTION
        if len(pdu) < self.reply_size:
            return Flaw.SHORT
        return Flaw.LONG if len(pdu) > self.reply_size else Flaw.ECHO


def reply_size(pdu: bytes | bytearray) -> int | None:
    """The bytes of an answer as its beginning tells them; more than there are while they do not; None: no answer."""
    function = pdu[0] & 0x7F
    if function not in _REPLY_SIZES:
        return None
    if pdu[0] & 0x80:
        return 2
    size = _REPLY_SIZES[function]
    if size:
        return size
    if len(pdu) < 2:
        return 3
    if function == Function.READ_DEVICE_IDENTIFICATION:
        return _identification_size(pdu)
    count = pdu[1]
    registers = function in {Function.READ_HOLDING_REGISTERS, Function.READ_INPUT_REGISTERS}
    return None if not 0 < count <= 2 * MAX_READ_REGISTERS or (registers and count % 2) else 2 + count


_REPLY_SIZES: dict[int, int] = {
    **dict.fromkeys(Function, 0),
    Function.WRITE_SINGLE_COIL: 5,
    Function.WRITE_SINGLE_REGISTER: 5,
    Function.WRITE_MULTIPLE_COILS: 5,
    Function.WRITE_MULTIPLE_REGISTERS: 5,
    Function.MASK_WRITE_REGISTER: 7,
}
"""Function -> the bytes of its answer; 0 where the answer tells them itself."""


def _identification_size(pdu: bytes | bytearray) -> int | None:
    """The bytes of an answer to function 43 / 14: seven, and two and its text for each object (section 6.21)."""
    if pdu[1] != _MEI_IDENTIFICATION:
        return None
    if len(pdu) < 7:
        return 7
    size = 7
    for _ in range(pdu[6]):
        if len(pdu) < size + 2:
            return size + 2
        size += 2 + pdu[size + 1]
    return size


_MEI_IDENTIFICATION = 0x0E
_FIELDS = struct.Struct(">BHH")


def read(table: Table, address: int, count: int) -> Request:
    """Ask for `count` registers or bits (sections 6.1 to 6.4)."""
    function = READ_FUNCTIONS[table]
    size = (count + 7) // 8 if table.is_bits else 2 * count
    return Request(_FIELDS.pack(function, address, count), bytes((function, size)), 2 + size)


_TABLES = {function: table for table, function in READ_FUNCTIONS.items()}


def is_read(request: Request) -> bool:
    """Whether a request asks for registers or bits."""
    return request.pdu[0] in _TABLES


def place_of(request: Request) -> tuple[Table, int, int]:
    """The table, the first address and the count that a request is about; the count of a write is 1."""
    function, address, count = _FIELDS.unpack_from(request.pdu.ljust(5, b"\0"))
    if function in _TABLES:
        return _TABLES[function], address, count
    coils = function in {Function.WRITE_SINGLE_COIL, Function.WRITE_MULTIPLE_COILS}
    return Table.COIL if coils else Table.HOLDING, address, 1


def read_identification(level: int, first: int = 0) -> Request:
    """Ask what the device is (section 6.21): `level` 1 basic, 2 regular, 3 extended, from object `first` on."""
    pdu = bytes((Function.READ_DEVICE_IDENTIFICATION, _MEI_IDENTIFICATION, level, first))
    return Request(pdu, pdu[:3], 0)


def _echoed(pdu: bytes, echo: bytes) -> Request:
    return Request(pdu, echo, len(echo))


def write_coil(address: int, *, on: bool) -> Request:
    """Set one coil (section 6.5)."""
    pdu = _FIELDS.pack(Function.WRITE_SINGLE_COIL, address, 0xFF00 if on else 0)
    return _echoed(pdu, pdu)


def write_register(address: int, data: bytes) -> Request:
    """Set one register to two bytes (section 6.6)."""
    pdu = struct.pack(">BH2s", Function.WRITE_SINGLE_REGISTER, address, data)
    return _echoed(pdu, pdu)


def write_coils(address: int, values: list[bool]) -> Request:
    """Set coils that follow each other (section 6.11)."""
    packed = sum(1 << index for index, on in enumerate(values) if on)
    head = _FIELDS.pack(Function.WRITE_MULTIPLE_COILS, address, len(values))
    size = (len(values) + 7) // 8
    return _echoed(head + bytes((size,)) + packed.to_bytes(size, "little"), head)


def write_registers(address: int, data: bytes) -> Request:
    """Set registers that follow each other, two bytes each, in one request (section 6.12)."""
    head = _FIELDS.pack(Function.WRITE_MULTIPLE_REGISTERS, address, len(data) // 2)
    return _echoed(head + bytes((len(data),)) + data, head)


def mask_register(address: int, keep: int, put: int) -> Request:
    """Set a register to `(register & keep) | (put & ~keep)` (section 6.16)."""
    pdu = struct.pack(">BHHH", Function.MASK_WRITE_REGISTER, address, keep, put)
    return _echoed(pdu, pdu)
