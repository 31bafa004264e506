"""How many of its turns a link has kept, by the count of readings that the engine publishes once a second. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.soak.points import SoakTag
from uod_examples.skid.registers import Register

KNOWN_AFTER_S = 2.0
"""So much later it is known whether the computer was busy, and the link well."""


@dataclass(slots=True)
class Cadence:
    """One link, whose groups are read so many times a second in all."""

    bus: str
    per_s: float
    due: float = 0.0
    made: float = 0.0
    """Readings, of those that were due while all was well."""
    _last: tuple[float, float] | None = None
    _open: list[tuple[float, float, float]] = field(default_factory=list[tuple[float, float, float]])
    """Start, end, and readings between them, of what is not decided yet."""

    @property
    def share(self) -> float:
        return self.made / self.due if self.due else 1.0

    def take(self, published: Mapping[str, object], time: float) -> None:
        """Take a count of readings."""
        reads = published.get(f"{self.bus} reads")
        if isinstance(reads, int | float):
            if self._last is not None:
                self._open.append((self._last[0], time, reads - self._last[1]))
            self._last = time, float(reads)

    def settle(self, now: float, sound: Callable[[str, float, float], bool]) -> None:
        """Count what `sound` says of: all was well with the bus between two times, and the computer had time."""
        while self._open and self._open[0][1] < now - KNOWN_AFTER_S:
            start, end, made = self._open.pop(0)
            if sound(self.bus, start, end):
                self.due += (end - start) * self.per_s
                self.made += made


def cadences(tags: Sequence[SoakTag]) -> list[Cadence]:
    """One for each bus: it has a group for each device and each time between two readings."""
    groups = {(tag.bus, tag.place.device_id if isinstance(tag.place, Register) else 0, tag.every_s) for tag in tags}
    return [
        Cadence(bus, sum(1 / every_s for each, _, every_s in groups if each == bus))
        for bus in dict.fromkeys(tag.bus for tag in tags)
    ]
