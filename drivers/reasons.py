"""Why a value is not good, as a small number that fits a column.

A reason is a sentence that does not change from reading to reading ("the device refuses: illegal data address"), so
that a process has some dozens of them. Each is numbered when it is first used; the number means nothing elsewhere.
"""

from __future__ import annotations

_LIMIT = 65_535
_texts: list[str] = [""]
_codes: dict[str, int] = {"": 0}


def reason_code(text: str) -> int:
    """Number a reason; equal texts have equal numbers, and "" is 0: no reason, the value is good.

    Raises `OverflowError` past 65,535 different texts: a sentence with a measured value in it is no reason.
    """
    code = _codes.get(text)
    if code is None:
        code = len(_texts)
        if code > _LIMIT:
            raise OverflowError(f"too many different reasons, the last one {text!r}: leave values out of them")
        _texts.append(text)
        _codes[text] = code
    return code


def reason_text(code: int) -> str:
    """The sentence behind a code."""
    return _texts[code]


NOT_READ = reason_code("not read yet")
