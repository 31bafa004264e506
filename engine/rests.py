"""Devices that do not answer on a link that lives: when each is tried again. No I/O, no clock.

Rules of this file:

* A device whose driver would ask it again at once is tried after the others, but without a rest.
* A device that is silent is left alone for longer and longer, so that the others keep their rate.
* Together the tries of silent devices take a small share of the link's time, as long as another device answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from drivers.contract import Group
from engine.backoff import backoff_s

LONGEST_REST_S = 10.0
LONGEST_WRITE_REST_S = 30.0
"""The same of a device that is only written, where each try is a write."""
REST_SHARE = 9.0
"""After a try of a silent device the others have the link to themselves for this many times as long as it took."""


@dataclass(slots=True)
class Rest:
    """A device that does not answer."""

    since: float
    trouble: str = ""
    failures: int = 0
    """How often it has been found silent; 0 while its driver wants to ask it again."""
    until: float = 0.0


class Rests:
    """The devices of one link that do not answer."""

    def __init__(self) -> None:
        self._rests: dict[str, Rest] = {}
        self._spared_until = 0.0
        """No silent device is tried before."""

    def __bool__(self) -> bool:
        return bool(self._rests)

    def __contains__(self, device: str) -> bool:
        return device in self._rests

    def clear(self) -> None:
        """Let every rest end."""
        self._rests.clear()

    def unanswered(self, device: str, now: float) -> None:
        """Note that a device is to be asked again when the others have had their turn."""
        self._rests.setdefault(device, Rest(now))

    def silent(self, device: str, now: float, trouble: str, *, only_written: bool = False) -> None:
        """Note that a device has been found silent, and begin its rest."""
        rest = self._rests.setdefault(device, Rest(now))
        longest_s = LONGEST_WRITE_REST_S if only_written else LONGEST_REST_S
        rest.until = now + backoff_s(rest.failures + 1, longest_s)
        rest.failures += 1
        rest.trouble = trouble

    def answered(self, device: str) -> Rest | None:
        """Note that a device answers; return its rest, if it had one."""
        return self._rests.pop(device, None)

    def is_over(self, device: str, now: float) -> bool:
        """Whether a device has had its rest."""
        rest = self._rests.get(device)
        return rest is not None and now >= rest.until

    @property
    def found_silent(self) -> dict[str, str]:
        """Device -> what is wrong with it, of those that are left alone."""
        return {device: rest.trouble for device, rest in self._rests.items() if rest.failures}

    def spare(self, began: float, ended: float) -> None:
        """Leave the link to the others after a try."""
        self._spared_until = ended + REST_SHARE * (ended - began)

    def ready(self, groups: Sequence[Group], due: Sequence[float]) -> list[float]:
        """When each group is to be read: at its turn, and not before the rest of its device is over."""
        if not self._rests:
            return list(due)
        spared = self._spared_until if any(group.device not in self._rests for group in groups) else 0.0
        found: list[float] = []
        for group, at in zip(groups, due, strict=True):
            rest = self._rests.get(group.device)
            found.append(at if rest is None or not rest.failures else max(at, rest.until, spared))
        return found

    def to_try(self, groups: Sequence[Group], due: Sequence[float], now: float) -> int | None:
        """The one group of these devices that is to be read now; those to be asked again go first."""
        waiting = [
            (self._rests[group.device].failures > 0, ready, index)
            for index, (group, ready) in enumerate(zip(groups, self.ready(groups, due), strict=True))
            if group.device in self._rests and ready <= now
        ]
        return min(waiting)[2] if waiting else None
