"""Whether an output does what it was told, by what is read of it."""

from __future__ import annotations

import logging
from typing import Final

from drivers.contract import Kind, Value
from engine.core.spec import TagSpec
from engine.uod.skid import FeedbackSpec

log = logging.getLogger("skidlink.engine.outputs")

FLOAT32_STEP: Final = 1e-6
"""A little more than a float32 loses of a number, as a share of it."""
WHOLE = frozenset({Kind.INT, Kind.UINT})


class Feedback:
    """For how long an output has not done what it was told; one alarm when that is too long, one line when it is over.

    What is read while it is bad or stale says nothing, and neither does a device that has not accepted a value yet.
    """

    def __init__(self, spec: FeedbackSpec, tag: TagSpec) -> None:
        self.spec = spec
        self.alarmed = False
        self._tag = tag
        self._told: Value | None = None
        self._since: float | None = None

    @property
    def deviates(self) -> bool:
        """Whether it shows something else now, and has done so for too long."""
        return self.alarmed and self._since is not None

    @property
    def deviates_since(self) -> float | None:
        """Since when (monotonic seconds) it has shown something else, once that is an alarm."""
        return self._since if self.alarmed else None

    def compare(self, told: Value | None, shown: Value | None, kind: Kind, now: float, *, asked: bool) -> bool:
        """Look at what is `shown` of what was `told`, both in the unit of their tags; None: not known.

        `kind` is that of the raw value that was written; `asked` whether somebody has asked for it, else the engine
        wants it. Returns True when this raises the alarm.
        """
        if told != self._told or told is None or shown is None:
            self._told, self._since = told, None
        if told is None or shown is None:
            return False
        if self.agree(told, shown, kind):
            self._since = None
            if self.alarmed:
                self.alarmed = False
                log.warning("%s: %s shows %s again, as was set", self._tag.name, self.spec.tag, shown)
            return False
        if self._since is None:
            self._since = now
        if now - self._since <= self.spec.after_s or self.alarmed:
            return False
        self.alarmed = True
        log.error("%s", self._alarm(told, shown, asked=asked))
        return True

    def _alarm(self, told: Value, shown: Value, *, asked: bool) -> str:
        name, is_itself = self._tag.name, self.spec.tag == self._tag.name
        by = "its device" if is_itself else self.spec.tag
        what = f"{name} was set to {told}, but {by} has shown something else for {self.spec.after_s:g} s, now {shown}"
        if not is_itself:
            hint = f"look at the device, or give {name} a feedback_tolerance"
        elif self._tag.choices:
            hint = "somebody else has changed it, or the device resets it by itself, which momentary: true allows"
        else:
            hint = "somebody else has changed it, the device has restarted, or it rounds, as feedback_tolerance allows"
        then = "ask for it again if it is still wanted" if asked else "its safe value is written again"
        return f"{what}; {hint}; {then}" if is_itself or not asked else f"{what}; {hint}"

    def agree(self, told: Value, shown: Value, kind: Kind) -> bool:
        """Whether two values are the same, but for the tolerance."""
        if told == shown:
            return True
        if isinstance(told, str) or isinstance(shown, str):
            return False
        return abs(shown * self.spec.scale + self.spec.offset - told) <= self._tolerance(told, kind)

    def _tolerance(self, told: float, kind: Kind) -> float:
        """As the author says, or else one step of a scaled register and what a float32 loses, but nothing where all are
        whole numbers."""
        spec, tag = self.spec, self._tag
        if spec.tolerance is not None:
            return spec.tolerance
        if kind in WHOLE and (tag.scale, tag.offset, spec.scale, spec.offset) == (1, 0, 1, 0):
            return 0.0
        lost = FLOAT32_STEP * max(abs(told), abs(spec.offset))
        return lost + abs(tag.scale) if kind in WHOLE else lost
