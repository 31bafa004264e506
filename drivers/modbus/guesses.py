"""What registers could mean: every type in every order, and which of them gives a value that is expected.

No I/O. The values are those of `codec`, so a line that is printed here reads the same when it is in a UOD.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from drivers.contract import Image, Value
from drivers.modbus.codec import Decoder, field_of
from drivers.modbus.datatypes import DATA_TYPES, ORDERS, STRING, DataType
from drivers.modbus.options import PointOptions
from drivers.modbus.pdu import Table

SCALES = (1.0, 0.1, 0.01, 0.001, 10.0, 100.0, 1000.0)
"""By what a raw value is often multiplied, the likeliest first."""
CLOSE = 0.0025
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
    scale: float = 1.0

    @property
    def scaled(self) -> float:
        """The number that it gives; NaN where it is a text."""
        return math.nan if isinstance(self.value, str) else self.value * self.scale

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
        if self.scale != 1.0:
            keys["scale"] = self.scale
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


def matches(words: Mapping[int, int], table: Table, address: int, expected: float) -> list[Guess]:
    """The ways to read a place, or one beside it, that give an expected value; the likeliest first."""
    found: list[tuple[float, Guess]] = []
    for off in (0, -1, 1):
        for guess in guesses(words, table, address + off):
            if isinstance(guess.value, bool | str) or not math.isfinite(guess.value):
                continue
            for place, scale in enumerate(SCALES):
                # A float that has to be scaled is a coincidence, as is a whole number off its place in another order.
                if place and guess.data_type.layout[1] == "f":
                    break
                miss = abs(guess.value * scale - expected)
                if miss <= CLOSE * abs(expected) and guess.value != 0:
                    of = guess.data_type
                    cost = 10 * abs(off) + place + 2 * ORDERS[of.registers].index(guess.order)
                    cost += 3 * (of.half is not None or of.is_bcd)
                    found.append((cost + miss / abs(expected), _scaled(guess, scale)))
                    break
    return [guess for _, guess in sorted(found, key=lambda each: each[0])]


def _scaled(guess: Guess, scale: float) -> Guess:
    return Guess(guess.table, guess.address, guess.data_type, guess.order, guess.value, scale)


def remarks(guess: Guess, address: int, device_order: str = "ABCD") -> list[str]:
    """What went wrong where this is the way to read an address that was thought to be right."""
    said: list[str] = []
    if guess.address != address:
        way = "less" if guess.address < address else "more"
        why = "its manual counts from 1" if guess.address < address else "its manual counts from 0, yours from 1"
        said.append(f"off by one: it is at {guess.address}, one {way} than asked; perhaps {why}")
    if len(guess.order) == 4 and guess.order != device_order:
        said.append(f"word order: the device sends {guess.order}, not {device_order}")
    if guess.scale != 1.0:
        said.append(f"scale: the register holds {guess.value}, to be multiplied by {guess.scale:g}")
    return said
