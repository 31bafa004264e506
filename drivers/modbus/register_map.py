"""A vendor's register table (CSV or Markdown) to the tags of a UOD. No I/O.

Vendors agree on nothing: columns stand in any order under any of the usual words, after any number of title lines,
with any of the usual delimiters. What decides the value of a register is used, or the row is refused; a column that
could decide and is not understood refuses the table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from drivers.contract import DriverError
from drivers.modbus.pdu import Table
from drivers.modbus.register_row import NUMBERS, Context, tag_of
from drivers.modbus.vendor_addresses import AddressNotation, Counting, address_of, apart
from drivers.modbus.vendor_columns import Columns, columns_of
from drivers.modbus.vendor_headings import COLUMNS, ROLES, heading_words, is_heading, role_of
from drivers.modbus.vendor_numbers import Factor
from drivers.modbus.vendor_tables import Line, VendorTable, first_line, tables_in
from drivers.modbus.vendor_words import table_of


@dataclass(frozen=True, slots=True)
class MapOptions:
    """What a person says of a table, where the table itself leaves it open."""

    base: int | None = None
    """The number that the vendor gives the first register; None: 0, unless a heading says it."""
    table: Table = Table.HOLDING
    """The table meant where no column and no line above says it."""
    factor: Factor | None = None
    """What a bare factor such as 10 does to what a register holds."""
    addresses: Counting = "auto"
    """How numbers such as 40001 are read."""
    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    """Heading -> role, one of `ROLES`."""
    device_id: int | None = None
    """Take only the rows of this device, where a column says whose they are."""


@dataclass(slots=True)
class RegisterMap:
    """What a table says."""

    tags: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """name -> keys of the UOD"""
    lines: dict[str, int] = field(default_factory=dict[str, int])
    """name -> its line in the file"""
    faults: list[str] = field(default_factory=list[str])
    """The columns and rows that are refused, with line and reason."""
    remarks: list[str] = field(default_factory=list[str])
    """What a person has to look at."""


def read_map(text: str, device: str, options: MapOptions | None = None) -> RegisterMap:
    """Read all tables of a text.

    Raises `DriverError` where there is no heading with names and addresses, or a column is named that is not there.
    """
    options = options or MapOptions()
    tables = tables_in(text.lstrip("\ufeff"), is_heading)
    if not tables:
        raise DriverError(_no_heading(text))
    _check_columns(tables, options.columns)
    found = RegisterMap()
    for table in tables:
        _read_table(table, device, options, found)
    found.remarks = list(dict.fromkeys(found.remarks))
    return found


def _no_heading(text: str) -> str:
    first = first_line(text)
    roles = {role_of(cell) for cell in first}
    missing = [name for name in ("name", "address") if name not in roles]
    return (
        f"a line must name the columns, and none has {' and '.join(missing)} (one of "
        f"{'; '.join(', '.join(COLUMNS[name][:4]) for name in missing)}, ...): the first line is "
        f"{', '.join(first)[:200] or 'empty'}"
    )


def _check_columns(tables: list[VendorTable], columns: Mapping[str, str]) -> None:
    known = {heading_words(heading) for table in tables for heading in table.heading}
    for heading, role in columns.items():
        if heading_words(heading) not in known:
            names = ", ".join(heading for heading in tables[0].heading if heading)
            raise DriverError(f"there is no column {heading!r}; there are {names}")
        if role not in ROLES:
            raise DriverError(f"a column cannot be {role!r}; it can be {', '.join(ROLES)}")


def _read_table(table: VendorTable, device: str, options: MapOptions, found: RegisterMap) -> None:
    columns = columns_of(table, options.columns)
    if columns.faults:
        found.faults += columns.faults
        return
    if columns.unused:
        found.remarks.append(f"not used: {', '.join(f'column {heading!r}' for heading in columns.unused)}")
    notations = {
        place: AddressNotation.of(table.heading[place], table.column(place), options.addresses)
        for place in columns.addresses
    }
    base = columns.base if options.base is None else options.base
    apart_of_most = _apart_of_most(table, notations)
    has_decimal_commas = any(
        re.search(r"^\D?\d+,\d+", cell)
        for role in NUMBERS
        if role in columns.roles
        for cell in table.column(columns.roles[role])
    )
    section = options.table
    before = len(found.tags)
    told = ""
    untyped = 0
    for line in table.rows:
        if line.above != told:
            told = line.above
            if (announced := _section(told)) is not None:
                section = announced
                found.remarks.append(f"{told!r}: what follows is taken as {section} unless it says more")
        if len([cell for cell in line.cells if cell]) == 1 and line.above in line.cells:
            if _section(line.above) is None:
                found.faults.append(f"line {line.number}: {line.above[:200]!r} is not a row of the table")
            continue
        row = {role: _cell(line, place) for role, place in columns.roles.items()}
        context = Context(
            section,
            base or 0,
            None if options.factor is None else options.factor == "divide",
            options.device_id,
            apart_of_most,
            has_decimal_commas,
            columns.length_of,
        )
        try:
            made = tag_of(row, [(_cell(line, place), notation) for place, notation in notations.items()], context)
        except ValueError as error:
            said = [cell for cell in line.cells if cell]
            found.faults.append(f"line {line.number} ({row.get('name') or 'no name'}): {_said(error)}; it says {said}")
            continue
        if made is None:
            continue
        untyped += made.untyped
        beyond = [cell for cell in line.cells[len(table.heading) :] if cell]
        made.remarks.extend([f"more cells than columns: {', '.join(beyond)}"] if beyond else [])
        for name, keys in made.tags:
            found.lines[_add(found.tags, name, {"device": device, **keys})] = line.number
        found.remarks += [f"line {line.number} ({made.tags[0][0]}): {remark}" for remark in made.remarks]
    found.remarks += _remarks(table, columns, options, list(found.tags.values())[before:], untyped)


def _apart_of_most(table: VendorTable, notations: Mapping[int, AddressNotation]) -> tuple[int, ...] | None:
    """How far the columns of addresses are apart in more rows than in any other way."""
    found: Counter[tuple[int, ...]] = Counter()
    for line in table.rows:
        try:
            addresses = [address_of(_cell(line, place), None, notation) for place, notation in notations.items()]
        except ValueError:
            continue
        if len(addresses) > 1:
            found[apart(addresses)] += 1
    most = found.most_common(2)
    return most[0][0] if most and (len(most) == 1 or most[0][1] > most[1][1]) else None


def _cell(line: Line, place: int) -> str:
    return line.cells[place] if place < len(line.cells) else ""


def _add(tags: dict[str, dict[str, Any]], name: str, keys: dict[str, Any]) -> str:
    while name in tags:
        name += "_"
    tags[name] = keys
    return name


def _remarks(
    table: VendorTable, columns: Columns, options: MapOptions, tags: Sequence[Mapping[str, Any]], untyped: int
) -> Iterator[str]:
    """What is to be looked at in a table as a whole."""
    if untyped:
        yield f"{untyped} {'row says' if untyped == 1 else 'rows say'} no type, and uint16 is taken"
    ones = [keys["modicon"] for keys in tags if "modicon" in keys]
    if ones and options.addresses == "auto":
        yield (
            f"numbers such as {ones[0]} are taken as the notation of Modicon, counted from 1; if the device has them "
            "as its addresses, add --addresses plain"
        )
    numbers = [int(keys[key]) for keys in tags for key in ("holding", "input") if key in keys]
    if numbers and 0 not in numbers and options.base is None and columns.base is None and len(columns.addresses) == 1:
        yield (
            "addresses are taken as counted from 0; if the manual counts from 1, add --base 1 (skidlink modbus probe "
            "shows which)"
        )
    headings = Counter(heading_words(heading) for heading in table.heading)
    if headings["client access"] and headings["respect data type"] and any(_is_long(keys) for keys in tags):
        yield (
            "the table is of Kepware, whose devices have First Word Low on unless somebody has changed it: then add "
            "word_order: CDAB to the device"
        )


def _is_long(keys: Mapping[str, Any]) -> bool:
    return str(keys.get("type", "")).endswith(("32", "64"))


def _section(text: str) -> Table | None:
    """The table that a line of its own announces, such as "Input registers (FC 04)"."""
    found: set[Table] = set()
    for words in text.replace(")", "(").split("("):
        try:
            found.add(table_of(words.strip(" :")))
        except ValueError:
            continue
    return found.pop() if len(found) == 1 else None


def _said(error: ValueError) -> str:
    return error.errors()[0]["msg"].removeprefix("Value error, ") if isinstance(error, ValidationError) else str(error)
