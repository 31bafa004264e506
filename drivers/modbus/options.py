"""What a UOD says about a Modbus device and its points, checked where it is written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from drivers.contract import Kind, Options
from drivers.modbus.datatypes import BOOL, DATA_TYPES, DataType, letters, spelled
from drivers.modbus.pdu import MAX_READ_BITS, MAX_READ_REGISTERS, Function, Table
from drivers.modbus.write_keys import WriteFunctions, require_able, require_one_each

MAX_ADDRESS = 0xFFFF
BITS_PER_REGISTER = 16
"""How many coils weigh as much as a register in `max_gap` and `max_block`."""

TypeName = Literal[
    "bool", "int8_high", "int8_low", "uint8_high", "uint8_low", "int16", "uint16", "int32", "uint32", "int64", "uint64",
    "float16", "float32", "float64", "bcd16", "bcd32", "string",
]  # fmt: skip

Port = Annotated[int, Field(ge=1, le=65_535)]
LineDeviceId = Annotated[int, Field(ge=1, le=247)]
"""0 is the broadcast, which nobody answers (Serial Line Specification V1.02, section 2.2)."""
Bit = Annotated[int, Field(ge=0, le=15)]
Address = Annotated[int, Field(ge=0, le=MAX_ADDRESS)]


def _order(value: object) -> object:
    return spelled(value) if isinstance(value, str) else value


WordOrder = Annotated[str, BeforeValidator(_order)]


def _span(value: object) -> object:
    """Read "4-7" as (4, 7), and a single number as both its ends. Raises `ValueError`."""
    if isinstance(value, int):
        return value, value
    if isinstance(value, str):
        found = re.fullmatch(r"(\d+)\s*(?:-|\.\.)\s*(\d+)", value.strip())
        if found is None or int(found[1]) > int(found[2]):
            raise ValueError(f"{value!r} is no range: write the first and the last, as 4-7")
        return int(found[1]), int(found[2])
    return value


Bits = Annotated[tuple[Bit, Bit], BeforeValidator(_span)]
Range = Annotated[tuple[Address, Address], BeforeValidator(_span)]


class DeviceOptions(Options):
    """What every Modbus device takes, whatever carries its frames."""

    device_id: Annotated[int, Field(ge=0, le=255)] = 1
    """The unit id; 1 to 247 on a serial line. A device that is itself the TCP server often wants 1, 0 or 255."""
    timeout_ms: Annotated[int, Field(ge=1, le=60_000)] = 1000
    """How long a device may take for one answer, from its last one where several are awaited; and the connecting."""
    retries: Annotated[int, Field(ge=0, le=10)] = 2
    """How often a request without an answer, or refused as busy, is repeated; where other devices share the link, they
    have their turn in between."""
    word_order: WordOrder = "ABCD"
    """The order of the bytes and words of its values, for points that do not say their own."""
    max_gap: Annotated[int, Field(ge=0, le=MAX_READ_REGISTERS)] = 8
    """How many registers that nobody asked for may be read to save a request (16 bits count as one)."""
    max_block: Annotated[int, Field(ge=1, le=MAX_READ_REGISTERS)] = MAX_READ_REGISTERS
    """How many registers one request may read (16 coils or discrete inputs count as one)."""
    readable: Mapping[Table, tuple[Range, ...]] = Field(default_factory=dict[Table, tuple[Range, ...]])
    """The addresses that it lets be read, as {holding: [0-99, 200-249]}: within a range no gap is too wide, and no
    request goes past its end."""
    pause_after_connect_ms: Annotated[int, Field(ge=0, le=60_000)] = 0
    """How long a fresh connection is left alone before the first request; the longest of a link's devices counts."""
    pause_between_requests_ms: Annotated[int, Field(ge=0, le=10_000)] = 0
    """How long the device is left alone between its answer and the next request."""
    write_function: WriteFunctions = ()
    """The only functions that write it: 6 or 16 for a register, 5 or 15 for a coil, `[6, 15]` for one of each. Several
    registers always take 16. Without it, the other one is tried where the first is refused or not answered."""

    shared: ClassVar[tuple[str, ...]] = ()
    """The keys in which all devices of a link must agree, as they are about the way to them."""
    numbered: ClassVar[bool] = False
    """Whether frames bear transaction ids."""

    def longest(self, table: Table) -> int:
        """How many registers or bits one request may read."""
        return min(self.max_block * BITS_PER_REGISTER, MAX_READ_BITS) if table.is_bits else self.max_block

    def gap(self, table: Table) -> int:
        """How many registers or bits that nobody asked for may be read to save a request."""
        return self.max_gap * BITS_PER_REGISTER if table.is_bits else self.max_gap

    @property
    def window(self) -> int:
        """How many requests may be open at a time: one where answers bear no transaction id."""
        return 1

    def write_function_of(self, table: Table, count: int) -> Function | None:
        """The function that so many registers or coils are written by; None where the device decides."""
        able = {5, 15} if table.is_bits else {6, 16} if count == 1 else {16}
        return next((Function(one) for one in self.write_function if one in able), None)

    @model_validator(mode="after")
    def _one_write_function_each(self) -> Self:
        require_one_each(self.write_function)
        return self

    @model_validator(mode="after")
    def _word_order_of_any_length(self) -> Self:
        if len(self.word_order) != 4:
            raise ValueError(
                f"word_order {self.word_order} of a device must have four letters (ABCD, CDAB, BADC, DCBA); other "
                "forms are for single points"
            )
        return self


