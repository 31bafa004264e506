"""The uplink to the standard output, for pipes."""

from __future__ import annotations

from io import FileIO
from typing import Final

from engine.uplinks.contract import Engine
from engine.uplinks.lines import LinesUplink

STDOUT: Final = 1
"""The descriptor itself: Python's own text stream would buffer lines, and belongs to the rest of the program."""


class StdoutUplink(LinesUplink):
    """Writes to the standard output; when its reader goes away, the engine runs on without it."""

    name = "stdout"

    def __init__(self, engine: Engine, target: str = "-") -> None:  # noqa: ARG002  # all uplinks are made alike
        super().__init__(engine, FileIO(STDOUT, "w", closefd=False), "the standard output")
