"""Numbers as they are typed in one country or another, and how they are written here."""

from __future__ import annotations

import math
import re
from fractions import Fraction

MAX_LENGTH = 60
"""Characters of a number; what is longer is not one."""

_BLANKS = " \u00a0\u2009\u202f"
_MINUS = "-\u2212\u2013"
_NUMBER = re.compile(
    rf"(?P<sign>[+{_MINUS[1:]}-]?)[{_BLANKS}]*(?P<digits>[0-9.,'\u2019_{_BLANKS}]*[0-9])"
    rf"(?P<power>[eE][-+]?[0-9]+)?(?P<rest>[^0-9].*)?",
    re.DOTALL,
)
_PLAIN = re.compile(rf"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?![0-9.,'\u2019_{_BLANKS}]*[0-9])")
_GROUPED = re.compile(r"[0-9]{1,3}(?:,[0-9]{3})+")
_FRACTION = re.compile(r"([0-9]{1,9}) ?/ ?([0-9]{1,9})")


def how_to_write(text: str) -> str | None:
    """A sentence that shows how to write a number that is typed as in some country, its unit behind it.

    None for a text that is not a number with a sign or separator of its own.
    """
    text = text.strip()
    if len(text) > MAX_LENGTH:
        return None
    if ratio := _FRACTION.fullmatch(text):
        return _ratio(ratio[1], ratio[2])
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    if _PLAIN.match(text):
        return None
    first, *groups = re.split(rf"['\u2019_{_BLANKS}]+", found["digits"])
    if any(not re.match(r"[.,]|[0-9]{3}(?![0-9])", group) for group in groups):  # as the 1 of 5 1/min
        return None
    bare = first + "".join(groups)
    plain = _with_point(bare)
    if plain is None:
        return None
    sign = "-" if found["sign"] and found["sign"] in _MINUS else found["sign"]
    written = sign + plain + (found["power"] or "")
    rest = found["rest"] or ""
    behind = f" {rest.strip()}" if rest.strip() else ""
    if _GROUPED.fullmatch(bare) and bare.count(",") == 1 and not bare.startswith("0"):
        thousand, decimal = bare.replace(",", ""), bare.replace(",", ".")
        return f"write {sign}{thousand}{behind} or {sign}{decimal}{behind}: the decimal sign is a point"
    return f"write {written}{behind}: {_reason(found['sign'], found['digits'])}"


def is_number(text: str) -> bool:
    """Whether a text is a number as it is written here."""
    try:
        return math.isfinite(float(text)) and len(text) <= MAX_LENGTH
    except ValueError:
        return False


def _with_point(digits: str) -> str | None:
    """Digits with one point at most; None where the separators make no sense."""
    points, commas = digits.count("."), digits.count(",")
    if points and commas:  # the last one is the decimal sign
        decimal = max(".,", key=digits.rfind)
        group = "," if decimal == "." else "."
        if digits.count(decimal) > 1:
            return None
        digits = digits.replace(group, "").replace(decimal, ".")
    elif commas == 1:
        digits = digits.replace(",", ".")
    elif commas > 1 or points > 1:
        groups = re.split(r"[.,]", digits)
        if not groups[0] or any(len(group) != 3 for group in groups[1:]):
            return None
        digits = "".join(groups)
    return "0" + digits if digits.startswith(".") else digits


def _reason(sign: str, digits: str) -> str:
    if "," in digits:
        return "the decimal sign is a point"
    if sign and sign in _MINUS[1:]:
        return "the minus sign is the plain -"
    return "a number has no separators in it"


def _ratio(above: str, below: str) -> str | None:
    if int(below) == 0:
        return None
    value = float(Fraction(int(above), int(below)))
    return f"write {value!r}: a number is not a fraction"
