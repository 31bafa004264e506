"""The scan cycle: on a fixed cadence, take what the links have read, compute, find what changed, pack and send it.

Rules of this file:

* Nothing in a tick waits: links read and uplinks send in tasks of their own.
* The cadence is counted from the first tick on the monotonic clock, so it does not drift; a tick that is late is
  counted, and the ticks it has overrun are left out, never bunched.
* The wall clock stamps, and does nothing else: who sets it disturbs the stamps alone.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields
from time import perf_counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.core.core import Core
from engine.core.publish import Publisher
from engine.core.spec import TagSpec
from engine.floods import Flood
from engine.links import Link
from engine.quality_log import QualityLog
from engine.suspension import suspended_s
from engine.system import set_connection
from engine.timing import AT_ONCE, TIMED, Spread, Timing
from engine.uplinks.contract import TagsFrame

log = logging.getLogger("skidlink.engine.scan")

LEAST_STEP_S = 0.001
"""Between the stamps of two frames of a run."""
SLEWED = 0.9
"""Where the wall clock has been set back in a run, stamps go on at this share of the time that really passes, until it
has caught up with them."""
EARLY_S = 0.0005
"""By how much a tick may begin before its time."""
SET_S = 1.0
"""A wall clock that is off by more than this against the monotonic one has been set, or the computer was suspended."""
STOOD_STILL_S = 1.0
"""A scan cycle that has left out ticks for longer says so."""


@dataclass(slots=True)
class ScanCounters:
    """What the scan cycle has done since the start."""

    ticks: int = 0
    overruns: int = 0
    """Ticks that were left out because an earlier one took too long."""
    changes: int = 0
    """Changed tags that were sent."""
    turned_bad: int = 0
    """Times that a tag turned bad or stale."""


SCAN_COUNTERS = (
    *(each.name for each in fields(ScanCounters)),
    *(f"{name}_{share.name}_ms" for name in TIMED for share in fields(Spread)),
)
"""The names of all that is counted and measured: ticks, overruns, ..., tick_p99_ms, derive_max_ms."""


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
        """The newest stamp."""
        self._newest_at = 0.0
        """When it was given, on the monotonic clock."""
        self._late = 0.0
        self._flood = Flood()
        self.counters = ScanCounters()
        self.timing = Timing()
        self._connected: bool | None = None
        self.core = self._plan()
        self._tell_simulations()

    async def run(self) -> None:
        """Tick until cancelled."""
        due = time.monotonic()
        ahead = time.time() - due
        suspended = suspended_s()
        while True:
            started, unix = time.monotonic(), time.time()
            if abs(unix - started - ahead) > SET_S:
                slept, suspended = suspended_s() - suspended, suspended_s()
                self._clock_set(unix - started - ahead, slept, started)
            ahead = unix - started
            self._late = started - due
            self.tick(started, unix)
            due += self._tick_s
            now = time.monotonic()
            if due < now:
                missed = int((now - due) / self._tick_s) + 1
                self.counters.overruns += missed
                due += missed * self._tick_s
                if missed * self._tick_s > STOOD_STILL_S:
                    self._stood_still(missed, now)
            await asyncio.sleep(due - time.monotonic())
            while (early := due - time.monotonic()) > EARLY_S:  # noqa: ASYNC110 - uvloop counts in whole milliseconds
                await asyncio.sleep(early)

    def tick(self, now: float, unix: float) -> None:
        """One turn: `now` in monotonic seconds measures, `unix` in seconds since 1970 stamps."""
        begun = perf_counter()
        if any(link.image is not image for link, image in zip(self._links, self._images, strict=True)):
            old, quality_log, self.core = self.core, self._quality_log, self._plan()
            self.core.adopt(old)
            self._tell_simulations()
            self._quality_log.adopt(quality_log)
        core = self.core
        fresh = [index for index, link in enumerate(self._links) if link.fresh]
        connected = all(link.up for link in self._links)
        looked = perf_counter()
        for index in fresh:
            self._links[index].fresh = False
            core.take(index)
        converted = perf_counter()
        if connected is not self._connected:
            self._connected = connected
            set_connection(core, connected=connected)
        everything = self._turn.begin_tick(core, now, unix)
        controlled = perf_counter()
        core.derive(now)
        derived = perf_counter()
        changed = core.changed(now)
        if everything:
            changed = core.everything()
        self.counters.turned_bad += self._quality_log.look(now)
        compared = perf_counter()
        self.counters.ticks += 1
        if changed.size:
            self.counters.changes += changed.size
            self._send(self._frame(changed, now, unix))
        packed = perf_counter()
        self._turn.end_tick(core, now, unix)
        ended = perf_counter()
        self.timing.add((self._late, begun, looked, converted, controlled, derived, compared, packed, ended))
        if not self.counters.ticks % AT_ONCE:
            self.timing.sort_in()
        if now >= self._flood.due:
            for subject, count in self._flood.take_held_back(now).items():
                log.warning("%s %d more times in a minute", subject, count)

    def stamp_after(self, unix: float, now: float) -> None:
        """Stamp no sample of a run earlier than `unix`: those of its earlier part came before."""
        self._newest, self._newest_at = unix, now

    def snapshot(self) -> TagsFrame:
        """All tags as they are now."""
        return self._frame(self.core.everything(), time.monotonic(), time.time())

    def counted(self) -> dict[str, float]:
        """`SCAN_COUNTERS`, by name."""
        counts = {name: float(value) for name, value in asdict(self.counters).items()}
        spreads = {name: self.timing.spread(name) for name in TIMED}
        return counts | {
            f"{name}_{share}_ms": 1000 * seconds
            for name, spread in spreads.items()
            for share, seconds in asdict(spread).items()
        }

    def _plan(self) -> Core:
        """Lay the table out for the images as they are; a driver that has learned its types has a new one."""
        self._images = [link.image for link in self._links]
        core = Core(self._specs, self._images)
        for fault in core.unfit:
            log.error(
                "%s is left out: %s; its device has another type than the expression needs", fault.tag, fault.message
            )
        for sentence in core.unfit_stand_ins:
            log.error("%s", sentence)
        self._publisher = Publisher(core.table)
        self._quality_log = QualityLog(core.table, self._links)
        return core

    def _tell_simulations(self) -> None:
        for sentence in self.core.unfit_simulations:
            log.error("%s", sentence)

    def _frame(self, rows: NDArray[np.intp], now: float, unix: float) -> TagsFrame:
        run_id, before = self._turn.run_id, self._newest
        if run_id is not None:
            # In a run the aggregator stores nothing that is not newer, whatever has been done to the clock.
            unix = max(unix, before + LEAST_STEP_S, before + SLEWED * (now - self._newest_at))
        self._newest, self._newest_at = unix, now
        return TagsFrame(self._publisher.pack(rows, unix, before), unix, run_id)

    def _clock_set(self, ahead: float, slept: float, now: float) -> None:
        """See to a wall clock that was set, and to values that have grown old in a suspended computer."""
        if slept > SET_S:
            log.warning("this computer was suspended for %.0f s: nothing was read meanwhile", slept)
            self.core.grow_old(slept)
        elif self._flood.passes("the clock of this computer was set", now):
            way = "forward" if ahead > 0 else "back"
            log.warning("the clock of this computer was set %s by %.1f s: so are the stamps of values", way, abs(ahead))

    def _stood_still(self, missed: int, now: float) -> None:
        if self._flood.passes("the scan cycle stood still", now):
            log.warning(
                "the scan cycle stood still for %.1f s, %d ticks are missing: look for a computer that is suspended or "
                "has too much to do",
                missed * self._tick_s,
                missed,
            )
