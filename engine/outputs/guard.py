"""All outputs of a skid: who may ask for what and when, and what the engine itself asks for in the name of safety."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial

from engine.backoff import backoff_s
from engine.core.core import Core
from engine.links import Link
from engine.outputs.assembly import heartbeats_of, number_of, outputs_of
from engine.outputs.control import ControlWatch
from engine.outputs.endings import Ending, endings_of
from engine.outputs.heartbeat import Heartbeat
from engine.outputs.interlock import Interlocks
from engine.outputs.output import MOST_CUTS, Output, OutputRefusedError, Value
from engine.outputs.ramp import Ramp
from engine.outputs.watch import OutputWatch
from engine.uod.skid import Skid

log = logging.getLogger("skidlink.engine.outputs")

KEEP_S = 2.0
"""An outage up to this long is a blink: the outputs are written again as they were."""
ONLY_WATCHES = "left as it is: this run only watches"
LONGEST_WAIT_S = 10.0
"""Between two tries to get a safe value accepted."""


class Outputs:
    """All outputs of the skid."""

    def __init__(
        self,
        skid: Skid,
        links: Sequence[Link],
        show: Callable[[str, Value | None, str], None],
        is_controlled: Callable[[], bool] = lambda: True,
        *,
        controls: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`show` is called with tag, value and reason for an output that is never read, so that its tag tells what
        its device has accepted, and for the tags that tell why; value None: not known. `is_controlled` tells whether
        anybody could give a command now. Without `controls` nothing is ever written: the outputs are left as they are.
        """
        found, beats = outputs_of(skid, links), heartbeats_of(skid, links)
        self._controls = controls
        for output in () if controls else found:
            output.wanted, output.safe_because = None, ONLY_WATCHES
        self._outputs = {output.tag.name: output for output in found}
        self._at = {(output.spec.link, output.spec.row): output for output in found}
        self._heartbeats = {(beat.spec.link, beat.spec.row): beat for beat in beats}
        self._interlocked = [(output, output.interlock) for output in found if output.interlock]
        self._interlocks = Interlocks([interlock for _, interlock in self._interlocked])
        self._ramped = [(output, output.ramp) for output in found if output.ramp]
        self._watch = OutputWatch(found, self._drive, show)
        self._show_tag = show
        self._clock = clock
        self._progress = asyncio.Event()
        self._paused: dict[str, Value] = {}
        """output -> what was wanted of it before the pause"""
        self._again: dict[str, float] = {}
        """output whose safe value was refused -> when it is tried again"""
        self._control = ControlWatch(is_controlled, skid.safe_after_s, clock())
        self._devices: dict[str, list[Output]] = {}
        for output in found:
            self._devices.setdefault(output.device, []).append(output)
        self._away_since: dict[str, float | None] = dict.fromkeys(self._devices, -math.inf)
        """device -> since when it could not be reached; None: it can"""
        self._cut_off = set(self._devices)
        """Devices that could not be reached because their link was down, so that they may have been switched off."""
        for index, link in enumerate(links):
            link.on_written = partial(self._written, index)
            link.on_state = partial(self._link_changed, link)

    def wish(self, tag: str, value: Value) -> None:
        """Ask for a value, in the unit of the tag or as the text of a choice.

        Raises `OutputRefusedError` when the tag is no output, the value breaks a rule, its interlock forbids it, its
        device cannot be reached, or nobody is in control. No interlock forbids a safe value.
        """
        output, raw = self._checked(tag, value)
        self._paused.pop(tag, None)
        self._ask(output, value, raw)

    def check(self, tag: str, value: Value) -> None:
        """Raise what `wish` would raise now, and ask for nothing."""
        self._checked(tag, value)

    def is_busy(self, tag: str) -> bool:
        """Whether somebody has asked for a value that has not gone out yet, and that another one would replace.

        A ramp has none: a newer value is its new target.
        """
        output = self._outputs.get(tag)
        return output is not None and output.asked and not output.ramp and output.link.has_wish(output.spec.row)

    def is_moving(self, tag: str) -> bool:
        """Whether an output is on a ramp."""
        return tag in self._outputs and self._outputs[tag].moving

    def _checked(self, tag: str, value: Value) -> tuple[Output, Value]:
        output = self._outputs.get(tag)
        if output is None:
            raise OutputRefusedError(f"{tag} is no output; outputs are: {', '.join(self._outputs) or 'none'}")
        if not self._controls:
            raise OutputRefusedError(f"{tag} is {ONLY_WATCHES}; start it with --aggregator or --control to set outputs")
        raw = output.raw(value)
        self._look_for(output.device)
        if not output.link.up:
            raise OutputRefusedError(f"{tag} cannot be written: {output.link.name} is down: {output.link.trouble}")
        if not output.reachable:
            raise OutputRefusedError(f"{tag} cannot be written: {output.device} does not answer")
        if output.forbidden and not output.is_safe(value):
            raise OutputRefusedError(f"{tag} is not allowed now: {output.forbidden}")
        if output.spec.safe_value is not None and self._control.is_lost:
            raise OutputRefusedError(f"{tag} stays at its safe value: no aggregator is connected")
        return output, raw

    def counted(self) -> dict[str, float]:
        """`OUTPUT_COUNTERS`, by name."""
        return {name: float(value) for name, value in asdict(self._watch.counters).items()}

    def written(self, tag: str) -> bool | None:
        """Whether the device has taken what somebody has asked of an output last; None: it has not answered yet."""
        output = self._outputs[tag]
        if not output.asked:
            return False
        return None if output.sent or output.moving else output.accepted is not None

    def is_refused(self, tag: str) -> bool:
        """Whether the device has refused what somebody has asked of an output last; users have been told why."""
        output = self._outputs[tag]
        return output.asked and output.rejected

    def make_safe(self) -> None:
        """Ask for the safe value of every output that has one, and forget what was wanted before."""
        self._make_safe("it was stopped")

    def pause(self) -> None:
        """Ask for the safe value of every output that has one, and remember what was wanted for `resume`."""
        for tag, output in self._outputs.items():
            if output.asked and output.keeps and output.wanted is not None and output.spec.safe_value is not None:
                self._paused[tag] = output.wanted
            self._secure(output, "a pause")

    def resume(self) -> None:
        """Ask again for what was wanted before `pause`, but not where somebody has asked for something else meanwhile,
        where an interlock forbids it, or where its device was away for longer than `KEEP_S`."""
        for device in self._devices:
            self._look_for(device)
        wanted, self._paused = self._paused, {}
        for tag, value in wanted.items():
            output = self._outputs[tag]
            if output.forbidden and not output.is_safe(value):
                log.warning("%s stays at its safe value after the pause: %s", tag, output.forbidden)
                continue
            try:
                raw = output.raw(value)
            except OutputRefusedError:
                log.exception("%s stays at its safe value after the pause: its device is not what it was", tag)
            else:
                self._ask(output, value, raw)

    async def settled(self, within_s: float) -> Sequence[str]:
        """Wait until what was asked for has been accepted; return the tags for which it was not."""
        try:
            async with asyncio.timeout(within_s):
                while self._again or any(output.sent for output in self._outputs.values()):
                    self._progress.clear()
                    await self._progress.wait()
        except TimeoutError:
            pass  # the caller is told by what is still on its way
        return [
            tag
            for tag, output in self._outputs.items()
            if output.sent or (output.accepted is None and output.wanted is not None)
        ]

    def endings(self) -> Sequence[Ending]:
        """What each output is now, as far as it is known."""
        return endings_of(list(self._outputs.values()))

    def tick(self, core: Core, now: float) -> None:
        """Once a tick, when the expressions have been computed: see to all that moves, watches or beats by itself."""
        for device in self._devices:
            self._look_for(device)
        if not self._controls:
            self._watch.look(core, now)
            return
        if self._control.loses(now):
            self._make_safe("no aggregator is connected")
        self._interlocks.look(core)
        for output, interlock in self._interlocked:
            if interlock.is_true or not output.asked:
                continue
            if output.moving or not output.is_safe(output.wanted):
                log.error("%s goes to its safe value: %s", output.tag.name, interlock.forbids)
                self._secure(output, "its interlock tripped; ask for it anew")
        for output, ramp in self._ramped:
            if ramp.moving:
                self._move(output, ramp, now)
        for tag in [tag for tag, due in self._again.items() if now >= due]:
            del self._again[tag]
            self._drive(self._outputs[tag])
        for beat in self._heartbeats.values():
            beat.tick(now)
        self._watch.look(core, now)

    def _move(self, output: Output, ramp: Ramp, now: float) -> None:
        """Take the next step of a ramp, when the one before has been answered."""
        target = output.wanted
        if output.sent or not output.reachable or target is None or isinstance(target, str):
            return
        position = ramp.step(target, now)
        try:
            raw = output.raw_on_the_way(position, target)
        except OutputRefusedError:
            log.exception("%s cannot go on to %r", output.tag.name, target)
            ramp.fall_back()
            return
        if raw != output.accepted or output.unwritten:
            self._send(output, output.value_of(raw) if ramp.moving else target, raw)

    # What an output is told

    def _ask(self, output: Output, value: Value, raw: Value) -> None:
        """Let somebody have what he asks for, by a ramp where there is one. It is written, whatever the device holds:
        it may have lost the value, or the writing itself may be what is wanted of it."""
        output.wanted, output.asked, output.unwritten = value, True, True
        output.cuts, output.rejected = 0, False
        self._again.pop(output.tag.name, None)
        if output.ramp:
            self._find_deviation(output, output.ramp)
            output.ramp.set_out(self._clock())
        elif output.reachable:
            self._send(output, value, raw)

    @staticmethod
    def _find_deviation(output: Output, ramp: Ramp) -> None:
        """Begin where the device really is, if it has lost the value that it had accepted."""
        since = output.feedback.deviates_since if output.feedback and not ramp.moving else None
        shown = None if since is None else output.reading_since(since)
        if shown is not None:
            ramp.start(shown)

    def _make_safe(self, because: str) -> None:
        self._paused.clear()
        for output in self._outputs.values():
            self._secure(output, because)

    def _secure(self, output: Output, because: str) -> None:
        """Drive an output to its safe value at once, if it has one."""
        if self._controls and output.spec.safe_value is not None:
            self._want_safe(output, because)
            self._drive(output)

    @staticmethod
    def _want_safe(output: Output, because: str) -> None:
        safe = output.spec.safe_value
        output.wanted, output.asked, output.safe_because, output.refused = safe, False, because, 0

    def _drive(self, output: Output) -> None:
        """Write what is wanted at once, whatever the device may hold."""
        if output.wanted is None or not output.reachable:
            return
        if output.ramp and not isinstance(output.wanted, str):
            output.ramp.place(output.wanted)
        self._write(output, output.wanted)

    def _write(self, output: Output, value: Value) -> None:
        try:
            self._send(output, value, output.raw(value))
        except OutputRefusedError:
            log.exception("%s cannot be driven to %r", output.tag.name, value)

    def _send(self, output: Output, value: Value, raw: Value) -> None:
        output.sent, output.unwritten = (value, raw), False
        output.link.wish(output.spec.row, raw)

    # What the links tell

    def _written(self, link: int, row: int, raw: Value, refusal: str | None) -> None:
        if beat := self._heartbeats.get((link, row)):
            beat.written(refusal)
            if refusal is None:
                self._show(beat, raw, "")
            return
        output = self._at[link, row]
        output.accepted, output.rejected, output.cuts = raw if refusal is None else None, refusal is not None, 0
        if refusal is not None and output.refused == 0:
            log.error("%s: writing %r failed (%s): %s", output.tag.name, raw, output.link.name, refusal)
        if output.sent is not None and output.link.has_wish(row):
            return  # a newer one is on its way already
        value = output.wanted if output.sent is None else output.sent[0]
        output.sent = None
        if refusal is None:
            self._taken(output, value)
        else:
            self._refused(output)
        self._progress.set()

    def _taken(self, output: Output, value: Value | None) -> None:
        output.refused = 0
        if output.ramp:
            output.ramp.confirm(self._clock())
        self._show(output, value, "")

    def _refused(self, output: Output) -> None:
        """Try again where it was a safe value; what a user asks for is his to try again."""
        if output.ramp:
            output.ramp.fall_back()
        if not output.asked and output.wanted is not None:
            output.refused += 1
            self._again[output.tag.name] = self._clock() + backoff_s(output.refused, LONGEST_WAIT_S)
        self._show(output, None, "the device refused the value written last")

    def _show(self, output: Output | Heartbeat, value: Value | None, reason: str) -> None:
        if not output.spec.read_back:
            self._show_tag(output.tag.name, value, reason)

    def _link_changed(self, link: Link) -> None:
        for device, outputs in self._devices.items():
            if outputs[0].link is not link:
                continue
            if link.up:
                self._look_for(device)
            else:
                self._cut_off.add(device)
                self._lose(device, "its link is down")
        for beat in self._heartbeats.values() if not link.up else ():
            if beat.link is link:
                link.forget_wishes([beat.spec.row])
                self._show(beat, None, "its link is down")

    def _look_for(self, device: str) -> None:
        """See whether a device can be reached, which may be silent on a link that lives."""
        outputs, since = self._devices[device], self._away_since[device]
        if not outputs[0].reachable:
            if since is None:
                self._lose(device, "its device does not answer")
        elif since is not None:
            self._away_since[device] = None
            self._come_back(outputs, since)

    def _lose(self, device: str, why: str) -> None:
        """Nothing is known any more of what the outputs of a device do, and nothing is on its way to them."""
        if self._away_since[device] is None:
            self._away_since[device] = self._clock()
        outputs = self._devices[device]
        outputs[0].link.forget_wishes(output.spec.row for output in outputs)
        for output in outputs:
            output.lose()
            self._again.pop(output.tag.name, None)
            self._show(output, None, why)
        self._progress.set()

    def _come_back(self, outputs: Sequence[Output], since: float) -> None:
        lost = self._clock() - since > KEEP_S
        if not self._controls:
            for output in outputs:
                self._show(output, None, ONLY_WATCHES)
            return
        was_cut_off = outputs[0].device in self._cut_off
        self._cut_off.discard(outputs[0].device)
        for output in outputs:
            if lost or output.cuts >= MOST_CUTS:
                self._forget(output)
            if output.ramp:
                self._find_ramp(output, output.ramp, output.reading_since(since), was_cut_off=was_cut_off)
            if not output.asked or (output.keeps and not output.ramp):
                self._drive(output)

    def _forget(self, output: Output) -> None:
        """After an outage nothing is wanted of an output but its safe value."""
        before = self._paused.pop(output.tag.name, output.wanted if output.asked else output.spec.safe_value)
        if before != output.spec.safe_value:
            log.warning("%s: back after an outage; %s goes to its safe value", output.device, output.tag.name)
        self._want_safe(output, "its device was away")

    def _find_ramp(self, output: Output, ramp: Ramp, shown: float | None, *, was_cut_off: bool) -> None:
        """Begin where the device shows that it is; else at the safe value, or where it was if it was only silent."""
        if shown is not None:
            ramp.start(shown)
        elif was_cut_off:
            safe = number_of(output.spec.safe_value)
            ramp.start(safe)
            self._write(output, safe)
        else:
            ramp.fall_back()
        if output.asked:
            ramp.set_out(self._clock())
