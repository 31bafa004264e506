"""What may come in from the other side, and how much of it: nothing that arrives holds up the scan cycle.

| limit | because |
| --- | --- |
| 2 MiB a frame | a method of 25,000 lines fits |
| 60,000 objects and lists, 100,000 values a frame | reading takes up to 50 ms on one core; 60 MiB took seconds |
| 8 MiB at once, 1 MiB a second | a user saves a method now and then |
| 500 frames at once that are no answer of ours, 100 a second | users give a few commands a second |
| 20 frames that cannot be read | a sound aggregator sends none |
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from protocol.exceptions import PeerViolationError

FRAME_BYTES: Final = 2 * 2**20
CONTAINERS: Final = 60_000
VALUES: Final = 100_000
BYTES_AT_ONCE: Final = 8 * 2**20
BYTES_PER_S: Final = 2**20
FRAMES_AT_ONCE: Final = 500
FRAMES_PER_S: Final = 100
UNREADABLE: Final = 20


class Budget:
    """So much at once, and so much a second."""

    def __init__(self, at_once: float, per_s: float) -> None:
        self._at_once, self._per_s = at_once, per_s
        self._left = at_once
        self._since: float | None = None

    def spend(self, amount: float, now: float) -> bool:
        """Takes an amount, unless there is not so much left; `now` is in monotonic seconds."""
        if self._since is not None:
            self._left = min(self._at_once, self._left + (now - self._since) * self._per_s)
        self._since = now
        if amount > self._left:
            return False
        self._left -= amount
        return True


@dataclass(slots=True)
class Inbound:
    """What one connection has taken in. Each method raises `PeerViolationError` above its limit."""

    _bytes: Budget = field(default_factory=lambda: Budget(BYTES_AT_ONCE, BYTES_PER_S))
    _frames: Budget = field(default_factory=lambda: Budget(FRAMES_AT_ONCE, FRAMES_PER_S))
    _unreadable: int = 0

    def read(self, data: bytes, now: float) -> Any:
        """The JSON of a frame; None for one that cannot be read."""
        if not self._bytes.spend(len(data), now):
            raise PeerViolationError(f"it sends more than {BYTES_PER_S // 2**20} MiB a second")
        if data.count(b"{") + data.count(b"[") > CONTAINERS or data.count(b",") > VALUES:
            raise PeerViolationError(f"it sent a frame of {len(data):,} bytes with more parts than any message has")
        try:
            return orjson.loads(data)
        except orjson.JSONDecodeError as error:
            self.unreadable(f"a frame of {len(data):,} bytes is not JSON: {str(error)[:100]}")
            return None

    def count_unasked(self, now: float) -> None:
        """Counts a frame that is no answer to a call of ours."""
        if not self._frames.spend(1, now):
            raise PeerViolationError(f"it sends more than {FRAMES_PER_S} calls a second")

    def unreadable(self, why: str) -> None:
        """Counts a frame that means nothing."""
        self._unreadable += 1
        if self._unreadable > UNREADABLE:
            raise PeerViolationError(f"it keeps sending what cannot be read, at last: {why}")
