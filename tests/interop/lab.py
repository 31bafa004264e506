"""A lab with one small UOD, the real aggregator, and processes of `skidlink run` that come and go."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from tests.interop.aggregator import Aggregator

ROOT = Path(__file__).parents[2]
SKIDLINK = Path(sys.executable).with_name("skidlink")
UOD = """\
uod: Lab
tick_ms: 50
data_log_interval_s: 0.001
devices:
  box: {driver: simulated}
tags:
  T0: {device: box, signal: ramp, period_s: 100, unit: degC}
  PU01: {device: box, direction: both, unit: "%", min: 0, max: 100, safe_value: 0}
  Constant: {device: box, start: 7}
process_values: [T0, {entry: PU01}, Constant]
"""
PATIENCE_S = 120.0


class Lab:
    """One UOD and one aggregator. What an engine writes to a file beside is the truth about what it has logged."""

    def __init__(self, folder: Path, aggregator: Aggregator, uod: str = UOD) -> None:
        self.folder, self.aggregator = folder, aggregator
        self.file = folder / "messages.jsonl"
        (folder / "uod.yaml").write_text(uod)

    @asynccontextmanager
    async def engine(
        self, *options: str | Path, environment: Mapping[str, str] | None = None
    ) -> AsyncGenerator[asyncio.subprocess.Process]:
        """`skidlink run`, ended as by a user when it has not ended by itself."""
        process = await asyncio.create_subprocess_exec(
            *(SKIDLINK, "run", self.folder / "uod.yaml", "--aggregator", self.aggregator.address, "--plain"),
            *("--outbox", self.folder / "outbox", "--output", self.file, *options),
            cwd=ROOT, env={**os.environ, **(environment or {})},
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        log = asyncio.create_task(process.communicate())
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            _, said = await log
            sys.stderr.write(said.decode())

    async def unit(self) -> str:
        """The id of the one unit that the aggregator lists."""
        (unit,) = await self.aggregator.until("/api/process_units", lambda units: len(units) == 1, within_s=PATIENCE_S)
        return str(unit["id"])

    async def press(self, unit: str, command: str, source: str = "unit_button") -> None:
        what = "control_button_command" if source == "unit_button" else "command"
        path = f"{self.aggregator.base_url}/api/process_unit/{quote(unit, safe='')}/execute_{what}"
        async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
            response = await http.post(path, json={"command": command, "source": source})
        assert response.is_success, response.text

    async def values(self, unit: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        return await self.aggregator.values(unit, wanted, within_s=PATIENCE_S)

    def logged(self, run: str) -> dict[float, float | None]:
        """Tick -> value of T0, of all that the engine has logged of a run."""
        found: dict[float, float | None] = {}
        for line in self.file.read_text().splitlines():
            message = json.loads(line)
            if message["_type"] == "TagsUpdatedMsg" and message["run_id"] == run:
                found |= {tag["tick_time"]: tag["value"] for tag in message["tags"] if tag["name"] == "T0"}
        return found

    async def logged_until(self, run: str, count: int) -> dict[float, float | None]:
        """What is logged of a run, once it is so many samples."""
        async with asyncio.timeout(PATIENCE_S):
            while len(found := self.logged(run)) < count:
                await asyncio.sleep(0.05)  # a file that grows can only be looked at
        return found
