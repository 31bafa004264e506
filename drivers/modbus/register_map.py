"""A vendor's register table (CSV) to the tags of a UOD. No I/O.

Vendors agree on nothing: columns stand in any order under any of the usual words, after any number of title lines,
with any of the usual delimiters. Nothing is lost: a row that is no tag is told with its line and the reason, and so is
each cell and column of which nothing was made.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from pydantic import ValidationError

from drivers.contract import DriverError
from drivers.modbus.datatypes import DATA_TYPES
from drivers.modbus.options import PointOptions
from drivers.modbus.pdu import Table
from drivers.modbus.vendor_words import (
    COLUMNS,
    AddressNotation,
    access_of,
    address_of,
    column_of,
    length_of,
    number_of,
    order_of,
    table_of,
    type_of,
    unit_of,
)

_TITLE_LINES = 30
"""The heading is sought in so many lines."""


@dataclass(slots=True)
class RegisterMap:
    """What a table says."""

    tags: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """name -> keys of the UOD"""
    lines: dict[str, int] = field(default_factory=dict[str, int])
    """name -> its line in the file"""
    faults: list[str] = field(default_factory=list[str])
    """The rows that are no tags, with line and reason."""
    remarks: list[str] = field(default_factory=list[str])
    """What was not understood of rows that are tags, and what a person has to look at."""


def read_map(text: str, device: str, *, base: int = 0, table: Table = Table.HOLDING) -> RegisterMap:
    """Read a register table.

    `base` is the number that the vendor gives the first register, `table` the one meant where no column and no line
    above says it. Raises `DriverError` where there is no heading with names and addresses.
    """
    rows, heading = _rows(text.lstrip("\ufeff"))
    found = RegisterMap()
    columns: dict[str, int] = {}
    for place, cell in enumerate(heading):
        name = column_of(cell)
        if name is not None and name not in columns:
            columns[name] = place
        elif cell.strip():
            found.remarks.append(f"column {cell.strip()!r} was not used")
    at = columns["address"]
    notation = AddressNotation.of(heading[at], (cells[at] for _, cells in rows if at < len(cells)))
    for line, cells in rows:
        filled = [cell.strip() for cell in cells if cell.strip()]
        if not filled:
            continue
        if len(filled) == 1 and (section := _section(filled[0])):
            table = section
            found.remarks.append(f"line {line}: {filled[0]!r}: what follows is taken as {table} unless it says more")
            continue
        row = {name: cells[place].strip() for name, place in columns.items() if place < len(cells)}
        try:
            name, keys, remarks = _Row(row, base, table, notation).tag()
        except ValueError as error:
            found.faults.append(f"line {line} ({row.get('name') or 'no name'}): {_said(error)}; it says {filled}")
            continue
        while name in found.tags:
            name += "_"
        found.tags[name] = {"device": device, **keys}
        found.lines[name] = line
        beyond = [cell.strip() for cell in cells[len(heading) :] if cell.strip()]
        remarks += [f"more cells than columns: {', '.join(beyond)}"] if beyond else []
        found.remarks += [f"line {line} ({name}): {remark}" for remark in remarks]
    return found


def _rows(text: str) -> tuple[list[tuple[int, list[str]]], list[str]]:
    """The rows below the heading with their lines, and the heading, by the first delimiter that makes one."""
    first: list[str] = []
    for delimiter in ";\t|,":
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        rows = [(reader.line_num, cells) for cells in reader]
        for place, (_, cells) in enumerate(rows[:_TITLE_LINES]):
            if {"name", "address"} <= {column_of(cell) for cell in cells}:
                return rows[place + 1 :], cells
        first = max(first, rows[0][1] if rows else [], key=len)
    begins = ", ".join(first) or "empty"
    missing = [name for name in ("name", "address") if name not in map(column_of, first)]
    raise DriverError(
        f"one of the first {_TITLE_LINES} lines must name the columns, and none has {' and '.join(missing)} (one of "
        f"{'; '.join(', '.join(COLUMNS[name][:4]) for name in missing)}, ...): the first line is {begins}"
    )


def _section(text: str) -> Table | None:
    """The table that a line of its own announces, as "Input registers (FC 04)"."""
    found: set[Table] = set()
    for words in (text.partition("(")[0], *re.findall(r"\(([^)]*)\)", text)):
        try:
            found.add(table_of(words))
        except ValueError:
            continue
    return found.pop() if len(found) == 1 else None


def _said(error: ValueError) -> str:
    return error.errors()[0]["msg"].removeprefix("Value error, ") if isinstance(error, ValidationError) else str(error)


class _Row:
    """One row on its way to a tag."""

    def __init__(self, row: Mapping[str, str], base: int, table: Table, notation: AddressNotation) -> None:
        self._row = row
        self._base = base
        self._table = table
        self._notation = notation
        self._remarks: list[str] = []

    def tag(self) -> tuple[str, dict[str, Any], list[str]]:
        """Its name, its keys, and what was not understood. Raises `ValueError` where it is none."""
        name = " ".join(re.sub(r"[^\w .\-%/]+", " ", self._row.get("name", "")).split())
        if not name:
            raise ValueError("it has no name")
        keys, registers = self._place()
        is_bit = not keys.keys().isdisjoint({"coil", "discrete"}) or str(keys.get("modicon", "4"))[0] in "01"
        keys |= self._type(registers, is_bit=is_bit, has_bit="bit" in keys)
        if (order := self._row.get("word_order")) and not is_bit:
            keys["word_order"] = order_of(order)
        options = PointOptions.model_validate(keys)
        if registers not in {0, options.count}:
            raise ValueError(
                f"{options.data_type.name} takes {options.count} registers, but the table says {registers}"
            )
        keys |= self._conversion()
        if unit := unit_of(self._row.get("unit", "")):
            keys["unit"] = unit
        if description := self._row.get("description"):
            keys["description"] = description
        keys |= self._direction(options)
        return name, keys, self._remarks

    def _place(self) -> tuple[dict[str, Any], int]:
        """The keys of its address, and how many registers it is said to take (0: not said)."""
        said = self._row.get("table", "")
        table = table_of(said) if said else None
        address, bit, registers = address_of(self._row.get("address", ""), table, self._notation)
        if self._row.get("bit", "").isdecimal():
            bit = int(self._row["bit"])
        if not registers and self._row.get("length", "").isdecimal():
            registers = int(self._row["length"])
        keys: dict[str, Any] = (
            {"modicon": address} if isinstance(address, str) else {(table or self._table).value: address - self._base}
        )
        return keys | ({} if bit is None else {"bit": bit}), registers

    def _type(self, registers: int, *, is_bit: bool, has_bit: bool) -> dict[str, Any]:
        said = self._row.get("type", "")
        if is_bit or has_bit:
            if said and type_of(said, 0) not in {"bool", "uint16"}:
                raise ValueError(f"{said!r} at a single bit")
            return {}
        if not said:
            if registers > 1:
                raise ValueError(f"it takes {registers} registers, and no type says what they mean")
            return {}
        if said.lower() in DATA_TYPES and said.lower() != "string":
            return {"type": said.lower()}
        kind = type_of(said, registers)
        if kind != "string":
            return {"type": kind}
        if not registers and (characters := length_of(said)):
            self._remarks.append(f"{said!r} is taken as {characters} characters, two a register")
            registers = (characters + 1) // 2
        return {"type": kind, "length": registers}

    def _conversion(self) -> dict[str, int | float]:
        """Scale and offset, where they do something."""
        scale = Fraction(1)
        for key in ("scale", "divisor", "decimals"):
            if (number := self._number(key)) is None:
                continue
            if key == "decimals":
                number = Fraction(10) ** -int(number)
            elif number == 0:
                raise ValueError(f"its {key} is 0")
            scale *= 1 / number if key == "divisor" else number
        if scale > 1:
            self._remarks.append(
                f"scale {float(scale):g}: if the device holds {float(scale):g} times the value, write "
                f"scale: {float(1 / scale):g}"
            )
        offset = self._number("offset") or Fraction(0)
        return {
            key: int(number) if number.denominator == 1 else float(number)
            for key, number, idle in (("scale", scale, 1), ("offset", offset, 0))
            if number != idle
        }

    def _number(self, key: str) -> Fraction | None:
        """The number of a cell; its unit may stand beside it. Raises `ValueError`: an unscaled value would be wrong."""
        said = self._row.get(key, "").removesuffix(self._row.get("unit", "")).strip()
        if not said or said in {"-", "--", "n/a"}:
            return None
        try:
            return number_of(said)
        except (ValueError, ZeroDivisionError) as error:
            raise ValueError(f"its {key} {said!r} is no number") from error

    def _direction(self, options: PointOptions) -> dict[str, str]:
        try:
            reads, writes = access_of(self._row.get("access", ""))
        except ValueError as error:
            self._remarks.append(f"{error}; it is taken as R")
            return {}
        table, _ = options.place
        if writes and table in {Table.INPUT, Table.DISCRETE}:
            self._remarks.append(f"what is in the table {table} is only read; it is taken as R")
            return {}
        return {} if not writes else {"direction": "both" if reads else "output"}
