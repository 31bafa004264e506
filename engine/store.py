"""What has to outlive the engine: one SQLite file, worked by a thread of its own.

Rules of this file:

* Work is done in the order in which it was given, by whoever gave it. What is given `together` is durable together.
* Nothing waits for the disk but who asks for an answer. What was given is durable within `sync_ms`, on the disk itself:
  it survives kill -9 and loss of power.
* A disk that is full or away is tried again, with all that has not been written, within a bound. A file that turns out
  to be damaged is replaced, and written anew with all that has not been written (`store_file`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from engine.elapsed import Counted, PassedTime
from engine.store_file import Opened, Trouble, in_memory, open_store, replace_store, trouble_of
from engine.store_seal import Seal, SealFile

log = logging.getLogger("skidlink.engine.store")

SYNC_MS: Final = 200
RETRY_S: Final = 1.0
KEPT_IN_TROUBLE: Final = 10_000
"""So much work is kept while the disk takes none; beyond that the oldest is given up."""
CLOSE_WITHIN_S: Final = 2.0
ANSWER_WITHIN_S: Final = 10.0
Work = Callable[[sqlite3.Connection], object]
Answer = TypeVar("Answer")


class Question:
    """Work that somebody waits for."""

    def __init__(self, ask: Work, fail: Callable[[Exception], None]) -> None:
        """Both are called in the thread of the store: `ask` to find the answer and tell it, again where a disk in
        trouble has it done again; `fail` where there will be none."""
        self._ask = ask
        self.fail = fail

    def __call__(self, db: sqlite3.Connection) -> None:
        self._ask(db)


def _newest_age(db: sqlite3.Connection) -> float:
    found = db.execute("SELECT taken FROM entry ORDER BY number DESC LIMIT 1").fetchone()
    return 0.0 if found is None else found[0]


class Store:
    """The file and its thread. Without a path all is kept in memory, and nothing outlives the engine."""

    def __init__(self, path: Path | None = None, *, sync_ms: int = SYNC_MS) -> None:
        """Open the file, or make it. Raises `StoreError` where another engine uses it.

        A file that cannot be used is put aside; where no file can be made, the store works in memory. `start` says so.
        """
        self._path = path
        self._called = "memory" if path is None else str(path)
        self._sync_s = sync_ms / 1000
        self._work: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._seal = None if path is None else SealFile(path)
        opened = open_store(path, self._seal) if path is not None and self._seal is not None else in_memory()
        self._thread: threading.Thread | None = None
        self._group: list[Work] | None = None
        self._redo = False
        """Whether what is to be committed is not in the open transaction, and has to be done anew."""
        self._trouble = ""
        self.lost = 0
        """Pieces of work that were given up."""
        self._lost_told = 0
        self._news: list[str] = []
        self._use(opened)
        commits, passed_s, boot, at = self._db.execute("SELECT commits, passed_s, boot, at FROM life").fetchone()
        self._commits: int = commits
        self.passed = PassedTime(Counted(passed_s, boot, at))
        """The time by which the ages of what is kept are counted."""
        self.passed.be_at_least(self.recall(_newest_age))

    @property
    def trouble(self) -> str:
        """Why nothing is kept now; "" while all is well."""
        return self._unkept or self._trouble

    @property
    def in_memory(self) -> bool:
        """Whether nothing outlives the engine."""
        return self._path is None or self._unkept != ""

    def recall(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Ask what the previous process has left, before the start. Raises what the question raises."""
        try:
            return question(self._db)
        except sqlite3.Error as error:
            if trouble_of(error) is not Trouble.DAMAGE:
                raise
            self._replace(error)
            return question(self._db)

    def start(self) -> None:
        """Begin to work; what was given before is done first."""
        self._tell_news()
        self._thread = threading.Thread(target=self._run, name=f"store {self._called}", daemon=True)
        self._thread.start()

    def do(self, work: Work) -> None:
        """Give work: it is called in the thread, within a transaction."""
        if self._group is not None:
            self._group.append(work)
        elif self._work.qsize() < KEPT_IN_TROUBLE:
            self._work.put(work)
        else:
            self.lost += 1
            if self.lost - self._lost_told == 1:
                log.error("%s: the disk stands still; what cannot wait any longer is lost", self._called)

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
        """Ask something, after all that was given before. Raises what the question raises.

        A disk that is full or away is waited for, if the question writes.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()

        def tell(set_it: Callable[[], None]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and whoever asked with it
                loop.call_soon_threadsafe(lambda: None if answer.done() else set_it())

        self._work.put(
            Question(
                lambda db: tell(partial(answer.set_result, question(db))),
                lambda error: tell(partial(answer.set_exception, error)),
            )
        )
        return await answer

    def wait_for(self, question: Callable[[sqlite3.Connection], Answer]) -> Answer:
        """Ask something from another thread, and wait. Raises what the question raises, and `TimeoutError`."""
        answer: Future[Answer] = Future()

        def tell(set_it: Callable[[], None]) -> None:
            if not answer.done():
                set_it()

        self._work.put(
            Question(
                lambda db: tell(partial(answer.set_result, question(db))),
                lambda error: tell(partial(answer.set_exception, error)),
            )
        )
        return answer.result(ANSWER_WITHIN_S)

    async def close(self) -> None:
        """Write what is left and close the file; give up on a disk that takes longer than two seconds."""
        if self._thread is None:
            self._close()
            return
        self._work.put(None)
        await asyncio.to_thread(self._thread.join, CLOSE_WITHIN_S)
        if self._thread.is_alive():
            log.error("%s: the disk does not take what is left to write", self._called)

    # In the thread

    def _run(self) -> None:
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
                batch, due = self._commit(batch), time.monotonic() + RETRY_S
                continue
            if work is None:
                if left := self._commit(batch):
                    log.error("%s: the last %d changes could not be written, and are lost", self._called, len(left))
                self._close()
                return
            if not batch:
                due = time.monotonic() + self._sync_s
            self._take(work, batch)
            if self._sync_s == 0 and self._work.empty():
                batch, due = self._commit(batch), time.monotonic() + RETRY_S
            if len(batch) > KEPT_IN_TROUBLE and (self._redo or self._trouble):
                self._redo = True  # what is given up may be done already, though not durable
                self._give_up_oldest(batch)

    def _take(self, work: Work, batch: list[Work]) -> None:
        """Do one piece, and add it to what is to be committed."""
        if self._redo:
            if isinstance(work, Question):
                self._prepare_for_a_question(batch)
            else:
                batch.append(work)
                return
        try:
            if not self._db.in_transaction:
                self._db.execute("BEGIN")
            if self._do(work):
                batch.append(work)
        except sqlite3.Error as error:
            self._meet(error)
            batch.append(work)

    def _prepare_for_a_question(self, batch: list[Work]) -> None:
        """Let the answer be as if all had been written; where not even that can be done, as it was before."""
        try:
            self._do_again(batch)
        except sqlite3.Error as error:
            self._meet(error)
            if self._db.in_transaction:
                self._db.rollback()

    def _do_again(self, batch: list[Work]) -> None:
        """Do all that is to be committed in one transaction. Raises where the file is in trouble."""
        if self._db.in_transaction:
            self._db.rollback()
        self._db.execute("BEGIN")
        batch[:] = [work for work in batch if self._do(work)]
        self._redo = False

    def _do(self, work: Work) -> bool:
        """Do one piece, all of it or nothing; False when it makes no sense. Raises where the file is in trouble."""
        self._db.execute("SAVEPOINT piece")
        try:
            work(self._db)
        except Exception as error:  # the end of this piece of work: nothing else would see it
            if isinstance(error, sqlite3.Error) and trouble_of(error) is not Trouble.WORK:
                raise
            self._db.execute("ROLLBACK TO piece")
            self._db.execute("RELEASE piece")
            if isinstance(work, Question):
                work.fail(error)
            else:
                log.exception("%s: something could not be stored", self._called)
            return False
        self._db.execute("RELEASE piece")
        return True

    def _commit(self, batch: list[Work]) -> list[Work]:
        """Make durable what was done; after a failure all of it is done once more. Returns what is still to be done."""
        try:
            if self._redo:
                self._do_again(batch)
            sealed = self._count_commit()
            if self._db.in_transaction:
                self._db.execute("COMMIT")
        except sqlite3.Error as error:
            self._meet(error)
            return batch
        if sealed is not None and self._seal is not None:
            self._commits = sealed.commits
            self._seal.write(sealed)
        if self._trouble:
            log.warning("%s can be written again", self._called)
            self._trouble = ""
        if self.lost > self._lost_told:
            log.error("%s: %d changes are lost, as it could not be written", self._called, self.lost - self._lost_told)
            self._lost_told = self.lost
        return []

    def _count_commit(self) -> Seal | None:
        """Write into the file which commit this is, and what time has passed; None where nothing is to be written."""
        if self.in_memory or self._db.total_changes == self._changes:
            return None
        commits, now = self._commits + 1, self.passed.counted()
        self._db.execute(
            "UPDATE life SET commits = ?1, passed_s = ?2, boot = ?3, at = ?4, crc = crc(?1, ?2, ?3, ?4)",
            (commits, now.passed_s, now.boot, now.since_boot_s),
        )
        self._changes = self._db.total_changes
        return Seal(commits, time.time(), tuple(run for (run,) in self._db.execute("SELECT id FROM run")))

    def _meet(self, error: sqlite3.Error) -> None:
        """See to an error of the file: it is to be written again once the disk is well, or in another one."""
        self._redo = True
        if trouble_of(error) is Trouble.DAMAGE:
            self._replace(error)
            self._tell_news()
            return
        trouble = f"cannot write {self._called}: {error}; free some room on its disk"
        if trouble != self._trouble:
            log.error("%s", trouble)
        self._trouble = trouble

    def _replace(self, error: sqlite3.Error) -> None:
        """Go on with another file."""
        self._db.close()
        if self._path is None or self._seal is None or self._unkept:
            self._use(in_memory())  # memory that is damaged: there is nothing to be read of it
        else:
            self._use(replace_store(self._path, error, self._seal))
        (self._commits,) = self._db.execute("SELECT commits FROM life").fetchone()

    def _use(self, opened: Opened) -> None:
        self._db = opened.db
        self._unkept = opened.unkept
        self._news += opened.news
        self._changes = opened.db.total_changes
        """What had been changed by the last commit."""

    def _give_up_oldest(self, batch: list[Work]) -> None:
        """Give up the oldest piece that nobody waits for."""
        for place, work in enumerate(batch):
            if not isinstance(work, Question):
                del batch[place]
                self.lost += 1
                return

    def _tell_news(self) -> None:
        """Log what has become of the file: not before users can see it."""
        news, self._news = self._news, []
        for each in news:
            log.error("%s", each)

    def _close(self) -> None:
        self._db.close()
        if self._seal is not None:
            self._seal.close()
