"""Why a value is not good, as a small number that fits a column.

A reason is a sentence that does not change from reading to reading ("the device refuses: illegal data address"), so
that a process has some dozens of them. Each is numbered when it is first used; the number means nothing elsewhere.
What a device says may stand in one: so a reason has a greatest length, and there is a greatest number of them.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

_log = logging.getLogger("skidlink.drivers")

LONGEST: Final = 300
"""Characters of a reason; what is longer is cut in its middle."""
_KEPT_END: Final = 100
MOST: Final = 60_000
"""Different reasons; a code has to fit 16 bits."""
MOST_CHARACTERS: Final = 6_000_000
"""Of all reasons together."""
TOO_MANY: Final = "its reason is in the log: there have been too many different ones to show each"


class _Reasons:
    """The numbered reasons."""

    def __init__(self) -> None:
        self.texts = [""]
        self.codes: dict[str, int] = {"": 0}
        self._characters = 0
        self._is_full = False

    def number(self, text: str) -> int:
        """The code of a text; that of `TOO_MANY` where there is no room for another one."""
        if len(text) > LONGEST:
            text = f"{text[: LONGEST - _KEPT_END - 3]} … {text[-_KEPT_END:]}"
        code = self.codes.get(text)
        if code is not None:
            return code
        if len(self.texts) >= MOST or self._characters + len(text) > MOST_CHARACTERS:
            if not self._is_full:
                self._is_full = True
                _log.warning("reasons that are new are not shown beside their tags any more, one of them: %s", text)
            return TOO_MANY_REASONS
        code = self.codes[text] = len(self.texts)
        self.texts.append(text)
        self._characters += len(text)
        return code


_reasons = _Reasons()


def reason_code(text: str) -> int:
    """Number a reason; equal texts have equal numbers, and "" is 0: no reason, the value is good.

    A text that is too long is cut. Past `MOST` different texts every new one has the number of `TOO_MANY`.
    """
    return _reasons.number(text)


def reason_text(code: int) -> str:
    """The sentence behind a code."""
    return _reasons.texts[code]


_explained: dict[str, int] = {}


def note_explained(tag: str, code: int) -> None:
    """A driver has just logged why a tag is bad, and what to do: nobody else needs to tell of it for now."""
    _explained[tag] = code


def explained() -> Mapping[str, int]:
    """Tag -> the code of the reason that its driver has explained, and nobody has taken up yet."""
    return _explained


def forget_explained(tag: str) -> None:
    """Take up that a reason was explained: when the tag turns bad again, it is news."""
    _explained.pop(tag, None)


NOT_READ = reason_code("not read yet")
TOO_MANY_REASONS = reason_code(TOO_MANY)
