"""The scan cycle: on a fixed cadence, take what the links have read, compute, find what changed, pack and send it.

Rules of this file:

* Nothing in a tick waits: links read and uplinks send in tasks of their own.
* The cadence is counted from the first tick on the monotonic clock, so it does not drift; a tick that is late is
  counted, and the ticks it has overrun are left out, never bunched.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.core.core import Core
from engine.core.publish import Publisher
from engine.core.spec import TagSpec
from engine.links import Link
from engine.system import set_connection
from engine.uplinks.contract import TagsFrame

log = logging.getLogger("skidlink.engine.scan")

LEAST_STEP_S = 0.001
"""Between the stamps of two frames of a run."""


@dataclass(slots=True)
class ScanCounters:
    """What the scan cycle has done since the start."""

    ticks: int = 0
    overruns: int = 0
    """Ticks that were left out because an earlier one took too long."""
    changes: int = 0
    """Changed tags that were sent."""
    last_s: float = 0.0
    """How long the last tick took."""


class Turn(Protocol):
    """What else happens each tick, around what the links have read."""

    @property
    def run_id(self) -> str | None:
        """The run that this tick's samples belong to."""
        ...

    def begin_tick(self, core: Core, now: float, unix: float) -> bool:
        """Set the engine's own tags, before the derived ones; True when this tick shall send all tags."""
        ...

    def end_tick(self, core: Core, now: float, unix: float) -> None:
        """See what has come of the tick, once its samples are sent."""
        ...


class NoTurn:
    """A scan cycle by itself."""

    run_id = None

    def begin_tick(self, core: Core, now: float, unix: float) -> bool:  # noqa: ARG002
        return False

    def end_tick(self, core: Core, now: float, unix: float) -> None: ...


class Scan:
    """The clock of the engine, and the one writer of its tag table."""

    def __init__(
        self,
        specs: Sequence[TagSpec],
        links: Sequence[Link],
        tick_s: float,
        send: Callable[[TagsFrame], None],
        turn: Turn | None = None,
    ) -> None:
        self._specs = tuple(specs)
        self._links = tuple(links)
        self._tick_s = tick_s
        self._send = send
        self._turn = turn or NoTurn()
        self._newest = 0.0
        self.counters = ScanCounters()
        self._connected: bool | None = None
        self.core = self._plan()

    async def run(self) -> None:
        """Tick until cancelled."""
        due = time.monotonic()
        while True:
            started = time.monotonic()
            self.tick(started, time.time())
            now = time.monotonic()
            self.counters.last_s = now - started
            due += self._tick_s
            if due < now:
                missed = int((now - due) / self._tick_s) + 1
                self.counters.overruns += missed
                due += missed * self._tick_s
            await asyncio.sleep(due - time.monotonic())

    def tick(self, now: float, unix: float) -> None:
        """One turn: `now` in monotonic seconds measures, `unix` in seconds since 1970 stamps."""
        if any(link.image is not image for link, image in zip(self._links, self._images, strict=True)):
            old, self.core = self.core, self._plan()
            self.core.adopt(old)
        core = self.core
        for index, link in enumerate(self._links):
            if link.fresh:
                link.fresh = False
                core.take(index)
        connected = all(link.up for link in self._links)
        if connected is not self._connected:
            self._connected = connected
            set_connection(core, connected=connected)
        everything = self._turn.begin_tick(core, now, unix)
        core.derive(now)
        changed = core.changed(now)
        if everything:
            changed = core.everything()
        self.counters.ticks += 1
        if changed.size:
            self.counters.changes += changed.size
            self._send(self._frame(changed, unix))
        self._turn.end_tick(core, now, unix)

    def snapshot(self) -> TagsFrame:
        """All tags as they are now."""
        return self._frame(self.core.everything(), time.time())

    def _plan(self) -> Core:
        """Lay the table out for the images as they are; a driver that has learned its types has a new one."""
        self._images = [link.image for link in self._links]
        core = Core(self._specs, self._images)
        for fault in core.unfit:
            log.error(
                "%s is left out: %s; its device has another type than the expression needs", fault.tag, fault.message
            )
        self._publisher = Publisher(core.table)
        return core

    def _frame(self, rows: NDArray[np.intp], unix: float) -> TagsFrame:
        run_id, before = self._turn.run_id, self._newest
        if run_id is not None:
            # In a run the aggregator stores nothing that is not newer, whatever has been done to the clock.
            unix = max(unix, before + LEAST_STEP_S)
        self._newest = unix
        return TagsFrame(self._publisher.pack(rows, unix, before), unix, run_id)
