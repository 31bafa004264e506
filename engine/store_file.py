"""The file of a store: opened, looked through, and put aside where it cannot be used.

Rules of this file:

* An engine starts, whatever has become of its file: pumps and valves are waiting to be made safe. Only a file that
  another engine uses is an error.
* Nothing is deleted. A damaged file is renamed with all that belongs to it; what can be read of it goes into a new one.
* Whatever is missing is said. A file of up to `LOOKED_THROUGH_BYTES` is looked through as a whole; a larger one would
  hold up the start, and is looked at where it is read.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Final

from engine.store_rescue import Rescued, rescue
from engine.store_seal import Seal, SealFile
from engine.store_tables import (
    CHECKED,
    VERSION,
    DamagedError,
    expected_schema,
    is_sound,
    prepare,
    schema_of,
    upgrade,
)

LOOKED_THROUGH_BYTES: Final = 64 * 2**20
"""Takes a second."""
_SMALL: Final = ("run", "progress", "kept", "life", "run_log_line")
"""The tables of a large file that are looked through all the same."""
_BESIDE: Final = ("", "-wal", "-journal")
"""What belongs to a database, as SQLite names it; -shm can be made anew."""


class StoreError(Exception):
    """The file is in use; the message names it and says what to do."""


class Trouble(Enum):
    """What an error of SQLite is about."""

    DISK = "disk"
    """It may pass: the disk is full, away, or cannot be written."""
    DAMAGE = "damage"
    """The file is not as it was written."""
    WORK = "work"
    """What was asked for makes no sense."""


_DISK: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL,
    }
)  # fmt: skip


def trouble_of(error: sqlite3.Error) -> Trouble:
    """What an error is about (sqlite.org/rescode.html: the last eight bits of a code)."""
    if isinstance(error, DamagedError) or _code(error) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        return Trouble.DAMAGE
    return Trouble.DISK if _code(error) in _DISK else Trouble.WORK


def _code(error: Exception) -> int:
    """What SQLite calls an error; 0 where it is none of SQLite's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


@dataclass(slots=True)
class Opened:
    """A database that can be worked with."""

    db: sqlite3.Connection
    news: list[str] = field(default_factory=list[str])
    """What users have to know of it."""
    unkept: str = ""
    """Why it is in memory only, and what to do; "" where it is a file."""


def in_memory() -> Opened:
    """Make an empty one without a file."""
    return Opened(_connected(None))


