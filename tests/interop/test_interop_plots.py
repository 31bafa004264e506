"""The plot of the real aggregator's page has all that it needs: what it runs along, curves, marks and fitting axes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ruamel.yaml import YAML

from tests.interop.aggregator import Aggregator
from tests.interop.lab import ROOT, Lab

DRIVEN = {"device", "holding", "type", "scale"}
"""Keys of a tag that say how a real device is read."""


def readme_uod(folder: Path) -> str:
    """The UOD of the README, its device replaced by one that is always there."""
    (written,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    uod: dict[str, Any] = YAML(typ="safe").load(written)
    uod["devices"] = {"box": {"driver": "simulated"}}
    for name, tag in uod["tags"].items():
        uod["tags"][name] = {"device": "box", **{key: tag[key] for key in tag if key not in DRIVEN}}
    uod["tags"]["TT01"] |= {"signal": "sine", "period_s": 2, "low": 18, "high": 24}
    uod |= {"tick_ms": 50, "data_log_interval_s": 0.2}
    path = folder / "readme.yaml"
    YAML().dump(uod, path)
    return path.read_text(encoding="utf-8")


async def test_the_plot_of_the_readmes_example_is_not_empty(shared: Aggregator, tmp_path: Path) -> None:
    lab = Lab(tmp_path, shared, readme_uod(tmp_path))
    async with lab.engine():
        unit = await lab.unit()
        path = f"/api/process_unit/{quote(unit, safe='')}"
        await lab.values(unit, lambda values: values.get("dT") is not None)
        await lab.press(unit, "Start")
        run = (await lab.values(unit, lambda values: values["System State"] == "Running"))["Run Id"]
        await lab.press(unit, "Mark: washed", "manually_entered")

        def stored(answer: Any) -> dict[str, list[Any]]:
            return {
                name: [value.get("value") for value in entry["values"]] for name, entry in answer["entries"].items()
            }

        answer = await shared.until(
            f"{path}/plot_log",
            lambda log: len(stored(log).get("TT01", [])) >= 30 and "washed" in stored(log)["Mark"],
        )
        plotted = stored(answer)
        for name in ("Run Time", "Process Time", "Block Time"):
            assert all(isinstance(value, float) for value in plotted[name]), "the page draws along numbers only"
            assert len(plotted[name]) >= 20
        assert plotted["Mark"] == [None, "washed"], "the page draws a mark where the value changes"

        shown = await shared.get(f"{path}/process_values")
        assert [value["name"] for value in shown if not value.get("plot_only")] == ["TT01", "SP01", "dT", "Run Time"]
        plots = await shared.get(f"{path}/plot_configuration")
        (plot,) = plots["sub_plots"]
        (axis,) = plot["axes"]
        assert axis["process_value_names"] == ["TT01", "SP01", "dT"]
        values = [value for name in axis["process_value_names"] for value in plotted[name] if value is not None]
        assert axis["y_min"] <= min(values)
        assert max(values) <= axis["y_max"]

        await lab.press(unit, "Stop")
        await shared.until(f"/api/recent_runs/{run}", lambda found: "run_id" in found)
        recorded = await shared.get(f"/api/recent_runs/{run}/plot_configuration")
        (axis,) = recorded["sub_plots"][0]["axes"]
        assert (axis["y_min"], axis["y_max"]) == (-5, 25), "the values were between -2 and 24"


async def test_examples_of_commands_ask_for_safe_values(shared: Aggregator, tmp_path: Path) -> None:
    lab = Lab(tmp_path, shared, readme_uod(tmp_path))
    async with lab.engine():
        unit = await lab.unit()
        path = f"/api/process_unit/{quote(unit, safe='')}/command_examples"
        examples = await shared.until(path, lambda found: any(example["name"] == "SP01" for example in found))
        assert [example["example"] for example in examples if example["name"] == "SP01"] == ["SP01: 20 degC"]
