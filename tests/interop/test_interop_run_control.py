"""Users work a run through the real aggregator: what its REST interface shows of states, method and errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.interop.aggregator import Aggregator
from tests.interop.lab import PATIENCE_S, Lab

METHOD = [{"id": "a", "content": "Mark: A"}, {"id": "b", "content": "PU01: 30 %"}, {"id": "c", "content": ""}]


@pytest.fixture
def lab(shared: Aggregator, tmp_path: Path) -> Lab:
    return Lab(tmp_path, shared)


class Unit:
    """The one unit of the lab."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab = lab
        self.name = name
        self.path = f"/api/process_unit/{quote(name, safe='')}"

    async def shows(self, *, state: str, control: tuple[bool, bool, bool], unit: str) -> dict[str, Any]:
        """Wait until the tag System State, the control state and the list of units say so; return the values."""
        rest = self.lab.aggregator
        values = await self.lab.values(self.name, lambda values: values.get("System State") == state)
        wanted = dict(zip(("is_running", "is_holding", "is_paused"), control, strict=True))
        await rest.until(f"{self.path}/control_state", lambda found: found == wanted)
        (listed,) = await rest.until("/api/process_units", lambda units: units[0]["state"]["state"] == unit)
        assert listed["runtime_msec"] >= 0
        return values

    async def errors(self, *, count: int) -> list[str]:
        """The error log, once it has so many entries."""
        path = f"{self.path}/error_log"
        log = await self.lab.aggregator.until(path, lambda log: len(log["entries"]) >= count)
        return [entry["message"] for entry in log["entries"]]

    async def save(self, lines: list[dict[str, str]], version: int) -> httpx.Response:
        body = {"lines": lines, "version": version, "last_author": "Anon"}
        async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
            return await http.post(f"{self.lab.aggregator.base_url}{self.path}/method", json=body)


async def test_the_states_of_a_run_as_users_see_them(lab: Lab) -> None:
    async with lab.engine():
        unit = Unit(lab, await lab.unit())
        await lab.values(unit.name, lambda values: values.get("PU01") == 0)
        await unit.shows(state="Stopped", control=(False, False, False), unit="ready")
        await lab.press(unit.name, "Start")
        first = await unit.shows(state="Running", control=(True, False, False), unit="in_progress")
        await lab.press(unit.name, "PU01: 40 %", "process_value")
        await lab.values(unit.name, lambda values: values["PU01"] == 40)
        await lab.press(unit.name, "Hold")
        held = await unit.shows(state="Holding", control=(True, True, False), unit="ready")
        assert held["PU01"] == 40
        await lab.press(unit.name, "Pause")
        await unit.shows(state="Paused", control=(True, True, True), unit="ready")
        await lab.values(unit.name, lambda values: values["PU01"] == 0)
        await lab.press(unit.name, "Unhold")
        await lab.press(unit.name, "Unpause")
        await unit.shows(state="Running", control=(True, False, False), unit="in_progress")
        await lab.values(unit.name, lambda values: values["PU01"] == 40)
        await lab.press(unit.name, "Restart")
        again = await lab.values(unit.name, lambda values: values["Run Id"] not in {None, first["Run Id"]})
        record = await lab.aggregator.until(f"/api/recent_runs/{first['Run Id']}", lambda found: "run_id" in found)
        assert record["run_id"] == first["Run Id"]
        await unit.shows(state="Running", control=(True, False, False), unit="in_progress")
        await lab.press(unit.name, "Start")
        assert await unit.errors(count=1) == ["a run is active already; stop it first"]
        await lab.press(unit.name, "Stop")
        values = await unit.shows(state="Stopped", control=(False, False, False), unit="ready")
        assert (values["Method Status"], values["Run Id"]) == ("OK", None)
        assert {values[name] for name in ("Base", "Run Counter", "Connection Status")} == {"min", 0, "Connected"}
        assert await lab.aggregator.get(f"/api/recent_runs/{again['Run Id']}")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("PU01: 150 %", "PU01: 150 % is above its max of 100 %"),
        ("PU01: fast", "PU01 takes a number, not 'fast'; write PU01: 1.5"),
        ("Dance: now", "'Dance' is no command of this skid"),
        ("# nothing", "there is no command in what was sent"),
    ],
)
async def test_the_page_shows_once_why_a_command_is_refused(lab: Lab, line: str, sentence: str) -> None:
    """An error reply would show as "Internal Server Error" there, and no other text."""
    async with lab.engine():
        unit = Unit(lab, await lab.unit())
        await lab.values(unit.name, lambda values: values.get("PU01") == 0)
        await lab.press(unit.name, line, "manually_entered")
        (told,) = await unit.errors(count=1)
        assert told.startswith(sentence)
        await lab.press(unit.name, line, "manually_entered")  # tried again within the minute, it is told again
        path = f"{unit.path}/error_log"
        await lab.aggregator.until(path, lambda log: [entry["occurrences"] for entry in log["entries"]] == [2])
        assert await unit.errors(count=1) == [told]


async def test_a_button_that_is_refused_does_not_stay_pressed(lab: Lab) -> None:
    async with lab.engine():
        unit = Unit(lab, await lab.unit())
        await lab.values(unit.name, lambda values: values.get("PU01") == 0)
        await lab.press(unit.name, "Hold")
        assert await unit.errors(count=1) == ["no run is active; Hold needs one, and Start begins it"]
        await unit.shows(state="Stopped", control=(False, False, False), unit="ready")


async def test_a_method_goes_there_and_back_and_outlives_both_sides(lab: Lab) -> None:
    rest = lab.aggregator
    async with lab.engine():
        unit = Unit(lab, await lab.unit())
        await lab.values(unit.name, lambda values: values.get("PU01") == 0)
        assert (await unit.save(METHOD, 0)).is_success
        saved = await rest.get(f"{unit.path}/method")
        assert (saved["lines"], saved["version"]) == (METHOD, 1)
        twice = await unit.save([METHOD[0], METHOD[0]], 1)
        assert twice.status_code == 400
        assert "lines 1 and 2 of the method have the same id 'a'" in twice.text
    async with lab.engine():  # the aggregator has forgotten the method with the connection
        found = await rest.until(f"{unit.path}/method-and-state", lambda found: found["method"]["lines"] != [])
        assert found["method"]["lines"] == METHOD
        assert set(map(len, found["state"].values())) == {0}, "no line is in any state"
        await lab.press(unit.name, "Start")
        await unit.shows(state="Running", control=(True, False, False), unit="in_progress")
        errors = await rest.until(f"{unit.path}/error_log", lambda errors: errors["entries"] != [])
        assert ["does not carry out methods" in entry["message"] for entry in errors["entries"]] == [True]
        await lab.press(unit.name, "Stop")
        await unit.shows(state="Stopped", control=(False, False, False), unit="ready")
