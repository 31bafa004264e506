"""Text from outside, as a person may see it.

Names, values and messages of devices, files, users and servers may hold anything: terminal codes, line ends, marks that
turn the direction of writing, or a megabyte. Whatever shows them asks here.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

LONGEST: Final = 2000
"""Characters of a message; no message of our own is as long."""
LONGEST_CELL: Final = 500
"""Characters of one value or name in a table or line."""
_KEPT_END: Final = 0.4
"""The share of a long message that is kept of its end, which says what to do."""

_HIDDEN = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"  # direction marks and what has no width
    "\u2028\u2029"  # line and paragraph separators
    "\ud800-\udfff"  # halves of surrogate pairs, which no stream can encode
    "\U000e0000-\U000e007f"  # tags
    "]"
)


def visible(text: str, most: int = LONGEST) -> str:
    """Shows control characters as escapes such as `\\x1b`, and cuts what is longer than `most` in its middle."""
    shown = _HIDDEN.sub(_escape, _cut(text, most))
    return _cut(shown, most)


def visible_cell(text: str, most: int = LONGEST_CELL) -> str:
    """Shows control characters as escapes, and cuts the end of what is longer than `most`."""
    shown = _HIDDEN.sub(_escape, text[: most + 1])
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def visible_json(value: Any, *, indent: int | None = 2) -> str:
    """JSON for a script, in which control characters stand as JSON escapes, also those that JSON would let pass."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, default=str)
    lines = [_HIDDEN.sub(_json_escape, line) for line in text.split("\n")]
    return "\n".join(lines)


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    end = int((most - 3) * _KEPT_END)
    return f"{text[: most - 3 - end]} … {text[len(text) - end :]}"


def _escape(found: re.Match[str]) -> str:
    return ascii(found[0])[1:-1]


def _json_escape(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1] if found[0] != "\x7f" else "\\u007f"
