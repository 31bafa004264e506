"""The engine's sign of life, which a PLC watches: when it stands still, the PLC makes the skid safe by itself."""

from __future__ import annotations

import logging
import math

from drivers.contract import Kind
from engine.core.spec import TagSpec
from engine.links import Link
from engine.uod.skid import HeartbeatSpec

log = logging.getLogger("skidlink.engine.outputs")


class Heartbeat:
    """One point that is written on and on.

    It is written from within the tick, so that it stands still when the scan cycle does: a timer of its own would go on
    telling a PLC that all is well.
    """

    def __init__(self, spec: HeartbeatSpec, tag: TagSpec, link: Link, device: str) -> None:
        self.spec = spec
        self.tag = tag
        self.link = link
        self._device = device
        self._count = spec.most
        self._due = -math.inf
        self._refused = False

    def tick(self, now: float) -> None:
        """Write the next sign of life, if it is time."""
        if now < self._due or not self.link.reaches(self._device):
            return
        self._due += self.spec.every_s
        if self._due <= now:
            self._due = now + self.spec.every_s  # what is late is not caught up
        self._count = self._count + 1 if self._count < self.spec.most else self.spec.least
        kind = Kind(int(self.link.image.kinds[self.spec.row]))
        self.link.wish(self.spec.row, bool(self._count) if kind is Kind.BOOL else self._count)

    def written(self, refusal: str | None) -> None:
        """Tell once when the device does not take it any more."""
        if refusal is not None and not self._refused:
            log.error("%s: %s refused the heartbeat: %s", self.tag.name, self.link.name, refusal)
        self._refused = refusal is not None
