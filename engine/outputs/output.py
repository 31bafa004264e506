"""One output: what is wanted of it, what its device has accepted, and which values it may have at all."""

from __future__ import annotations

import math

from drivers.contract import Kind
from engine.core.spec import TagSpec
from engine.links import Link
from engine.uod.skid import OutputSpec

Value = bool | int | float | str


class OutputRefusedError(Exception):
    """A wish that may not be written; the message names the tag, the rule and what is allowed."""


class Output:
    """One output of the skid, and the limits of its values."""

    def __init__(self, spec: OutputSpec, tag: TagSpec, link: Link) -> None:
        self.spec = spec
        self.tag = tag
        self.link = link
        self.wanted: Value | None = spec.safe_value
        """In the unit of the tag, or the text of a choice; None: nobody has asked for anything."""
        self.asked = False
        """Somebody has asked for what is wanted; else the engine wants it, to be safe."""
        self.sent: tuple[Value, Value] | None = None
        """What is on its way to the device, and the raw value for it; None: all that was sent has been answered."""
        self.accepted: Value | None = None
        """The raw value that the device has taken since the link came up; None: not known."""

    def raw(self, value: Value) -> Value:
        """The raw value to write. Raises `OutputRefusedError`."""
        tag = self.tag
        kind = Kind(int(self.link.image.kinds[self.spec.row]))
        if tag.choices:
            raw = self._raw_choice(value)
            return bool(raw) if kind is Kind.BOOL else raw
        if kind is Kind.TEXT:
            if not isinstance(value, str):
                raise OutputRefusedError(f"{tag.name} takes a text, not {value!r}")
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
        scaled = (value - tag.offset) / tag.scale
        # A scaled register has the resolution of its scale; what lies between two of its steps goes to the nearer.
        return round(scaled) if kind in {Kind.INT, Kind.UINT} else scaled

    def _raw_choice(self, value: Value) -> int:
        choices = self.tag.choices
        if isinstance(value, str) and value in choices:
            return choices[value]
        if not isinstance(value, str) and value in choices.values():
            return int(value)
        raise OutputRefusedError(f"{self.tag.name} takes one of {', '.join(choices)}, not {value!r}")
