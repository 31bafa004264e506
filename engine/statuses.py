"""How each device is doing, as a tag of its own: `pump Status`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from drivers.contract import Kind
from engine.core.core import Core
from engine.core.spec import Direction, FromEngine, TagSpec
from engine.links import DeviceState, Link

TELL_EVERY_S: Final = 1.0


def status_name(device: str) -> str:
    """The name of the tag that says how a device is doing."""
    return f"{device} Status"


def status_tag(device: str) -> TagSpec:
    """The tag that says how a device is doing; its words can be compared with in expressions."""
    choices = {str(state): place for place, state in enumerate(DeviceState)}
    return TagSpec(status_name(device), FromEngine(Kind.INT), direction=Direction.NA, choices=choices)


class StatusTags:
    """The status tags of all devices, set when something has changed."""

    def __init__(self, links: Sequence[Link]) -> None:
        self._links = tuple(links)
        self._shown = [-1] * len(links)
        """How many changes of state each link had counted when it was shown last."""
        self._tell_due = 0.0

    def show(self, core: Core, now: float) -> None:
        """Set what has changed; `now` in monotonic seconds."""
        for index, link in enumerate(self._links):
            if link.counters.state_changes != self._shown[index]:
                self._shown[index] = link.counters.state_changes
                for device, state in link.devices.items():
                    core.set(status_name(device), str(state))
        if now >= self._tell_due:
            self._tell_due = now + TELL_EVERY_S
            for link in self._links:
                link.tell_the_rest(now)
