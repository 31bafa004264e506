"""One engine controls a device: a second one on the same computer is told so before it writes anything.

Rules of this file:

* The lock is the operating system's, on an open file: it goes with its process, however that ends.
* The files are where all users of the computer find them, and not in a folder that an engine can be given. They stay
  when the lock is gone: to delete them would let two engines lock two files of one name.
"""

from __future__ import annotations

import hashlib
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Final

from drivers.contract import Locks
from drivers.registry import driver_class
from engine.uod.skid import LinkSpec, Skid

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

log = logging.getLogger("skidlink.engine")

_FOR_ALL: Final = Path("/run/lock")
"""Where the Filesystem Hierarchy Standard 3.0, section 5.9, has the locks of devices; not everywhere for all users."""
_BYTE: Final = 2**30
"""The byte that is locked on Windows, where what is locked cannot be read: far behind the text."""


class SkidLockedError(Exception):
    """Another engine controls a device of the skid; the message says which, and what to do."""


class SkidLock:
    """The locks of all devices of a skid to which the engine writes."""

    def __init__(self, skid: Skid, folder: Path | None = None) -> None:
        self._skid = skid
        self._folder = folder or lock_folder()
        self._files: list[int] = []

    def take(self) -> None:
        """Take all of them, or none. Raises `SkidLockedError`."""
        for name in lock_names(self._skid):
            try:
                self._take(name)
            except SkidLockedError:
                self.release()
                raise
            except OSError as error:
                log.warning(
                    "it cannot be seen whether another engine controls %s: %s; make sure that none does", name, error
                )

    def release(self) -> None:
        """Give up what was taken."""
        for file in self._files:
            os.close(file)
        self._files.clear()

    def _take(self, name: str) -> None:
        path = self._folder / f"skidlink-{hashlib.sha256(name.encode()).hexdigest()[:24]}.lock"
        file = _opened(path)
        if not _locked(file):
            other = os.pread(file, 500, 0).decode(errors="replace").strip() if sys.platform != "win32" else ""
            os.close(file)
            raise SkidLockedError(
                f"{name} is controlled by another engine on this computer{f' ({other})' if other else ''}: two would "
                "write against each other; end that one, or start this one with --watch-only"
            )
        self._files.append(file)
        try:
            os.ftruncate(file, 0)
            os.write(file, f"process {os.getpid()}, {self._skid.name}\n".encode(errors="replace"))
        except OSError:
            log.debug("%s: the lock is held, but who holds it cannot be written into it", path)


def lock_folder() -> Path:
    """Where the locks are for all users of this computer."""
    if sys.platform == "win32":
        return Path(tempfile.gettempdir())
    try:
        return _FOR_ALL if _FOR_ALL.stat().st_mode & 0o002 else Path("/tmp")  # noqa: S108  TMPDIR may differ by user
    except OSError:
        return Path("/tmp")  # noqa: S108


def lock_names(skid: Skid) -> list[str]:
    """The names of the devices to which the engine writes, the same for all engines of this computer."""
    written = {(spec.link, spec.row) for spec in (*skid.outputs, *skid.heartbeats)}
    names: dict[str, None] = {}
    for index, row in sorted(written):
        spec = skid.links[index]
        if name := _lock_name(spec, spec.points[row].device):
            names[name] = None
    return list(names)


def _lock_name(spec: LinkSpec, device: str) -> str:
    made = driver_class(spec.driver)
    name = made.lock_name(spec.devices[device]) if isinstance(made, Locks) else spec.name
    target, blank, rest = name.partition(" ")
    if target.startswith("/"):
        target = os.path.realpath(target)  # by-id or by-path, it is one port
    else:
        target = target.casefold().replace("localhost", "127.0.0.1").rstrip("/")
    return target + blank + rest


def _opened(path: Path) -> int:
    """Open the file, which may be another user's: a folder for all forbids to create that (fs.protected_regular), and
    the file may allow only reading, which is enough for the lock."""
    for flags in (os.O_RDWR, os.O_RDWR | os.O_CREAT):
        try:
            file = os.open(path, flags, 0o666)
        except (FileNotFoundError, PermissionError):
            continue
        if flags & os.O_CREAT and sys.platform != "win32":
            os.fchmod(file, 0o666)  # whatever the umask is
        return file
    return os.open(path, os.O_RDONLY)


def _locked(file: int) -> bool:
    """Lock an open file; False where another process has."""
    try:
        if sys.platform == "win32":
            os.lseek(file, _BYTE, os.SEEK_SET)
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
            os.lseek(file, 0, os.SEEK_SET)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
