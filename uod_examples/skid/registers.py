"""The Modbus register map of the skid, and how values become words. Pure.

Two device ids behind one TCP port, as behind a gateway: 1 is the pump box (low word first, but for its inputs), 2 the
transmitter for temperature and conductivity (high word first). Addresses between the registers are not defined.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

from uod_examples.skid.model import Status, Value

WordOrder = Literal["ABCD", "CDAB", "BADC", "DCBA"]

PUMP_BOX = 1
TRANSMITTER = 2


class Table(StrEnum):
    """The four address spaces of a Modbus device."""

    COIL = "coil"
    DISCRETE = "discrete"
    HOLDING = "holding"
    INPUT = "input"


_FORMATS = {
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float32": "f",
    "float64": "d",
}
"""type -> its code in `struct`"""
_BROKEN = {"int16": -(2**15), "uint16": 2**16 - 1, "int32": -(2**31)}
"""What an integer register shows of a broken sensor (NaN)."""


@dataclass(frozen=True, slots=True)
class Register:
    """One value of the skid at one place of the map."""

    name: str
    quantity: str
    device_id: int
    table: Table
    address: int
    type: str
    unit: str = ""
    order: WordOrder = "ABCD"
    scale: float = 1.0
    """quantity = raw * scale, in units of the model"""
    length: int = 1
    """registers of a string"""
    bit: int | None = None
    """of the status word, for a discrete input"""
    writable: bool = False

    @property
    def words(self) -> int:
        """How many addresses it takes."""
        if self.type == "string":
            return self.length
        return 1 if self.type == "bool" else struct.calcsize(_FORMATS[self.type]) // 2

    def raw(self, values: Mapping[str, Value]) -> Value:
        """What a client that knows the type reads here: scaled to the raw integer, rounded to float32, and so on."""
        value = values[self.quantity]
        if self.type == "string":
            return str(value)
        if self.type == "bool":
            return bool(value) if self.bit is None else bool(int(value) >> self.bit & 1)
        if self.type.startswith("float"):
            return float(struct.unpack(">" + _FORMATS[self.type], struct.pack(">" + _FORMATS[self.type], value))[0])
        if isinstance(value, float) and math.isnan(value):
            return _BROKEN[self.type]
        number = int(value) if self.scale == 1.0 else round(float(value) / self.scale)
        bits = 8 * struct.calcsize(_FORMATS[self.type])
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if self.type.startswith("i") else (0, 2**bits - 1)
        return min(high, max(low, number))

    def encode(self, values: Mapping[str, Value]) -> list[int]:
        """The words (or the one bit) as they stand at `address` and after."""
        raw = self.raw(values)
        if self.type == "bool":
            return [int(raw)]
        if self.type == "string":
            data = str(raw).encode("ascii").ljust(2 * self.length, b"\0")
            return list(struct.unpack(f">{self.length}H", data))
        return arranged(struct.pack(">" + _FORMATS[self.type], raw), self.order)

    def decode(self, words: Sequence[int]) -> Value:
        """The value that written words mean, in units of the model. Raises `ValueError` for bytes that are no text."""
        if self.type == "bool":
            return bool(words[0])
        if self.type == "string":
            return struct.pack(f">{self.length}H", *words).rstrip(b"\0").decode("ascii")
        data = struct.pack(f">{len(words)}H", *words)
        again = arranged(data, self.order)  # every order is its own inverse
        raw: int | float = struct.unpack(">" + _FORMATS[self.type], struct.pack(f">{len(again)}H", *again))[0]
        return raw if self.scale == 1.0 else raw * self.scale


def arranged(data: bytes, order: WordOrder) -> list[int]:
    """Big-endian bytes as words in the given order: CDAB the low word first, BADC the bytes of each word swapped."""
    words = list(struct.unpack(f"{'>' if order in ('ABCD', 'CDAB') else '<'}{len(data) // 2}H", data))
    return words if order in ("ABCD", "BADC") else words[::-1]


_BOX = Register("", "", PUMP_BOX, Table.HOLDING, 0, "uint16", order="CDAB")
_SENSOR = Register("", "", TRANSMITTER, Table.INPUT, 0, "float32")


def _at(base: Register, name: str, address: int, **fields: Any) -> Register:
    """A register like `base`, which stands for the quantity of its own name unless another is given."""
    return replace(base, name=name, address=address, **{"quantity": name, **fields})


REGISTERS: tuple[Register, ...] = (
    # The pump box: what is written
    _at(_BOX, "PU01", 0, unit="%", scale=0.1, writable=True),
    _at(_BOX, "MO01", 1, writable=True),
    _at(_BOX, "PU01_float", 2, quantity="PU01", type="float32", unit="%", writable=True),
    _at(_BOX, "WD01", 8, writable=True),
    _at(_BOX, "BA01", 10, type="string", length=8, writable=True),
    # The pump box: what is read
    _at(_BOX, "PT01", 100, unit="bar", scale=0.001),
    _at(_BOX, "PT02", 102, type="float32", unit="bar"),
    _at(_BOX, "FT01", 104, type="float32", unit="L/h"),
    _at(_BOX, "ST01", 106, unit="%", scale=0.1),
    _at(_BOX, "FQ01", 110, type="uint32", unit="mL"),
    _at(_BOX, "PC01", 112, type="uint64"),
    _at(_BOX, "CK01", 116, type="int64"),
    _at(_BOX, "SW01", 120),
    _at(_BOX, "MS01", 128, type="string", length=8),
    # The same again as input registers, high word first
    _at(_BOX, "PT01_input", 0, quantity="PT01", table=Table.INPUT, unit="bar", scale=0.001),
    _at(_BOX, "PT02_input", 1, quantity="PT02", table=Table.INPUT, unit="bar", scale=0.001),
    _at(_BOX, "FT01_input", 2, quantity="FT01", table=Table.INPUT, type="float32", unit="L/h", order="ABCD"),
    _at(_BOX, "FT01_double", 4, quantity="FT01", table=Table.INPUT, type="float64", unit="L/h", order="ABCD"),
    *(
        _at(_BOX, name, address, table=Table.COIL, type="bool", writable=True)
        for address, name in enumerate(("VA01", "VA02", "VA03"))
    ),
    *(
        _at(
            _BOX,
            bit.name or "",
            bit.value.bit_length() - 1,
            quantity="SW01",
            table=Table.DISCRETE,
            type="bool",
            bit=bit.value.bit_length() - 1,
        )
        for bit in Status
    ),
    # The transmitter
    _at(_SENSOR, "TT01", 0, type="int16", unit="degC", scale=0.01),
    _at(_SENSOR, "CT01", 2, unit="mS/cm"),
    _at(_SENSOR, "TT01_milli", 10, quantity="TT01", type="int32", unit="degC", scale=0.001),
    *(
        _at(_SENSOR, f"CT01_{order}", 100 + 2 * place, quantity="CT01", table=Table.HOLDING, unit="mS/cm", order=order)
        for place, order in enumerate(("ABCD", "CDAB", "BADC", "DCBA"))
    ),
    _at(_SENSOR, "TT01_double", 108, quantity="TT01", table=Table.HOLDING, type="float64", unit="degC"),
)
