"""What registers can mean: data types, and the orders of bytes and words in which devices send them.

An order is written as letters: A is the most significant byte of the value, and the letters stand in the order of the
wire. Every register has two of them. CDAB is a 32-bit value whose less significant word is sent first.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.contract import Kind


@dataclass(frozen=True, slots=True)
class DataType:
    """One way to read registers."""

    name: str
    registers: int
    """0 for a string, whose length its author says."""
    kind: Kind
    layout: str
    """The numpy dtype of its bytes, most significant first; "" where they are no number."""
    half: int | None = None
    """Which byte of its register it is, 0 the more significant; None where it is all bytes."""

    @property
    def is_bcd(self) -> bool:
        """Whether each four bits are a decimal digit."""
        return self.name.startswith("bcd")

    @property
    def is_integer(self) -> bool:
        """Whether its values are whole numbers."""
        return self.kind in {Kind.INT, Kind.UINT}


BOOL = DataType("bool", 1, Kind.BOOL, "u1")
STRING = DataType("string", 0, Kind.TEXT, "")

DATA_TYPES = {
    data_type.name: data_type
    for data_type in (
        BOOL,
        DataType("int8_high", 1, Kind.INT, ">i1", 0),
        DataType("int8_low", 1, Kind.INT, ">i1", 1),
        DataType("uint8_high", 1, Kind.UINT, ">u1", 0),
        DataType("uint8_low", 1, Kind.UINT, ">u1", 1),
        DataType("int16", 1, Kind.INT, ">i2"),
        DataType("uint16", 1, Kind.UINT, ">u2"),
        DataType("int32", 2, Kind.INT, ">i4"),
        DataType("uint32", 2, Kind.UINT, ">u4"),
        DataType("int64", 4, Kind.INT, ">i8"),
        DataType("uint64", 4, Kind.UINT, ">u8"),
        DataType("float16", 1, Kind.FLOAT32, ">f2"),
        DataType("float32", 2, Kind.FLOAT32, ">f4"),
        DataType("float64", 4, Kind.FLOAT, ">f8"),
        DataType("bcd16", 1, Kind.UINT, ">u2"),
        DataType("bcd32", 2, Kind.UINT, ">u4"),
        STRING,
    )
}

ORDERS = {
    1: ("AB", "BA"),
    2: ("ABCD", "CDAB", "BADC", "DCBA"),
    4: ("ABCDEFGH", "GHEFCDAB", "BADCFEHG", "HGFEDCBA", "CDABGHEF", "EFGHABCD", "DCBAHGFE", "FEHGBADC"),
}
"""Registers of a value -> every order in which it is met."""

ALIASES = {
    "big": "ABCD",
    "big-endian": "ABCD",
    "little": "DCBA",
    "little-endian": "DCBA",
    "word-swapped": "CDAB",
    "little-word": "CDAB",
    "byte-swapped": "BADC",
    "big-byte-swapped": "BADC",
    "little-byte-swapped": "CDAB",
}


def spelled(order: str) -> str:
    """The letters of an order that may be given by a usual name. Raises `ValueError` for one that is not known."""
    letters = ALIASES.get(order.strip().lower().replace("_", "-").replace(" ", "-"), order.strip().upper())
    if not any(letters in orders for orders in ORDERS.values()):
        raise ValueError(
            f"{order!r} is not a word order; use ABCD, CDAB, BADC, DCBA, a form of eight letters such as GHEFCDAB, "
            f"or one of {', '.join(ALIASES)}"
        )
    return letters


def letters(order: str, registers: int) -> str:
    """Spell an order for a value of this many registers.

    Four letters say two things, whether the words of a value are reversed and whether the bytes of each register are;
    both hold for values of any length. Any other form is for values of its own length only. Raises `ValueError` for
    one that does not fit.
    """
    if len(order) == 2 * registers and registers in ORDERS:
        return order
    if len(order) != 4:
        fits = ", ".join(ORDERS.get(registers, ORDERS[2]))
        raise ValueError(
            f"word order {order} is for {len(order) // 2} registers, not for {registers}; use one of {fits}"
        )
    words = [(2 * word, 2 * word + 1) for word in range(registers)]
    if order in {"CDAB", "DCBA"}:
        words.reverse()
    if order in {"BADC", "DCBA"}:
        words = [(low, high) for high, low in words]
    return "".join(chr(ord("A") + byte) for word in words for byte in word)


def positions(order: str, registers: int) -> tuple[int, ...]:
    """Where on the wire each byte of a value is, most significant first. Raises `ValueError` as `letters` does."""
    spelt = letters(order, registers)
    return tuple(spelt.index(chr(ord("A") + byte)) for byte in range(2 * registers))


def text_positions(order: str, registers: int) -> tuple[int, ...]:
    """Where on the wire each byte of a text is: the words of a text are never reversed, its bytes may be."""
    swap = 1 if order in {"BA", "BADC", "DCBA"} else 0
    return tuple(byte ^ swap for byte in range(2 * registers))
