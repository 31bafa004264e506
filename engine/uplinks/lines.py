"""Messages as lines of JSON: what a file and the standard output have in common.

The same messages as an aggregator gets, without the envelope of the RPC channel: UodInfoMsg, a snapshot of all tags,
all states, and then what changed. Each message is in the hands of the operating system as soon as it is written:
nothing is held back in a buffer of ours.
"""

from __future__ import annotations

import asyncio
import logging
from io import FileIO
from itertools import count
from typing import Final
from urllib.parse import quote

from engine.uplinks.appender import Appender
from engine.uplinks.backlog import Backlog
from engine.uplinks.contract import Engine, TagsFrame, UplinkStatus
from protocol.engine_messages import EngineMessage
from protocol.frames import addressed, message_body, tags_updated_body

log = logging.getLogger("skidlink.engine.uplinks.lines")

CLOSE_WITHIN_S: Final = 2.0
RETRY_S: Final = 1.0
"""A disk that was full is tried again this often."""


class LinesUplink:
    """Writes messages to an open file, unbuffered."""

    name = "lines"

    def __init__(self, engine: Engine, file: FileIO, called: str) -> None:
        """`called` is what a user calls the file. The file is closed when `run` ends."""
        self.status = UplinkStatus()
        self._engine = engine
        self._lines = Appender(file, called)
        self._called = called
        self._backlog = Backlog()
        self._sequence_numbers = count(1)
        self._engine_id = ""
        self._unread = False
        self._before = b""
        """What the next line ends: the one before was cut off."""

    async def run(self) -> None:
        who = self._engine.registration()
        self._engine_id = quote(f"{who.computer_name}_{who.uod_name}", safe="")  # as the aggregator would make it
        try:
            while True:
                await self._write_all_that_is()
                while not self._is_full():
                    await self._backlog.filled()
                    if entry := self._backlog.peek():
                        await self._write(entry.body)
                        self._backlog.pop(entry)
                        self._count()
                await self._begin_anew()
        finally:
            await self._lines.close()

    def _is_full(self) -> bool:
        """Whether it is time for another file."""
        return False

    async def _begin_anew(self) -> None:
        """Go on with another file."""

    async def _write_all_that_is(self) -> None:
        snapshot, states = self._engine.snapshot(), self._engine.states()
        await self._write(message_body(self._engine.uod_info()))
        await self._write(tags_updated_body(snapshot.tags, snapshot.run_id))
        for state in states:
            await self._write(message_body(state))

    def put(self, item: TagsFrame | EngineMessage) -> None:
        if self._unread:
            self.status.dropped += 1
        elif isinstance(item, TagsFrame):
            self._backlog.put(tags_updated_body(item.tags, item.run_id), plot=True)
            self._count()
        else:
            self._backlog.put(message_body(item), plot=False)
            self._count()

    async def close(self) -> None:
        try:
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._backlog.emptied()
        except TimeoutError:
            log.warning("%d messages could not be written to %s before the end", len(self._backlog), self._called)

    async def _write(self, body: bytes) -> None:
        """Append one line, however long the disk needs to take it."""
        line = addressed(body, self._engine_id, next(self._sequence_numbers)) + b"\n"
        while not self._unread:
            try:
                await self._lines.append(self._before + line)
            except BrokenPipeError:
                self._unread = True
                self._fail("nobody reads it any more")
            except OSError as error:
                self._fail(f"{error.strerror}; messages wait in memory until it can be written again")
                await asyncio.sleep(RETRY_S)
            else:
                self._before = b""
                self.status.sent += 1
                self.status.connected = True
                self.status.state = f"writing {self._called}"
                return

    def _fail(self, why: str) -> None:
        trouble = f"cannot write {self._called}: {why}"
        if trouble != self.status.state:
            log.error("%s", trouble)
        self.status.state = trouble
        self.status.connected = False

    def _count(self) -> None:
        self.status.queued, self.status.dropped = len(self._backlog), self._backlog.dropped
