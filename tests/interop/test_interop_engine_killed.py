"""`skidlink run` killed in the middle of a run, as by a power cut, and started again.

What it wrote to a file beside, line by line, is the truth about the samples that it has logged.
"""

from __future__ import annotations

import time
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.interop.aggregator import Aggregator
from tests.interop.exported import exported_column
from tests.interop.lab import Lab

DURABLE_WITHIN_S = 0.5
"""What is older than this when the engine is killed has to be there in the end: the file of the outbox is flushed every
0.2 s, and a flush takes its time on a busy disk."""
ENOUGH = 20
"""Durable samples, so that the comparison means something."""


async def check_samples(aggregator: Aggregator, run: str, logged: dict[float, float], durable: float) -> None:
    """Every sample that was logged before `durable` is in the plot log and in the CSV once, and nothing else is."""
    assert len([tick for tick in logged if tick < durable]) >= ENOUGH
    plot_log = await aggregator.get(f"/api/recent_runs/{run}/plot_log")
    values = plot_log["entries"]["T0"]["values"]
    stored = {value["tick_time"]: value["value"] for value in values}
    assert len(stored) == len(values), "nothing is stored twice"
    assert {tick: value for tick, value in stored.items() if tick < durable} == {
        tick: value for tick, value in logged.items() if tick < durable
    }
    ticks = sorted({value["tick_time"] for entry in plot_log["entries"].values() for value in entry["values"]})
    assert ticks == sorted(stored), "a row of the CSV for each sample, and no other"
    exported = exported_column(await aggregator.get(f"/api/recent_runs/{run}/csv_json"), "T0")
    assert exported == [stored[tick] for tick in ticks]


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
        run = str(running["Run Id"])
        logged = await lab.logged_until(run, 2 * ENOUGH)
        if aggregator_too:  # what waits is then on the disk alone
            await aggregator.kill()
            await lab.logged_until(run, len(logged) + ENOUGH)
        killed = time.time()
        engine.kill()
        await engine.wait()
    if aggregator_too:
        await aggregator.start()
    async with lab.engine():
        record = await aggregator.until(f"/api/recent_runs/{run}", lambda found: found["run_id"] == run)
        assert record["run_id"] == run
        after = await lab.values(unit, lambda values: values.get("Constant") == 7 and values.get("T0") is not None)
        assert (after["System State"], after["Run Id"], after["PU01"]) == ("Stopped", None, 0)
        await check_samples(aggregator, run, lab.logged(run), killed - DURABLE_WITHIN_S)
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
