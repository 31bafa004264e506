"""One output: what is wanted of it, what its device has accepted, and which values it may have at all."""

from __future__ import annotations

import logging
import math
from typing import Final

from drivers.contract import Kind, Quality, Value
from engine.core.scaling import raw_of, value_of
from engine.core.spec import TagSpec
from engine.links import Link
from engine.outputs.feedback import WHOLE, Feedback
from engine.outputs.interlock import Interlock
from engine.outputs.ramp import Ramp
from engine.uod.skid import OutputSpec

log = logging.getLogger("skidlink.engine.outputs")

FUZZ: Final = 1e-9
"""What arithmetic with decimals may be off by, as a share of a limit."""
MOST_CUTS: Final = 3
"""A value at which its device is lost so often is not written again: the readings of the link would never come back."""


class OutputRefusedError(Exception):
    """A wish that may not be written; the message names the tag, the rule and what is allowed."""


class Output:
    """One output of the skid, and the limits of its values."""

    def __init__(
        self,
        spec: OutputSpec,
        tag: TagSpec,
        link: Link,
        device: str,
        *,
        ramp: Ramp | None = None,
        interlock: Interlock | None = None,
        feedback: Feedback | None = None,
    ) -> None:
        self.spec = spec
        self.tag = tag
        self.link = link
        self.device = device
        self.wanted: Value | None = spec.safe_value
        """In the unit of the tag, or the text of a choice; None: nobody has asked for anything."""
        self.asked = False
        """Somebody has asked for what is wanted; else the engine wants it, to be safe."""
        self.safe_because = "nobody has asked for anything yet"
        self.sent: tuple[Value, Value] | None = None
        """What is on its way to the device, and the raw value for it; None: all that was sent has been answered."""
        self.unwritten = False
        """Somebody has asked, and nothing has been sent for it yet."""
        self.accepted: Value | None = None
        """The raw value that the device has taken since it could be reached; None: not known."""
        self.rejected = False
        """The device has refused what was written last."""
        self.cuts = 0
        """How often in a row its device was lost while what somebody had asked for was on its way."""
        self.refused = 0
        """How often in a row the device has refused the safe value."""
        self.ramp = ramp
        self.interlock = interlock
        self.feedback = feedback

    def lose(self) -> None:
        """Know nothing of it any more, as its device cannot be reached."""
        if self.asked and self.sent is not None:
            self.cuts += 1
            if self.cuts == MOST_CUTS:
                said = (
                    "%s: its device was lost at each write of %r, which is not repeated: check its address and limits"
                )
                log.error(said, self.tag.name, self.wanted)
        self.accepted, self.sent, self.rejected = None, None, False

    @property
    def reachable(self) -> bool:
        """Whether its device can be written to."""
        return self.link.reaches(self.device)

    @property
    def moving(self) -> bool:
        """Whether it is on a ramp."""
        return self.ramp is not None and self.ramp.moving

    @property
    def keeps(self) -> bool:
        """Whether its device keeps what is written, so that it may be written again after a blink or a pause."""
        return not self.spec.momentary

    @property
    def forbidden(self) -> str:
        """Why it may have no other value than its safe one; "" while it may."""
        return "" if self.interlock is None else self.interlock.forbids

    @property
    def kind(self) -> Kind:
        """The kind of the raw value, which a device may tell only when it is connected."""
        return Kind(int(self.link.image.kinds[self.spec.row]))

    def raw(self, value: Value) -> Value:
        """The raw value to write. Raises `OutputRefusedError`."""
        tag, kind = self.tag, self.kind
        if tag.choices:
            raw = self._raw_choice(value)
            return bool(raw) if kind is Kind.BOOL else raw
        if kind is Kind.TEXT:
            if not isinstance(value, str):
                raise OutputRefusedError(
                    f"{tag.name} takes a text, not {value!r}: to give it texts, write type: string under the tag, or "
                    "argument: text under its command"
                )
            return value
        if isinstance(value, str):
            raise OutputRefusedError(f"{tag.name} takes a number, not {value!r}")
        if not math.isfinite(value):
            raise OutputRefusedError(f"{tag.name} takes a finite number, not {value!r}")
        unit = f" {tag.unit}" if tag.unit else ""
        if tag.minimum is not None and value < tag.minimum:
            raise OutputRefusedError(f"{tag.name}: {value}{unit} is below its min of {tag.minimum}{unit}")
        if tag.maximum is not None and value > tag.maximum:
            raise OutputRefusedError(f"{tag.name}: {value}{unit} is above its max of {tag.maximum}{unit}")
        if tag.scale == 1 and tag.offset == 0:
            return value
        scaled = raw_of(value, tag.scale, tag.offset)
        # A scaled register has the resolution of its scale; what lies between two of its steps goes to the nearer.
        return self._inside(round(scaled)) if kind in WHOLE else scaled

    def raw_on_the_way(self, position: float, target: float) -> Value:
        """The raw value for a position on the way to a target. Raises `OutputRefusedError`."""
        if position == target or self.kind not in WHOLE:
            return self.raw(position)
        tag = self.tag
        here, there = (raw_of(value, tag.scale, tag.offset) for value in (position, target))
        # A register has its next step when the ramp has reached it, not before.
        return self._inside(math.floor(here) if there > here else math.ceil(here))

    def value_of(self, raw: Value) -> Value:
        """What a raw value means: the text of a choice, or a number in the unit of the tag."""
        if self.tag.choices:
            return next(word for word, each in self.tag.choices.items() if each == raw)
        if isinstance(raw, (bool, str)) or (self.tag.scale == 1 and self.tag.offset == 0):
            return raw
        return value_of(raw, self.tag.scale, self.tag.offset)

    def told(self) -> Value | None:
        """What its device has accepted; None: not known."""
        return None if self.accepted is None else self.value_of(self.accepted)

    def is_safe(self, value: Value | None) -> bool:
        """Whether this is its safe value, however it is spelled."""
        safe = self.spec.safe_value
        try:
            return value is not None and safe is not None and self.raw(value) == self.raw(safe)
        except OutputRefusedError:
            return False  # what fitted once may not fit what its device has become

    def reading_since(self, moment: float) -> float | None:
        """What the device showed after `moment` (monotonic seconds), brought within the limits; None: not known."""
        image, row = self.link.image, self.spec.row
        if not self.spec.read_back or image.quality[row] != Quality.GOOD or image.received[row] < moment:
            return None
        value = self.value_of(image.value(row))
        if isinstance(value, str) or not math.isfinite(value):
            return None
        low, high = self.tag.minimum, self.tag.maximum
        return min(max(float(value), -math.inf if low is None else low), math.inf if high is None else high)

    def status(self) -> str:
        """Why it is as it is, for people."""
        if not self.reachable:
            return "not known: its device cannot be reached"
        if self.feedback is not None and self.feedback.alarmed:
            return f"{self.feedback.spec.tag} shows something else"
        if self.wanted is None:
            return self.safe_because
        if self.sent is None and self.accepted is None:
            return "not known: its device refused the value written last"
        if self.asked:
            return "on its way" if self.moving else "as asked"
        return f"safe: {self.forbidden or self.safe_because}"

    def _raw_choice(self, value: Value) -> int:
        choices = self.tag.choices
        if isinstance(value, str) and value in choices:
            return choices[value]
        if not isinstance(value, str) and value in choices.values():
            return int(value)
        raise OutputRefusedError(f"{self.tag.name} takes one of {', '.join(choices)}, not {value!r}")

    def _inside(self, step: int) -> int:
        """A step of the register, or the one beside it where rounding has left the limits. Raises
        `OutputRefusedError` where both are beyond."""
        for each in (step, step + 1, step - 1):
            if self._is_inside(value_of(each, self.tag.scale, self.tag.offset)):
                return each
        raise OutputRefusedError(f"{self.tag.name}: no step of its register lies between its min and its max")

    def _is_inside(self, value: float) -> bool:
        low, high = self.tag.minimum, self.tag.maximum
        above = low is None or value >= low - FUZZ * max(1.0, abs(low))
        return above and (high is None or value <= high + FUZZ * max(1.0, abs(high)))
