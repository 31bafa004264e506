"""How many of its turns a link has kept, by the count of readings that the engine publishes once a second. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.soak.points import SoakTag
from uod_examples.skid.registers import Register

LEAST_DUE = 300.0
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
    _last: tuple[float, float, float] | None = None
    _open: list[tuple[float, float, float, float]] = field(default_factory=list[tuple[float, float, float, float]])
    """Start, end, readings and seconds without a processor between them, of what is not decided yet."""

    @property
    def share(self) -> float:
        return self.made / self.due if self.due else 1.0

    @property
    def judged(self) -> bool:
        """Whether there was enough to judge by: one reading that falls on the other side of an end is no fault."""
        return self.due >= LEAST_DUE

    def take(self, published: Mapping[str, object], time: float, waited_s: float) -> None:
        """Take a count of readings, and how long the engine has been without a processor, since its start."""
        reads = published.get(f"{self.bus} reads")
        if isinstance(reads, int | float):
            if self._last is not None:
                start, before, waited = self._last
                self._open.append((start, time, reads - before, waited_s - waited))
            self._last = time, float(reads), waited_s

    def settle(self, now: float, sound: Callable[[str, float, float], bool]) -> None:
        """Count what `sound` says of: all was well with the bus between two times, and the computer had time."""
        while self._open and self._open[0][1] < now - KNOWN_AFTER_S:
            start, end, made, waited_s = self._open.pop(0)
            if sound(self.bus, start, end):
                # What a process that gets no processor cannot do is not its fault.
                self.due += max(0.0, end - start - waited_s) * self.per_s
                self.made += made


def cadences(tags: Sequence[SoakTag]) -> list[Cadence]:
    """One for each bus: it has a group for each device and each time between two readings."""
    groups = {(tag.bus, tag.place.device_id if isinstance(tag.place, Register) else 0, tag.every_s) for tag in tags}
    return [
        Cadence(bus, sum(1 / every_s for each, _, every_s in groups if each == bus))
        for bus in dict.fromkeys(tag.bus for tag in tags)
    ]
