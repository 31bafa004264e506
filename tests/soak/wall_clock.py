"""The wall clock of one process, which can be moved while it runs."""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

SOURCE = Path(__file__).with_name("wall_clock.c")


class WallClock:
    """Moves by a preloaded library; where there is no C compiler, or no Linux, it stands as it is."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "wall_clock").open("w+b")
        self._file.write(struct.pack("q", 0))
        self._file.flush()
        self._shared = mmap.mmap(self._file.fileno(), 8)
        self._library = _built(folder)
        self._moves: list[tuple[float, float]] = [(-float("inf"), 0.0)]
        """monotonic time, offset from then on"""

    @property
    def can_move(self) -> bool:
        return self._library is not None

    @property
    def environment(self) -> Mapping[str, str]:
        """For the process whose clock it is."""
        if self._library is None:
            return {}
        return {"LD_PRELOAD": str(self._library), "SOAK_WALL_CLOCK": self._file.name}

    def set(self, offset_s: float) -> None:
        """Move the clock away from the computer's own by so much."""
        self._moves.append((time.monotonic(), offset_s))
        self._shared[:8] = struct.pack("q", round(offset_s * 1e9))

    def moved_after(self, time: float) -> bool:
        """Whether it has been moved since a moment, in seconds of `time.monotonic`."""
        return self._moves[-1][0] > time

    def monotonic(self, stamp: float, received: float, within_s: float = 5.0) -> float | None:
        """When the process has taken a stamp, in seconds of `time.monotonic`; None when its clock, at no time of late,
        can have shown it: it was stamped by rule, as after a step back within a run."""
        unix_at_zero = time.time() - time.monotonic()
        ends = [start for start, _ in self._moves[1:]] + [float("inf")]
        for (start, offset), end in reversed(list(zip(self._moves, ends, strict=True))):
            taken = stamp - offset - unix_at_zero
            if max(start, received - within_s) - 0.05 <= taken <= min(end, received) + 0.05:
                return min(taken, received)
            if end < received - within_s:
                break
        return None

    def close(self) -> None:
        self._shared.close()
        self._file.close()


def _built(folder: Path) -> Path | None:
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    library = folder / "wall_clock.so"
    command = [compiler, "-O2", "-shared", "-fPIC", "-o", library, SOURCE, "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return Path(os.fspath(library))
