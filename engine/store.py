"""What has to outlive the engine: one SQLite file, worked by a thread of its own.

Rules of this file:

* Work is done in the order in which it was given, by whoever gave it. What is given `together` is durable together.
* Nothing waits for the disk but who asks for an answer. What was given is durable within `sync_ms`, on the disk itself:
  it survives kill -9 and loss of power.
* A disk that is full or away is tried again, with all that has not been written, within a bound.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

log = logging.getLogger("skidlink.engine.store")

SYNC_MS: Final = 200
RETRY_S: Final = 1.0
KEPT_IN_TROUBLE: Final = 10_000
"""So much work is kept while the disk takes none; beyond that the oldest is given up."""
CLOSE_WITHIN_S: Final = 2.0
ANSWER_WITHIN_S: Final = 10.0
_TABLES: Final = (
    """
CREATE TABLE entry(
    number INTEGER PRIMARY KEY, kind TEXT NOT NULL, run TEXT NOT NULL, tick REAL NOT NULL, merged INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE run(id TEXT PRIMARY KEY, started REAL NOT NULL, filename TEXT NOT NULL, header TEXT NOT NULL);
CREATE TABLE archive_row(number INTEGER PRIMARY KEY, run TEXT NOT NULL, text TEXT NOT NULL);
CREATE TABLE run_log_line(id TEXT PRIMARY KEY, run TEXT NOT NULL, line BLOB NOT NULL);
""",
    """
CREATE TABLE progress(
    run TEXT PRIMARY KEY, at REAL NOT NULL, run_s REAL NOT NULL, process_s REAL NOT NULL, block_s REAL NOT NULL,
    mark TEXT NOT NULL, totals BLOB NOT NULL
);
CREATE TABLE kept(name TEXT PRIMARY KEY, value BLOB NOT NULL);
""",
)
"""What each version of the file has added to the one before."""

Work = Callable[[sqlite3.Connection], object]
Answer = TypeVar("Answer")


class StoreError(Exception):
    """The file cannot be used; the message names it and says what to do."""


class Store:
    """The file and its thread. Without a path all is kept in memory, and nothing outlives the engine."""

    def __init__(self, path: Path | None = None, *, sync_ms: int = SYNC_MS) -> None:
        """Open the file, or make it. Raises `StoreError`."""
        self._called = "memory" if path is None else str(path)
        self._sync_s = sync_ms / 1000
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._db = None if path is None else _connect(path)
        self._thread: threading.Thread | None = None
        self._group: list[Work] | None = None
        self.trouble = ""
        """Why nothing can be written now; "" while all is well."""
        self.lost = 0
        """Pieces of work that were given up."""

    def recall(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer | None:
        """Ask what an earlier life has left, before the start; None where nothing can be left."""
        return None if self._db is None else question(self._db)

    def start(self) -> None:
        """Begin to work; what was given before is done first."""
        db = self._db or _opened(None)
        self._thread = threading.Thread(target=self._run, args=(db,), name=f"store {self._called}", daemon=True)
        self._thread.start()

    def do(self, work: Work) -> None:
        """Give work: it is called in the thread, within a transaction."""
        if self._group is not None:
            self._group.append(work)
        else:
            self._work.put(work)

    @contextmanager
    def together(self) -> Generator[None]:
        """Let what is given within be durable as one: all of it or nothing. It is for one thread, the event loop's."""
        outer, self._group = self._group, []
        try:
            yield
        finally:
            group, self._group = self._group, outer
            self.do(lambda db: [work(db) for work in group])

    async def ask(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Ask something, after all that was given before. Raises what the question raises."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()

        def ask(connection: sqlite3.Connection) -> None:
            try:
                found = question(connection)
            except sqlite3.Error as error:
                _tell(loop, answer, error=error)
            else:
                _tell(loop, answer, found)

        self._work.put(ask)
        return await answer

    def wait_for(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Ask something from another thread, and wait. Raises what the question raises, and `TimeoutError`."""
        answer: Future[Answer] = Future()

        def ask(connection: sqlite3.Connection) -> None:
            if answer.done():
                return  # a disk in trouble has it done again
            try:
                answer.set_result(question(connection))
            except sqlite3.Error as error:
                answer.set_exception(error)

        self._work.put(ask)
        return answer.result(ANSWER_WITHIN_S)

    async def close(self) -> None:
        """Write what is left and close the file; give up on a disk that takes longer than two seconds."""
        if self._thread is None:
            if self._db is not None:
                self._db.close()
            return
        self._work.put(None)
        await asyncio.to_thread(self._thread.join, CLOSE_WITHIN_S)
        if self._thread.is_alive():
            log.error("%s: the disk does not take what is left to write", self._called)

    def _run(self, db: sqlite3.Connection) -> None:
        """Do what comes, and make it durable in time."""
        batch: list[Work] = []
        due = 0.0
        while True:
            wait = due - time.monotonic() if batch else None
            try:
                if wait is not None and wait <= 0:
                    raise queue.Empty
                work = self._work.get(timeout=wait)
            except queue.Empty:
                batch, due = self._commit(db, batch), time.monotonic() + RETRY_S
                continue
            if work is None:
                self._commit(db, batch)
                db.close()
                return
            if not batch:
                due = time.monotonic() + self._sync_s
            if self._call(db, work):
                batch.append(work)
            if self._sync_s == 0 and self._work.empty():
                batch, due = self._commit(db, batch), time.monotonic() + RETRY_S
            if len(batch) > KEPT_IN_TROUBLE and self.trouble:
                self.lost += 1
                del batch[0]

    def _call(self, db: sqlite3.Connection, work: Work) -> bool:
        """Do one piece; False when it is of no use to try it again."""
        try:
            if not db.in_transaction:
                db.execute("BEGIN")
            work(db)
        except sqlite3.OperationalError as error:
            self._fail(error)
        except Exception:  # the end of this piece of work: nothing else would see it
            log.exception("%s: something could not be stored", self._called)
            return False
        return True

    def _commit(self, db: sqlite3.Connection, batch: list[Work]) -> list[Work]:
        """Make durable what was done; after a failure all of it is done once more. Returns what is still to be done."""
        try:
            if self.trouble:
                if db.in_transaction:
                    db.rollback()
                db.execute("BEGIN")
                for work in batch:
                    work(db)
            db.commit()
        except sqlite3.OperationalError as error:
            self._fail(error)
            return batch
        if self.trouble:
            log.warning("%s can be written again", self._called)
            self.trouble = ""
        return []

    def _fail(self, error: sqlite3.Error) -> None:
        trouble = f"cannot write {self._called}: {error}; free some room on its disk"
        if trouble != self.trouble:
            log.error("%s", trouble)
        self.trouble = trouble


def _tell(
    loop: asyncio.AbstractEventLoop,
    future: asyncio.Future[Answer],
    answer: Answer | None = None,
    *,
    error: Exception | None = None,
) -> None:
    def tell() -> None:
        if future.done():
            return  # whoever asked has gone
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(answer)  # pyright: ignore[reportArgumentType]  # None is an answer, too

    loop.call_soon_threadsafe(tell)


def _connect(path: Path | None) -> sqlite3.Connection:
    try:
        return _opened(path)
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise StoreError(
                f"{path} is in use: another Skidlink runs this UOD on this computer; stop it, or give this one a "
                "folder of its own by --outbox"
            ) from error
        raise StoreError(f"cannot open {path}: {error}; see that its folder can be written, or name another") from error
    except sqlite3.DatabaseError as error:
        if path is None:
            raise
        aside = path.with_suffix(f".broken-{time.time():.0f}")
        path.rename(aside)
        log.warning("%s cannot be read (%s); it is kept as %s, and a new one begun", path, error, aside.name)
        return _opened(path)
    except OSError as error:
        raise StoreError(f"cannot make {path}: {error.strerror}; name another folder by --outbox") from error


def _opened(path: Path | None) -> sqlite3.Connection:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path or ":memory:", timeout=0, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN EXCLUSIVE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(_TABLES):
            raise sqlite3.DatabaseError(f"it was written by a later version ({version})")
        for statement in ";".join(_TABLES[version:]).split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(_TABLES)}")
        connection.execute("COMMIT")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
