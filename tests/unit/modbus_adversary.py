"""A line, or a network, that does what it likes with the answers of honest devices, in the time of the event loop.

Each register tells its device, table and address: the even ones in their value, the odd ones with the time. So each
value that is read proves itself. Without a line nothing can be late on purpose; here all that a real one does is chosen
by chance from a seed.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass, field

from drivers.modbus.connection import Connection
from drivers.modbus.counters import LinkCounters
from drivers.modbus.frames import Frames, MbapFrames
from drivers.modbus.pdu import Table


def register(device_id: int, table: Table, address: int, now: float) -> int:
    """What a register holds."""
    if address % 2:
        return int(now * 20) & 0xFFFF
    return (table is Table.INPUT) << 15 | (device_id & 31) << 10 | (address // 2 & 1023)


def is_own(data: bytes, device_id: int, table: Table, address: int) -> bool:
    """Whether all even registers of an answer are those that were asked for."""
    return all(
        int.from_bytes(data[2 * (at - address) : 2 * (at - address) + 2]) == register(device_id, table, at, 0.0)
        for at in range(address, address + len(data) // 2)
        if at % 2 == 0
    )


TABLES = {3: Table.HOLDING, 4: Table.INPUT}


@dataclass
class Adversary:
    """The far side of a connection. What it does to an answer is one of `behaviours`, at the rate of `share`."""

    framing: type[Frames]
    behaviours: tuple[str, ...]
    random: random.Random
    share: float = 0.3
    late_s: float = 0.45
    zero: bool = False
    """The devices answer with transaction id 0."""
    in_order: bool = False
    """No answer overtakes another one, but for one that comes once more."""
    done: dict[str, int] = field(default_factory=dict[str, int])
    frames: list[bytes] = field(default_factory=list[bytes])
    """The last answers that were made, whether they were sent or not."""

    def __post_init__(self) -> None:
        self.connection: Connection | None = None
        self._rest = b""
        self._sent_until = 0.0
        self._answered: deque[int] = deque(maxlen=30)
        """The numbers that have been answered last."""
        self._kept: list[bytes] = []
        """What is brought to the next connection."""

    def join(self, connection: Connection) -> None:
        """Be the far side of this connection from now on."""
        self.connection = connection
        self._rest = b""
        kept, self._kept = self._kept, []
        for answer in kept:
            self._bring(0.001, answer)
        connection.connection_made(self)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    # The transport of the connection

    def write(self, data: bytes, /) -> None:
        if self.framing is MbapFrames:
            while data:
                size = 6 + int.from_bytes(data[4:6])
                self._asked(int.from_bytes(data[:2]), data[6], data[7:size])
                data = data[size:]
        elif data.startswith(b":"):
            spelled = bytes.fromhex(data[1:-2].decode())
            self._asked(0, spelled[0], spelled[1:-1])
        else:
            self._asked(0, data[0], data[1:-2])

    def is_closing(self) -> bool:
        return self.connection is None

    def abort(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.connection_lost(None)

    # The devices

    def _asked(self, number: int, device_id: int, pdu: bytes) -> None:
        answer = self._answer(device_id, pdu)
        number = 0 if self.zero else number
        good = self._framed(number, device_id, answer)
        before = self.frames[-1] if self.frames else good
        self.frames = [*self.frames[-40:], good]
        what = self.random.choice(self.behaviours) if self.random.random() < self.share else "well"
        self.done[what] = self.done.get(what, 0) + 1
        soon, chance = 0.005, self.random
        match what:
            case "well":
                self._bring(soon, good)
            case "lost":
                pass
            case "late":
                self._bring(self.late_s, good)
            case "very late":
                self._bring(3 * self.late_s, good)
            case "any time":
                self._bring(chance.uniform(0, 4 * self.late_s), good)
            case "twice":
                self._bring(soon, good)
                self._bring(soon, good)
            case "twice, the second time later":
                self._bring(soon, good)
                again_s = chance.choice([chance.uniform(0, 0.05), chance.uniform(0, 2), chance.uniform(0, 40)])
                self._bring(again_s, good, is_again=True)
            case "the one before first":
                self._bring(soon, before)
                self._bring(soon, good)
            case "the one before only":
                self._bring(soon, before)
            case "the one before, its own late":
                self._bring(soon, before)
                self._bring(self.late_s, good)
            case "an old one":
                self._bring(soon, chance.choice(self.frames))
                self._bring(soon, good)
            case "in one piece":
                self._bring(soon, before + good)
            case "another device":
                other = device_id % 5 + 1
                self._bring(soon, self._framed(number, other, self._answer(other, pdu)))
                self._bring(2 * soon, good)
            case "exception, then late":
                self._bring(soon, self._framed(number, device_id, bytes((pdu[0] | 0x80, chance.choice([2, 6, 11])))))
                self._bring(self.late_s, good)
            case "short":
                self._bring(soon, self._framed(number, device_id, bytes((pdu[0], answer[1] - 2)) + answer[2:-2]))
            case "another function":
                self._bring(soon, self._framed(number, device_id, bytes((7 - pdu[0],)) + answer[1:]))
            case "noise":
                self._bring(soon, chance.randbytes(chance.randint(1, 7)) + good)
            case "flip":
                place = chance.randrange(len(good))
                self._bring(soon, good[:place] + bytes((good[place] ^ 1 << chance.randrange(8),)) + good[place + 1 :])
            case "cut":
                half = len(good) // 2
                self._bring(soon, good[:half])
                self._bring(soon, good[half:])
            case "a stray without number":
                self._bring(soon, b"\0\0" + before[2:])
                self._bring(4 * soon, good)
            case "an old number":
                if self._answered:  # the number of a request that still waits would be a lie that no client can see
                    self._bring(soon, self._framed(chance.choice(self._answered), device_id, answer))
                self._bring(2 * soon, good)
            case "close, and bring it to the next connection":
                self._kept.append(good)
                asyncio.get_running_loop().call_soon(self.abort)
            case "close":
                asyncio.get_running_loop().call_soon(self.abort)
            case _:
                raise ValueError(what)

    @staticmethod
    def _answer(device_id: int, pdu: bytes) -> bytes:
        address, count = int.from_bytes(pdu[1:3]), int.from_bytes(pdu[3:5])
        now = asyncio.get_running_loop().time()
        values = [register(device_id, TABLES[pdu[0]], at, now) for at in range(address, address + count)]
        return bytes((pdu[0], 2 * count)) + b"".join(value.to_bytes(2) for value in values)

    def _framed(self, number: int, device_id: int, pdu: bytes) -> bytes:
        frames = MbapFrames() if self.framing is MbapFrames else self.framing(LinkCounters())  # type: ignore[call-arg]
        return frames.frame(number, device_id, pdu)

    def _bring(self, seconds: float, data: bytes, *, is_again: bool = False) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time() + seconds
        if self.in_order and not is_again:
            at = self._sent_until = max(at, self._sent_until)
        loop.call_at(at, self._arrive, self.connection, data)

    def _arrive(self, of: Connection | None, data: bytes) -> None:
        if self.framing is MbapFrames and data in self.frames:
            self._answered.append(int.from_bytes(data[:2]))
        if of is not None and of is self.connection:
            while data and self.connection is of:
                space = of.get_buffer(-1)
                size = min(len(space), len(data))
                space[:size] = data[:size]
                of.buffer_updated(size)
                data = data[size:]
