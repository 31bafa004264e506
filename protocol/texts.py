"""Texts as the aggregator can store them and its page can show them.

A text of a device, a file or a user can hold anything. The aggregator keeps all of it: a NUL ends texts in some
databases, control characters break tables and terminals of whoever exports a run, and half of a surrogate pair cannot
be sent at all. So control characters but tab and line end go out as escapes such as `\\x00`, halves of surrogate pairs
as `?`, and what is too long is cut.
"""

from __future__ import annotations

import re
from typing import Any, Final, cast

import orjson

LONGEST: Final = 2000
"""Characters of one value or message."""

_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_ESCAPE: Final = re.compile(rb"\\(?:u00([01][0-9a-f])|([bf])|.)", re.DOTALL)
"""Each escape in JSON; the groups are those of control characters, as orjson writes them."""
_SUSPECT: Final = (rb"\u00", rb"\b", rb"\f")
_HIGH: Final = re.compile(rb"\xc2([\x80-\x9f])")
"""orjson writes control characters from 7f to 9f as they are."""
_SHORT: Final = {b"b": b"08", b"f": b"0c"}


def clean_text(text: str, most: int = LONGEST) -> str:
    """A text that any database takes, of up to `most` characters."""
    if len(text) > most:
        text = text[: most - 1] + "…"
    if text.isascii() and text.isprintable():
        return text
    text = text.encode(errors="replace").decode()
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def clean_json(value: Any) -> bytes:
    """The JSON of plain values, with all texts in it cleaned, but none of them cut.

    Raises `TypeError` for what is no JSON value.
    """
    try:
        data = orjson.dumps(value)
    except TypeError:  # half of a surrogate pair; these are rare, and looking for them would cost each message
        data = orjson.dumps(_whole(value))
    if any(part in data for part in _SUSPECT):  # mostly there are none, and to look for them costs next to nothing
        data = _ESCAPE.sub(_low, data)
    if b"\x7f" in data:
        data = data.replace(b"\x7f", rb"\\x7f")
    return _HIGH.sub(_high, data) if b"\xc2" in data else data


def _low(found: re.Match[bytes]) -> bytes:
    code, short = found.groups()
    if code is None and short is None:
        return found[0]
    return rb"\\x" + (code or _SHORT[short])


def _high(found: re.Match[bytes]) -> bytes:
    return rb"\\x%02x" % found[1][0]


def _whole(value: Any) -> Any:
    """The same values, their texts without halves of surrogate pairs."""
    match value:
        case str():
            return value.encode(errors="replace").decode()
        case dict():
            return {_whole(key): _whole(each) for key, each in cast("dict[Any, Any]", value).items()}
        case list():
            return [_whole(each) for each in cast("list[Any]", value)]
        case _:
            return value
