"""What is counted on the links and in the engine itself, as tags.

They are set now and then, as nobody acts on a counter within a tick.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial

from drivers.contract import Counts
from engine.core.core import Core
from engine.links import Link
from engine.uod.skid import CounterSpec

EVERY_S = 1.0


class CounterTags:
    """The counters that the author of a skid has asked for."""

    def __init__(
        self, counters: Sequence[CounterSpec], links: Sequence[Link], counted: Callable[[], Mapping[str, float]]
    ) -> None:
        """`counted` says what is counted on no link."""
        used = dict.fromkeys(counter.link for counter in counters)
        self._wanted = [
            (
                counted if link is None else partial(counted_on, links[link]),
                [each for each in counters if each.link == link],
            )
            for link in used
        ]
        self._due = -math.inf

    def show(self, core: Core, now: float) -> None:
        """Set their tags, `EVERY_S` after the last time at the earliest; `now` in monotonic seconds."""
        if now < self._due:
            return
        self._due = now + EVERY_S
        for count, counters in self._wanted:
            counted = count()
            for counter in counters:
                value = counted[counter.name]
                if math.isnan(value):
                    core.set(counter.tag, None, reason="not measured yet")
                else:
                    core.set(counter.tag, value)


def counted_on(link: Link) -> dict[str, float]:
    """All that a link's worker and its driver have counted, by name."""
    counted = {name: float(value) for name, value in asdict(link.counters).items()}
    return counted | dict(link.driver.counters()) if isinstance(link.driver, Counts) else counted
