"""What the lives of an engine have written to one file, line by line: the truth about what they had logged."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLLOWED = "T0"
"""The tag that changes at every tick."""


@dataclass(slots=True)
class Run:
    """What the engines have logged of one run, in all their lives."""

    logged: dict[float, Any] = field(default_factory=dict[float, Any])
    """tick -> value"""
    durable: set[float] = field(default_factory=set[float])
    """Ticks, with or without a sample of the tag that is followed."""
    lines: set[str] = field(default_factory=set[str])
    """Run log lines that were durable."""
    lives: int = 0


class Lives:
    """The file, which is read as it grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0
        self._rest = ""
        self.runs: dict[str, Run] = {}
        self.state: dict[str, Any] = {}
        """Tag -> the value that was published last."""
        self.ticks = 0
        self._begins = False
        self._fresh: list[tuple[str, float]] = []
        """Ticks of this life: run, tick."""
        self._lines: list[tuple[str, float, str]] = []
        self._life_of: set[str] = set()

    def read(self) -> None:
        """Take what has been written since."""
        if not self._path.exists():
            return
        with self._path.open() as file:
            file.seek(self._at)
            text = self._rest + file.read()
            self._at = file.tell()
        *whole, self._rest = text.split("\n")
        for line in whole:
            try:
                message = json.loads(line)
            except ValueError:
                continue  # it was cut off by a kill
            self._take(message)

    def begin_life(self) -> None:
        self.state.clear()
        self.ticks = 0

    def end_life(self, durable_before: float) -> None:
        """Decide what of this life was durable; `durable_before` in unix seconds."""
        self.read()
        for run, tick in self._fresh:
            if tick < durable_before:
                self.runs[run].durable.add(tick)
        for run, when, line in self._lines:
            if when < durable_before:
                self.runs[run].lines.add(line)
        for run in self._life_of:
            self.runs[run].lives += 1
        self._fresh, self._lines, self._life_of = [], [], set()

    def _take(self, message: Mapping[str, Any]) -> None:
        if message["_type"] == "RunLogMsg":
            now = time.time()
            known = {line for _, _, line in self._lines}
            for line in message["runlog"]["lines"]:
                if line["id"] not in known:
                    self._lines.append((message["run_id"], now, line["id"]))
            self.runs.setdefault(message["run_id"], Run())
        if message["_type"] == "UodInfoMsg":
            self._begins = True
        if message["_type"] != "TagsUpdatedMsg":
            return
        self.ticks += 1
        self.state.update({tag["name"]: tag["value"] for tag in message["tags"]})
        # What a life, or a new file, begins with is a picture of all tags for this file alone, and no sample.
        begins, self._begins = self._begins, False
        if begins or (name := message["run_id"]) is None:
            return
        run = self.runs.setdefault(name, Run())
        self._life_of.add(name)
        self._fresh.append((name, max(tag["tick_time"] for tag in message["tags"])))
        run.logged.update({tag["tick_time"]: tag["value"] for tag in message["tags"] if tag["name"] == FOLLOWED})
