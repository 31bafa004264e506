"""Appending whole lines to a file, in a thread of its own.

A disk on a network and a reader who does not read can stall a write for ever. Nothing waits for such a thread when the
engine ends, as it would for one of asyncio's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
from collections.abc import Callable
from io import FileIO
from typing import Final

CLOSE_WITHIN_S: Final = 1.0


class Appender:
    """An open file and its thread."""

    def __init__(self, file: FileIO, called: str) -> None:
        self._file = file
        self._jobs: queue.SimpleQueue[tuple[Callable[[], None], Callable[[OSError | None], None]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._work, name=f"appends to {called}", daemon=True)
        self._started = False

    @property
    def size(self) -> int:
        """Bytes in the file; 0 for what is no file, as a pipe."""
        return os.fstat(self._file.fileno()).st_size if self._file.seekable() else 0

    async def append(self, line: bytes) -> None:
        """Write a whole line, or nothing, as far as the file lets itself be cut. Raises `OSError`."""
        await self._do(lambda: _append(self._file, line))

    async def replace(self, begin_anew: Callable[[], FileIO]) -> None:
        """Close the file, and go on with the one that `begin_anew` opens. Raises `OSError`; then all is as before."""

        def replace() -> None:
            old, self._file = self._file, begin_anew()
            old.close()

        await self._do(replace)

    async def close(self) -> None:
        """Close the file once everything before is done; does not wait for a write that stalls."""
        if self._started:
            self._jobs.put(None)
            await asyncio.to_thread(self._thread.join, CLOSE_WITHIN_S)
        else:
            self._file.close()

    async def _do(self, job: Callable[[], None]) -> None:
        if not self._started:
            self._started = True
            self._thread.start()
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def tell(error: OSError | None) -> None:
            if done.done():
                return  # whoever waited has gone
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        def tell_later(error: OSError | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, while the disk took its time
                loop.call_soon_threadsafe(tell, error)

        self._jobs.put((job, tell_later))
        await done

    def _work(self) -> None:
        while found := self._jobs.get():
            job, tell = found
            try:
                job()
            except OSError as error:
                tell(error)
            else:
                tell(None)
        self._file.close()


def _append(file: FileIO, line: bytes) -> None:
    start = file.tell() if file.seekable() else None
    rest = memoryview(line)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError:
        if start is not None:
            with contextlib.suppress(OSError):  # the first error is the one that says what is wrong
                os.ftruncate(file.fileno(), start)
        raise
