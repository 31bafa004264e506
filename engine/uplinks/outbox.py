"""What waits to be delivered to an aggregator, and what it may have to be told again.

Two sorts of things go in:

* What belongs to a run: its start and end, its samples, the errors while it goes on. It is kept in the store, and
  leaves it when nobody can ask for it again: with the end of the run, a sample as soon as the aggregator has stored a
  later one. An answer of success alone is no place in the plot log, which takes a sample every log interval; what has
  not got there is lost with the connection.
* What holds only now: samples and states outside a run. It is kept in memory while a connection is up to date, and not
  at all otherwise, because a new connection begins with all states and tags as they are then.

The oldest entries stand ready in memory, in a window. What does not fit is read from the store when its turn comes.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from typing import Final

from engine.store import Store
from engine.system import NEARLY_FULL
from engine.uplinks.contract import TagsFrame
from engine.uplinks.entries import (
    Entry,
    Kind,
    bytes_in_use,
    drop_done_with,
    drop_older,
    drop_run,
    drop_stored,
    drop_surplus,
    entries_after,
    give_back,
    insert,
    newest_and_count,
    oldest_run,
    open_run,
)
from engine.uplinks.thinning import Thinning
from protocol.engine_messages import EngineMessage, ErrorLogMsg, RunStartedMsg, RunStoppedMsg
from protocol.frames import message_body, tags_updated_body

log = logging.getLogger("skidlink.engine.uplinks.outbox")

LIMIT_BYTES: Final = 512 * 2**20
"""More than a day of 20 changed tags, of 150 bytes each, every 200 ms."""
MAX_AGE_S: Final = 14 * 86_400.0
WINDOW_BYTES: Final = 16 * 2**20
THINNED_TO: Final = 0.9
EVENTS: Final = 5_000
"""Errors that are kept, the newest; each of them is told again to each connection of a run."""


class Outbox:
    """A queue that is read in three steps: next, deliver, acknowledge. Nothing leaves it before it has arrived."""

    def __init__(self, store: Store, *, limit_bytes: int = LIMIT_BYTES, max_age_s: float = MAX_AGE_S) -> None:
        self._store = store
        self._limit = limit_bytes
        self._max_age_s = max_age_s
        self._window: deque[Entry] = deque()
        self._window_bytes = 0
        self._beyond = True
        """There may be more in the store than in the window; it has not been looked into yet."""
        self._read = 0
        """The number of the last entry that has been in the window."""
        self._newest, self.waiting = store.recall(newest_and_count)
        self._start: Entry | None = store.recall(open_run)
        """The start of the run that is active; after a crash, until its end comes, the one that was."""
        self._acknowledged = ("", -math.inf)
        """The run and the tick of the sample that was acknowledged last."""
        self._filled = asyncio.Event()
        self._emptied = asyncio.Event()
        if self.waiting:
            log.info("%d messages of an earlier life wait to be delivered", self.waiting)
        self._signal()
        self.retain_s = 0.0
        """How much older than an acknowledged sample another one is when the aggregator has surely done with it."""
        self.live = False
        """Whether what holds only now is taken: the other side knows all that went before."""
        self.lost = 0
        """Samples that were given up for their age."""
        self.fill = 0.0
        """How much of the bound is used; above 1 samples are thinned."""

    # In

    def put(self, item: TagsFrame | EngineMessage) -> None:
        """Take something, if it is to be told at all."""
        match item:
            case TagsFrame(run_id=None):
                self._put_now(tags_updated_body(item.tags, None))
            case TagsFrame():
                run = str(item.run_id)
                self._keep(Kind.SAMPLE, run, item.tick_time, tags_updated_body(item.tags, run))
            case RunStartedMsg() if self._start is not None and self._start.run == item.run_id:
                pass  # a run that goes on after a crash: its start is kept
            case RunStartedMsg():
                self._start = self._keep(Kind.START, item.run_id, 0.0, message_body(item))
            case RunStoppedMsg():
                self._start = None
                self._keep(Kind.STOP, item.run_id, 0.0, message_body(item))
            case ErrorLogMsg() if self._start is not None:
                self._keep(Kind.EVENT, self._start.run, 0.0, message_body(item))
            case EngineMessage():
                self._put_now(message_body(item))

    def _put_now(self, body: bytes) -> None:
        if not self.live:
            return
        if self._beyond or self._window_bytes + len(body) > WINDOW_BYTES:
            self.go_offline()  # it falls behind: what it misses is in the next snapshot
            return
        self._append(Entry(0, Kind.NOW, "", 0.0, body))

    def _keep(self, kind: Kind, run: str, tick: float, body: bytes) -> Entry:
        self._newest += 1
        entry = Entry(self._newest, kind, run, tick, body)
        taken = self._store.passed.seconds
        self._store.do(lambda db: insert(db, entry, taken))
        if self._beyond or self._window_bytes + len(body) > WINDOW_BYTES:
            self._beyond = True
            self.waiting += 1
            self._signal()
        else:
            self._read = entry.number
            self._append(entry)
        return entry

    def _append(self, entry: Entry) -> None:
        self._window.append(entry)
        self._window_bytes += len(entry.body)
        self.waiting += 1
        self._signal()

    # Out

    async def next(self) -> Entry | None:
        """The oldest entry, which stays; None when there is none."""
        while not self._window and self._beyond:
            newest = self._newest  # what comes while we ask is not in the answer
            found, damaged = await self._store.ask(lambda db: entries_after(db, self._read))
            if damaged:
                log.error("%d messages that waited are damaged on the disk, and are lost", damaged)
                self.lost += damaged
                if not found:
                    continue
            self._window.extend(found)
            self._window_bytes = sum(len(entry.body) for entry in found)
            self._read = found[-1].number if found else newest
            self._beyond = self._read < self._newest
            self._signal()
        return self._window[0] if self._window else None

    async def filled(self) -> None:
        """Wait until there may be something."""
        await self._filled.wait()

    async def emptied(self) -> None:
        """Wait until everything has been delivered."""
        await self._emptied.wait()

    def acknowledge(self, entry: Entry) -> None:
        """Let go of an entry that has arrived, and of what nobody will ask for again because of it."""
        if not self._window or self._window[0] is not entry:
            return  # it was delivered over a connection that is no more
        self._window.popleft()
        self._window_bytes -= len(entry.body)
        self.waiting -= 1
        self._signal()
        if entry.kind is Kind.STOP:
            self._store.do(lambda db: drop_run(db, entry.run, entry.number))
        elif entry.kind is Kind.SAMPLE:
            self._acknowledged = (entry.run, entry.tick)
            before = entry.tick - self.retain_s
            self._store.do(lambda db: drop_done_with(db, entry, before))

    # A new connection

    def go_offline(self) -> None:
        """From here on nothing is taken that holds only now, and what there is of it is dropped."""
        self.live = False
        kept = deque(entry for entry in self._window if entry.kind is not Kind.NOW)
        self.waiting -= len(self._window) - len(kept)
        self._window = kept
        self._window_bytes = sum(len(entry.body) for entry in kept)
        self._signal()

    def go_live(self) -> None:
        """From here on everything is taken: the other side knows all that went before."""
        self.live = True

    async def first_run(self) -> tuple[Entry, bool] | None:
        """The start of the oldest run that is in here, and whether its end is, too."""
        found = await self._store.ask(oldest_run)
        if found is None and self._start is not None:  # the disk takes nothing now
            return self._start, False
        return found

    async def forget(self, run: str) -> None:
        """Let go of a whole run: the other side has its record."""
        await self._store.ask(lambda db: drop_run(db, run, self._newest))

    async def rewind(self, start: Entry | None = None, newest_stored: float | None = None) -> None:
        """Begin anew with all that is kept; of the run of `start`, with what comes after the newest sample that the
        other side has stored, in unix seconds. Where it does not say, that is taken to be the last one acknowledged."""
        if start is not None:
            run, acknowledged = self._acknowledged
            stored = newest_stored if newest_stored is not None else acknowledged if run == start.run else -math.inf
            await self._store.ask(lambda db: drop_stored(db, start.run, stored))
        self._window.clear()
        self._window_bytes = 0
        self._read = 0 if start is None else start.number
        self._beyond = True
        asked_at = self._newest
        _, count = await self._store.ask(lambda db: newest_and_count(db, self._read))
        self.waiting = count + self._newest - asked_at
        self._signal()

    async def maintain(self) -> None:
        """Keep within the bounds: give up what is too old; merge samples of neighbouring ticks, oldest first."""
        oldest = self._store.passed.seconds - self._max_age_s
        if old := await self._store.ask(lambda db: drop_older(db, oldest)):
            log.error("%d samples waited for more than %g days and are given up", old, self._max_age_s / 86_400)
            self.lost += old
        if surplus := await self._store.ask(lambda db: drop_surplus(db, EVENTS)):
            log.info("the %d oldest errors are not kept for the aggregator any more", surplus)
        await self._store.ask(give_back)
        used = await self._store.ask(bytes_in_use)
        before, self.fill = self.fill, used / self._limit
        if before < NEARLY_FULL <= self.fill:
            log.warning("the outbox is %.0f %% full; when it is full the oldest samples are thinned", 100 * self.fill)
        if used > self._limit:
            thinning = Thinning()
            while used > THINNED_TO * self._limit and await self._store.ask(thinning.merge_some):
                used = await self._store.ask(bytes_in_use)

    def _signal(self) -> None:
        """Say whether there may be something; counts are for people, and thinning makes them too high."""
        if self._window or self._beyond:
            self._emptied.clear()
            self._filled.set()
        else:
            self.waiting = 0
            self._filled.clear()
            self._emptied.set()
