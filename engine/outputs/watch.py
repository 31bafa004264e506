"""The regular look at what outputs show: feedbacks, and the tags that tell people why an output is as it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Final

from drivers.contract import Value
from engine.core.core import Core
from engine.outputs.output import Output

LOOK_EVERY_S: Final = 0.25
SAFE_AGAIN_S: Final = 10.0
"""How often a safe value is written again that its device does not keep."""


@dataclass(slots=True)
class OutputCounters:
    """What has been noticed of the outputs since the start."""

    output_deviations: int = 0
    """Times that an output was seen to have another value than the one its device had accepted."""


OUTPUT_COUNTERS = tuple(field.name for field in fields(OutputCounters))


class OutputWatch:
    """Compares the outputs with what is read of them, and has safe values written again that a device has lost."""

    def __init__(
        self,
        outputs: Sequence[Output],
        drive: Callable[[Output], None],
        show: Callable[[str, Value | None, str], None],
    ) -> None:
        """`drive` writes what is wanted of an output at once; `show` sets a tag to a value, with a reason."""
        self.counters = OutputCounters()
        self._with_feedback = [(output, output.feedback) for output in outputs if output.feedback]
        self._with_status = {output.spec.status: output for output in outputs if output.spec.status is not None}
        self._shown = dict.fromkeys(self._with_status, "")
        self._safe_again: dict[str, float] = {}
        """output whose safe value was written again -> when that may be done the next time"""
        self._drive = drive
        self._show = show
        self._due = -math.inf

    def look(self, core: Core, now: float) -> None:
        """Look, `LOOK_EVERY_S` after the last time at the earliest."""
        if now < self._due:
            return
        self._due = now + LOOK_EVERY_S
        for output, feedback in self._with_feedback:
            shown = core.table.value(core.table.row_of(feedback.spec.tag))
            if feedback.compare(output.told(), shown, output.kind, now, asked=output.asked):
                self.counters.output_deviations += 1
            if feedback.deviates and not output.asked and now >= self._safe_again.get(output.tag.name, now):
                self._safe_again[output.tag.name] = now + SAFE_AGAIN_S
                self._drive(output)
        for tag, output in self._with_status.items():
            status = output.status()
            if status != self._shown[tag]:
                self._shown[tag] = status
                self._show(tag, status, "")
