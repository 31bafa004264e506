"""How vendors write what a register is: words for columns, tables, types, units, factors. No I/O.

Every function raises `ValueError` for a text that means nothing here, and never guesses between two meanings.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from drivers.modbus.datatypes import spelled
from drivers.modbus.pdu import Table

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "name": (
        "name", "tag", "tag name", "parameter", "parameter name", "signal", "variable", "label", "designation",
        "register name", "measurand", "bezeichnung", "data point",
    ),
    "address": (
        "address", "register", "reg", "addr", "register address", "modbus address", "modbus register", "start",
        "start address", "start register", "number", "register number", "register no", "reg no", "adresse",
        "address hex", "address dec", "register hex", "register dec", "modbus adresse",
    ),
    "table": (
        "table", "function", "fc", "register type", "area", "object", "object type", "kind", "function code",
        "modbus function", "funktion",
    ),
    "type": ("type", "data type", "datatype", "format", "data format", "datentyp", "encoding"),
    "unit": ("unit", "units", "einheit", "uom", "engineering unit"),
    "scale": ("scale", "factor", "multiplier", "gain", "scaling", "resolution", "scale factor", "faktor", "step"),
    "divisor": ("divisor", "divider"),
    "decimals": ("decimals", "decimal places"),
    "offset": ("offset",),
    "length": (
        "length", "size", "words", "registers", "count", "number of registers", "no of registers", "regs", "quantity",
    ),
    "bit": ("bit", "bit no", "bit number"),
    "word_order": ("word order", "byte order", "endianness", "endian"),
    "access": ("access", "r/w", "rw", "mode", "read/write", "access rights", "zugriff"),
    "description": ("description", "comment", "remark", "remarks", "notes", "meaning", "beschreibung", "bemerkung"),
}  # fmt: skip
TABLES: Mapping[str, Table] = {
    **dict.fromkeys(("coil", "coils", "1", "01", "0x", "do", "digital output", "coil status"), Table.COIL),
    **dict.fromkeys(
        ("discrete", "discrete input", "2", "02", "1x", "di", "digital input", "input status"), Table.DISCRETE
    ),
    **dict.fromkeys(("holding", "holding register", "3", "03", "4x", "hr"), Table.HOLDING),
    **dict.fromkeys(("input", "input register", "4", "04", "3x", "ir"), Table.INPUT),
}  # fmt: skip
_WRITTEN_BY = {"5": Table.COIL, "05": Table.COIL, "15": Table.COIL, "6": Table.HOLDING, "06": Table.HOLDING,
               "16": Table.HOLDING}  # fmt: skip
_FAMILIES = (
    ("string", r"string|text|ascii|char|utf-?8|visible"),
    ("bcd", r"bcd"),
    ("float", r"float|l?real|ieee|single|double|f\d|fp\d|half"),
    ("bool", r"bool|binary|^bit\b|single bit|flag\b"),
    ("uint", r"unsigned|u ?\d|u_?(int|short|long|dint|lint|word)|d?q?word|ushort|enum|bit ?(field|map|mask)|b16"),
    ("int", r"signed|s?int|s ?\d|i ?\d|short|long|dint|lint|integer"),
)
_WIDTHS = {"double": 64, "lreal": 64, "qword": 64, "lint": 64, "half": 16, "dword": 32, "dint": 32, "long": 32}
_UNITS = {
    "": "", "-": "", "--": "", "n/a": "", "none": "", "na": "",
    "deg c": "degC", "° c": "°C", "℃": "°C", "grad c": "°C", "deg f": "degF", "u/min": "rpm", "bar(g)": "bar",
    "barg": "bar", "bar g": "bar", "bar(a)": "bar", "bara": "bar", "mbar(g)": "mbar", "% rh": "%", "%rh": "%",
}  # fmt: skip
_ORDERS = {
    **dict.fromkeys(("msw first", "high word first", "hi/lo"), "ABCD"),
    **dict.fromkeys(("lsw first", "low word first", "lo/hi"), "CDAB"),
}
_NUMBER = r"\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?"


def column_of(heading: str) -> str | None:
    """What a column of this heading holds: a key of `COLUMNS`, or None."""
    plain = re.sub(r"[\s_\-.:()\[\]]+", " ", heading).strip().lower()
    return next((name for name, words in COLUMNS.items() if plain in words), None)


def table_of(text: str) -> Table:
    """The table of "Input register", "FC03", "3/6/16", "4x"."""
    found: set[Table] = set()
    for part in re.split(r"[/,+&]| and ", text.lower()):
        word = re.sub(r"^(?:modbus )?(?:fc|fn|function(?: code)?)[ :]*(?=\d)", "", " ".join(part.split()))
        word = re.sub(r"(registers?|inputs?|coils?|outputs?)\b", lambda match: match[0].rstrip("s"), word)
        word = word.split(" (")[0].removeprefix("0x0")
        table = TABLES.get(word) or _WRITTEN_BY.get(word)
        if table is None:
            raise ValueError(f"{text!r} is no table: use one of coil, discrete, input and holding")
        found.add(table)
    if len(found) > 1:
        raise ValueError(f"{text!r} is more than one table")
    return found.pop()


@dataclass(frozen=True, slots=True)
class AddressNotation:
    """What the column of addresses as a whole says about each of them."""

    hexadecimal: bool = False
    """Its heading says so: 0010 is 16."""
    prefixed: bool = False
    """Tables are written 4x, 3x, 1x and 0x before the place in them: 0x0010 is a coil, and no hexadecimal number."""

    @staticmethod
    def of(heading: str, cells: Iterable[str]) -> AddressNotation:
        """Look at the heading, and at whether any of the cells begins with 1x, 3x or 4x."""
        return AddressNotation(
            re.search(r"\bhex", heading.lower()) is not None,
            any(re.match(r"[134]x\d{4,5}\b", cell.strip().lower()) for cell in cells),
        )


def address_of(text: str, table: Table | None, notation: AddressNotation) -> tuple[str | int, int | None, int]:
    """What "40001", "4x0001", "0x0064", "0064h", "100-101" or "100.3" says: the address, a bit of it, and how many
    registers it is said to take (0: not said).

    A text is the one-based notation with the table as its first digit; a number counts as the vendor counts.
    """
    plain = text.strip().lower().replace(" ", "")
    if match := re.fullmatch(r"(.+?)(?:-|\.\.+|/|\u2013)(.+)", plain):
        (first, bit, _), (last, _, _) = (address_of(part, table, notation) for part in match.groups())
        taken = int(last) - int(first) + 1
        if not 1 <= taken <= 125 or isinstance(first, str) is not isinstance(last, str):
            raise ValueError(f"{text!r} is no address and no range of addresses")
        return first, bit, taken
    if match := re.fullmatch(r"(\d+)[.:](\d\d?)", plain):
        return address_of(match[1], table, notation)[0], int(match[2]), 0
    if notation.prefixed and (match := re.fullmatch(r"([0134])x(\d{4,5})", plain)):
        return match[1] + match[2], None, 0
    if match := re.fullmatch(r"(?:0x|&h|\$)([0-9a-f]+)|([0-9a-f]+)h", plain):
        return int(match[1] or match[2], 16), None, 0
    if notation.hexadecimal and re.fullmatch(r"[0-9a-f]+", plain):
        return int(plain, 16), None, 0
    if not plain.isdecimal():
        raise ValueError(f"{text!r} is no address")
    digit = {Table.COIL: "0", Table.DISCRETE: "1", Table.INPUT: "3", Table.HOLDING: "4"}
    if re.fullmatch(r"[0134]\d{4,5}", plain) and (table is None or plain[0] == digit[table]):
        return plain, None, 0
    return int(plain), None, 0


def type_of(text: str, registers: int) -> str:
    """The type behind "Unsigned 16", "UINT16", "IEEE 754 float", "32-bit signed integer", "DWORD", "STRING[16]".

    `registers` says the width where the word does not (0: not said); else 16 bits, and 32 for floats.
    """
    plain = re.sub(r"ieee[ -]?754", "ieee", text.lower())
    if match := re.fullmatch(r"[us]?int8_(?:high|low)", plain):
        return match[0]
    plain = re.sub(r"[_\-,()\[\]]+", " ", plain).strip()
    family = next((name for name, words in _FAMILIES if re.search(rf"(?<![a-z])(?:{words})", plain)), None)
    if family is None:
        raise ValueError(f"{text!r} is no type that is known here: use one of int16, uint32, float32, string, ...")
    if family in {"string", "bool"}:
        return family
    said = [int(width) for width in re.findall(r"(?<!\d)(8|16|32|64|80|128)(?!\d)", plain)]
    said += [width for word, width in _WIDTHS.items() if re.search(rf"(?<![a-z])u?{word}", plain)]
    width = said[0] if said else 16 * registers if registers else 32 if family == "float" else 16
    if width not in {"bcd": (16, 32)}.get(family, (16, 32, 64)):
        raise ValueError(f"{text!r} would be {family}{width}, which is no type here")
    return f"{family}{width}"


def length_of(text: str) -> int:
    """The number in "STRING[16]" or "8 words"; 0 where there is none."""
    found = re.findall(r"\d+", text)
    return int(found[0]) if len(found) == 1 else 0


def unit_of(text: str) -> str:
    """A unit as a UOD spells it; one that is not known here stays as it is."""
    plain = " ".join(text.strip("[] ").split())
    powers = plain.translate(str.maketrans("²³", "23")).replace("·", "*")
    return _UNITS.get(powers.lower(), powers)


def number_of(text: str) -> Fraction:
    """The number in "0,1", "x0.1", "1/10", "/10", "10^-1" or "1E-1"."""
    plain = text.strip().lower().replace("\u2212", "-")
    plain = re.sub(r"^[x\u00d7*]\s*", "", plain)
    if match := re.fullmatch(rf"(-?{_NUMBER})?\s*[/:÷]\s*({_NUMBER})", plain):
        return _fraction(match[1] or "1") / _fraction(match[2])
    if match := re.fullmatch(r"10\s*(?:\^|\*\*)\s*\(?([+-]?\d+)\)?", plain):
        return Fraction(10) ** int(match[1])
    if re.fullmatch(rf"[+-]?{_NUMBER}", plain):
        return _fraction(plain)
    raise ValueError(f"{text!r} is no number")


def _fraction(text: str) -> Fraction:
    return Fraction(text.replace(",", "."))


def access_of(text: str) -> tuple[bool, bool]:
    """Whether a register can be read, and be written."""
    plain = re.sub(r"[^a-z]+", "", text.lower())
    if text.strip() in {"", "-"}:
        return True, False
    known = {
        **dict.fromkeys(("r", "ro", "read", "readonly"), (True, False)),
        **dict.fromkeys(("rw", "wr", "readwrite", "rws", "writeread"), (True, True)),
        **dict.fromkeys(("w", "wo", "write", "writeonly"), (False, True)),
    }
    if plain not in known:
        raise ValueError(f"{text!r} does not say whether it is read or written: write R, R/W or W")
    return known[plain]


def order_of(text: str) -> str:
    """The letters of a word order."""
    return _ORDERS.get(" ".join(text.lower().split())) or spelled(text)
