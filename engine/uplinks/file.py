"""The uplink to a file of JSON lines."""

from __future__ import annotations

import logging
from io import FileIO
from itertools import pairwise
from pathlib import Path
from typing import Final

from engine.uplinks.contract import Engine, UplinkError
from engine.uplinks.lines import LinesUplink

log = logging.getLogger("skidlink.engine.uplinks.file")

LIMIT_BYTES: Final = 256 * 2**20
KEEP: Final = 8
"""Files that are kept beside the one that is written: NAME.1 is the newest."""


class FileUplink(LinesUplink):
    """Appends to a file; each start of the engine, and each new file, begins with its UodInfoMsg."""

    name = "file"

    def __init__(self, engine: Engine, target: str | Path, *, limit_bytes: int = LIMIT_BYTES, keep: int = KEEP) -> None:
        """At `limit_bytes` another file is begun. Raises `UplinkError` when the file cannot be opened."""
        self._path = path = Path(target)
        self._limit = limit_bytes
        self._keep = keep
        try:
            file = FileIO(path, "a+")
        except OSError as error:
            missing = not path.parent.is_dir()
            why = f"there is no folder {path.parent}; create it" if missing else f"{error.strerror}; free the way"
            raise UplinkError(f"cannot write {path}: {why}, or name another file") from error
        super().__init__(engine, file, str(path))
        if _is_cut_off(file):
            self._before = b"\n"

    def _is_full(self) -> bool:
        # Not while messages wait: what the new file begins with would be newer than they are.
        return self._lines.size >= self._limit and not len(self._backlog)

    async def _begin_anew(self) -> None:
        try:
            await self._lines.replace(self._rotate)
        except OSError as error:
            self._limit *= 2
            log.warning("cannot begin another file beside %s: %s; it may grow to twice its size", self._path, error)

    def _rotate(self) -> FileIO:
        """Give every file the next number, and the last one up."""
        names = [
            self._path,
            *(self._path.with_name(f"{self._path.name}.{number}") for number in range(1, self._keep + 1)),
        ]
        for newer, older in reversed(list(pairwise(names))):
            if newer.exists():
                newer.replace(older)
        return FileIO(self._path, "a+")


def _is_cut_off(file: FileIO) -> bool:
    """Whether the last line has no end, as the power went."""
    if not file.seekable() or file.tell() == 0:
        return False
    file.seek(-1, 2)
    return file.read(1) != b"\n"