def open_store(path: Path, seal: SealFile) -> Opened:
    """Open the file, or make it; where it cannot be used, another one in its place, or at worst memory.

    Raises `StoreError` when another engine uses it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        return _without_a_file(path, error)
    existed = path.exists()
    try:
        opened = Opened(_connected(path))
    except (sqlite3.Error, OSError) as error:
        if _code(error) == sqlite3.SQLITE_BUSY:
            raise StoreError(
                f"{path} is in use: another Skidlink runs this UOD on this computer; stop it, or give this one a "
                "folder of its own by --outbox"
            ) from error
        if existed:
            return replace_store(path, error, seal)
        _remove(path)
        return _without_a_file(path, error)
    if missing := _missing(path, opened.db, seal.read(), existed=existed):
        opened.news += missing
        _renew(seal, opened.db)
    return opened


def replace_store(path: Path, why: Exception, seal: SealFile) -> Opened:
    """Put aside a file that cannot be used, and begin a new one with what can be read of it."""
    sealed = seal.read()
    try:
        with _put_aside(path) as aside:
            opened = Opened(_connected(path))
            later = isinstance(why, LaterVersionError)
            found = Rescued() if later else rescue(aside, opened.db)
    except (sqlite3.Error, OSError) as error:
        return _without_a_file(path, why if isinstance(why, sqlite3.Error) else error)
    opened.news.append(
        f"{path} cannot be used: {_in_words(why)}; it is kept as {aside.name}, and a new one is begun with {found}"
    )
    opened.news += _runs_missing(opened.db, sealed)
    _renew(seal, opened.db)
    return opened


def _renew(seal: SealFile, db: sqlite3.Connection) -> None:
    """Seal what there is, so that what is missing is told once."""
    (commits,) = db.execute("SELECT commits FROM life").fetchone()
    seal.write(Seal(commits, time.time(), tuple(run for (run,) in db.execute("SELECT id FROM run"))))


class LaterVersionError(DamagedError):
    """The file was written by a later version of Skidlink; there is nothing wrong with it."""


def _without_a_file(path: Path, why: Exception) -> Opened:
    """Do without: what the file holds is taken into memory, if it can be read and is not too large."""
    opened = in_memory()
    found = Rescued()
    if path.is_file() and path.stat().st_size <= LOOKED_THROUGH_BYTES:
        found = rescue(path, opened.db)
    opened.unkept = (
        f"nothing is kept of a run: cannot use {path}: {_in_words(why)}; see that its disk has room and its folder "
        "can be written, or name another folder by --outbox, and start again"
    )
    taken = f", with {found}" if found.read or found.damaged or found.is_partial else ""
    opened.news.append(f"{opened.unkept}; until then the engine works in memory{taken}")
    return opened


def _connected(path: Path | None) -> sqlite3.Connection:
    """Connect for good. Raises `sqlite3.Error` and `OSError`."""
    if path is not None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.close(descriptor)
        if path.stat().st_uid == getattr(os, "geteuid", lambda: None)():
            path.chmod(0o600)
    connection = sqlite3.connect(path or ":memory:", timeout=0, isolation_level=None, check_same_thread=False)
    try:
        prepare(connection)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        if connection.execute("PRAGMA user_version").fetchone() == (0,):
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # written at once, which a full disk does not take
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_spill = OFF")  # a full disk then shows when something is committed, not before
        connection.execute("BEGIN EXCLUSIVE")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise LaterVersionError(f"it was written by a later version ({version}) of Skidlink")
        if version < VERSION:
            upgrade(connection, version)
        connection.execute("COMMIT")
        if path is not None:
            _look_through(connection, whole=path.stat().st_size <= LOOKED_THROUGH_BYTES)
    except sqlite3.Error:
        connection.close()
        raise
    except UnicodeDecodeError as error:  # Python reads the messages of SQLite, and a damaged name in one of them
        connection.close()
        raise DamagedError("a name in it is not as it was written") from error
    return connection


def _look_through(db: sqlite3.Connection, *, whole: bool) -> None:
    """See whether all is as it was written. Raises `DamagedError`, and `sqlite3.Error`."""
    if schema_of(db) != expected_schema():
        raise DamagedError("its tables are not those of Skidlink")
    if whole:
        (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise DamagedError(str(found))
    for table in CHECKED if whole else _SMALL:
        count = 0
        query = f"SELECT {', '.join(CHECKED[table])}, crc FROM {table}"  # noqa: S608  # names of our own
        for *values, crc in db.execute(query):
            count += 1
            if not is_sound(table, values, crc):
                raise DamagedError(f"a row of {table} is not as it was written")
        if table == "life" and count != 1:
            raise DamagedError("a row of life is missing")


@contextmanager
def _put_aside(path: Path) -> Generator[Path]:
    """Rename a file with all that belongs to it; rename it back where what follows fails. Raises `OSError`."""
    number = 1
    while (aside := path.with_suffix(f".broken-{number}")).exists():
        number += 1
    moved: list[tuple[Path, Path]] = []
    for suffix in _BESIDE:
        old = path.with_name(path.name + suffix)
        if old.exists():
            moved.append((old, old.rename(aside.with_name(aside.name + suffix))))
    try:
        yield aside
    except (sqlite3.Error, OSError):
        _remove(path)
        for old, new in moved:
            new.rename(old)
        raise


def _remove(path: Path) -> None:
    """Remove what is left of a file that could not be made."""
    for suffix in _BESIDE:
        file = path.with_name(path.name + suffix)
        with contextlib.suppress(OSError):  # why it could not be made is what counts
            if not file.is_symlink():  # somebody has made that
                file.unlink()


def _missing(path: Path, db: sqlite3.Connection, sealed: Seal | None, *, existed: bool) -> Sequence[str]:
    """What a sound file lacks, as its seal tells."""
    (commits,) = db.execute("SELECT commits FROM life").fetchone()
    if sealed is None or commits >= sealed.commits:
        return ()
    then = datetime.fromtimestamp(sealed.unix).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    what = "its newest part is missing" if existed else "it is missing"
    lost = (
        f"{path}: {what}: it had been written {sealed.commits} times by {then}, and what was written after the first "
        f"{commits} times is lost; has somebody deleted it, or one of the files beside it, or put an older copy back?"
    )
    return [lost, *_runs_missing(db, sealed)]


def _runs_missing(db: sqlite3.Connection, sealed: Seal | None) -> list[str]:
    there = {run for (run,) in db.execute("SELECT id FROM run")}
    return [
        f"run {run} was going on when the engine ended, and cannot go on: what was kept of it is lost; the archive has "
        "its rows up to then"
        for run in (sealed.runs if sealed else ())
        if run not in there
    ]


def _in_words(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
