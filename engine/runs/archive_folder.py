"""The folder with the archives of one engine: which files are whose, how much of them is kept, how much disk is left.

Rules of this file:

* Nothing is touched but files with names that archives have, and the file of their ages.
* A run goes as a whole, its text and its table: for its age, for the size of all of them, or because the disk is nearly
  full. The one that ended first goes first, whatever its name says. The run that is active stays, and so does one that
  the aggregator has not got.
"""

from __future__ import annotations

import csv
import logging
import re
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Final

from engine.runs.archive_ages import ArchiveAges
from engine.runs.whole_lines import WholeLines

log = logging.getLogger("skidlink.engine.runs")

TEXT: Final = ".txt"
ROWS: Final = ".rows"
"""The exact values of a run, from which its table is made when it ends."""
TABLE: Final = ".parquet"
UNFINISHED: Final = ".unfinished"
"""A table that is being made."""
DAMAGED: Final = ".damaged"
"""Exact values of which no table can be made."""
_SUFFIXES: Final = frozenset({TEXT, ROWS, TABLE, UNFINISHED, DAMAGED})
_NAME: Final = re.compile(r"archiver-\d{4}-\d\d-\d\d_\d{6}(-\d+)?")
_SPARE: Final = 10
"""No row is written any more when only this part of the room is left that the disk shall have; the outbox needs it."""


class ArchiveError(Exception):
    """No archive can be kept; the message says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveRule:
    """How much is kept."""

    keep_s: float
    """How long after its end a run is kept."""
    limit_bytes: int
    """What all archives together may take."""
    min_free_bytes: int
    """The room that the disk shall have."""


class Room(Enum):
    """How much room the disk has."""

    ENOUGH = 0
    LOW = 1
    NONE = 2
    """Too little to write on."""


@dataclass(frozen=True, slots=True)
class _Kept:
    files: tuple[Path, ...]
    size: int


class ArchiveFolder:
    """The folder and its rule."""

    def __init__(
        self,
        path: Path,
        rule: ArchiveRule,
        undelivered: Callable[[], Collection[str] | None],
        free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free,
    ) -> None:
        """`undelivered` tells the ids of the runs that the aggregator has not got; None while nobody knows."""
        self.path = path
        self._rule = rule
        self._undelivered = undelivered
        self._free = free
        self._ages = ArchiveAges(path)

    def make(self) -> None:
        """Make it, if it is not there. Raises `OSError`."""
        self.path.mkdir(parents=True, exist_ok=True)

    def file_of(self, run_id: str, filename: str, header: str) -> Path:
        """Where a run is written: under its name, or with a number behind it where another run has that.

        What is torn at the end of the file is cut off. Raises `OSError`.
        """
        self.make()
        wanted = self.path / filename
        number = 1
        path = wanted
        while path.exists() and not _may_be_of(path, run_id, header):
            number += 1
            path = wanted.with_stem(f"{wanted.stem}-{number}")
        return path

    def unfinished(self) -> list[Path]:
        """The exact values of runs whose tables have not been made, oldest first."""
        return sorted(path for path in self.path.glob(f"*{ROWS}") if _NAME.fullmatch(path.stem))

    def room(self) -> Room:
        """What the disk has. Raises `OSError`."""
        free = self._free(self.path)
        if free >= self._rule.min_free_bytes:
            return Room.ENOUGH
        return Room.LOW if free >= self._rule.min_free_bytes // _SPARE else Room.NONE

    def prune(self, active: str) -> None:
        """Delete by the rule; `active` is the stem of the run that is being written, or "". Raises `OSError`."""
        runs = self._runs(active)
        size = sum(kept.size for kept in runs.values())
        undelivered = cache(self._undelivered)  # asked for where something may have to go, which is seldom
        for stem, age_s in self._ages.of(runs).items():
            kept = runs[stem]
            why = self._why(age_s, size)
            if not why:
                continue
            waiting = undelivered()
            if waiting is None:
                return
            if run_id_of(self.path / f"{stem}{TEXT}") in waiting:
                continue
            for file in kept.files:
                file.unlink(missing_ok=True)
            size -= kept.size
            log.info("%s: deleted the archive of %s: %s", self.path, stem.removeprefix("archiver-"), why)

    def _why(self, age_s: float, size: int) -> str:
        """Why a run is to be deleted; "" where it stays."""
        rule = self._rule
        if age_s > rule.keep_s:
            return f"older than {rule.keep_s / 86_400:g} days"
        if size > rule.limit_bytes:
            return f"all together take more than {rule.limit_bytes / 2**20:g} MiB"
        if self._free(self.path) < rule.min_free_bytes:
            return f"the disk has less than {rule.min_free_bytes / 2**20:g} MiB left"
        return ""

    def _runs(self, active: str) -> dict[str, _Kept]:
        """All runs but the active one, by stem."""
        files: dict[str, list[Path]] = {}
        for path in self.path.iterdir():
            if path.suffix in _SUFFIXES and path.stem != active and _NAME.fullmatch(path.stem):
                files.setdefault(path.stem, []).append(path)
        found: dict[str, _Kept] = {}
        for stem, paths in files.items():
            found[stem] = _Kept(tuple(paths), sum(path.stat().st_size for path in paths))
        return found


def run_id_of(path: Path) -> str | None:
    """The run that an archive is of, as its first row tells; None where it has none, or none that can be read."""
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            rows = csv.reader(file, quoting=csv.QUOTE_NONE, escapechar="\\")
            found: list[list[str]] = list(islice(rows, 2))
    except (FileNotFoundError, csv.Error):
        return None
    return dict(zip(*found, strict=False)).get("Run Id") if len(found) == 2 else None


def _may_be_of(path: Path, run_id: str, header: str) -> bool:
    """Whether a file is of a run, or has no row yet of any."""
    WholeLines(path).close()  # without a first row that is torn
    begin = header.encode()
    with path.open("rb") as file:
        found = file.read(len(begin) + 1)
    return begin.startswith(found) or run_id_of(path) == run_id
