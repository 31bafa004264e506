"""What is logged of the states of a link and of its devices: each change once, and of a flood of them a count."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection

from engine.floods import Flood

log = logging.getLogger("skidlink.engine.links")


class StateLog:
    """The log of one link. What happens to a link with a single device is told of the device."""

    def __init__(self, link: str, devices: Collection[str]) -> None:
        self._link = link
        self._subject = next(iter(devices)) if len(devices) == 1 else link
        self._down_since: float | None = None
        self._flood = Flood()

    def down(self, trouble: str) -> None:
        """The link has broken; a driver's words name it, or its device."""
        self._down_since = time.monotonic()
        self._tell(self._subject, f"down: {trouble}")

    def still_down(self, trouble: str) -> None:
        """It is down for another reason."""
        log.info("still down: %s", trouble)

    def up(self) -> None:
        """The link lives, for the first time or again."""
        if self._down_since is None:
            log.info("%s: up", self._link)
        else:
            self._tell(self._subject, f"{self._link}: up again after {time.monotonic() - self._down_since:.1f} s")

    def demoted(self, device: str, trouble: str) -> None:
        """A device does not answer, though its link lives."""
        self._tell(device, f"{trouble}; from now on it is probed now and then (link {self._link})")

    def answers(self, device: str, after_s: float) -> None:
        """A demoted device answers again."""
        self._tell(device, f"{device}: answers again after {after_s:.1f} s")

    def tell_the_rest(self, now: float, state_of: Callable[[str], str]) -> None:
        """Say how many changes were held back, for each device or link of which a minute is over."""
        for subject, count in self._flood.take_held_back(now).items():
            log.warning("%s: %d more changes of state in the last minute; now %s", subject, count, state_of(subject))

    def _tell(self, subject: str, message: str) -> None:
        if self._flood.passes(subject, time.monotonic()):
            log.warning("%s", message)
        else:
            log.debug("%s", message)