class HostOptions(DeviceOptions):
    """A device behind a host and port."""

    host: Annotated[str, Field(min_length=1)]
    """Its name or IP address, or that of the gateway before it."""
    port: Port = 502
    """The port at the host."""


class TcpDeviceOptions(HostOptions):
    """A device behind Modbus TCP."""

    numbered: ClassVar[bool] = True

    max_in_flight: Annotated[int, Field(ge=1, le=256)] = 1
    """How many requests the device takes before it has answered the first."""

    @property
    def window(self) -> int:
        """How many requests may be open at a time."""
        return self.max_in_flight


class UdpDeviceOptions(TcpDeviceOptions):
    """A device behind Modbus UDP."""


class TlsDeviceOptions(TcpDeviceOptions):
    """A device behind Modbus/TCP Security."""

    shared: ClassVar[tuple[str, ...]] = ("ca_file", "server_name", "cert_file", "key_file")

    port: Port = 802
    """The port at the host."""
    ca_file: Path | None = None
    """The certificates (PEM) that may sign that of the server; without it those that the system trusts."""
    server_name: Annotated[str, Field(min_length=1)] | None = None
    """The name in the server's certificate, where it is not the host."""
    cert_file: Path | None = None
    """Our own certificate (PEM), for servers that want one; may hold its key too."""
    key_file: Path | None = None
    """The key (PEM, without a password) of our own certificate, where it is not in cert_file."""

    @model_validator(mode="after")
    def _key_with_certificate(self) -> Self:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("key_file is the key of a certificate: give cert_file too")
        return self


class SocketLineOptions(HostOptions):
    """A device on a serial line behind a gateway that passes the bytes of the line on, or takes its frames."""

    device_id: LineDeviceId = 1
    """The address on the line."""


def _parity(value: object) -> object:
    letters = {"N": "none", "E": "even", "O": "odd"}
    return letters.get(value.upper(), value.lower()) if isinstance(value, str) else value


class LineOptions(DeviceOptions):
    """A device on a serial port."""

    shared: ClassVar[tuple[str, ...]] = ("baudrate", "parity", "stopbits", "rs485", "local_echo")

    device_id: LineDeviceId = 1
    """The address on the line."""
    port: Annotated[str, Field(min_length=1)]
    """The serial port, as /dev/ttyUSB0 or COM3; a name under /dev/serial/by-id stays the same when it is replugged."""
    baudrate: Annotated[int, Field(ge=50, le=4_000_000)] = 19_200
    """Bits a second."""
    parity: Annotated[Literal["none", "even", "odd"], BeforeValidator(_parity)] = "even"
    """none, even or odd."""
    stopbits: Literal[1, 2] = 1
    """Devices without parity often want 2."""
    rs485: Literal["automatic", "kernel", "rts"] = "automatic"
    """Who turns an RS-485 transceiver round: the adapter itself, the kernel's driver of the port, or we by RTS."""
    local_echo: bool = False
    """True for a line or adapter that gives back what is sent."""

    @property
    def bytesize(self) -> int:
        """Data bits of a character."""
        return 8


