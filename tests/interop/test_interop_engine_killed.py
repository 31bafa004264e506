"""`skidlink run` killed in the middle of a run, as by a power cut, and started again.

What it wrote to a file beside, line by line, is the truth about the samples that it has logged.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.interop.aggregator import Aggregator
from tests.interop.exported import exported_column
from tests.interop.lab import Lab

DURABLE_WITHIN_S = 2.0
"""What is older than this when the engine is killed has to be there in the end: the file of the outbox is flushed every
0.2 s, and a flush takes its time on a busy disk."""
ENOUGH = 20
"""Durable samples, so that the comparison means something."""


async def check_samples(
    aggregator: Aggregator, run: str, logged: dict[float, float | None], lost: tuple[float, float]
) -> None:
    """Every sample that was logged is in the plot log and in the CSV once, and nothing else is; but for those that were
    logged in the moments before the engine was killed, which may be there or not. What is missing is no sample."""

    def certain(samples: dict[float, float | None]) -> dict[float, float | None]:
        return {tick: value for tick, value in samples.items() if value is not None and not lost[0] <= tick < lost[1]}

    assert len([tick for tick in logged if tick < lost[0]]) >= ENOUGH
    assert len([tick for tick in logged if tick >= lost[1]]) >= ENOUGH
    plot_log = await aggregator.get(f"/api/recent_runs/{run}/plot_log")
    values = plot_log["entries"]["T0"]["values"]
    stored = {value["tick_time"]: value.get("value") for value in values}
    assert len(stored) == len(values), "nothing is stored twice"
    certainly_stored, certainly_logged = certain(stored), certain(logged)
    assert certainly_logged.items() <= certainly_stored.items()
    snapshots = certainly_stored.keys() - certainly_logged.keys()
    assert len(snapshots) <= 1, "nothing else but the snapshot with which the second connection begins"
    assert all(tick >= lost[1] for tick in snapshots)
    ticks = sorted({value["tick_time"] for entry in plot_log["entries"].values() for value in entry["values"]})
    exported = exported_column(await aggregator.get(f"/api/recent_runs/{run}/csv_json"), "T0")
    assert len(exported) == len(ticks)
    rows = dict(zip(ticks, exported, strict=True))
    assert {tick: rows[tick] for tick in stored} == stored, "a row of the CSV for each sample"
    assert all(tick >= lost[1] for tick in ticks if tick not in stored), "and no other, but before T0 is read again"


@pytest.mark.parametrize("aggregator_too", [False, True])
async def test_the_run_goes_on_after_kill(aggregator: Aggregator, tmp_path: Path, aggregator_too: bool) -> None:
    lab = Lab(tmp_path, aggregator)
    async with lab.engine() as engine:
        unit = await lab.unit()
        await lab.values(unit, lambda values: values.get("Constant") == 7)
        await lab.press(unit, "Start")
        running = await lab.values(unit, lambda values: values.get("System State") == "Running")
        await lab.press(unit, "PU01: 40 %", "process_value")
        await lab.values(unit, lambda values: values.get("PU01") == 40)
        run = str(running["Run Id"])
        logged = await lab.logged_until(run, 4 * ENOUGH)
        if aggregator_too:  # what waits is then on the disk alone
            await aggregator.kill()
            await lab.logged_until(run, len(logged) + ENOUGH)
        killed = time.time()
        engine.kill()
        await engine.wait()
    if aggregator_too:
        await aggregator.start()
    path = f"/api/process_unit/{quote(unit, safe='')}"
    async with lab.engine():
        after = await lab.values(unit, lambda values: values.get("Constant") == 7 and values.get("T0") is not None)
        assert (after["System State"], after["Run Id"], after["PU01"]) == ("Holding", run, 0)
        assert after["Run Time"] > 0
        held = {"is_running": True, "is_holding": True, "is_paused": False}
        await aggregator.until(f"{path}/control_state", lambda state: state == held)
        await aggregator.until(f"{path}/run_log", lambda log: commands(log) == ["PU01: 40 %"])
        await aggregator.until(
            f"{path}/error_log",
            lambda errors: any(f"in the middle of run {run}" in entry["message"] for entry in errors["entries"]),
        )
        assert await aggregator.get("/api/recent_runs/") == [], "the run goes on"
        before = len(lab.logged(run))
        await lab.press(unit, "Unhold")
        await lab.values(unit, lambda values: values.get("System State") == "Running")
        await lab.logged_until(run, before + ENOUGH)
        await lab.press(unit, "Stop")
        await lab.values(unit, lambda values: values.get("System State") == "Stopped" and values["Run Id"] is None)
        record = await aggregator.until(f"/api/recent_runs/{run}", lambda found: found["run_id"] == run)
        assert record["run_id"] == run
        await check_samples(aggregator, run, lab.logged(run), (killed - DURABLE_WITHIN_S, killed))
        archive = (await aggregator.get(f"/api/recent_runs/{run}/archive"))["content"]
        assert archive.startswith("Datetime (UTC),System State")
        assert [f",{state},{run}," in archive for state in ("Running", "Holding")] == [True, True]
        assert commands(await aggregator.get(f"/api/recent_runs/{run}/run_log")) == ["PU01: 40 %"]


def commands(run_log: Any) -> list[str]:
    return [line["command"]["command"] for line in run_log["lines"]]
