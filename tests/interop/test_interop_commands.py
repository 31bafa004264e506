"""Users give commands through the real aggregator, cancel and force them, and read what became of them there."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from tests.interop.aggregator import Aggregator
from tests.interop.lab import PATIENCE_S, Lab

UOD = """\
uod: Lab
tick_ms: 50
data_log_interval_s: 1
devices:
  box: {driver: simulated}
tags:
  PU01: {device: box, direction: both, unit: "%", min: 0, max: 100, safe_value: 0}
  VA01: {device: box, direction: both, choices: {Closed: 0, Open: 1}, safe_value: Closed}
commands:
  Prime: {steps: [{set: VA01, to: Open}, {wait_s: 3600}, {set: PU01, to: argument}]}
  Rinse: {steps: [{wait_s: argument}], excludes: [Prime]}
process_values: [{entry: PU01}, {choice: VA01}]
"""


class Unit:
    """The one unit of the lab, as its users see it."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab, self.name = lab, name
        self.path = f"/api/process_unit/{quote(name, safe='')}"

    async def line(self, text: str, **wanted: Any) -> dict[str, Any]:
        """The newest line of the run log with this text, once it is as wanted; `over` says whether it has ended."""

        def found(log: dict[str, Any]) -> dict[str, Any] | None:
            lines = [line for line in log["lines"] if line["command"]["command"] == text]
            line = lines[-1] | {"over": "end" in lines[-1]} if lines else {}
            return line if lines and all(line.get(key) == value for key, value in wanted.items()) else None

        log = await self.lab.aggregator.until(f"{self.path}/run_log", lambda log: found(log) is not None)
        return found(log) or {}

    async def end(self, how: str, line: str) -> bool:
        """Cancel or force a line; whether the engine has taken it."""
        async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
            answer = await http.post(f"{self.lab.aggregator.base_url}{self.path}/run_log/{how}_line/{line}")
        assert answer.is_success
        return not answer.json().get("error", False)


async def test_commands_are_given_cancelled_and_forced_in_the_run_log(shared: Aggregator, tmp_path: Path) -> None:
    lab = Lab(tmp_path, shared, UOD)
    async with lab.engine():
        unit = Unit(lab, await lab.unit())
        await lab.values(unit.name, lambda values: values.get("VA01") == "Closed")

        # Without a run: what takes time is shown, what writes into a run waits for one.
        await lab.press(unit.name, "Prime: 30 %", "manually_entered")
        prime = await unit.line("Prime: 30 %", cancellable=True, over=False)
        await lab.press(unit.name, "Batch: B-17", "manually_entered")
        await unit.line("Batch: B-17", over=False)

        await lab.press(unit.name, "Start")
        await lab.values(unit.name, lambda values: values["Batch Name"] == "B-17")
        assert (await unit.line("Prime: 30 %", over=False))["id"] == prime["id"], "the run has taken it over"
        await unit.line("Batch: B-17", over=True)

        # A wait delays what comes after it, and is forced; the values at start and end are those of the process.
        await lab.press(unit.name, "Wait: 1 h\nPU01: 40 %\nInfo: done", "manually_entered")
        wait = await unit.line("Wait: 1 h", forcible=True, cancellable=True, over=False)
        assert await unit.end("force", wait["id"])
        await lab.values(unit.name, lambda values: values["PU01"] == 40)
        assert (await unit.line("Wait: 1 h", over=True))["forced"]
        written = await unit.line("PU01: 40 %", over=True)
        assert [value["value"] for value in written["start_values"]] == [0, "Open"]
        assert [value["name"] for value in written["end_values"]] == ["PU01", "VA01"]
        await unit.line("Info: done", over=True)

        # Cancelled, by a user or by another command; the outputs stay as they are.
        await lab.press(unit.name, "Rinse: 20 min", "manually_entered")
        rinse = await unit.line("Rinse: 20 min", over=False)
        assert (await unit.line("Prime: 30 %", over=True))["cancelled"], "Rinse excludes it"
        assert await unit.end("cancel", rinse["id"])
        assert (await unit.line("Rinse: 20 min", over=True))["cancelled"]
        values = await lab.values(unit.name, lambda values: values["VA01"] == "Open")
        assert values["PU01"] == 40
        assert not await unit.end("cancel", rinse["id"]), "it is over"
        assert not await unit.end("force", "nobody")

        run = values["Run Id"]
        await lab.press(unit.name, "Stop", "manually_entered")
        await lab.values(unit.name, lambda values: values["System State"] == "Stopped")
        log = await shared.until(f"/api/recent_runs/{run}/run_log", lambda log: len(log["lines"]) == 6)
        fates = {line["command"]["command"]: line["cancelled"] for line in log["lines"]}
        assert fates == {
            "Prime: 30 %": True, "Batch: B-17": False, "Wait: 1 h": False, "PU01: 40 %": False, "Info: done": False,
            "Rinse: 20 min": True,
        }  # fmt: skip