class RtuDeviceOptions(LineOptions):
    """A device on a serial port that speaks RTU."""


class AsciiDeviceOptions(LineOptions):
    """A device on a serial port that speaks ASCII."""

    shared: ClassVar[tuple[str, ...]] = (*LineOptions.shared, "databits")

    databits: Literal[7, 8] = 7
    """7 by the specification; many devices want 8."""

    @property
    def bytesize(self) -> int:
        """Data bits of a character."""
        return self.databits


def _modicon(value: int | str) -> tuple[Table, int]:
    """Read the one-based notation: the first digit is the table, the four or five others the place in it.

    A number without its leading zeros (1 to 9999) is a coil. Raises `ValueError`.
    """
    text = str(value).strip()
    digits = text.zfill(5) if isinstance(value, int) or len(text) < 5 else text
    tables = {"0": Table.COIL, "1": Table.DISCRETE, "3": Table.INPUT, "4": Table.HOLDING}
    if not re.fullmatch(r"[0134]\d{4,5}", digits) or not 1 <= int(digits[1:]) <= MAX_ADDRESS + 1:
        raise ValueError(
            f"modicon {text} is not an address: use five or six digits, the first 0 (coil), 1 (discrete), 3 (input) "
            "or 4 (holding), the others counted from 1, as 40101 or 400101"
        )
    return tables[digits[0]], int(digits[1:]) - 1


def meant_as_modicon(key: str, number: int) -> str | None:
    """The address that is meant where a number after `holding`, `input` or `discrete` is written in the one-based
    notation; None where it does not look like that."""
    digit = {"holding": "4", "input": "3", "discrete": "1"}.get(key)
    text = str(number)
    if digit is None or len(text) not in {5, 6} or text[0] != digit or not 1 <= int(text[1:]) <= MAX_ADDRESS + 1:
        return None
    return str(int(text[1:]) - 1)


