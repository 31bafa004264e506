"""The file of a UOD, as far as its text: what is not one is named for what it is."""

from __future__ import annotations

import codecs
from pathlib import Path

from engine.uod.faults import did_you_mean

SUFFIXES = (".yaml", ".yml", ".py")
MAX_BYTES = 8 * 2**20
"""A UOD of 10,000 tags has about one million."""

_SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".csv", ".numbers")
_ENDS_IN = f"a UOD ends in {', '.join(SUFFIXES)}"
_SAVE_AS_TEXT = "save it as a text in UTF-8"
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_BINARIES = (
    (b"PK\x03\x04", "a spreadsheet, a document or an archive"),
    (b"\xd0\xcf\x11\xe0", "an Office document"),
    (b"%PDF", "a PDF"),
    (b"\x89PNG", "a picture"),
    (b"\x1f\x8b", "a compressed file"),
    (b"SQLite format", "a database"),
    (b"\x7fELF", "a program"),
)


class UodFileError(Exception):
    """A file that cannot be a UOD: what it is, and what to do."""

    def __init__(self, message: str, hint: str, line: int | None = None) -> None:
        super().__init__(message)
        self.message, self.hint, self.line = message, hint, line


def read_bytes(path: Path) -> bytes:
    """Read a file that may be a UOD by its name, kind and size. Raises `UodFileError`."""
    try:
        _check_kind(path)
        size = path.stat().st_size
        if size > MAX_BYTES:
            message = f"the file has {size / 2**20:.0f} MiB, and a UOD {MAX_BYTES // 2**20} MiB at most"
            raise UodFileError(message, "leave what is not about this skid to another file")
        return path.read_bytes()
    except PermissionError as error:
        raise UodFileError(
            "the file may not be read by this user", f"give the right to it: chmod a+r {path}"
        ) from error
    except OSError as error:
        raise UodFileError(
            f"the file cannot be read: {error.strerror or error}", "see whether its disk is there"
        ) from error


def _check_kind(path: Path) -> None:
    suffix = path.suffix.lower()
    if path.is_dir():
        near = sorted(str(file) for file in path.glob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
        raise UodFileError("this is a folder", f"name the file in it: {', '.join(near[:5]) or 'there is no UOD in it'}")
    if suffix in _SPREADSHEETS:
        hint = "to make tags of it, save it as CSV and see skidlink modbus import"
        raise UodFileError("a table is not a UOD", hint)
    if suffix not in SUFFIXES:
        raise UodFileError(_ENDS_IN, "rename the file")
    if path.is_symlink() and not path.exists():
        raise UodFileError("this is a link that leads to no file", "name the file itself")
    if not path.exists():
        near = [file.name for file in path.parent.glob("*") if file.suffix.lower() in SUFFIXES]
        raise UodFileError("there is no such file", did_you_mean(path.name, near, f"UODs in {path.parent}"))
    if not path.is_file():
        raise UodFileError("this is a pipe or a device, and not a file", "write the UOD into a file first")


def text_of(data: bytes) -> str:
    """The text of a UOD. Raises `UodFileError` for what is not a text in UTF-8."""
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            raise UodFileError(f"the file is in {encoding}", "save it as UTF-8")
    for beginning, what in _BINARIES:
        if data.startswith(beginning):
            raise UodFileError(f"this is {what}, and not a text", _SAVE_AS_TEXT)
    if b"\0" in data[:1000]:
        half = data[:1000].count(b"\0") * 3 > len(data[:1000])
        if half:
            raise UodFileError("the file is in UTF-16", "save it as UTF-8")
        raise UodFileError("this is not a text: it holds zero bytes", _SAVE_AS_TEXT)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"this is not UTF-8: the byte {data[error.start]:02X} is not part of a letter"
        raise UodFileError(message, "save the file as UTF-8", line) from error
