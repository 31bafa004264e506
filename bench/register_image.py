"""The register image that both sides of `bench.core` read: half scaled uint16, half float32. Standard library only."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from random import Random

SCALE = 0.01
UNITS = ("bar", "L/h", "degC", "%", "mS/cm")


class RegisterImage:
    """Registers as a device sends them, big endian: first all uint16, then all float32."""

    def __init__(self, tags: int, seed: int = 1) -> None:
        self.narrow = tags // 2
        self.wide = tags - self.narrow
        self.data = bytearray(2 * self.narrow + 4 * self.wide)
        self._random = Random(seed)
        self._turn = 0
        self.change(1)

    def change(self, every: int) -> None:
        """Give one tag in `every` another value, in turn; 0 leaves all as they are."""
        for place in self._places(every):
            if place < self.narrow:
                (before,) = struct.unpack_from(">H", self.data, 2 * place)
                struct.pack_into(">H", self.data, 2 * place, (before + self._random.randint(1, 60_000)) % 65_536)
            else:
                at = 2 * self.narrow + 4 * (place - self.narrow)
                struct.pack_into(">f", self.data, at, self._random.uniform(1.0, 1000.0))

    def _places(self, every: int) -> Iterator[int]:
        if every:
            self._turn = (self._turn + 1) % every
            yield from range(self._turn, self.narrow + self.wide, every)
