"""The archives of runs as files: one a run, written row by row in a thread of its own.

Rules of this file:

* The event loop never waits for the disk: what it gives is put into a queue, and done in that order.
* A disk that is full or away stops the archive, not the engine. What cannot be written is counted and told once, and
  rows are written again when there is room again.
* Beside the text, where asked for, the exact values are kept; when the run has ended they become a Parquet file.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from engine.runs.archive import ArchiveRows
from engine.runs.archive_folder import DAMAGED, TABLE, ArchiveError, ArchiveFolder, Room
from engine.runs.parquet import columns_line, require_parquet, row_line, write_parquet
from engine.runs.run_files import RunFiles
from engine.runs.whole_lines import WholeLines

log = logging.getLogger("skidlink.engine.runs")

LOOK_EVERY_S: Final = 10.0
"""How often the room on the disk is looked at."""
SYNC_EVERY_S: Final = 1.0
"""A row is on the disk itself, whatever happens, within this time or that of the next row."""
KEPT_IN_TROUBLE: Final = 10_000
"""So many rows are kept while the disk stands still."""
CLOSE_WITHIN_S: Final = 10.0
"""A table that takes longer is made in the next life."""
_HELP: Final = "free some room on its disk, see that the folder can be written, or name another by --archive"


class ArchiveFiles:
    """Writes one run at a time."""

    def __init__(self, folder: ArchiveFolder, *, parquet: bool = False) -> None:
        """Raises `ArchiveError` where Parquet is asked for and cannot be written."""
        if parquet:
            require_parquet()
        self._folder = folder
        self._parquet = parquet
        self._left_out = self._counted = 0
        """Rows that were not even kept, as the disk stood still for too long, and those of them that `_missing` has."""
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._run: tuple[str, str, str] | None = None
        """The run that is active: its id, the name of its file, its header."""
        self._path: Path | None = None
        """Its file."""
        self._files: RunFiles | None = None
        self._look_due = self._sync_due = 0.0
        self._room = Room.ENOUGH
        self._trouble = ""
        """Why no row can be written now; "" while all is well."""
        self._not_pruned = ""
        """Why old archives could not be deleted when that was last told."""
        self._missing = 0
        """Rows that could not be written since the last one that was."""

    # In the event loop

    def start(self) -> None:
        """Begin to work. A folder that cannot be made is told of, and tried again with each row."""
        self._work.put(self._folder.make)
        self._thread = threading.Thread(target=self._work_on, name=f"archive {self._folder.path}", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Write what is left."""
        if self._thread is None:
            return
        self._work.put(None)
        await asyncio.to_thread(self._thread.join, CLOSE_WITHIN_S)
        if self._thread.is_alive():
            log.warning("%s: the archive takes long to be finished; it goes on at the next start", self._folder.path)

    def begin(self, run_id: str, filename: str, header: str) -> None:
        """Begin the file of a run, or go on with it."""
        self._work.put(partial(self._begin, run_id, filename, header))

    def append(self, text: str, rows: ArchiveRows, unix: float) -> None:
        """Write a row: its text, and what `rows` has now as values."""
        if self._work.qsize() > KEPT_IN_TROUBLE:
            self._left_out += 1
            return
        line, columns = b"", b""
        if self._parquet:
            line, columns = row_line(unix, rows.values()), columns_line(rows.names, rows.kinds)
        self._work.put(partial(self._append, text.encode(), line, columns))

    def end(self) -> None:
        """End the run that is active."""
        self._work.put(self._end)

    def close_dead(self, run_id: str, filename: str, header: str) -> None:
        """Finish the file of a run in which an earlier life of the engine died, and which does not go on."""
        self._work.put(partial(self._close_dead, run_id, filename, header))

    # In the thread

    def _work_on(self) -> None:
        while (work := self._work.get()) is not None:
            self._do(work)
        self._do(self._close)

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except OSError as error:
            self._fail(f"{self._folder.path}: no archive can be written: {error.strerror or error}; {_HELP}")
        except Exception:  # the end of this piece of work: nothing else would see it
            log.exception("%s: something could not be archived", self._folder.path)

    def _begin(self, run_id: str, filename: str, header: str) -> None:
        self._do(self._close)
        self._run, self._path = (run_id, filename, header), None
        self._open(*self._run)
        self._look()

    def _append(self, text: bytes, line: bytes, columns: bytes) -> None:
        if self._run is None:
            return
        self._missing += 1
        self._count_left_out()
        if time.monotonic() >= self._look_due:
            self._look()
        if self._room is Room.NONE:
            return
        files = self._files or self._open(*self._run)
        files.append(text)
        if line:
            files.append_values(line, columns)
        if time.monotonic() >= self._sync_due:
            self._sync_due = time.monotonic() + SYNC_EVERY_S
            files.sync()
        self._missing -= 1
        self._recover()

    def _open(self, run_id: str, filename: str, header: str) -> RunFiles:
        self._path = self._folder.file_of(run_id, filename, header)
        self._files = RunFiles(self._path, header)
        return self._files

    def _close(self) -> None:
        files, self._files = self._files, None
        if files is not None:
            files.close()

    def _end(self) -> None:
        self._do(self._close)
        self._run = self._path = None
        self._count_left_out()
        if self._missing:
            log.error("%s: the last %d rows of the run are missing", self._folder.path, self._missing)
        self._missing = 0
        self._finish()

    def _close_dead(self, run_id: str, filename: str, header: str) -> None:
        self._folder.file_of(run_id, filename, header)  # which cuts off what is torn
        self._finish()

    def _finish(self) -> None:
        """Make the tables of all runs that have ended, and delete what is too old or too much."""
        if self._parquet:
            for kept in self._folder.unfinished():
                if self._path is None or kept.stem != self._path.stem:
                    self._do(partial(_make_table, kept))
        self._prune()

    def _count_left_out(self) -> None:
        left_out = self._left_out
        self._missing += left_out - self._counted
        self._counted = left_out

    def _look(self) -> None:
        """See how much room there is, and make some where there is too little."""
        self._look_due = time.monotonic() + LOOK_EVERY_S
        if self._files is not None and not self._files.path.exists():
            self._close()  # somebody has moved it away: what follows goes into a new one
        self._prune()
        room = self._folder.room()
        if room is not self._room:
            self._room = room
            if room is Room.LOW:
                log.warning("%s: the disk is nearly full, and no archive may be deleted: free some", self._folder.path)
            elif room is Room.NONE:
                self._fail(f"{self._folder.path}: the disk is too full for an archive: free some room")

    def _prune(self) -> None:
        if self._run is not None and self._path is None:
            return  # its file is not known
        try:
            self._folder.prune("" if self._path is None else self._path.stem)
        except OSError as error:
            if str(error) != self._not_pruned:
                log.warning("%s: old archives cannot be deleted: %s", self._folder.path, error)
            self._not_pruned = str(error)

    def _fail(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.error("%s", trouble)
        self._trouble = trouble

    def _recover(self) -> None:
        if self._missing:
            log.warning("%s: the archive is written again; %d rows are missing", self._folder.path, self._missing)
        self._trouble = ""
        self._missing = 0


def _make_table(kept: Path) -> None:
    WholeLines(kept).close()  # without a row that is torn
    try:
        damaged = write_parquet(kept, kept.with_suffix(TABLE))
    except ArchiveError as error:
        aside = kept.replace(kept.with_suffix(DAMAGED))
        log.error("no table can be made of %s: %s; it is kept as %s", kept, error, aside.name)  # noqa: TRY400
        return
    if damaged:
        log.error("%s: %d damaged rows are left out of the table", kept, damaged)
    kept.unlink()
