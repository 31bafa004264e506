"""The seal of a store: what its file had come to, in a small file beside it.

A database whose newest part is gone (its write-ahead log emptied or cut, an older copy put back) is a sound database,
and nothing in it says so. The seal is written after each commit, so it never says more than the database holds, unless
something of the database was lost.
"""

from __future__ import annotations

import logging
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

log = logging.getLogger("skidlink.engine.store")

SUFFIX: Final = ".seal"
_SIZE: Final = 1024
"""Bytes of the file: it never grows, so a full disk takes it too."""
_NAMED: Final = 10
"""Runs that are named; there is more than one only after several crashes."""


@dataclass(frozen=True, slots=True)
class Seal:
    """What a store had come to."""

    commits: int
    unix: float
    """When, in unix seconds; for people only."""
    runs: tuple[str, ...]
    """The runs that had not ended."""


class SealFile:
    """The file beside a store."""

    def __init__(self, store: Path) -> None:
        """Belongs to the store at this path; it is opened when it is first written."""
        self.path = store.with_suffix(SUFFIX)
        self._descriptor: int | None = None
        self._trouble = ""

    def read(self) -> Seal | None:
        """What it says; None where there is none, or none that can be read."""
        try:
            check, body = self.path.read_bytes().rstrip().split(b" ", 1)
            if int(check, 16) != zlib.crc32(body):
                return None
            found: dict[str, Any] = orjson.loads(body)
            return Seal(found["commits"], found["unix"], tuple(found["runs"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None  # it only ever adds to what is known

    def write(self, seal: Seal) -> None:
        """Replace what it says. Not flushed: what survives of it is never newer than the database."""
        body = orjson.dumps({"commits": seal.commits, "unix": seal.unix, "runs": seal.runs[:_NAMED]})
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, (b"%08x %s" % (zlib.crc32(body), body)).ljust(_SIZE))
        except OSError as error:
            if self._trouble != str(error):
                log.warning(
                    "cannot write %s: a loss of what is in its store would not be noticed: %s", self.path, error
                )
            self._trouble = str(error)

    def close(self) -> None:
        """Close it; it can be written again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
