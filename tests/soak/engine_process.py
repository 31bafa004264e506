"""`skidlink run` as a process that is followed: what it publishes, what it logs, and what it takes of the computer."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SKIDLINK = Path(sys.executable).with_name("skidlink")
LONGEST_LINE = 2**24
_VITALS = re.compile(r"vitals: (\d+) ticks, (\d+) overrun, (\d+) tasks, (\d+) threads")
_HEAD = re.compile(r"[\d-]+ [\d:,]+ ([A-Z]+) ")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the process has at one moment."""

    time: float
    """seconds of `time.monotonic`"""
    rss: int
    """bytes"""
    descriptors: int
    waited_s: float
    """How long it was ready to run and got no processor, since its start."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the engine itself says of its loop."""

    time: float
    ticks: int
    overruns: int
    tasks: int


class EngineProcess:
    """The process, and what has come of it so far."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log
        self.told: list[Told] = []
        self.tracebacks = 0

    def vitals(self) -> Vitals:
        """Measure it now. Raises `OSError` when it has ended."""
        proc = Path("/proc") / str(self.process.pid)
        rss = int((proc / "statm").read_text().split()[1]) * _PAGE
        descriptors = len(os.listdir(proc / "fd"))  # noqa: PTH208  # no entries are needed
        return Vitals(time.monotonic(), rss, descriptors, waited_s(self.process.pid))

    async def read_messages(self, take: Callable[[dict[str, Any], float], None]) -> None:
        """Hand over each message with the time at which it came, until the process ends."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            take(json.loads(line), time.monotonic())

    async def read_log(self) -> None:
        """Keep what it logs, until the process ends."""
        assert self.process.stderr is not None
        level = ""
        with self.log.open("wb") as kept:
            async for line in self.process.stderr:
                kept.write(line)
                kept.flush()
                text = line.decode(errors="replace")
                if head := _HEAD.match(text):
                    level = head[1]
                is_fault = text.startswith("Traceback") or "never retrieved" in text
                self.tracebacks += is_fault and level != "DEBUG"  # at which drivers keep the details of what they told
                if found := _VITALS.search(text):
                    ticks, overruns, tasks, _ = map(int, found.groups())
                    self.told.append(Told(time.monotonic(), ticks, overruns, tasks))


def waited_s(pid: int | None) -> float:
    """How long a process was ready to run and got no processor, since its start; 0 where nobody knows."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, IndexError):  # it has ended, or the kernel keeps no scheduler statistics
        return 0.0


@asynccontextmanager
async def engine_process(
    uod: Path, *options: str | Path, environment: Mapping[str, str], log: Path
) -> AsyncGenerator[EngineProcess]:
    """Run the engine on a UOD; its messages come on its standard output."""
    process = await asyncio.create_subprocess_exec(
        *(SKIDLINK, "run", uod, "--plain", "--verbose", "--output", "-", *options),
        cwd=ROOT, env={**os.environ, **environment}, limit=LONGEST_LINE,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield EngineProcess(process, log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
