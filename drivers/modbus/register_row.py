"""One row of a vendor's register table to the tags that it makes. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from drivers.contract import Kind
from drivers.modbus.datatypes import DATA_TYPES
from drivers.modbus.options import PointOptions
from drivers.modbus.pdu import Table
from drivers.modbus.register_scaling import NOTHING, is_raw, limits_said, scaling_said
from drivers.modbus.vendor_addresses import Address, AddressNotation, address_of, agreed, apart
from drivers.modbus.vendor_columns import LONGEST_CELL
from drivers.modbus.vendor_numbers import as_plain, range_of
from drivers.modbus.vendor_types import Family, SaidType, is_signed, order_of, plain, said_type
from drivers.modbus.vendor_words import access_of, choices_of, functions_of, unit_of

_LONG = frozenset({"name", "description", "choices", "range"})
"""The roles of cells that may be long, of which the first characters are read."""
_LONGEST_TEXT = 2000
NUMBERS = ("scale", "multiplier", "divisor", "offset", "min", "max", "raw low", "raw high", "scaled low", "scaled high")
"""The roles of cells that hold numbers."""


@dataclass(frozen=True, slots=True)
class Context:
    """What holds for all rows."""

    table: Table
    base: int
    divides: bool | None
    """What a bare factor such as 10 does; None: nobody says it."""
    device_id: int | None
    apart: tuple[int, ...] | None = None
    """How far the columns of addresses are apart in most rows; None: there is one column, or no majority."""
    has_decimal_commas: bool = False
    """Some number of the table has a decimal comma, so that 1.000 could be a thousand."""
    length_of: str = ""
    """What a column of lengths counts: "registers", "bytes", "bits", or "" where its heading does not say it."""


@dataclass(slots=True)
class MadeTags:
    """The tags of one row: one, or one for each element of an array."""

    tags: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])
    remarks: list[str] = field(default_factory=list[str])
    untyped: bool = False
    """No type was said, and uint16 was taken."""


def tag_of(
    row: Mapping[str, str], addresses: Sequence[tuple[str, AddressNotation]], context: Context
) -> MadeTags | None:
    """Make the tags of a row; None where it is of another device than the one wanted.

    `row`: role -> cell. Raises `ValueError` where something that decides is missing, contradicts itself or is not
    understood.
    """
    for role in ("multiplier", "scale"):
        beside = re.fullmatch(r"(\S*\d\S*) ([^\d\s]\S*)", row.get(role, ""))
        if beside and not row.get("unit"):
            row = {**row, "unit": beside[2]}  # "0.01 °C" as a resolution, and no column of units
    for role in NUMBERS if context.has_decimal_commas else ():
        if re.fullmatch(r"[+-]?[1-9]\d{0,2}\.\d{3}", row.get(role, "")):
            raise ValueError(
                f"its {role} {row[role]} could be a thousand, as others have a decimal comma: write 1 or 1000"
            )
    return _Row(row, addresses, context).made()


class _Row:
    """One row on its way to its tags."""

    def __init__(
        self, row: Mapping[str, str], addresses: Sequence[tuple[str, AddressNotation]], context: Context
    ) -> None:
        self._row = row
        self._addresses = addresses
        self._context = context
        self._made = MadeTags()

    def made(self) -> MadeTags | None:
        for role, cell in self._row.items():
            if len(cell) > LONGEST_CELL and role not in _LONG:
                raise ValueError(f"its {role} has more than {LONGEST_CELL} characters")
        name = " ".join(re.sub(r"[^\w .\-%/]+", " ", self._cell("name")).split())
        if not name:
            raise ValueError("it has no name")
        if not self._is_wanted():
            return None
        address, keys = self._place()
        said = self._said_type()
        is_bit = not keys.keys().isdisjoint({"coil", "discrete"}) or str(keys.get("modicon", "4"))[0] in "01"
        registers = self._registers(address, said)
        keys |= self._type(said, address, registers, is_bit=is_bit, has_bit="bit" in keys)
        if (order := self._order(said, address)) and not is_bit:
            keys["word_order"] = order
        options = PointOptions.model_validate(keys)
        if registers not in {0, options.count * (address.elements or 1), options.count}:
            raise ValueError(
                f"{options.data_type.name} takes {options.count} registers, but the table says {registers}"
            )
        keys |= self._meaning(options, said)
        if description := self._cell("description"):
            keys["description"] = description[:200]
        keys |= self._direction(options)
        self._limit(keys, options)
        if address.elements:
            self._made.tags = [(f"{name} {at + 1}", {**keys, "index": at}) for at in range(address.elements)]
        else:
            self._made.tags = [(name, keys)]
        return self._made

    def _cell(self, role: str) -> str:
        return self._row.get(role, "")[:_LONGEST_TEXT].strip()

    def _is_wanted(self) -> bool:
        """Whether the row is of the wanted device."""
        said = self._cell("device id")
        wanted = self._context.device_id
        if plain(said) in NOTHING:
            return True
        if not re.fullmatch(r"\d{1,3}", said):
            raise ValueError(f"its device id {said!r} is not a number from 0 to 255")
        if wanted is None:
            raise ValueError(f"it is of device id {said}: add --device-id {said}, once for each device of the table")
        return int(said) == wanted

    def _place(self) -> tuple[Address, dict[str, Any]]:
        """Its address, and the keys of it."""
        said = self._cell("table")
        table = functions_of(said)[0] if said else None
        if any(len(cell) > LONGEST_CELL for cell, _ in self._addresses):
            raise ValueError(f"its address has more than {LONGEST_CELL} characters")
        cells = [(cell, notation) for cell, notation in self._addresses if plain(cell) not in NOTHING]
        if not cells:
            raise ValueError("it has no address")
        found = _read_addresses(cells, table)
        if table is None and any(
            address.modicon and address.modicon[0] == "0" and len(address.modicon) == 5 and not notation.has_tables
            for address, (_, notation) in zip(found, cells, strict=True)
        ):
            raise ValueError(
                f"{cells[0][0]} could be an address as it is, or a coil in the notation of Modicon: add "
                "--addresses plain or --addresses modicon"
            )
        if len(found) > 1 and self._context.apart is not None and apart(found) != self._context.apart:
            raise ValueError(
                f"its addresses {_both(found)} are not as far apart as those of the other rows: correct one"
            )
        address, number = agreed(found, self._context.base)
        keys: dict[str, Any]
        if number is None:
            if table is not None and address.table is not table:
                raise ValueError(f"{address.modicon} is in the table {address.table}, but the row says {said}")
            keys = {"modicon": address.modicon}
        else:
            if address.table is not None and table is not None and address.table is not table:
                raise ValueError(f"its address is in the table {address.table}, but the row says {said}")
            keys = {(address.table or table or self._context.table).value: number}
        if (bit := self._bit(address)) is not None:
            keys["bit"] = bit
        return address, keys

    def _bit(self, address: Address) -> int | None:
        said = self._cell("bit")
        if plain(said) in NOTHING:
            return address.bit
        match = re.fullmatch(r"(?:bit ?)?(\d{1,2})", plain(said))
        if match is None or int(match[1]) > 15:
            raise ValueError(f"its bit {said!r} is not a number from 0 to 15")
        if address.bit not in {None, int(match[1])}:
            raise ValueError(f"its address says bit {address.bit}, and its column bit {match[1]}")
        return int(match[1])

    def _said_type(self) -> SaidType:
        """What the columns of types and of signs say together."""
        said = SaidType()
        for role in ("type", "type 2"):
            cell = self._cell(role)
            if plain(cell) in NOTHING:
                continue
            one = SaidType(*_own_type(cell)) if cell.lower() in DATA_TYPES else said_type(cell)
            said = _united(said, one, cell)
        sign = self._cell("sign")
        if sign and plain(sign) not in {"n/a", "na", "none"} and said.family in {"int", "uint", None}:
            signed = is_signed(sign)
            if said.signed not in {None, signed} or (said.family == "uint" and signed and said.signed is False):
                raise ValueError(f"its type and its sign {sign!r} contradict each other")
            said = _united(said, SaidType("int" if signed else "uint", signed=signed), sign, sign=True)
        return said

    def _registers(self, address: Address, said: SaidType) -> int:
        """How many registers it is said to take; 0: not said."""
        cell = self._cell("length")
        if plain(cell) in NOTHING:
            return address.registers
        match = re.fullmatch(r"(\d{1,4}) ?(bits?|bytes?|words?|reg(?:ister)?s?|octets?|char(?:acter)?s?)?", plain(cell))
        if match is None:
            raise ValueError(f"its length {cell!r} is not a number")
        number, of = int(match[1]), match[2] or self._context.length_of
        known = said.bits or ({"float": 32}.get(said.family or "", 0))
        if of.startswith("bit"):
            registers = max(1, number // 16)
        elif of.startswith(("byte", "octet", "char")):
            registers = (number + 1) // 2
        elif not of and number in {16, 32, 64} and said.family != "string":
            registers = number // 16  # nobody has numbers of so many registers: these are bits
        elif not of and known and number * 16 != known and number * 8 == known:
            registers = number // 2  # bytes
        else:
            registers = number
        if address.registers and address.registers != registers:
            raise ValueError(f"its address covers {address.registers} registers, but its length says {cell}")
        return registers

    def _type(self, said: SaidType, address: Address, registers: int, *, is_bit: bool, has_bit: bool) -> dict[str, Any]:
        if is_bit or has_bit:
            if said.family not in {None, "bool"} and not (has_bit and said.name(0) == "uint16"):
                raise ValueError(f"{said.name(0)} at a single bit")
            return {}
        if address.characters:
            if said.family not in {None, "string"}:
                raise ValueError(f"its address is of a text, but its type is {said.name(0)}")
            return {"type": "string", "length": (address.characters + 1) // 2}
        if said.family is None:
            if said.bits or registers > 1:
                raise ValueError(f"it takes {said.bits // 16 or registers} registers, and no type says what they mean")
            if self._is_below_0():
                return {"type": "int16"}
            self._made.untyped = True
            return {}
        if said.family == "uint" and not said.signed and self._is_below_0():
            raise ValueError("its range begins below 0, but its type has no sign")
        if said.family == "bool":
            raise ValueError("it is true or false, but neither a bit of the register nor a coil is named: add its bit")
        if said.family != "string":
            return {"type": said.name(registers if not address.elements else registers // address.elements)}
        if not registers and said.characters:
            self._made.remarks.append(f"its text is taken as {said.characters} characters, two a register")
            registers = (said.characters + 1) // 2
        return {"type": "string", "length": registers}

    def _is_below_0(self) -> bool:
        """Whether its limits, which no offset moves, say that it has a sign."""
        if plain(self._cell("offset")) not in {*NOTHING, "0"} or self._cell("scaled low"):
            return False
        limits = range_of(self._cell("range")[:LONGEST_CELL])
        return (limits is not None and limits[0] < 0) or re.match(r"[-\u2212]\s*\d", self._cell("min")) is not None

    def _order(self, said: SaidType, address: Address) -> str | None:
        """The order of its words and bytes."""
        found: list[str] = [said.order] if said.order else []
        if address.low_byte_first:
            found.append("BA")
        of_words, of_bytes = self._cell("word order"), self._cell("byte order")
        if of_words and of_bytes and plain(of_words) not in NOTHING and plain(of_bytes) not in NOTHING:
            words, order = order_of(of_words, of_words=True), order_of(of_bytes)
            swapped = order in {"BADC", "DCBA", "BA"}  # beside a column of words, that of bytes speaks of bytes alone
            found.append({("ABCD", True): "BADC", ("CDAB", True): "DCBA"}.get((words, swapped), words))
        elif of_words and plain(of_words) not in NOTHING:
            found.append(order_of(of_words, of_words=True))
        elif of_bytes and plain(of_bytes) not in NOTHING:
            found.append(order_of(of_bytes))
        if len(set(found)) > 1:
            raise ValueError(f"its orders {' and '.join(found)} contradict each other")
        return found[0] if found else None

    def _meaning(self, options: PointOptions, said: SaidType) -> dict[str, Any]:
        """Scale, offset, unit and choices."""
        unit, beside = unit_of(self._cell("unit"))
        factor, offset = scaling_said(self._row, divides=self._context.divides)
        factors = {each for each in (factor, said.scale, beside) if each is not None and each != 1}
        if len(factors) > 1:
            both = " and ".join(f"{float(each):g}" for each in factors)
            raise ValueError(f"its factors {both} contradict each other")
        scale = factors.pop() if factors else Fraction(1)
        keys: dict[str, Any] = {
            key: as_plain(number)
            for key, number, idle in (("scale", scale, 1), ("offset", offset, 0))
            if number != idle
        }
        if keys and options.data_type.name in {"bool", "string"}:
            raise ValueError(f"a factor or offset at a {options.data_type.name}")
        if unit:
            keys["unit"] = unit
        choices = (
            choices_of(self._cell("choices"))
            or choices_of(self._cell("range"))
            or choices_of(self._cell("description"))
        )
        if choices and not keys and options.data_type.kind in {Kind.INT, Kind.UINT, Kind.BOOL}:
            keys["choices"] = choices
        return keys

    def _direction(self, options: PointOptions) -> dict[str, str]:
        said = self._cell("access")
        _, by_reading, by_writing = functions_of(self._cell("table")) if self._cell("table") else (None, True, False)
        try:
            reads, writes = access_of(said) if said else (by_reading or not by_writing, by_writing)
        except ValueError as error:
            self._made.remarks.append(f"{error}; it is taken as R")
            return {}
        table, _ = options.place
        if writes and table in {Table.INPUT, Table.DISCRETE}:
            self._made.remarks.append(f"what is in the table {table} is only read; it is taken as R")
            return {}
        return {} if not writes else {"direction": "both" if reads else "output"}

    def _limit(self, keys: dict[str, Any], options: PointOptions) -> None:
        """Add the limits of what may be written; those of what is only read are told, as readings pass them."""
        low, high, unread = limits_said(self._row)
        self._made.remarks += unread
        if low is None and high is None:
            return
        scale = Fraction(str(keys.get("scale", 1)))
        if options.data_type.name in {"bool", "string"} or "choices" in keys:
            return
        if scale != 1 and is_raw(low, high, scale, options.data_type):
            low, high = (None if limit is None else limit * scale for limit in (low, high))
            self._made.remarks.append("its limits are taken as those of the register, before the factor")
        said = {key: as_plain(limit) for key, limit in (("min", low), ("max", high)) if limit is not None}
        if "direction" in keys:
            keys |= said
        else:
            text = ", ".join(f"{key} {limit}" for key, limit in said.items())
            keys["description"] = f"{keys['description']} ({text})" if "description" in keys else text


def _read_addresses(cells: Sequence[tuple[str, AddressNotation]], table: Table | None) -> list[Address]:
    """The addresses of a row. One that could be read in two ways is what its neighbour of another column makes it."""
    found: list[Address] = []
    doubts: list[tuple[str, ValueError]] = []
    for cell, notation in cells:
        try:
            found.append(address_of(cell, table, notation))
        except ValueError as error:
            doubts.append((cell, error))
    for cell, error in doubts:
        if not cell.isdecimal() or not any(abs(int(cell) - other.number) <= 1 for other in found if not other.modicon):
            raise error
        found.append(Address(int(cell)))
    return found


def _both(addresses: Sequence[Address]) -> str:
    return " and ".join(address.modicon or str(address.number) for address in addresses)


def _own_type(cell: str) -> tuple[Any, int]:
    """The family and width of one of our own names."""
    family = DATA_TYPES[cell.lower()].name.rstrip("0123456789")
    return family, int(cell[len(family) :] or 0)


def _united(one: SaidType, other: SaidType, cell: str, *, sign: bool = False) -> SaidType:
    """What two cells say of a type. Raises `ValueError` where they contradict each other."""
    families = {one.family, other.family} - {None}
    if families == {"int", "uint"} and (sign or {one.signed, other.signed} != {True, False}):
        families = {other.family} if sign else {"uint"}
    pairs = ((one.bits, other.bits), (one.order, other.order), (one.scale, other.scale))
    if len(families) > 1 or any(mine and yours and mine != yours for mine, yours in pairs):
        raise ValueError(f"its type contradicts {cell!r}")
    family: Family | None = next((each for each in (one.family, other.family) if each in families), None)
    return SaidType(
        family,
        one.bits or other.bits,
        one.characters or other.characters,
        one.order or other.order,
        one.scale or other.scale,
        other.signed if one.signed is None else one.signed,
    )
