"""What `skidlink modbus import` does: a vendor's register table to the lines of a UOD."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from drivers.contract import DriverError
from drivers.modbus.register_map import MapOptions, RegisterMap, read_map
from engine.cli.screen import UNCUT, tell, tell_json, tell_result
from engine.uod.units import UnitError, parse_unit

_NOT_A_TEXT = {
    b"PK": "it is a workbook: open it and save the sheet with the registers as CSV (UTF-8)",
    b"%PDF": "it is a PDF: copy its table into a spreadsheet, and save that as CSV (UTF-8)",
    b"\xd0\xcf\x11\xe0": "it is an old Excel file: open it and save the sheet with the registers as CSV (UTF-8)",
}
"""First bytes of a file -> what to do with it."""
_LARGEST_BYTES = 8 * 2**20


def import_map(file: Path, device: str, options: MapOptions, *, as_json: bool) -> int:
    """Print the tags of a vendor's table, each with its line; exit code 1 where a row or column was left out."""
    try:
        found = read_map(_text(file.read_bytes()), device, options)
    except FileNotFoundError:
        tell(f"{file}: there is no such file: give the path of the vendor's table, as CSV or Markdown")
        return 1
    except IsADirectoryError:
        tell(f"{file}: this is a folder: give the path of the table in it")
        return 1
    except OSError as error:
        tell(f"{file}: the file cannot be read: {error.strerror}")
        return 1
    except DriverError as error:
        tell(f"{file}: {error}")
        return 1
    _leave_out_unknown_units(found)
    if as_json:
        tags = [{"name": name, "line": found.lines[name], **keys} for name, keys in found.tags.items()]
        tell_json({"tags": tags, "left_out": found.faults, "look": found.remarks})
        return 1 if found.faults else 0
    if found.tags:
        tell_result("tags:")
    for name, keys in found.tags.items():
        tell_result(f"  {_spelled(name)}: {_spelled(keys)}  # line {found.lines[name]}", most=UNCUT)
    for remark in found.remarks:
        tell(f"{file}: look: {remark}")
    for fault in found.faults:
        tell(f"{file}: left out: {fault}")
    tell(f"{len(found.tags)} tags, {len(found.faults)} left out, {len(found.remarks)} to look at")
    return 1 if found.faults else 0


def columns_said(texts: Sequence[str]) -> dict[str, str]:
    """Read "Datenformat=type", once for each column. Raises `ValueError`."""
    found: dict[str, str] = {}
    for text in texts:
        heading, equals, role = text.rpartition("=")
        if not equals or not heading.strip():
            raise ValueError(f'{text!r} does not name a column and what it holds: write "Datenformat=type"')
        found[heading.strip()] = role.strip().lower()
    return found


def _leave_out_unknown_units(found: RegisterMap) -> None:
    for name, keys in found.tags.items():
        try:
            parse_unit(keys.get("unit"))
        except UnitError as error:
            found.remarks.append(f"line {found.lines[name]} ({name}): {error}; it was left out")
            del keys["unit"]


def _spelled(value: object) -> str:
    """A value as YAML on one line, in quotes where it could be taken for something else."""
    if isinstance(value, dict):
        pairs = cast("dict[str, object]", value).items()
        return "{" + ", ".join(f"{_spelled(key)}: {_spelled(each)}" for key, each in pairs) + "}"
    words = {"on", "off", "yes", "no", "y", "n", "true", "false", "null"}
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w /.\-]*", value) and value.lower() not in words
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


def _text(data: bytes) -> str:
    """The text of a file as spreadsheets write them: UTF-8, UTF-16 with its mark, or else Windows-1252.

    Raises `DriverError` for what is not a text.
    """
    if len(data) > _LARGEST_BYTES:
        raise DriverError(f"it has {len(data):,} bytes; a table has {_LARGEST_BYTES:,} at most")
    for begin, why in _NOT_A_TEXT.items():
        if data.startswith(begin):
            raise DriverError(why)
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return data.decode("utf-16", "replace")
    if b"\0" in data[:4096]:
        raise DriverError("it is not a text: save the table as CSV (UTF-8)")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
