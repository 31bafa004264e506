"""Which column of a vendor's table says what: by its heading, and by what its cells hold. No I/O.

A column whose name or content could decide what a register means, and of which nothing is made, is an error: a type or
a factor that is passed over makes another value in silence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from drivers.modbus.vendor_addresses import AddressNotation, address_of
from drivers.modbus.vendor_headings import (
    ADDRESSES_OTHERWISE,
    COLUMNS,
    COULD_DECIDE,
    HARMLESS,
    NAMES_OTHERWISE,
    NEUTRAL,
    heading_words,
    role_of,
    without_brackets,
)
from drivers.modbus.vendor_numbers import number_of
from drivers.modbus.vendor_tables import VendorTable
from drivers.modbus.vendor_types import is_signed, order_of, plain, said_type
from drivers.modbus.vendor_words import access_of, table_of

_IDLE: Final = frozenset({"", "-", "--", "n/a", "na", "none", "no", "0", "1", "x1", "nein", "false", "off", "1.0"})
LONGEST_CELL: Final = 100
"""The characters of a cell that decides; names, descriptions and enumerations may have more."""
_ADDRESS_FROM_0: Final = re.compile(r"\bpdu\b|\bprotocol\b|zero|\boffset\b|0[ -]?based")
_ADDRESS_FROM_1: Final = re.compile(r"1[ -]?based|one[ -]based")


@dataclass(slots=True)
class Columns:
    """What the columns of one table say."""

    roles: dict[str, int] = field(default_factory=dict[str, int])
    """role -> place of its column; a second column of formats is "type 2" """
    addresses: dict[int, AddressNotation] = field(default_factory=dict[int, AddressNotation])
    """Place of each column of addresses -> how they are written there."""
    base: int | None = None
    """The number of the first register, where a heading says it."""
    length_of: str = ""
    """What a column of lengths counts, as its heading says: "registers", "bytes" or "bits"; "" where it does not."""
    faults: list[str] = field(default_factory=list[str])
    """The columns that could decide, and of which nothing was made."""
    unused: list[str] = field(default_factory=list[str])


def columns_of(table: VendorTable, said: Mapping[str, str]) -> Columns:
    """Find what each column says; `said`: heading -> role, as a person has told it."""
    found = Columns()
    places = [(place, heading) for place, heading in enumerate(table.heading) if heading or table.column(place)]
    told = {heading_words(heading): role for heading, role in said.items()}
    left: list[tuple[int, str]] = []
    for place, heading in places:
        role = told.get(heading_words(heading)) or role_of(heading)
        if role == "ignore":
            continue
        if role == "address" and _are(table.column(place), _is_address(heading, table.column(place))):
            found.addresses[place] = AddressNotation.of(heading, table.column(place))
        elif role is None or role == "address" or (role in found.roles and role != "type"):
            left.append((place, heading))
        elif role == "type" and "type" in found.roles:
            found.roles["type 2"] = place
        elif heading_words(heading) in told or _fits(role, table.column(place)):
            found.roles[role] = place
        elif role == "type" and "table" not in found.roles and _fits("table", table.column(place)):
            found.roles["table"] = place  # "Type" over Input and Holding
        else:
            left.append((place, heading))
    _fill_in(found, table, left)
    for place in found.addresses:
        words = heading_words(table.heading[place])
        if _ADDRESS_FROM_0.search(words):
            found.base = 0
        elif _ADDRESS_FROM_1.search(words) and len(found.addresses) == 1:
            found.base = 1
    if "length" in found.roles:
        words = heading_words(table.heading[found.roles["length"]])
        kinds = (("byte", "bytes"), ("bit", "bits"), ("reg", "registers"), ("word", "registers"), ("qty", "registers"),
                 ("quantity", "registers"))  # fmt: skip
        found.length_of = next((of for begin, of in kinds if begin in words), "")
    for place, heading in left:
        if why := _why_it_could_decide(heading, table.column(place)):
            found.faults.append(
                f"column {heading!r} is not understood, and {why}; name it with --column "
                f'"{heading}=ROLE" (such as type, scale, divisor, word order, unit), or leave it out with --column '
                f'"{heading}=ignore"'
            )
        elif table.column(place):
            found.unused.append(heading)
    return found


def _fill_in(found: Columns, table: VendorTable, left: list[tuple[int, str]]) -> None:
    """Take a column of names or addresses, and one of sizes, from among those that have no clear heading."""
    if not found.addresses:
        for words in ADDRESSES_OTHERWISE:
            for place, heading in [*left, *((place, table.heading[place]) for place in found.roles.values())]:
                cells = table.column(place)
                is_named = words in {heading_words(heading), without_brackets(heading)}
                if is_named and _are(cells, _is_address(heading, cells)):
                    found.addresses[place] = AddressNotation.of(heading, cells)
                    _drop(found, left, place)
            if found.addresses and words not in {"dec", "decimal"}:
                break
    if "name" not in found.roles:
        candidates = [*left, *((place, table.heading[place]) for place in found.roles.values())]
        named = [at for words in NAMES_OTHERWISE for at, heading in candidates if words == without_brackets(heading)]
        if named:
            most = max(len(table.column(at)) for at in named)
            place = next(at for at in named if len(table.column(at)) == most)
            _drop(found, left, place)
            found.roles["name"] = place
    for place, heading in list(left):
        words = without_brackets(heading)
        if "type" not in found.roles and words in COLUMNS["length"] and _fits("type", table.column(place)):
            found.roles["type"] = place  # a column "Size" with U16 and U32
            left.remove((place, heading))


def _drop(found: Columns, left: list[tuple[int, str]], place: int) -> None:
    left[:] = [each for each in left if each[0] != place]
    found.roles = {role: at for role, at in found.roles.items() if at != place}


def _is_address(heading: str, cells: Sequence[str]) -> Callable[[str], object]:
    notation = replace(AddressNotation.of(heading, cells), hexadecimal=True, mixed=False, doubtful=False)
    return lambda cell: address_of(cell, None, notation)


def _leading_number(cell: str) -> int:
    match = re.match(r"(?:bit ?)?(\d+)", cell.lower())
    if match is None:
        raise ValueError(f"{cell!r} does not begin with a number")
    return int(match[1])


_READERS: Final[Mapping[str, Callable[[str], object]]] = {
    "table": table_of,
    "type": said_type,
    "sign": is_signed,
    "length": _leading_number,
    "bit": _leading_number,
    "word order": order_of,
    "byte order": order_of,
    "access": access_of,
}


def _fits(role: str, cells: Sequence[str]) -> bool:
    """Whether a column holds what its heading promises: some of its cells at least are of its kind."""
    reader = _READERS.get(role)
    return reader is None or not cells or any(_reads(reader, cell) for cell in cells)


def _are(cells: Sequence[str], reader: Callable[[str], object]) -> bool:
    """Whether most of the cells can be read so."""
    return not cells or sum(_reads(reader, cell) for cell in cells) * 2 >= len(cells)


def _reads(reader: Callable[[str], object], cell: str) -> bool:
    if len(cell) > LONGEST_CELL:
        return False
    try:
        reader(cell)
    except (ValueError, TypeError, ZeroDivisionError):
        return False
    return True


def _why_it_could_decide(heading: str, cells: Sequence[str]) -> str | None:
    """Why an unused column could make other values of the registers; None where it could not."""
    distinct = {plain(cell) for cell in cells}
    if not distinct or distinct <= _IDLE:
        return None
    if len(distinct) == 1 and len(cells) > 1 and not any(_content(cell) for cell in distinct):
        return None
    words = heading_words(heading)
    if words in NEUTRAL:
        return None
    for cell in sorted(distinct):
        if what := _content(cell):
            return f"it holds {cell!r}, which could be {what}"
    if HARMLESS.fullmatch(words):
        return None
    if COULD_DECIDE.search(words):
        return "its name could say what the registers mean"
    return None


def _content(cell: str) -> str | None:
    """What a cell could decide; plain whole numbers say nothing by themselves."""
    for what, reads in _contents():
        if _reads(reads, cell):
            return what
    return None


def _contents() -> Iterator[tuple[str, Callable[[str], object]]]:
    def type_alone(cell: str) -> object:
        said = said_type(cell)
        if said.family is None and said.scale is None and not re.search("bit", cell):
            raise ValueError("a number alone")
        if plain(cell) in {"text", "digital", "no", "s", "i", "u", "f", "character", "flag", "single", "value"}:
            raise ValueError("a word of many meanings")
        return said

    def factor(cell: str) -> object:
        if not re.fullmatch(r"[x*/÷:]\s*\d.*|0[.,]0*1|1\s*/\s*10+|10\s*(?:\^|\*\*).*|1e-\d", cell):
            raise ValueError("not a factor")
        return number_of(cell)

    def order(cell: str) -> object:
        if len(cell) < 4 or plain(cell) in {"none", "normal", "little", "high"}:
            raise ValueError("a word of many meanings")
        return order_of(cell)

    yield "a type", type_alone
    yield "a factor", factor
    yield "an order of words", order
