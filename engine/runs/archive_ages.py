"""How long ago the runs of an archive folder ended.

The stamps of files are of the wall clock, which may be wrong by years. These ages are of time that has passed.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import orjson

from engine.elapsed import Counted, PassedTime

log = logging.getLogger("skidlink.engine.runs")

NAME: Final = ".ages.json"
WRITE_EVERY_S: Final = 3600.0
"""So much age is lost at most when the computer is switched off."""


class ArchiveAges:
    """The ages of runs, by the stems of their files, kept in a file in the folder."""

    def __init__(self, folder: Path) -> None:
        """Nothing is read before it is asked for."""
        self._path = folder / NAME
        self._passed: PassedTime | None = None
        self._ended: dict[str, float] = {}
        """stem -> what had passed when its run ended, or when it was seen first; oldest first"""
        self._written = -math.inf

    def of(self, stems: Iterable[str]) -> Mapping[str, float]:
        """The ages in seconds, oldest first; one that is new has ended just now. What is not asked for is forgotten."""
        passed = self._passed or self._read()
        now = passed.seconds
        wanted = dict.fromkeys(sorted(stems), now)
        ended = {stem: at for stem, at in self._ended.items() if stem in wanted}
        ended |= {stem: at for stem, at in wanted.items() if stem not in ended}
        if ended.keys() != self._ended.keys() or now - self._written > WRITE_EVERY_S:
            self._ended = ended
            self._write(passed)
        return {stem: now - at for stem, at in ended.items()}

    def _read(self) -> PassedTime:
        counted = Counted()
        try:
            read: dict[str, Any] = orjson.loads(self._path.read_bytes())
            counted = Counted(float(read["passed_s"]), str(read["boot"]), float(read["since_boot_s"]))
            ended = {str(stem): min(float(at), counted.passed_s) for stem, at in read["ended"].items()}
            self._ended = dict(sorted(ended.items(), key=lambda item: item[1]))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s cannot be read: the ages of all archives begin anew: %s", self._path, error)
        self._passed = PassedTime(counted)
        return self._passed

    def _write(self, passed: PassedTime) -> None:
        """Write them down whole, or not at all: a disk that is full must not keep old archives from being deleted."""
        self._written = passed.seconds
        unfinished = self._path.with_suffix(".unfinished")
        with contextlib.suppress(OSError):  # who cannot write here hears of it by the archives themselves
            unfinished.write_bytes(orjson.dumps(asdict(passed.counted()) | {"ended": self._ended}))
            unfinished.replace(self._path)
