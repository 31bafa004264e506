"""What registers could mean: every type in every order, and which of them gives a value that is expected.

No I/O. The values are those of `codec`, so a line that is printed here reads the same when it is in a UOD.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from drivers.contract import Image, Kind, Value
from drivers.modbus.codec import Decoder, field_of
from drivers.modbus.datatypes import DATA_TYPES, ORDERS, STRING, DataType
from drivers.modbus.options import PointOptions
from drivers.modbus.pdu import Table
from drivers.modbus.vendor_numbers import as_plain

SCALES = tuple(map(Fraction, ("1", "0.1", "0.01", "0.001", "10", "100", "1000")))
"""By what a raw value is often multiplied, the likeliest first."""
CLOSE = Fraction(25, 10_000)
"""An expected value is read off a display: so much of it may be missing."""
TEXT_REGISTERS = 8


@dataclass(frozen=True, slots=True)
class Guess:
    """One way to read a place."""

    table: Table
    address: int
    data_type: DataType
    order: str
    value: Value
    scale: Fraction = Fraction(1)

    @property
    def scaled(self) -> Fraction | None:
        """The number that it gives, exactly; None where it is a text, or not finite."""
        if isinstance(self.value, str) or not math.isfinite(self.value):
            return None
        if isinstance(self.value, float):
            shortest = np.float32(self.value) if self.data_type.kind is Kind.FLOAT32 else self.value
            return Fraction(str(shortest)) * self.scale
        return self.value * self.scale

    @property
    def is_finite(self) -> bool:
        """Whether it is a text, or a number that is neither infinite nor NaN."""
        return isinstance(self.value, str) or math.isfinite(self.value)

    @property
    def shown(self) -> str:
        """That number as people write it: whole numbers whole, 57 x 0.01 as 0.57."""
        return "" if self.scaled is None else str(as_plain(self.scaled))

    @property
    def keys(self) -> dict[str, str | int | float]:
        """The keys of a tag that reads it so."""
        keys: dict[str, str | int | float] = {self.table.value: self.address}
        if not self.table.is_bits:
            keys["type"] = self.data_type.name
        if self.data_type is STRING:
            keys["length"] = TEXT_REGISTERS
        if self.order not in {"AB", "ABCD", "ABCDEFGH"}:
            keys["word_order"] = self.order
        if self.scale != 1:
            keys["scale"] = as_plain(self.scale)
        return keys

    def uod_line(self, tag: str, device: str) -> str:
        """The line of a UOD that reads it so."""
        rest = ", ".join(f"{key}: {value}" for key, value in self.keys.items())
        return f"{tag}: {{device: {device}, {rest}}}"


def guesses(words: Mapping[int, int], table: Table, address: int) -> Iterator[Guess]:
    """Every way to read what begins at an address, as far as its registers are known."""
    if table.is_bits:
        if address in words:
            yield Guess(table, address, DATA_TYPES["bool"], "AB", bool(words[address]))
        return
    for data_type in DATA_TYPES.values():
        count = TEXT_REGISTERS if data_type is STRING else data_type.registers
        if not all(place in words for place in range(address, address + count)):
            continue
        orders = ("AB", "BA") if data_type is STRING else ORDERS[count]
        for order in orders:
            value = _value(words, table, address, data_type, order, count)
            if value is not None:
                yield Guess(table, address, data_type, order, value)


def _value(
    words: Mapping[int, int], table: Table, address: int, data_type: DataType, order: str, count: int
) -> Value | None:
    options = PointOptions.model_validate(
        {table.value: address, "type": data_type.name, "word_order": order}
        | ({"length": count} if data_type is STRING else {})
    )
    field = field_of(0, "", options, "ABCD")
    image = Image([data_type.kind])
    raw = b"".join(words[place].to_bytes(2) for place in range(address, address + count))
    invalid = Decoder([field], {0: 0}, image).decode(np.frombuffer(raw, np.uint8), image)
    return None if invalid.size else image.value(0)


def matches(words: Mapping[int, int], table: Table, address: int, expected: Fraction) -> list[Guess]:
    """The ways to read a place, or one beside it, that give an expected value: those that give just that value come
    first, then the likeliest."""
    found: list[tuple[bool, float, Guess]] = []
    for off in (0, -1, 1):
        for guess in guesses(words, table, address + off):
            if isinstance(guess.value, bool) or guess.scaled is None:
                continue
            for place, scale in enumerate(SCALES):
                # A float that has to be scaled is a coincidence, as is a whole number off its place in another order.
                if place and guess.data_type.layout[1] == "f":
                    break
                miss = abs(guess.scaled * scale - expected)
                if miss <= CLOSE * abs(expected) and guess.value != 0:
                    of = guess.data_type
                    cost = 10 * abs(off) + place + 2 * ORDERS[of.registers].index(guess.order)
                    cost += 3 * (of.half is not None or of.is_bcd)
                    found.append((miss != 0, float(cost + miss / abs(expected)), replace(guess, scale=scale)))
                    break
    return [guess for _, _, guess in sorted(found, key=lambda each: each[:2])]


def remarks(guess: Guess, address: int, device_order: str = "ABCD") -> list[str]:
    """What went wrong where this is the way to read an address that was thought to be right."""
    said: list[str] = []
    if guess.address != address:
        way = "less" if guess.address < address else "more"
        why = "its manual counts from 1" if guess.address < address else "its manual counts from 0, yours from 1"
        said.append(f"off by one: it is at {guess.address}, one {way} than asked; perhaps {why}")
    if len(guess.order) == 4 and guess.order != device_order:
        said.append(f"word order: the device sends {guess.order}, not {device_order}")
    if guess.scale != 1:
        said.append(f"scale: the register holds {guess.value}, to be multiplied by {as_plain(guess.scale)}")
    return said
