"""How vendors write numbers, factors and ranges. No I/O.

Every function raises `ValueError` for a text that is no number, or that could be two.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

Factor = Literal["multiply", "divide"]
"""What a bare factor such as 10 does to what a register holds."""

_NUMBER = r"\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?"


def number_of(text: str) -> Fraction:
    """The number in "0,1", "x0.1", "1/10", "/10", "10^-1" or "1E-1".

    Raises `ValueError` for "1,000" too: it is 1 in one country and 1000 in the next.
    """
    plain = text.strip().lower().replace("\u2212", "-").replace("\u2013", "-")
    plain = re.sub(r"^[x\u00d7*]\s*", "", plain)
    if match := re.fullmatch(rf"(-?{_NUMBER})?\s*[/:÷]\s*({_NUMBER})", plain):
        divisor = _fraction(match[2])
        if not divisor:
            raise ValueError(f"{text!r} divides by 0")
        return _fraction(match[1] or "1") / divisor
    if match := re.fullmatch(r"(?:1\s*[x*]\s*)?10\s*(?:\^|\*\*|e)\s*\(?([+-]?\d{1,2})\)?", plain):
        return Fraction(10) ** int(match[1])
    if re.fullmatch(rf"[+-]?{_NUMBER}", plain):
        return _fraction(plain)
    raise ValueError(f"{text!r} is not a number")


def _fraction(text: str) -> Fraction:
    if re.fullmatch(r"[+-]?[1-9]\d{0,2},\d{3}", text):
        raise ValueError(f"{text!r} is 1 in one country and 1000 in another: write it without the comma")
    if re.search(r"e[+-]?\d{4,}", text, flags=re.IGNORECASE):
        raise ValueError(f"{text!r} is not a number that a register holds")
    return Fraction(text.replace(",", "."))


def factor_of(text: str, *, divides: bool | None) -> Fraction:
    """The factor of a cell in a column of factors.

    `divides`: what a person says of bare numbers such as 10, which multiply in one manual and divide in the next; None:
    nothing. Raises `ValueError` where that would decide.
    """
    number = number_of(text)
    bare = re.fullmatch(r"[+\-]?[\d.,]+", text.strip()) is not None
    if not bare or abs(number) <= 1:
        return number
    if divides is None:
        raise ValueError(
            f"its factor {text.strip()} could multiply or divide what the register holds: add --factor multiply or "
            "--factor divide (skidlink modbus probe shows which)"
        )
    return 1 / number if divides else number


def range_of(text: str) -> tuple[Fraction, Fraction] | None:
    """The limits in "-32000..32000", "0 - 100", "[0, 100]", "0 to 100 %"; None where it is no range."""
    plain = (
        re.sub(r"^[\[(](.*),(.*)[\])]$", r"\1..\2", text.strip())
        .strip("[]()")
        .replace("\u2212", "-")
        .replace("\u2026", "..")
    )
    number = r"[+-]?\d+(?:[.,]\d+)?"
    match = re.fullmatch(
        rf"({number})\s*(?:\.\.+|\u2013|-|~|,\s|;|\bto\b|\bbis\b|\u00e0|/)\s*({number})\s*[^\d]*", plain, re.IGNORECASE
    )
    if match is None:
        return None
    try:
        low, high = _fraction(match[1]), _fraction(match[2])
    except ValueError:
        return None
    return (low, high) if low < high else None


def as_plain(number: Fraction) -> int | float:
    """A whole number, or the nearest float, as a UOD spells it."""
    return int(number) if number.denominator == 1 else float(number)
