"""Names of files and folders made of any text, for the file systems of Linux, macOS and Windows."""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Final
from urllib.parse import quote

LONGEST: Final = 240
"""Bytes of a name. File systems take 255; the rest is for endings such as `.sqlite3-wal` and `.broken-12-wal`."""
_HASH: Final = 12
"""Hexadecimal digits that keep shortened names apart."""
_RESERVED: Final = re.compile(r"(CON|PRN|AUX|NUL|COM\d|LPT\d|CONIN\$|CONOUT\$)(\..*)?", re.IGNORECASE)
"""Devices of Windows, with any ending (learn.microsoft.com, Naming Files, Paths, and Namespaces)."""


def file_name(text: str) -> str:
    """A name for `text`: different texts get different names, and the same text the same one for ever.

    ASCII letters, digits, `_`, `-`, `.`, `~` and blanks stay; every other byte of the UTF-8 text becomes `%XX`. A name
    longer than `LONGEST` is cut and ends with `~` and a hash of the whole text.
    """
    name = quote(text, safe=" ", errors="surrogatepass")
    if not name.strip(". ") or _RESERVED.fullmatch(name):
        name = f"%{ord(name[0]):02X}{name[1:]}" if name else "%"
    if name[-1] in ". ":
        name = f"{name[:-1]}%{ord(name[-1]):02X}"
    if len(name) <= LONGEST:
        return name
    digest = sha256(text.encode(errors="surrogatepass")).hexdigest()[:_HASH]
    head = re.sub(r"%.?$", "", name[: LONGEST - _HASH - 1])  # an escape that was cut in two
    return f"{head}~{digest}"
