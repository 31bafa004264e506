"""How vendors write the type of a register and the order of its bytes and words. No I/O.

Every word of a cell must be understood: "UINT32 swapped" with "swapped" left out would be another number. Each function
raises `ValueError` for a text that means nothing here, and never guesses between two meanings.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from drivers.modbus.datatypes import DATA_TYPES, ORDERS, spelled

Family = Literal["int", "uint", "float", "bool", "string", "bcd"]

_FAMILIES: Final[Mapping[str, tuple[Family, int]]] = {
    **dict.fromkeys(("int", "integer", "i", "s", "signed", "ganzzahl", "entier", "entero", "intero"), ("int", 0)),
    "short": ("int", 16), **dict.fromkeys(("long", "dint", "sdword"), ("int", 32)), "sword": ("int", 16),
    **dict.fromkeys(("lint", "llong", "longlong", "bigint"), ("int", 64)), "sint": ("int", 8), "byte": ("uint", 8),
    **dict.fromkeys(("uint", "unsigned", "u", "us", "uinteger"), ("uint", 0)), "usint": ("uint", 8),
    **dict.fromkeys(("ushort", "word"), ("uint", 16)),
    **dict.fromkeys(("ulong", "udint", "dword", "udword", "duint"), ("uint", 32)),
    **dict.fromkeys(("ulint", "qword", "lword", "ullong"), ("uint", 64)),
    **dict.fromkeys(("enum", "enumeration", "enumerated", "bitfield", "bitmap", "bitmask", "bitstring"), ("uint", 0)),
    **dict.fromkeys(("float", "real", "single", "fp", "f", "floating", "ieee", "flt"), ("float", 0)),
    **dict.fromkeys(("gleitkomma", "gleitkommazahl", "flottant", "flotante"), ("float", 0)),
    **dict.fromkeys(("double", "lreal"), ("float", 64)), "half": ("float", 16),
    **dict.fromkeys(("bool", "boolean", "binary", "flag", "digital"), ("bool", 0)),
    **dict.fromkeys(("string", "str", "text", "ascii", "char", "chars", "character", "characters"), ("string", 0)),
    **dict.fromkeys(("utf", "visible", "chaine", "cadena", "stringa", "zeichenkette"), ("string", 0)),
    "bcd": ("bcd", 0), "lbcd": ("bcd", 32),
}  # fmt: skip
_NOISE: Final = frozenset((
    "bit", "bits", "point", "precision", "value", "data", "type", "format", "number", "standard", "no", "mode",
    "register", "registers", "reg", "regs", "bytes", "octets", "words", "map", "field", "mask", "de", "mit", "simple",
    "komma", "wert", "t",
))  # fmt: skip
_SIGNS: Final = {
    r"\b(?:without sign|no sign|unsigned|vorzeichenlos|ohne vorzeichen|non signe|sin signo|senza segno)\b": "unsigned",
    r"\b(?:with sign|vorzeichenbehaftet|mit vorzeichen|signe|con signo|con segno)\b": "signed",
    r"\bbit[ -]?(?:field|map|mask|string)": "bitfield",
    r"\bvirgola mobile\b": "float",
    r"\bunsigned[ -]double[ -](?:integer|int)\b|\bdouble[ -]?word\b": "dword",
    r"\bdouble[ -](?:integer|int|register)\b": "dint",
    r"\blong[ -](?:long|int64)\b": "lint",
    r"\blong[ -](?:integer|int)\b": "dint",
    r"\blong[ -]?real\b|\bdouble[ -](?:float|precision)\b": "double",
}
_LOW_WORD_FIRST: Final = (
    r"(?:low(?:er)?|least significant|ls|lo) ?words? first|lsw(?: first|[ /,-]+msw)|lo[ /-]hi|word[ -]?swap(?:ped)?|"
    r"words? (?:swapped|reversed)|swap(?:ped)?|sw|(?:niederwertiges|unteres) wort zuerst|low[ -]?word zuerst|"
    r"mot (?:faible|bas) en premier|palabra baja primero"
)
_HIGH_WORD_FIRST: Final = (
    r"(?:high(?:er)?|most significant|ms|hi) ?words? first|msw(?: first|[ /,-]+lsw)|hi[ /-]lo|big[ -]?endian|motorola|"
    r"not swapped|no swap|network|be|(?:hoherwertiges|oberes) wort zuerst|high[ -]?word zuerst|"
    r"mot (?:fort|haut) en premier|palabra alta primero"
)
_PHRASES: Final = (
    (r"little[ -]endian byte[ -]?swap(?:ped)?|big[ -]endian word[ -]?swap(?:ped)?|mid[ -]little", "CDAB"),
    (r"big[ -]endian byte[ -]?swap(?:ped)?|byte[ -]?swap(?:ped)?|bytes swapped|mid[ -]big", "BADC"),
    (_LOW_WORD_FIRST, "CDAB"),
    (_HIGH_WORD_FIRST, "ABCD"),
    (r"little[ -]?endian|intel|le", "DCBA"),
)
_BITS_OF: Final = {**dict.fromkeys(("byte", "bytes", "octets"), 8),
                   **dict.fromkeys(("register", "registers", "reg", "regs", "words"), 16)}  # fmt: skip
_NUMBERED: Final = {"0123": "ABCD", "1234": "ABCD", "2301": "CDAB", "3412": "CDAB", "1032": "BADC", "2143": "BADC",
                    "3210": "DCBA", "4321": "DCBA", "01": "AB", "12": "AB", "10": "BA", "21": "BA"}  # fmt: skip
_LETTERS: Final = frozenset(order for orders in ORDERS.values() for order in orders)


@dataclass(frozen=True, slots=True)
class SaidType:
    """The type that a cell says, as far as it says it."""

    family: Family | None = None
    bits: int = 0
    """0: not said"""
    characters: int = 0
    """The number beside a text: "STRING[16]"; 0: not said."""
    order: str | None = None
    scale: Fraction | None = None
    """"FIX2" and "UINT16 /100" say 1/100."""
    signed: bool | None = None

    def name(self, registers: int) -> str:
        """The name of the type; `registers` says the width where the cell does not (0: not said).

        Without a width integers have 16 bits and floats 32. Raises `ValueError` where no such type exists.
        """
        if self.family is None:
            raise ValueError("no type is said")
        family = "int" if self.family == "uint" and self.signed else self.family
        family = "uint" if self.family == "int" and self.signed is False else family
        if family in {"string", "bool"}:
            return family
        width = self.bits or 16 * registers or (32 if family == "float" else 16)
        name = f"{family}{width}"
        if name not in DATA_TYPES:
            raise ValueError(f"{name} is not a type that Skidlink reads")
        return name


def plain(text: str) -> str:
    """Lower case without accents, dashes and runs of blanks, as words are looked up."""
    bare = "".join(each for each in unicodedata.normalize("NFKD", text) if not unicodedata.combining(each))
    return " ".join(re.sub(r"[\u2010-\u2015]", "-", bare).lower().split())


def said_type(text: str) -> SaidType:
    """Read "Unsigned 16", "UINT16", "IEEE 754 float", "32-bit signed integer", "DWORD (CDAB)", "STRING[16]", "FIX2".

    Raises `ValueError` for a word that is not understood.
    """
    wrong = f"{text!r} is no type that is known here: use one of int16, uint32, float32, string, ..."
    words = plain(text)
    if re.fullmatch(r"u?int8_(?:high|low)", words):
        return SaidType("uint" if words[0] == "u" else "int", 8)
    if match := re.fullmatch(r"fix ?(\d)|(temp)", words):
        return SaidType(scale=Fraction(1, 10 ** int(match[1] or 1)))
    words = re.sub(r"\bieee[ -]?754(?:[ -]\d{4})?", " ieee ", words.replace("_", " "))
    words, order = _without_order(words)
    words, scale = _without_scale(words)
    for pattern, meaning in _SIGNS.items():
        words = re.sub(pattern, f" {meaning} ", words)
    tokens = re.findall(r"[a-z]+|\d+|[^a-z\d\s\-,.()\[\]:]", words)
    families: list[tuple[str, Family, int]] = []
    numbers: list[tuple[int, int]] = []
    for place, token in enumerate(tokens):
        after = tokens[place + 1] if place + 1 < len(tokens) else ""
        if token.isdecimal():
            numbers.append((int(token), _BITS_OF.get(after, 1)))
        elif token in {"byte", "word"} and place and tokens[place - 1].isdecimal():
            continue  # "4 byte float"
        elif token in _FAMILIES:
            of, width = _FAMILIES[token]
            families.append((token, of, width))
        elif token not in _NOISE:
            raise ValueError(wrong)
    if not families and "bit" in tokens and set(tokens) <= {"bit", "1"}:
        return SaidType("bool")
    widths = {number * of for number, of in numbers}
    if len(widths) > 1:
        raise ValueError(wrong)
    bits = widths.pop() if widths else 0
    if not families:
        if bits not in {8, 16, 32, 64}:
            raise ValueError(wrong)
        return SaidType(bits=bits, order=order, scale=scale)
    family, width, signed = _one_family(families, wrong)
    if family == "string":
        return SaidType(family, characters=numbers[0][0] if numbers else 0, order=order)
    if bits and width and width not in {bits, 8}:
        raise ValueError(f"{text!r} says two widths, {bits} and {width} bits")
    found = SaidType(family, bits or width, order=order, signed=signed, scale=scale)
    if found.bits and family != "bool":
        try:
            found.name(0)
        except ValueError as error:
            raise ValueError(f"{text!r} is no type that is known here: {error}") from error
    return found


def _one_family(families: list[tuple[str, Family, int]], wrong: str) -> tuple[Family, int, bool | None]:
    """Unite "unsigned long", "signed word", "IEEE float", "short integer"."""
    words = {word for word, _, _ in families}
    signed = False if words & {"unsigned", "u"} else True if "signed" in words else None
    kinds = {family for _, family, _ in families}
    widths = {width for _, _, width in families if width}
    if kinds <= {"int", "uint"}:
        family: Family = "uint" if signed is False or (signed is None and "uint" in kinds) else "int"
    elif len(kinds) == 1:
        family = families[0][1]
    elif kinds == {"float", "int"} and words <= {"ieee", "float", "real", "signed", "short", "single", "double"}:
        family = "float"
        widths.discard(16)
    else:
        raise ValueError(wrong)
    if len(widths) > 1:
        raise ValueError(wrong)
    return family, widths.pop() if widths else 0, signed


def _without_scale(words: str) -> tuple[str, Fraction | None]:
    """Take "/10", "x 0.1" or "* 0,1" out of the words of a type. A bare "x10" may be meant either way, and stays."""
    if match := re.search(r"/ ?(\d+)\)?$", words):
        if int(match[1]):
            return words[: match.start()].rstrip("( "), Fraction(1, int(match[1]))
    elif match := re.search(r"[x*] ?(0[.,]\d+)\)?$", words):
        return words[: match.start()].rstrip("( "), Fraction(match[1].replace(",", "."))
    return words, None


def _without_order(words: str) -> tuple[str, str | None]:
    """Take an order out of the words of a type."""
    for order in sorted(_LETTERS, key=len, reverse=True):
        spelling = "[ -]?".join(re.findall("..", order.lower()))
        if len(order) > 2 and (match := re.search(rf"(?<![a-z]){spelling}(?![a-z])", words)):
            return words[: match.start()] + " " + words[match.end() :], order
    for pattern, order in _PHRASES:
        if match := re.search(rf"(?<![a-z])(?:{pattern})(?![a-z])", words):
            return words[: match.start()] + " " + words[match.end() :], order
    return words, None


def type_of(text: str, registers: int) -> str:
    """The name of the type that a cell says; `registers` as for `SaidType.name`."""
    if text.strip().lower() in DATA_TYPES:
        return text.strip().lower()
    return said_type(text).name(registers)


def is_signed(text: str) -> bool:
    """Whether a column of signs says that a number has one. Raises `ValueError`."""
    words = plain(text)
    if words in {"signed", "s", "yes", "y", "ja", "oui", "si", "+/-", "true", "x", "1", "with", "mit"}:
        return True
    if words in {"unsigned", "u", "no", "n", "nein", "non", "+", "false", "0", "without", "ohne", "-", "none"}:
        return False
    raise ValueError(f"{text!r} does not say whether a number is signed: write signed or unsigned")


def order_of(text: str, *, of_words: bool = False) -> str:
    """The letters of an order; `of_words`: the column is about words alone, so "little" means CDAB.

    Raises `ValueError`.
    """
    words = plain(text).replace("_", " ")
    digits = re.sub(r"[\s\-,/.]+", "", words)
    if digits in _NUMBERED:
        return _NUMBERED[digits]
    letters = re.sub(r"[\s\-,/.]+", "", words).upper()
    if letters in _LETTERS:
        return letters
    if words in {"big", "high", "high first", "msb", "msb first", "high byte first", "1st high", "none", "normal"}:
        return "ABCD"
    if words in {"little", "low", "low first", "lsb", "lsb first", "low byte first"} or (
        of_words and re.fullmatch(r"little[ -]?endian|intel|le", words)
    ):
        return "CDAB" if of_words else "DCBA"
    for pattern, order in _PHRASES:
        if re.fullmatch(pattern, words):
            return order
    return spelled(text)
