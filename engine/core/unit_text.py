"""Reads a unit as people write it: `l/h`, `m³/h`, `mPa·s`, `L m-2 h-1`, `bar(g)`, `% r.H.`, `1/min`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache

from engine.core.unit_table import ABSOLUTE, GAUGE, MISTAKEN, PERCENTS, PREFIXES, QUANTITIES, Atom

MAX_LENGTH = 40
"""Characters of one unit."""
_GREATEST_POWER = 9

_LOOK_ALIKES = {
    **dict.fromkeys(map(ord, "*\u22c5\u2219\u2022\u00d7"), "·"),
    **dict.fromkeys(map(ord, "\u2215\u2044"), "/"),
    **dict.fromkeys(map(ord, "\u2212\u2013"), "-"),
    ord("\u03bc"): "µ",  # the Greek letter for the sign of micro
    ord("\u2126"): "Ω",
    ord("\u2113"): "l",
    ord("\uff05"): "%",
}
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_PART = re.compile(r"[·./()]|\^-?[0-9]+(?:\.[0-9]+)?|[^\s·./()^]+|\^")
_POWER = re.compile(r"([^0-9+-]+)(-?[0-9]+)")
_GAUGE_MARKS = ("g", "G", "(g)", " g", " (g)", "_g", "(G)", " (gauge)", " gauge", "ü", "(ü)", "rel", " rel", "(rel)")
_ABSOLUTE_MARKS = (
    "a", "A", "(a)", " a", " (a)", "_a", "(A)", " abs", "(abs)", " abs.", "abs", " (abs)", "d", "D", "(d)",
)  # fmt: skip
_PLAIN = ("", "1", "-", "--", "[-]", "(-)")

Powers = tuple[tuple[str, Fraction], ...]
"""Names of `atoms()`, none of them twice, each with its power."""


class UnitError(ValueError):
    """A unit that is not known, or two that do not convert; `near` is the unit that is probably meant, if any."""

    def __init__(self, message: str, near: str | None = None) -> None:
        super().__init__(message)
        self.near = near


@dataclass(frozen=True, slots=True)
class UnitText:
    """A unit as powers of units of the table."""

    powers: Powers
    flavour: str = ""
    """Of what it is a per cent, as "%RH"; "" for all other units."""
    is_per_metre: bool = False
    """Whether `/m` is written in it, which more often means a minute."""


@cache
def atoms() -> dict[str, tuple[Atom, str]]:
    """name with prefix, as "mbar" -> the unit of the table and its prefix."""
    return {prefix + atom.name: (atom, prefix) for atom in _all_atoms() for prefix in ("", *atom.prefixes)}


def gauge_of(pressure: str) -> str:
    """The name of the gauge pressure beside a pressure."""
    return f"{pressure}g"


def _all_atoms() -> list[Atom]:
    gauges = [Atom(gauge_of(name), f"gauge {name}") for name in GAUGE]
    return [atom for quantity in QUANTITIES.values() for atom in quantity] + gauges


@cache
def spellings() -> dict[str, UnitText]:
    """All that is a unit as a whole, from "ml" to "% r.H."; products and quotients of them come on top."""
    found: dict[str, UnitText] = {}
    for atom in _all_atoms():
        for prefix in ("", *atom.prefixes):
            text = UnitText(((prefix + atom.name, Fraction(1)),))
            word = PREFIXES[prefix][0] if prefix else ""
            signs = ("µ", "u") if prefix == "µ" else (prefix,)
            for sign in signs:
                for spelling in (atom.name, *atom.symbols):
                    found.setdefault(sign + spelling, text)
            longer = (atom.name, *atom.words) if len(atom.name) > 1 else atom.words
            for spelling in longer:
                found.setdefault(word + spelling, text)
    for flavour, others in PERCENTS.items():
        for spelling in (flavour, *others):
            found[spelling] = UnitText((("%", Fraction(1)),), flavour)
    for name in ABSOLUTE:
        absolute = found[name]
        for mark in _ABSOLUTE_MARKS:
            found.setdefault(name + mark, absolute)
    for name in GAUGE:
        for mark in _GAUGE_MARKS:
            found.setdefault(name + mark, found[gauge_of(name)])
    for name in ("psi", "bar"):
        found[name.upper() + "A"] = found[name.upper() + "D"] = found[name]
        found[name.upper() + "G"] = found[gauge_of(name)]
    return found


def tidied(text: str) -> str:
    """The text with one sign for all that look alike, and without blanks that say nothing."""
    text = re.sub(r"\s+", " ", text.translate(_LOOK_ALIKES)).strip().replace("··", "^")
    text = re.sub(r" ?([/·]) ?", r"\1", re.sub(r"\bper ", "/", text))
    if len(text) > 2 and text[0] == "[" and text[-1] == "]" and text not in _PLAIN:
        text = text[1:-1].strip()  # manuals write [bar]
    text = re.sub(r"[⁰¹²³⁴⁵⁶⁷⁸⁹]+(?=\w)", lambda found: found[0].translate(_RAISED), text)  # m³n is a unit of its own
    return re.sub(r"[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+", lambda found: "^" + found[0].translate(_RAISED), text)


@lru_cache(maxsize=1000)
def read_unit(text: str) -> UnitText:
    """Read a unit; "" is the unit of a plain number. Raises `UnitError`."""
    if len(text) > MAX_LENGTH:
        raise UnitError(f"{text[:MAX_LENGTH]!r}... is longer than the {MAX_LENGTH} characters of a unit")
    tidy = tidied(text)
    if tidy in _PLAIN:
        return UnitText(())
    if (mistaken := MISTAKEN.get(tidy)) is not None:
        raise UnitError(f"{text!r} {mistaken[0]}", mistaken[1])
    return spellings().get(tidy.replace("^", "")) or _Reader(text, tidy).whole()


class _Reader:
    """Products and quotients, from the left: `L/m2/h` is L/(m2 h)."""

    def __init__(self, text: str, tidy: str) -> None:
        self._text = text
        self._parts: list[str] = _PART.findall("1" + tidy if tidy.startswith("/") else tidy)
        self._at = 0
        self._powers: dict[str, Fraction] = {}
        self._is_per_metre = False

    def whole(self) -> UnitText:
        self._product(1)
        if self._at < len(self._parts):
            raise self._unknown()
        return UnitText(
            tuple((name, power) for name, power in self._powers.items() if power), is_per_metre=self._is_per_metre
        )

    @property
    def _next(self) -> str:
        return self._parts[self._at] if self._at < len(self._parts) else ""

    def _unknown(self) -> UnitError:
        return UnitError(f"{self._text!r} is not a unit that is known here")

    def _product(self, sign: int) -> None:
        self._factor(sign)
        divided = False
        while (part := self._next) and part != ")":
            if part in {"/", "·", "."}:
                self._at += 1
            if divided and part != "/":
                near = re.sub(r"(?<=/)(.*)$", lambda rest: re.sub(r"[·*. ]", "/", rest[0]), self._text)
                raise UnitError(f"{self._text!r} leaves open what belongs to the denominator", near)
            divided = divided or part == "/"
            self._factor(-sign if part == "/" else sign)

    def _factor(self, sign: int) -> None:
        part = self._next
        self._at += 1
        if part == "(":
            self._product(sign)
            if self._next != ")":
                raise self._unknown()
            self._at += 1
            return
        if part == "1":
            return
        if (mistaken := MISTAKEN.get(part)) is not None:
            near = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", mistaken[1], self._text)
            raise UnitError(f"{part!r} in {self._text!r} {mistaken[0]}", near)
        if part == "mK" and sign < 0:  # W/mK is by metre and kelvin
            raise UnitError(f"{self._text!r} is by a thousandth of a kelvin", self._text.replace("/mK", "/m/K"))
        if part == "S" and sign < 0:
            near = re.sub(r"/ ?S\b", "/s", self._text)
            raise UnitError(f"{self._text!r} is by the siemens, a conductance", near)
        unit, power = self._raised(part)
        for name, each in unit.powers:
            self._powers[name] = self._powers.get(name, Fraction(0)) + sign * power * each
            # nm3 is a mistyped Nm3: nobody has a tank of cubic nanometres
            if abs(self._powers[name]) > (1 if name == "nm" else _GREATEST_POWER):
                raise self._unknown()
        self._is_per_metre |= part == "m" and sign * power == -1

    def _raised(self, part: str) -> tuple[UnitText, Fraction]:
        """A unit and its power, as m2, m^2 and min-1."""
        raised = self._next if self._next.startswith("^") else ""
        known = spellings()
        if raised and (whole := known.get(part + raised[1:])):  # Nm³ is no power of newton metres
            self._at += 1
            return whole, Fraction(1)
        if raised and raised != "^" and (unit := known.get(part)):
            self._at += 1
            return unit, Fraction(raised[1:])
        if unit := known.get(part):
            return unit, Fraction(1)
        with_power = _POWER.fullmatch(part)
        if with_power is None or (unit := known.get(with_power[1])) is None or len(with_power[2]) > 2:
            raise self._unknown()
        return unit, Fraction(int(with_power[2]))