class PointOptions(Options):
    """What a tag on a Modbus device takes."""

    holding: Address | None = None
    """The protocol's own address of a holding register, counted from 0."""
    input: Address | None = None
    """The protocol's own address of an input register, counted from 0."""
    coil: Address | None = None
    """The protocol's own address of a coil, counted from 0."""
    discrete: Address | None = None
    """The protocol's own address of a discrete input, counted from 0."""
    modicon: int | str | None = None
    """The one-based notation with the table as its first digit, as 40101 or 400101."""
    type: TypeName | None = None
    """How the registers are read. Without it: bool for coils, discrete inputs and single bits, else uint16."""
    length: Annotated[int, Field(ge=1, le=MAX_READ_REGISTERS)] | None = None
    """The registers of a string."""
    index: Annotated[int, Field(ge=0, le=MAX_ADDRESS)] | None = None
    """Which element of an array that begins at the address, counted from 0; elements are of `type` and `length`."""
    bit: Bit | None = None
    """One bit of a register, 0 being the least significant."""
    bits: Bits | None = None
    """A number in some bits of a register, as 4-7; 0 is the least significant."""
    word_order: WordOrder | None = None
    """The order of the bytes and words of this value, where it is not that of its device."""
    write_function: Literal[5, 6, 15, 16, 22] | None = None
    """The only function that writes it: 6, 16 or (part of a register) 22 for a register, 5 or 15 for a coil. Without
    it, that of its device; else the next one is tried where the first is refused or not answered."""
    read_back: bool = False
    """true: a value that was written is read again, and is refused if the device holds another."""
    read_back_tolerance: Annotated[float, Field(gt=0)] | None = None
    """By how much the raw value that is read back may differ."""
    read_back_within_ms: Annotated[int, Field(ge=0, le=60_000)] = 5000
    """How long the device may take to show what was written; it is read again and again meanwhile."""

    @field_validator("holding", "input", "coil", "discrete", mode="before")
    @classmethod
    def _counted_from_0(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, int) and value > MAX_ADDRESS and (number := meant_as_modicon(str(info.field_name), value)):
            raise ValueError(f"{value} is beyond {MAX_ADDRESS}: write modicon: {value}, or {info.field_name}: {number}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = [
            name for name in ("holding", "input", "coil", "discrete", "modicon") if getattr(self, name) is not None
        ]
        if len(given) != 1:
            said = " and ".join(given) or "none of them"
            raise ValueError(f"give exactly one of holding, input, coil, discrete and modicon, not {said}")
        table, address = self.place
        a_table = (
            f"a {table}" if table.is_bits else f"an {table} register" if table is Table.INPUT else f"a {table} register"
        )
        if table.is_bits:
            for key in ("length", "bit", "bits", "word_order"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{a_table} has no {key}: leave it out")
            if self.type not in {None, "bool"}:
                raise ValueError(f"{a_table} is one bit and its type is bool, not {self.type}")
        if self.bit is not None and self.type not in {None, "bool"}:
            raise ValueError(f"a bit of a register has the type bool, not {self.type}: leave out bit or type")
        if self.bits is not None and (
            self.bit is not None or self.index is not None or self.type not in {None, "uint16"}
        ):
            raise ValueError("bits of a register are an unsigned number: leave out bit, index and type")
        if self.read_back_tolerance is not None and (
            not self.read_back or self.data_type.kind in {Kind.BOOL, Kind.TEXT}
        ):
            raise ValueError("read_back_tolerance is for numbers with read_back: true")
        if "read_back_within_ms" in self.model_fields_set and not self.read_back:
            raise ValueError("read_back_within_ms has no effect without read_back: true")
        if self.write_function is not None:
            is_part = not table.is_bits and (self.bit is not None or self.bits is not None or self.half is not None)
            require_able(self.write_function, table, self.count, is_part=is_part)
        if self.type == "string" and self.length is None:
            raise ValueError("a string needs length: the number of registers that it takes")
        if self.type != "string" and self.length is not None:
            raise ValueError(f"length is for strings; {self.data_type.name} has a length of its own")
        if address + self.count - 1 > MAX_ADDRESS:
            raise ValueError(f"address {address} + {self.count} registers runs past {MAX_ADDRESS}")
        if self.word_order is not None:
            letters(self.word_order, self.count if self.type != "string" else 1)
        return self

    @cached_property
    def place(self) -> tuple[Table, int]:
        """The table and the protocol address, of its element where it is one of an array."""
        table, address = self._base
        return table, address + self._within[0]

    @property
    def _within(self) -> tuple[int, int]:
        """How many addresses behind the first element it is, and which bit or half of the register there."""
        index = self.index or 0
        if self._base[0].is_bits:
            return index, 0
        if self.bit is not None:
            return divmod(self.bit + index, 16)
        if self.data_type.half is not None:
            return divmod(self.data_type.half + index, 2)
        return index * self.count, 0

    @property
    def low_bit(self) -> int | None:
        """The bit of its register, or the lowest one of several; None where it is no part of one."""
        return self.bits[0] if self.bits is not None else None if self.bit is None else self._within[1]

    @property
    def half(self) -> int | None:
        """Which byte of its register it is, 0 the more significant; None where it is all of it."""
        return None if self.data_type.half is None or self.bit is not None else self._within[1]

    @cached_property
    def _base(self) -> tuple[Table, int]:
        if self.modicon is not None:
            return _modicon(self.modicon)
        for table in Table:
            address: int | None = getattr(self, table.value)
            if address is not None:
                return table, address
        raise ValueError("a point without an address")

    @property
    def key(self) -> str:
        """The key in which the author gave the address."""
        return "modicon" if self.modicon is not None else self._base[0].value

    @property
    def data_type(self) -> DataType:
        """The type, said or understood."""
        if self.type is not None:
            return DATA_TYPES[self.type]
        return BOOL if self.bit is not None or self._base[0].is_bits else DATA_TYPES["uint16"]

    @property
    def count(self) -> int:
        """How many registers, or bits of a table of bits, it takes."""
        return self.length or self.data_type.registers
