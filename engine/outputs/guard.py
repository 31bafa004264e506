"""All outputs of a skid: who may ask for what and when, and what the engine itself asks for in the name of safety."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from functools import partial

from engine.links import Link
from engine.outputs.output import Output, OutputRefusedError, Value
from engine.uod.skid import Skid

log = logging.getLogger("skidlink.engine.outputs")

KEEP_S = 2.0
"""An outage up to this long is a blink: the outputs are written again as they were."""


class Outputs:
    """All outputs of the skid."""

    def __init__(
        self,
        skid: Skid,
        links: Sequence[Link],
        show: Callable[[str, Value | None, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`show` is called with tag, value and reason for an output that is never read, so that its tag tells what
        its device has accepted; value None: not known."""
        found = [Output(spec, skid.tags[spec.tag], links[spec.link]) for spec in skid.outputs]
        self._outputs = {output.tag.name: output for output in found}
        self._at = {(output.spec.link, output.spec.row): output for output in found}
        self._show_tag = show
        self._clock = clock
        self._progress = asyncio.Event()
        self._paused: dict[str, Value] = {}
        """output -> what was wanted of it before the pause"""
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
        self._paused.pop(tag, None)
        output.wanted, output.asked = value, True
        if raw != (output.sent[1] if output.sent else output.accepted):
            self._send(output, value, raw)

    def written(self, tag: str) -> bool | None:
        """Whether the device has taken what was asked of an output last; None: it has not answered yet."""
        output = self._outputs[tag]
        return None if output.sent else output.accepted is not None

    def make_safe(self) -> None:
        """Ask for the safe value of every output that has one, and forget what was wanted before."""
        self._paused.clear()
        for output in self._outputs.values():
            self._secure(output)

    def pause(self) -> None:
        """Ask for the safe value of every output that has one, and remember what was wanted for `resume`."""
        for tag, output in self._outputs.items():
            if output.asked and output.wanted is not None and output.spec.safe_value is not None:
                self._paused[tag] = output.wanted
            self._secure(output)

    def resume(self) -> None:
        """Ask again for what was wanted before `pause`, but not where somebody has asked for something else meanwhile,
        or where the link was away for longer than `KEEP_S`."""
        wanted, self._paused = self._paused, {}
        for tag, value in wanted.items():
            output = self._outputs[tag]
            output.wanted, output.asked = value, True
            self._drive(output)

    async def settled(self, within_s: float) -> Sequence[str]:
        """Wait until what was asked for has been accepted; return the tags for which it was not."""
        try:
            async with asyncio.timeout(within_s):
                while any(output.sent for output in self._outputs.values()):
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            pass  # the caller is told by what is still on its way
        return [
            tag
            for tag, output in self._outputs.items()
            if output.sent or (output.accepted is None and output.wanted is not None)
        ]

    def _show(self, output: Output, value: Value | None, reason: str) -> None:
        if not output.spec.read_back:
            self._show_tag(output.tag.name, value, reason)

    def _secure(self, output: Output) -> None:
        """Drive an output to its safe value, if it has one."""
        if output.spec.safe_value is not None:
            output.wanted, output.asked = output.spec.safe_value, False
            self._drive(output)

    def _drive(self, output: Output) -> None:
        """Write what is wanted, whatever the device may hold."""
        if output.wanted is None or not output.link.up:
            return
        try:
            self._send(output, output.wanted, output.raw(output.wanted))
        except OutputRefusedError:
            log.exception("%s cannot be driven to %r", output.tag.name, output.wanted)

    def _send(self, output: Output, value: Value, raw: Value) -> None:
        output.sent = value, raw
        output.link.wish(output.spec.row, raw)

    def _written(self, link: int, row: int, raw: Value, refusal: str | None) -> None:
        output = self._at[link, row]
        tag = output.tag.name
        output.accepted = raw if refusal is None else None
        if refusal is not None:
            log.error("%s: %s refused %r: %s", tag, output.link.name, raw, refusal)
        if output.sent is None or output.sent[1] != raw:
            return  # a newer value is on its way already
        value, output.sent = output.sent[0], None
        self._progress.set()
        if refusal is None:
            self._show(output, value, "")
        else:
            self._show(output, None, "the device refused the value written last")

    def _link_changed(self, index: int, link: Link) -> None:
        mine = [output for output in self._outputs.values() if output.spec.link == index]
        if not link.up:
            if self._down_since[index] is None:
                self._down_since[index] = self._clock()
            link.forget_wishes()
            for output in mine:
                output.accepted = output.sent = None
                self._show(output, None, "its link is down")
            self._progress.set()
            return
        since, self._down_since[index] = self._down_since[index], None
        if since is None:
            return  # up and degraded are both up
        lost = self._clock() - since > KEEP_S
        for output in mine:
            if lost:
                self._forget(output)
            self._drive(output)

    def _forget(self, output: Output) -> None:
        """After an outage nothing is wanted of an output but its safe value."""
        before = self._paused.pop(output.tag.name, output.wanted if output.asked else output.spec.safe_value)
        if before != output.spec.safe_value:
            log.warning("%s: back after an outage; %s goes to its safe value", output.link.name, output.tag.name)
        output.wanted, output.asked = output.spec.safe_value, False
