"""The unit that is probably meant by a text that is not one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import islice, product

from engine.core.unit_text import UnitError, spellings
from engine.core.units import read

_MOST_TRIALS = 100
_SURE = 0.66
"""How alike a guess is to what was written; what is less alike only confuses."""
_VERY_SURE = 0.85
"""The same of units that are not usual."""
_PARTS = re.compile(r"[^\s*·./()^0-9-]+|.")


def nearest_unit(text: str, usual: Sequence[str]) -> str | None:
    """The unit that comes nearest: in other letter cases, without an addition, or one of the usual ones.

    None where none is near.
    """
    text = text.strip().replace("H20", "H2O")
    folded = {unit.casefold(): unit for unit in reversed(usual)}
    if text.casefold() in folded:
        return folded[text.casefold()]
    for guess in (*_in_other_cases(text), *_without_addition(text)):
        if is_unit(guess):
            return guess
    if text.startswith("%"):
        return "%"
    near = difflib.get_close_matches(text.casefold(), folded, 1, _SURE)
    if near:
        return folded[near[0]]
    long = difflib.get_close_matches(text.casefold(), _cases(), 1, _VERY_SURE)
    return _cases()[long[0]][0] if long and is_unit(_cases()[long[0]][0]) else None


def is_unit(text: str) -> bool:
    """Whether a text is a unit, of something other than a plain number."""
    try:
        return bool(read(text).powers)
    except UnitError:
        return False


@cache
def _cases() -> dict[str, list[str]]:
    """casefolded spelling -> the spellings with these letters"""
    found: dict[str, list[str]] = {}
    for spelling in spellings():
        found.setdefault(spelling.casefold(), []).append(spelling)
    return found


def _in_other_cases(text: str) -> Iterator[str]:
    """The text with its parts in other letter cases: mS/cm for ms/cm, and L/min for l/M."""
    yield from _cases().get(text.casefold(), ())
    choices = [_alternatives(part) for part in _PARTS.findall(text)]
    yield from islice(("".join(parts) for parts in product(*choices)), _MOST_TRIALS)


def _alternatives(part: str) -> list[str]:
    others = [other for other in _cases().get(part.casefold(), ()) if other != part]
    return [part, *others]


def _without_addition(text: str) -> Iterable[str]:
    """The text before a blank, a bracket or an @: mg/L for mg/L SiO2."""
    ends = [found.start() for found in re.finditer(r"[\s(@,;]", text)]
    return [text[:end].strip() for end in reversed(ends) if end]
