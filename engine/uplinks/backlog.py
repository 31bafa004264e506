"""What waits to be delivered, in memory and within a bound."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from dataclasses import dataclass
from itertools import count
from typing import Final

LIMIT_BYTES: Final = 64 * 2**20
"""More than an hour of 20 changed tags, of 150 bytes each, every 200 ms."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message, encoded."""

    number: int
    """Greater than that of every earlier one."""
    body: bytes
    plot: bool
    """Samples of tags: where there is no room, the oldest of them are given up before any event is."""


class Backlog:
    """A queue that is read in three steps, so that nothing leaves it before it has arrived: peek, deliver, pop."""

    def __init__(self, limit_bytes: int = LIMIT_BYTES) -> None:
        self._limit = limit_bytes
        self._entries: OrderedDict[int, Entry] = OrderedDict()
        self._samples: deque[int] = deque()
        self._numbers = count(1)
        self._bytes = 0
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        self.newest = 0
        """The number of the last entry that was put; 0 before the first."""
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, body: bytes, *, plot: bool) -> None:
        """Append a message; where the bound is passed, the oldest samples go, then the oldest of all."""
        self.newest = next(self._numbers)
        self._entries[self.newest] = Entry(self.newest, body, plot)
        self._bytes += len(body)
        if plot:
            self._samples.append(self.newest)
        while self._bytes > self._limit and len(self._entries) > 1:
            self._remove(self._samples[0] if self._samples else next(iter(self._entries)))
            self.dropped += 1
        self._emptied.clear()
        self._filled.set()

    def peek(self) -> Entry | None:
        """The oldest message, which stays."""
        return next(iter(self._entries.values()), None)

    def pop(self, entry: Entry) -> None:
        """Take out a message that was delivered; it may have been dropped meanwhile."""
        if entry.number in self._entries:
            self._remove(entry.number)

    async def filled(self) -> None:
        """Wait until there is something to peek at."""
        await self._filled.wait()

    async def emptied(self) -> None:
        """Wait until everything has been delivered."""
        await self._emptied.wait()

    def _remove(self, number: int) -> None:
        entry = self._entries.pop(number)
        self._bytes -= len(entry.body)
        if entry.plot and self._samples[0] == number:
            self._samples.popleft()
        if not self._entries:
            self._filled.clear()
            self._emptied.set()
