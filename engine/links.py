"""One worker a link: it owns the connection, its cadence, its retries and the order of reading and writing.

Rules of this file:

* A worker never ends by itself: whatever its driver does, it closes it, waits and opens it again.
* Writes go before reads, and a worker that sleeps is woken by a wish.
* A device that does not answer is asked after the others, one try at a time, and writes go between any two tries.
* The tick looks at `image` whenever it likes; nothing here waits for the tick.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence

import numpy as np

from drivers.contract import (
    DeviceError,
    Driver,
    Group,
    Image,
    Learns,
    LinkError,
    Quality,
    ReadsBack,
    Remark,
    UnansweredError,
    Value,
    WriteError,
    Writes,
)
from engine.backoff import backoff_s
from engine.link_states import Counters, DeviceState, LinkState
from engine.rests import Rests
from engine.state_log import StateLog

log = logging.getLogger("skidlink.engine.links")

LONGEST_WAIT_S = 10.0
NO_WRITES = "its driver cannot write"
PATIENCE_S = 60.0
"""A driver keeps its own time-outs; one that has not come back after this long is taken for broken."""


class Link:
    """The worker of one link."""

    def __init__(self, name: str, driver: Driver, devices: Iterable[str] = (), device_of: Sequence[str] = ()) -> None:
        """`devices` are those that are only ever written, or all; those that are read are known from the driver.

        `device_of`: the device of each row, to know by which writes a device that is only written has answered.
        """
        self.name = name
        self.driver = driver
        self.image: Image = driver.image
        self.state = LinkState.CONNECTING
        names = dict.fromkeys([*devices, *(group.device for group in driver.groups)])
        self.devices: dict[str, DeviceState] = dict.fromkeys(names, DeviceState.CONNECTING)
        self.trouble = ""
        """What is wrong, in words; "" while all is well."""
        self.fresh = False
        """A reading has come in since the tick last looked."""
        self.counters = Counters()
        self.on_written: Callable[[int, Value, str | None], None] | None = None
        """Called with row, raw value and why it was refused, for each value that reached its device."""
        self.on_state: Callable[[], None] | None = None
        self._writer = driver if isinstance(driver, Writes) else None
        self._wishes: dict[int, Value] = {}
        self._reads_back = driver if isinstance(driver, ReadsBack) else None
        self._unconfirmed: dict[int, Value] = {}
        """row -> what was written to it and does not show yet"""
        self._device_of = device_of
        self._only_written = frozenset(self.devices) - {group.device for group in driver.groups}
        self._woken = asyncio.Event()
        self._rests = Rests()
        self._ailing: set[int] = set()
        """The groups in which some point had no value when they were last read."""
        self._lives = False
        """Whether any device has answered since the link was opened last."""
        self._has_delivered = False
        """Whether it has brought a value that is not bad, or taken one, since it was opened last."""
        self._remarks: set[Remark] = set()
        """What the log has said already."""
        self._state_log = StateLog(name, self.devices)

    @property
    def up(self) -> bool:
        return self.state in {LinkState.UP, LinkState.DEGRADED}

    def wish(self, row: int, value: Value) -> None:
        """Ask for a raw value to be written; a newer wish for the same row takes the place of an older one."""
        self._wishes.pop(row, None)
        self._wishes[row] = value
        self._woken.set()

    def has_wish(self, row: int) -> bool:
        """Whether a value for this row has not gone out yet."""
        return row in self._wishes

    def forget_wishes(self, rows: Iterable[int]) -> None:
        """Drop what has not been written: nobody may find it done after an outage."""
        for row in rows:
            self._wishes.pop(row, None)
            self._unconfirmed.pop(row, None)

    def reaches(self, device: str) -> bool:
        """Whether a device can be written to: its link lives, and it is not known to be silent.

        One that is only written is found again by writing: it may be tried when its rest is over.
        """
        if self.devices.get(device) is not DeviceState.DEMOTED:
            return self.up
        return self.up and device in self._only_written and self._rests.is_over(device, time.monotonic())

    def tell_the_rest(self, now: float) -> None:
        """Log how many changes of state were not told, where a minute of them is over; `now` is monotonic seconds."""
        self._state_log.tell_the_rest(now, lambda subject: self.devices.get(subject) or self.state)

    async def run(self) -> None:
        """Open, serve, and after each failure wait and open again, until cancelled; then close."""
        failures = 0
        try:
            while True:
                self._has_delivered = False
                try:
                    await self.driver.open()
                    self._rests.clear()
                    self._ailing.clear()
                    self._unconfirmed.clear()
                    self._lives = False
                    self.image = self.driver.image
                    self._tell_remarks()
                    await self._serve()
                except LinkError as error:
                    self._broken(str(error))
                except (Exception, asyncio.CancelledError) as error:
                    if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                        raise
                    # A fault in a driver must not end the worker: it is logged whole, and the link counts as broken.
                    log.exception("%s: the driver failed in a way of its own", self.name)
                    self._broken(f"{self.name}: the driver failed; the log has the details")
                await self.driver.close()
                # Only a link that has been of use is opened again at once: one that is not waits longer and longer.
                failures = 0 if self._has_delivered else failures + 1
                await asyncio.sleep(backoff_s(failures, LONGEST_WAIT_S))
        finally:
            await self.driver.close()

    def _tell_remarks(self) -> None:
        """Log what the driver has found out about its points, each once."""
        for remark in self.driver.remarks() if isinstance(self.driver, Learns) else ():
            if remark not in self._remarks:
                self._remarks.add(remark)
                log.warning("%s: tag %s: %s", self.name, remark.tag, remark.message)

    async def _serve(self) -> None:
        """Read each group at its cadence and write each wish at once. Raises `LinkError`."""
        groups = self.driver.groups
        start = time.monotonic()
        due = [start] * len(groups)
        if not groups:
            self._enter(LinkState.UP)
        for device in self._only_written:
            self._set(device, DeviceState.CONNECTING)  # nothing is known of it before it has answered a write
        while True:
            await self._write()
            now = time.monotonic()
            all_answered = True
            for index, group in enumerate(groups):
                if due[index] <= now and group.device not in self._rests:
                    if await self._read(index, group):
                        due[index] = self._next_due(due[index], group.every_ms / 1000)
                    else:
                        all_answered = False
                    await self._write()
            if self._rests and all_answered:  # else the others have waited enough
                await self._try_one(due)
            await self._read_back()
            wakes = math.inf if self._reads_back is None else self._reads_back.read_back_due
            await self._sleep_until(min(wakes, min(self._rests.ready(groups, due), default=now + 1.0)))

    async def _try_one(self, due: list[float]) -> None:
        """Read one group of those whose devices have not answered."""
        groups, began = self.driver.groups, time.monotonic()
        index = self._rests.to_try(groups, due, began)
        if index is None:
            return
        device = groups[index].device
        if await self._read(index, groups[index]):
            ended = time.monotonic()
            for other, group in enumerate(groups):
                if group.device == device and due[other] < ended:  # turns that were left out on purpose are not late
                    every_s = group.every_ms / 1000
                    due[other] += int((ended - due[other]) / every_s) * every_s
            due[index] = self._next_due(due[index], groups[index].every_ms / 1000)
        self._rests.spare(began, time.monotonic())
        await self._write()

    def _next_due(self, due: float, every_s: float) -> float:
        """The first turn of the cadence that is still ahead; turns that have passed are counted, never caught up."""
        due += every_s
        behind = time.monotonic() - due
        if behind > 0:
            missed = int(behind / every_s) + 1
            self.counters.late_reads += missed
            due += missed * every_s
        return due

    async def _sleep_until(self, due: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, due - time.monotonic())):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _read(self, index: int, group: Group) -> bool:
        """Whether the device answered; where it did not, the group is not put off until its next turn."""
        asked = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.driver.read(index)
        except UnansweredError:
            self._rests.unanswered(group.device, asked)
            return False
        except DeviceError as error:
            self._silent(group.device, str(error))
            return False
        except TimeoutError:
            raise LinkError(f"{self.name}: the driver did not come back from a reading in {PATIENCE_S:.0f} s") from None
        self.image = self.driver.image
        if not group.stamps:
            # The answer holds what was true at some moment after the question: its age counts from the question.
            self.image.received[group.rows] = asked
        self.fresh = True
        self.counters.reads += 1
        failed = np.count_nonzero(self.image.quality[group.rows] >= Quality.STALE)
        self._has_delivered = self._has_delivered or failed < group.rows.size
        if failed:
            self._ailing.add(index)
        else:
            self._ailing.discard(index)
        if not self._lives or self._ailing or self._rests or self.devices[group.device] is not DeviceState.UP:
            self._answered(group.device)
        if not self._rests.found_silent:
            self._enter(LinkState.UP)
        return True

    def _answered(self, device: str) -> None:
        rest = self._rests.answered(device)
        if rest is not None and self.devices[device] is DeviceState.DEMOTED:
            self._state_log.answers(device, time.monotonic() - rest.since)
        ailing = any(self.driver.groups[group].device == device for group in self._ailing)
        self._set(device, DeviceState.DEGRADED if ailing else DeviceState.UP)
        if not self._lives:
            self._lives = True
            for silent, trouble in self._rests.found_silent.items():
                self._demote(silent, trouble)

    async def _write(self) -> None:
        self._woken.clear()
        if not self._wishes:
            return
        wishes, self._wishes = self._wishes, {}
        silent: Collection[str] = ()
        try:
            async with asyncio.timeout(PATIENCE_S):
                refused = await self._writer.write(wishes) if self._writer else dict.fromkeys(wishes, NO_WRITES)
        except WriteError as error:
            refused, silent = error.refused, error.silent
            for device in self._only_written.intersection(silent):
                self._passes_over(device, str(error))
        except DeviceError as error:
            log.warning("%s: writing failed, it is not known what arrived: %s", self.name, error)
            refused = dict.fromkeys(wishes, str(error))
        except TimeoutError:
            raise LinkError(f"{self.name}: the driver did not come back from writing in {PATIENCE_S:.0f} s") from None
        self._has_delivered = self._has_delivered or len(refused) < len(wishes)
        if self._device_of and self._only_written:
            for device in self._only_written.intersection(self._device_of[row] for row in wishes).difference(silent):
                self._answered(device)
            if not self._rests:
                self._enter(LinkState.UP)
        open_rows = self._reads_back.unconfirmed if self._reads_back else ()
        for row, value in wishes.items():
            self._unconfirmed.pop(row, None)
            if row in open_rows and row not in refused:
                self._unconfirmed[row] = value
            else:
                self._tell_written(row, value, refused.get(row))

    async def _read_back(self) -> None:
        """Let the driver see whether devices show what was written to them. Raises `LinkError`."""
        if self._reads_back is None or self._reads_back.read_back_due > time.monotonic():
            return
        try:
            async with asyncio.timeout(PATIENCE_S):
                decided = await self._reads_back.read_back()
        except TimeoutError:
            raise LinkError(
                f"{self.name}: the driver did not come back from reading back in {PATIENCE_S:.0f} s"
            ) from None
        for row, refusal in decided.items():
            if row in self._unconfirmed:
                self._tell_written(row, self._unconfirmed.pop(row), refusal)

    def _tell_written(self, row: int, value: Value, refusal: str | None) -> None:
        self.counters.writes += refusal is None
        self.counters.refused_writes += refusal is not None
        if self.on_written:
            self.on_written(row, value, refusal)

    def _passes_over(self, device: str, trouble: str) -> None:
        """Let a device rest that is only written and has not answered a write."""
        self.counters.silent += 1
        self._rests.silent(device, time.monotonic(), trouble, only_written=True)
        self._demote(device, trouble)

    def _broken(self, trouble: str) -> None:
        self.counters.broken += 1
        if self.state is not LinkState.DOWN:
            self._state_log.down(trouble)
        elif trouble != self.trouble:
            self._state_log.still_down(trouble)
        for device in self.devices:
            self._set(device, DeviceState.DOWN)
        self._enter(LinkState.DOWN, trouble)

    def _silent(self, device: str, trouble: str) -> None:
        """Let a device rest. Raises `LinkError` when no device of the link answers any more: the line is dead."""
        self.counters.silent += 1
        self._rests.silent(device, time.monotonic(), trouble)
        if self._rests.found_silent.keys() >= {group.device for group in self.driver.groups}:
            raise LinkError(trouble)
        if self._lives:
            self._demote(device, trouble)

    def _demote(self, device: str, trouble: str) -> None:
        if self._set(device, DeviceState.DEMOTED):
            self._state_log.demoted(device, trouble)
        self._enter(LinkState.DEGRADED, trouble)

    def _enter(self, state: LinkState, trouble: str = "") -> None:
        before, was_up = self.state, self.up
        self.state, self.trouble = state, trouble
        if self.up and not was_up:
            self._state_log.up()
        if self.on_state and state is not before:
            self.on_state()

    def _set(self, device: str, state: DeviceState) -> bool:
        """Whether that is a change."""
        if self.devices[device] is state:
            return False
        self.devices[device] = state
        self.counters.state_changes += 1
        return True


def _is_cancelled() -> bool:
    """Whether somebody has cancelled this task: libraries raise CancelledError for reasons of their own, too."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
