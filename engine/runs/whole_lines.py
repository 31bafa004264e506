"""A file that grows by whole lines, whatever ends the program that writes it.

Rules of this file:

* A line is one call of `write`, behind the last one. What is left of a line that a kill, a power loss or a full disk
  has torn is cut off: at once where we live to see it, else when the file is opened again.
* A line end behind an odd number of backslashes belongs to the line (the archive escapes line ends so).
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

_CHUNK: Final = 65_536
_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class WholeLines:
    """One file, open for appending."""

    def __init__(self, path: Path) -> None:
        """Open or make it, without what is torn at its end. Raises `OSError`."""
        self.path = path
        self._descriptor = os.open(path, _FLAGS, 0o644)
        try:
            self.size = whole_size(self._descriptor)
            """In bytes."""
            os.ftruncate(self._descriptor, self.size)
            _sync_folder(path.parent)
        except OSError:
            self.close()
            raise

    def append(self, lines: bytes) -> None:
        """Write one line or more. Raises `OSError`; then none of them is in the file."""
        try:
            written = os.write(self._descriptor, lines)
            if written != len(lines):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            os.ftruncate(self._descriptor, self.size)
            raise
        self.size += written

    def sync(self) -> None:
        """See to it that what was written survives a loss of power. Raises `OSError`."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        os.close(self._descriptor)


def whole_size(descriptor: int) -> int:
    """The bytes up to the last whole line of a file."""
    start = os.lseek(descriptor, 0, os.SEEK_END)
    tail = b""
    while start > 0:
        end, start = start, max(0, start - _CHUNK)
        os.lseek(descriptor, start, os.SEEK_SET)
        tail = os.read(descriptor, end - start) + tail
        if size := _whole_size(tail):
            return start + size
    return 0


def _whole_size(data: bytes) -> int:
    """The bytes up to the last whole line of some data; 0 where it has none."""
    while (at := data.rfind(b"\n")) >= 0:
        line = data[:at]
        if (at - len(line.rstrip(b"\\"))) % 2 == 0:
            return at + 1
        data = line
    return 0


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file durable, where the system lets a folder be opened."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
