"""A vendor's register table (CSV) to the tags of a UOD. No I/O.

Vendors agree on nothing, so columns are known by the usual words for them, in any order, with any of the usual
delimiters. What cannot be read is said with its row, and the other rows are read all the same.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from drivers.contract import DriverError
from drivers.modbus.options import PointOptions
from drivers.modbus.pdu import Table

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "name": ("name", "tag", "parameter", "signal", "variable", "label"),
    "address": ("address", "register", "reg", "addr", "register address", "start", "start address", "number"),
    "table": ("table", "function", "fc", "register type", "area", "object", "kind", "function code"),
    "type": ("type", "data type", "datatype", "format"),
    "unit": ("unit", "units"),
    "scale": ("scale", "factor", "multiplier", "gain", "scaling", "resolution"),
    "offset": ("offset",),
    "length": ("length", "size", "words", "registers", "count"),
    "word_order": ("word order", "byte order", "endianness", "endian"),
    "access": ("access", "r/w", "rw", "mode"),
    "description": ("description", "comment", "remark", "remarks", "notes", "meaning"),
}
TABLES: Mapping[str, Table] = {
    **dict.fromkeys(("coil", "coils", "1", "01", "0x", "do", "digital output"), Table.COIL),
    **dict.fromkeys(("discrete", "discrete input", "discrete inputs", "2", "02", "1x", "di"), Table.DISCRETE),
    **dict.fromkeys(("holding", "holding register", "holding registers", "3", "03", "4x", "hr"), Table.HOLDING),
    **dict.fromkeys(("input", "input register", "input registers", "4", "04", "3x", "ir"), Table.INPUT),
}
TYPES: Mapping[str, str] = {
    **dict.fromkeys(("bool", "bit", "boolean", "binary"), "bool"),
    **dict.fromkeys(("int16", "int", "short", "s16", "i16", "signed", "signed 16", "sint16"), "int16"),
    **dict.fromkeys(("uint16", "uint", "word", "ushort", "u16", "unsigned", "unsigned 16", "enum", "enum16"), "uint16"),
    **dict.fromkeys(("int32", "long", "dint", "s32", "i32", "signed 32"), "int32"),
    **dict.fromkeys(("uint32", "ulong", "dword", "udint", "u32", "unsigned 32"), "uint32"),
    **dict.fromkeys(("int64", "lint", "s64", "i64"), "int64"),
    **dict.fromkeys(("uint64", "ulint", "u64", "qword"), "uint64"),
    **dict.fromkeys(("float16", "half"), "float16"),
    **dict.fromkeys(("float32", "float", "real", "f32", "single", "ieee754"), "float32"),
    **dict.fromkeys(("float64", "double", "lreal", "f64"), "float64"),
    **dict.fromkeys(("bcd16", "bcd"), "bcd16"),
    "bcd32": "bcd32",
    **dict.fromkeys(("string", "text", "ascii", "char", "utf8"), "string"),
}


@dataclass(slots=True)
class RegisterMap:
    """What a table says: tags, and what of it could not be read."""

    tags: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    faults: list[str] = field(default_factory=list[str])


def read_map(text: str, device: str, *, base: int = 0, table: Table = Table.HOLDING) -> RegisterMap:
    """Read a register table.

    `base` is the number that the vendor gives the first register, `table` the one meant where no column says it.
    Raises `DriverError` where there is no heading with names and addresses.
    """
    sample = text[:4096]
    delimiter = max(";,\t|", key=sample.split("\n", 1)[0].count)
    rows = csv.reader(text.lstrip("\ufeff").splitlines(), delimiter=delimiter)
    heading: list[str] = next(rows, list[str]())
    columns = _columns(heading)
    missing = [name for name in ("name", "address") if name not in columns]
    if missing:
        raise DriverError(
            f"the first line must name the columns, and has none for {' and '.join(missing)} (one of "
            f"{'; '.join(', '.join(COLUMNS[name]) for name in missing)}): it is {', '.join(heading) or 'empty'}"
        )
    found = RegisterMap()
    for number, cells in enumerate(rows, 2):
        row = {name: cells[place].strip() for name, place in columns.items() if place < len(cells)}
        if not any(cells):
            continue
        try:
            name, keys = _tag(row, device, base, table)
        except ValueError as error:
            found.faults.append(f"row {number} ({row.get('name') or 'no name'}): {_said(error)}")
            continue
        while name in found.tags:
            name += "_"
        found.tags[name] = keys
    return found


def _said(error: ValueError) -> str:
    return error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)


def _columns(heading: Sequence[str]) -> dict[str, int]:
    """Column -> where it is."""
    plain = [re.sub(r"[\s_\-]+", " ", cell).strip().lower() for cell in heading]
    found: dict[str, int] = {}
    for name, words in COLUMNS.items():
        place = next((place for word in words for place, cell in enumerate(plain) if cell == word), None)
        if place is not None:
            found[name] = place
    return found


def _tag(row: Mapping[str, str], device: str, base: int, table: Table) -> tuple[str, dict[str, Any]]:
    """One row as a tag and its keys. Raises `ValueError`."""
    name = re.sub(r"[^\w .\-]+", " ", row.get("name", "")).strip()
    if not name:
        raise ValueError("it has no name")
    keys: dict[str, Any] = _address(row, base, table)
    said = row.get("type", "").lower().replace("_", " ")
    if said:
        kind = TYPES.get(said) or TYPES.get(said.replace(" ", ""))
        if kind is None:
            raise ValueError(
                f"{row['type']!r} is no type that is known: use one of {', '.join(sorted(set(TYPES.values())))}"
            )
        if not (kind == "bool" and ("coil" in keys or "discrete" in keys)):
            keys["type"] = kind
    if keys.get("type") == "string":
        keys["length"] = int(row.get("length") or 0)
    if order := row.get("word_order"):
        keys["word_order"] = order
    PointOptions.model_validate(keys)
    for key in ("scale", "offset"):
        if said := row.get(key):
            number = float(said.replace(",", "."))
            if number != (1.0 if key == "scale" else 0.0):
                keys[key] = int(number) if number.is_integer() else number
    keys |= {key: row[key] for key in ("unit", "description") if row.get(key)}
    if re.fullmatch(r"r/?w|w|write|read/write|rw.*", row.get("access", "").lower()):
        keys["direction"] = "both"
    return name, {"device": device, **keys}


def _address(row: Mapping[str, str], base: int, table: Table) -> dict[str, Any]:
    text = row.get("address", "").strip()
    if re.fullmatch(r"0x[0-9a-fA-F]+|[0-9a-fA-F]+h", text):
        number = int(text.removeprefix("0x").removesuffix("h"), 16)
    elif text.isdigit():
        number = int(text)
    else:
        raise ValueError(f"{text!r} is no address")
    said = row.get("table", "").lower()
    if said and said not in TABLES:
        raise ValueError(f"{row['table']!r} is no table: use one of coil, discrete, input and holding")
    if not said and re.fullmatch(r"[0134]\d{4,5}", text):
        return {"modicon": text}
    return {TABLES.get(said, table).value: number - base}
