"""`skidlink run` killed in the middle of a run, as by a power cut, and started again.

What it wrote to a file beside, line by line, is the truth about the samples that it has logged.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.interop.aggregator import Aggregator

ROOT = Path(__file__).parents[2]
SKIDLINK = Path(sys.executable).with_name("skidlink")
SYNC_S = 0.2
"""What is older than this when the engine is killed has to be there in the end."""
UOD = """\
uod: Killed
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


class Lab:
    """One UOD, one aggregator, and engines that come and go."""

    def __init__(self, folder: Path, aggregator: Aggregator) -> None:
        self.folder, self.aggregator = folder, aggregator
        self.file = folder / "messages.jsonl"
        (folder / "uod.yaml").write_text(UOD)

    @asynccontextmanager
    async def engine(self) -> AsyncGenerator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(
            *(SKIDLINK, "run", self.folder / "uod.yaml", "--aggregator", self.aggregator.address, "--plain"),
            *("--outbox", self.folder / "outbox", "--output", self.file),
            cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
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
        (unit,) = await self.aggregator.until("/api/process_units", lambda units: len(units) == 1, within_s=30)
        return str(unit["id"])

    async def press(self, unit: str, command: str, source: str = "unit_button") -> None:
        what = "control_button_command" if source == "unit_button" else "command"
        path = f"{self.aggregator.base_url}/api/process_unit/{quote(unit, safe='')}/execute_{what}"
        async with httpx.AsyncClient() as http:
            response = await http.post(path, json={"command": command, "source": source})
        assert response.is_success, response.text

    async def values(self, unit: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        return await self.aggregator.values(unit, wanted, within_s=30)

    def logged(self, run: str, before: float) -> dict[float, float]:
        """Tick -> value of T0, of what the engine has logged of a run."""
        found: dict[float, float] = {}
        for line in self.file.read_text().splitlines():
            message = json.loads(line)
            if message["_type"] == "TagsUpdatedMsg" and message["run_id"] == run:
                found |= {tag["tick_time"]: tag["value"] for tag in message["tags"] if tag["name"] == "T0"}
        return {tick: value for tick, value in found.items() if tick < before}


@pytest.mark.parametrize("aggregator_too", [False, True])
async def test_the_run_is_whole_after_kill(aggregator: Aggregator, tmp_path: Path, aggregator_too: bool) -> None:
    lab = Lab(tmp_path, aggregator)
    async with lab.engine() as engine:
        unit = await lab.unit()
        await lab.values(unit, lambda values: values.get("Constant") == 7)
        await lab.press(unit, "Start")
        running = await lab.values(unit, lambda values: values.get("System State") == "Running")
        await lab.press(unit, "PU01: 40 %", "process_value")
        await lab.values(unit, lambda values: values.get("PU01") == 40)
        await asyncio.sleep(1.0)
        if aggregator_too:  # what waits is then on the disk alone
            await aggregator.kill()
            await asyncio.sleep(1.0)
        engine.kill()
        await engine.wait()
        killed = time.time()
    run = str(running["Run Id"])
    if aggregator_too:
        await aggregator.start()
    async with lab.engine():
        record = await aggregator.until(f"/api/recent_runs/{run}", lambda found: found["run_id"] == run, within_s=30)
        assert record["run_id"] == run
        after = await lab.values(unit, lambda values: values.get("Constant") == 7 and values.get("T0") is not None)
        assert (after["System State"], after["Run Id"], after["PU01"]) == ("Stopped", None, 0)
        logged = lab.logged(run, killed - SYNC_S - 0.1)
        assert len(logged) > 10
        plot_log = await aggregator.get(f"/api/recent_runs/{run}/plot_log")
        stored = [(value["tick_time"], value["value"]) for value in plot_log["entries"]["T0"]["values"]]
        assert len({tick for tick, _ in stored}) == len(stored), "nothing is stored twice"
        assert logged.items() <= dict(stored).items()
        archive = (await aggregator.get(f"/api/recent_runs/{run}/archive"))["content"]
        assert archive.startswith("Datetime (UTC),System State")
        assert archive.count(run) > 10
        run_log = await aggregator.get(f"/api/recent_runs/{run}/run_log")
        assert [line["command"]["command"] for line in run_log["lines"]] == ["PU01: 40 %"]
        errors = await aggregator.get(f"/api/process_unit/{quote(unit, safe='')}/error_log")
        assert any("in the middle of run" in entry["message"] for entry in errors["entries"])
        await lab.press(unit, "Start")
        await lab.values(unit, lambda values: values.get("System State") == "Running" and values["Run Id"] != run)
        await lab.press(unit, "Stop")
        await lab.values(unit, lambda values: values.get("System State") == "Stopped")
