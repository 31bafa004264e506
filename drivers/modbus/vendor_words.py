"""How vendors write tables, accesses, units and enumerations. No I/O.

Every function raises `ValueError` for a text that means nothing here, and never guesses between two meanings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from drivers.modbus.pdu import Table
from drivers.modbus.vendor_numbers import number_of
from drivers.modbus.vendor_types import plain

TABLES: Final[Mapping[str, Table]] = {
    **dict.fromkeys(("coil", "1", "01", "0x", "do", "digital output", "coil status", "00001"), Table.COIL),
    **dict.fromkeys(
        ("discrete", "discrete input", "2", "02", "1x", "di", "digital input", "input status", "status input",
         "input discrete", "discrete status"), Table.DISCRETE
    ),
    **dict.fromkeys(
        ("holding", "holding register", "3", "03", "4x", "hr", "output register", "hold", "halteregister",
         "read holding register", "analog output", "holdingregister", "registre de maintien"), Table.HOLDING
    ),
    **dict.fromkeys(
        ("input", "input register", "4", "04", "3x", "ir", "eingangsregister", "read input register", "analog input",
         "inputregister", "registre d entree"), Table.INPUT
    ),
}  # fmt: skip
_WRITTEN_BY: Final = {"5": Table.COIL, "05": Table.COIL, "15": Table.COIL, "0f": Table.COIL, "6": Table.HOLDING,
                      "06": Table.HOLDING, "16": Table.HOLDING, "10h": Table.HOLDING, "23": Table.HOLDING}  # fmt: skip
_UNITS: Final = {
    "": "", "-": "", "--": "", "n/a": "", "none": "", "na": "", "/": "", "---": "",
    "deg c": "degC", "° c": "°C", "℃": "°C", "grad c": "°C", "deg f": "degF", "c": "degC", "f": "degF",
    "u/min": "rpm", "upm": "rpm", "1/min": "1/min", "% rh": "%RH", "%rh": "%RH", "% r.h.": "%RH", "l/m": "L/min",
    "lpm": "L/min", "celsius": "degC", "mpas": "mPa*s", "percent": "%", "seconds": "s", "sec": "s", "minutes": "min",
    "hours": "h", "hrs": "h", "hz": "Hz", "kwh": "kWh", "volt": "V", "volts": "V", "amp": "A", "amps": "A", "watt": "W",
    "watts": "W",
}  # fmt: skip


def table_of(text: str) -> Table:
    """The table of "Input register", "FC03", "3/6/16", "4x", "0x03", "Read holding registers (0x03)"."""
    return functions_of(text)[0]


def functions_of(text: str) -> tuple[Table, bool, bool]:
    """The table of a cell, and whether it names functions that read it and functions that write it."""
    found: set[Table] = set()
    reads = writes = False
    for part in re.split(r"[/,;+&]| and | und | et ", plain(text)):
        word = re.sub(r"^(?:modbus )?(?:fc|fn|function(?: code)?|code)[ :]*(?=\d|0x)", "", part.strip())
        word = re.sub(r"(registers?|inputs?|coils?|outputs?)\b", lambda match: match[0].rstrip("s"), word)
        word = re.sub(r" ?\(.*", "", word)
        word = re.sub(r"^0x(?=[0-9a-f]{1,2}$)0?", "", word) if len(word) > 2 else word
        word = re.sub(r"(?<=\d)h$", "", word)
        table = TABLES.get(word) or _WRITTEN_BY.get(word)
        if table is None:
            raise ValueError(f"{text!r} is no table: use one of coil, discrete, input and holding")
        found.add(table)
        reads |= re.fullmatch(r"0?[1-4]", word) is not None
        writes |= word in _WRITTEN_BY
    if len(found) > 1:
        raise ValueError(f"{text!r} is more than one table")
    return found.pop(), reads, writes


def unit_of(text: str) -> tuple[str, Fraction | None]:
    """A unit as a UOD spells it, and the factor that stands beside it: "0.1 °C" and "degC/10" are 1/10 of a degree.

    One that is not known here stays as it is. Raises `ValueError` for "x10 °C", which says no direction.
    """
    said = " ".join(text.strip("[] ").split())
    said = said.translate(str.maketrans("²³\u00d7\u00b7", "23x*"))
    scale: Fraction | None = None
    if match := re.fullmatch(r"(?:[x*] ?)?(\d+[.,]\d+|1 ?/ ?\d+|10 ?\^ ?-\d+)[ *]*(?=[^\d\s])(.+)", said):
        scale, said = number_of(match[1]), match[2]
    elif match := re.fullmatch(r"(.*[^\d\s/*x]) ?(/ ?\d+|[*x] ?0[.,]\d+)", said):
        scale, said = number_of(match[2]), match[1]
    elif re.search(r"(?:^|\s)[x*] ?\d+|\d+ ?[x*]\s", said):
        raise ValueError(f"its unit {text!r} has a factor that could multiply or divide: write 0.1 or /10")
    return _UNITS.get(said.lower(), said), scale


def access_of(text: str) -> tuple[bool, bool]:
    """Whether a register can be read, and be written."""
    words = re.sub(r"[^a-z]+", "", plain(text))
    if text.strip() in {"", "-"}:
        return True, False
    known = {
        **dict.fromkeys(
            ("r", "ro", "read", "readonly", "ronly", "lesen", "nurlesen", "lecture", "lectura", "l", "lettura", "no",
             "n", "nein", "readable", "false", "input", "rd", "readaccess", "sololectura"), (True, False)
        ),
        **dict.fromkeys(
            ("rw", "wr", "readwrite", "rws", "writeread", "readandwrite", "lesenschreiben", "ls", "le", "si", "oui",
             "lectureecriture", "lecturaescritura", "letturascrittura", "yes", "y", "ja", "readwriteable", "true",
             "writable", "writeable"), (True, True)
        ),
        **dict.fromkeys(
            ("w", "wo", "write", "writeonly", "schreiben", "nurschreiben", "ecriture", "escritura", "output"),
            (False, True),
        ),
    }  # fmt: skip
    if words not in known:
        raise ValueError(f"{text!r} does not say whether it is read or written: write R, R/W or W")
    return known[words]


def choices_of(text: str) -> dict[str, int]:
    """The words of "0=Off; 1=On", "0: Aus, 1: Ein", "0 - stopped / 1 - running"; none where it is no such list."""
    pieces = re.split(r"[;,|/\n]\s*(?=(?:0x[0-9a-f]+|\d+)\s*[=:\-\u2013])", text.strip(), flags=re.IGNORECASE)
    if len(pieces) == 1:
        pieces = re.split(r"\s+(?=\d+\s*[=:])", text.strip())
    found: dict[str, int] = {}
    for piece in pieces:
        match = re.fullmatch(r"(0x[0-9a-f]+|\d+)\s*[=:\-\u2013]\s*(\D.*?)[.;,]?", piece.strip(), flags=re.IGNORECASE)
        if match is None:
            return {}
        word = re.sub(r"[^\w .\-%/+()°]+", " ", match[2]).strip()
        number = int(match[1], 16) if match[1][:2].lower() == "0x" else int(match[1])
        if not word or word in found or number in found.values():
            return {}
        found[word] = number
    return found if len(found) > 1 else {}
