"""The one way to the outputs: every write is checked, sent when it changes, and driven to its safe value at the end.

Rules of this file:

* A value that breaks a limit is refused, never bent to fit.
* Nothing is written on a link that is down, and nothing is kept for later: after an outage of more than `KEEP_S`
  the outputs of that link are driven to their safe values, because the skid has moved on without us.
* When a link comes up, its outputs are written whatever was there before: nobody knows what it holds now.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from functools import partial

from drivers.contract import Kind
from engine.core.spec import TagSpec
from engine.links import Link
from engine.uod.skid import OutputSpec, Skid

Value = bool | int | float | str

log = logging.getLogger("skidlink.engine.outputs")

KEEP_S = 2.0
"""An outage up to this long is a blink: the outputs are written again as they were."""


class OutputRefusedError(Exception):
    """A wish that may not be written; the message names the tag, the rule and what is allowed."""


class Output:
    """One output: what is wanted of it, and what its device has accepted."""

    def __init__(self, spec: OutputSpec, tag: TagSpec, link: Link) -> None:
        self.spec = spec
        self.tag = tag
        self.link = link
        self.wanted: Value | None = spec.safe_value
        """In the unit of the tag, or the text of a choice; None: nobody has asked for anything."""
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


class Outputs:
    """All outputs of the skid."""

    def __init__(self, skid: Skid, links: Sequence[Link], show: Callable[[str, Value | None, str], None]) -> None:
        """`show` is called with tag, value and reason for an output that is never read, so that its tag tells what
        its device has accepted; value None: not known."""
        found = [Output(spec, skid.tags[spec.tag], links[spec.link]) for spec in skid.outputs]
        self._outputs = {output.tag.name: output for output in found}
        self._at = {(output.spec.link, output.spec.row): output for output in found}
        self._show_tag = show
        self._pending: set[str] = set()
        self._progress = asyncio.Event()
        self._down_since: dict[int, float | None] = {}
        for index, link in enumerate(links):
            self._down_since[index] = -math.inf
            link.on_written = partial(self._written, index)
            link.on_state = partial(self._link_changed, index, link)

    @property
    def tags(self) -> Sequence[str]:
        return tuple(self._outputs)

    def wish(self, tag: str, value: Value) -> None:
        """Ask for a value, in the unit of the tag or as the text of a choice.

        Raises `OutputRefusedError` when the tag is no output, the value breaks a rule, or the link is down.
        """
        output = self._outputs.get(tag)
        if output is None:
            raise OutputRefusedError(f"{tag} is no output; outputs are: {', '.join(self._outputs) or 'none'}")
        raw = output.raw(value)
        if not output.link.up:
            raise OutputRefusedError(f"{tag} cannot be written: {output.link.name} is down: {output.link.trouble}")
        output.wanted = value
        if raw != output.accepted:
            self._send(output, raw)

    def written(self, tag: str) -> bool | None:
        """Whether the device has taken what was asked of an output last; None: it has not answered yet."""
        return None if tag in self._pending else self._outputs[tag].accepted is not None

    def make_safe(self) -> None:
        """Ask for the safe value of every output that has one."""
        for output in self._outputs.values():
            if output.spec.safe_value is not None:
                output.wanted = output.spec.safe_value
                self._drive(output)

    async def settled(self, within_s: float) -> Sequence[str]:
        """Wait until what was asked for has been accepted; return the tags for which it was not."""
        try:
            async with asyncio.timeout(within_s):
                while self._pending:
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            pass  # the caller is told by what is still pending
        return [
            tag
            for tag, output in self._outputs.items()
            if tag in self._pending or (output.accepted is None and output.wanted is not None)
        ]

    def _show(self, output: Output, value: Value | None, reason: str) -> None:
        if not output.spec.read_back:
            self._show_tag(output.tag.name, value, reason)

    def _drive(self, output: Output) -> None:
        """Write what is wanted, whatever the device may hold."""
        if output.wanted is None or not output.link.up:
            return
        try:
            self._send(output, output.raw(output.wanted))
        except OutputRefusedError:
            log.exception("%s cannot be driven to %r", output.tag.name, output.wanted)

    def _send(self, output: Output, raw: Value) -> None:
        self._pending.add(output.tag.name)
        output.link.wish(output.spec.row, raw)

    def _written(self, link: int, row: int, raw: Value, refusal: str | None) -> None:
        output = self._at[link, row]
        tag = output.tag.name
        self._pending.discard(tag)
        self._progress.set()
        if refusal is None:
            output.accepted = raw
            self._show(output, output.wanted, "")
        else:
            output.accepted = None
            log.error("%s: %s refused %r: %s", tag, output.link.name, raw, refusal)
            self._show(output, None, "the device refused the value written last")

    def _link_changed(self, index: int, link: Link) -> None:
        mine = [output for output in self._outputs.values() if output.spec.link == index]
        if not link.up:
            if self._down_since[index] is None:
                self._down_since[index] = time.monotonic()
            link.forget_wishes()
            for output in mine:
                output.accepted = None
                self._pending.discard(output.tag.name)
                self._show(output, None, "its link is down")
            self._progress.set()
            return
        since, self._down_since[index] = self._down_since[index], None
        if since is None:
            return  # up and degraded are both up
        lost = time.monotonic() - since > KEEP_S
        for output in mine:
            if lost and output.wanted != output.spec.safe_value:
                log.warning("%s: back after an outage; %s goes to its safe value", link.name, output.tag.name)
            if lost:
                output.wanted = output.spec.safe_value
            self._drive(output)
