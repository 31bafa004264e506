"""Bytes of the wire to columns of an image, whole groups at a time, and single values back to bytes.

Rules of this file:

* A group's answers lie in one array of bytes, registers as they came and every bit of a bit table as a byte of its
  own. One gather puts all values side by side, most significant byte first; the word orders are in its indices. After
  it only views.
* No value passes through a wider or narrower number on its way, so 64 bits stay exact.
* A value that does not fit its type is refused when it is written, never changed to fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers.contract import Image, Kind, Value
from drivers.modbus.datatypes import BOOL, STRING, DataType, positions, text_positions
from drivers.modbus.options import PointOptions
from drivers.modbus.pdu import Function, Table

Bytes = NDArray[np.uint8]


Places = slice | NDArray[np.intp]


def compact(places: NDArray[np.intp]) -> Places:
    """The same places as a slice where they follow each other, as numpy copies those many times faster."""
    if places.size and (np.diff(places) == 1).all():
        return slice(int(places[0]), int(places[-1]) + 1)
    return places


class UnfitError(ValueError):
    """A value does not fit the type of its point."""


@dataclass(frozen=True, slots=True)
class Field:
    """Where on its device a point is, and how its bytes are read."""

    row: int
    tag: str
    table: Table
    address: int
    count: int
    """Registers, or bits of a bit table."""
    data_type: DataType
    order: str
    positions: tuple[int, ...]
    """Where each byte of the value is among those of the wire, most significant first."""
    bit: int | None = None
    """The bit of its register, or the lowest one of several; None where it is no part of one."""
    bits: int | None = None
    """How many bits make its number; None where it is no bit field."""
    read_back: float | None = None
    """By how much what is read back after a write may differ from it; None: it is not read back."""
    read_back_s: float = 0.0
    """How long the device may take to show what was written, in seconds."""
    write_function: Function | None = None
    """The function by which alone it is written; None where its device decides."""

    @property
    def end(self) -> int:
        """The address behind it."""
        return self.address + self.count

    def __str__(self) -> str:
        return f"{self.table} {self.address}"


def field_of(row: int, tag: str, options: PointOptions, device_order: str) -> Field:
    """Resolve a point's options against the word order of its device."""
    table, address = options.place
    data_type = options.data_type
    order = options.word_order or device_order
    if table.is_bits:
        where: tuple[int, ...] = (0,)
    elif data_type is STRING:
        where = text_positions(order, options.count)
    else:
        where = positions(order, options.count)
        half = options.half if options.bit is None else 1 - (options.low_bit or 0) // 8
        if half is not None:
            where = (where[half],)
    bits = None if options.bits is None else options.bits[1] - options.bits[0] + 1
    tolerance = (options.read_back_tolerance or 0.0) if options.read_back else None
    function = None if options.write_function is None else Function(options.write_function)
    within_s = options.read_back_within_ms / 1000
    return Field(
        row, tag, table, address, options.count, data_type, order, where, options.low_bit, bits, tolerance, within_s,
        function,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Part:
    """The values of one data type and width in the gathered bytes."""

    kind: Kind
    layout: str
    bytes: slice
    width: int
    rows: NDArray[np.intp]
    cells: Places
    masks: Bytes | None
    """(n, 1) which bit of its byte each is; None where any bit counts"""
    shifts: NDArray[np.uint16] | None
    """(n,) by how much each bit field is shifted; None where there are none"""
    ones: NDArray[np.uint16] | None
    """(n,) a one for each bit of a bit field, after the shift"""
    bcd: bool


class Decoder:
    """Turns the bytes of one group into values of its rows; what can be known before is computed when made."""

    __slots__ = ("_gather", "_parts", "_texts")

    def __init__(self, fields: Sequence[Field], starts: Mapping[int, int], image: Image) -> None:
        """Plan the decoding of `fields`; `starts` tells for each row where in the raw bytes its wire bytes begin."""
        sorts: dict[tuple[Kind, str, int, bool, bool, bool], list[Field]] = {}
        for field in fields:
            of = field.data_type
            sort = of.kind, of.layout, len(field.positions), of.is_bcd, field.bit is not None, field.bits is not None
            sorts.setdefault(sort, []).append(field)
        self._parts: list[_Part] = []
        self._texts: list[tuple[slice, int]] = []
        gather: list[int] = []
        for (kind, layout, width, bcd, _, fielded), alike in sorts.items():
            begin = len(gather)
            for field in alike:
                gather += [starts[field.row] + position for position in field.positions]
            rows = np.array([field.row for field in alike], np.intp)
            cells = image.cells[rows]
            if kind is Kind.TEXT:
                self._texts += [
                    (slice(begin + i * width, begin + (i + 1) * width), int(c)) for i, c in enumerate(cells)
                ]
                continue
            masks = shifts = ones = None
            if fielded:
                shifts = np.array([field.bit for field in alike], np.uint16)
                ones = np.array([(1 << (field.bits or 0)) - 1 for field in alike], np.uint16)
            elif alike[0].bit is not None:
                masks = np.array([[1 << (field.bit or 0) % 8] for field in alike], np.uint8)
            self._parts.append(
                _Part(kind, layout, slice(begin, len(gather)), width, rows, compact(cells), masks, shifts, ones, bcd)
            )
        self._gather = compact(np.array(gather, np.intp))

    def decode(self, raw: Bytes, image: Image) -> NDArray[np.intp]:
        """Fill the columns from the raw bytes; return the rows whose bytes are no value of their type."""
        taken = raw[self._gather]
        invalid = _NONE
        for part in self._parts:
            found = taken[part.bytes]
            column = image.columns[part.kind]
            if part.kind is Kind.BOOL:
                bits = found.reshape(-1, part.width)
                column[part.cells] = (bits if part.masks is None else bits & part.masks).any(axis=1)
            elif part.bcd:
                values, valid = _bcd(found.view(part.layout))
                column[part.cells] = values
                invalid = np.concatenate((invalid, part.rows[~valid]))
            elif part.shifts is not None and part.ones is not None:
                column[part.cells] = found.view(part.layout).astype(np.uint16) >> part.shifts & part.ones
            else:
                column[part.cells] = found.view(part.layout)
        if self._texts:
            texts = image.columns[Kind.TEXT]
            for where, cell in self._texts:
                texts[cell] = _text(taken[where].tobytes())
        return invalid


_NONE: NDArray[np.intp] = np.empty(0, np.intp)


def _bcd(packed: NDArray[Any]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """Decimal digits of four bits each -> their number, and whether every digit is one."""
    count = 2 * packed.dtype.itemsize
    digits = packed[:, None].astype(np.uint64) >> np.arange(4 * (count - 1), -1, -4, dtype=np.uint64) & np.uint64(0xF)
    weights = np.array([10**place for place in range(count - 1, -1, -1)], np.uint64)
    valid: NDArray[np.bool_] = np.all(digits <= 9, axis=1)
    return digits @ weights, valid


def _text(data: bytes) -> str:
    """What stands before the first NUL, without the spaces that pad it; UTF-8, or Latin-1 where it is none."""
    data = data.split(b"\0", 1)[0].rstrip(b" ")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def encode(field: Field, value: Value) -> bytes:
    """The wire bytes of a value: of a bit b"\\0" or b"\\1", of half a register that byte alone, else whole registers,
    of a bit field with zeros around it.

    Raises `UnfitError`, whose message ends a sentence that began with the point, for a value that does not fit.
    """
    data_type = field.data_type
    if data_type is BOOL:
        return _encode_bool(field, value)
    if data_type is STRING:
        ordered = _encode_text(field, value)
    elif data_type.is_integer:
        ordered = _encode_integer(data_type, value)
        if field.bits is not None:
            ordered = _shifted(field, field.bits, int.from_bytes(ordered))
    else:
        ordered = _encode_float(data_type, value)
    if len(ordered) == 1:
        return ordered
    wire = bytearray(len(ordered))
    for position, byte in zip(field.positions, ordered, strict=True):
        wire[position] = byte
    return bytes(wire)


def mask_of(field: Field) -> int | None:
    """The bits of its register that a point takes, as the register is sent; None for one that takes all."""
    if field.table.is_bits:
        return None
    if field.bits is not None:
        mask = ((1 << field.bits) - 1 << (field.bit or 0)).to_bytes(2)
        return int.from_bytes(bytes(mask[position] for position in field.positions))
    if len(field.positions) == 2 * field.count:
        return None
    byte = 0xFF if field.bit is None else 1 << field.bit % 8
    return byte << 8 if field.positions[0] == 0 else byte


def _shifted(field: Field, bits: int, value: int) -> bytes:
    if value >> bits:
        raise UnfitError(f"is {bits} bits and takes 0 to {(1 << bits) - 1}, not {value}")
    return (value << (field.bit or 0)).to_bytes(2)


def _encode_bool(field: Field, value: Value) -> bytes:
    if isinstance(value, str) or value not in {0, 1}:
        raise UnfitError(f"takes true or false, not {value!r}")
    if field.bit is not None or field.table.is_bits:
        return b"\1" if value else b"\0"
    wire = bytearray(2)
    wire[field.positions[1]] = bool(value)
    return bytes(wire)


def _encode_text(field: Field, value: Value) -> bytes:
    if not isinstance(value, str):
        raise UnfitError(f"is a string and takes a text, not {value!r}")
    data = value.encode("utf-8")
    if "\0" in value:
        raise UnfitError("takes no text with a NUL character in it")
    if len(data) > 2 * field.count:
        raise UnfitError(f"has room for {2 * field.count} bytes, and the text takes {len(data)}: shorten it")
    return data.ljust(2 * field.count, b"\0")


def _encode_integer(data_type: DataType, value: Value) -> bytes:
    name = data_type.name
    if isinstance(value, bool | str):
        raise UnfitError(f"is {name} and takes a whole number, not {value!r}")
    if isinstance(value, float):
        if not value.is_integer():
            raise UnfitError(f"is {name} and takes a whole number, not {value!r}: set scale for a value with decimals")
        value = int(value)
    if data_type.is_bcd:
        count = 4 * data_type.registers
        if not 0 <= value < 10**count:
            raise UnfitError(f"is {name} and takes 0 to {10**count - 1}, not {value}")
        return bytes.fromhex(f"{value:0{count}d}")
    layout = np.dtype(data_type.layout)
    limits = np.iinfo(layout)
    if not limits.min <= value <= limits.max:
        raise UnfitError(f"is {name} and takes {limits.min} to {limits.max}, not {value}")
    return value.to_bytes(layout.itemsize, "big", signed=data_type.kind is Kind.INT)


def _encode_float(data_type: DataType, value: Value) -> bytes:
    name = data_type.name
    if isinstance(value, bool | str):
        raise UnfitError(f"is {name} and takes a number, not {value!r}")
    layout = np.dtype(data_type.layout)
    limit = float(np.finfo(layout).max)
    if not abs(value) <= limit:  # so written that NaN is refused too
        raise UnfitError(f"is {name} and takes a finite number up to {limit:g} either way, not {value!r}")
    return np.array(value, layout).tobytes()
