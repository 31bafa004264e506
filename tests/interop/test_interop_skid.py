"""The main job, end to end: the simulated skid, `skidlink run` and the real aggregator, each a process of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.interop.aggregator import Aggregator
from uod_examples.skid import Skid

ROOT = Path(__file__).parents[2]
SKIDLINK = Path(sys.executable).with_name("skidlink")


@asynccontextmanager
async def engine(skid: Skid, aggregator: Aggregator) -> AsyncGenerator[asyncio.subprocess.Process]:
    """`skidlink run` on the filtration UOD."""
    keys = [f"devices.plc.endpoint={skid.opcua_endpoint}"]
    for device in ("pump", "transmitter"):
        keys += [f"devices.{device}.host={skid.modbus_host}", f"devices.{device}.port={skid.modbus_port}"]
    overrides = [word for key in keys for word in ("--set", key)]
    uod = ROOT / "uod_examples" / "filtration.yaml"
    command = [SKIDLINK, "run", uod, *overrides, "--aggregator", aggregator.address, "--plain"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    log = asyncio.create_task(process.communicate())
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        _, said = await log
        sys.stderr.write(said.decode())


async def unit_id(aggregator: Aggregator) -> str:
    """The id under which the aggregator lists the one unit that it has."""
    units = await aggregator.until("/api/process_units", lambda units: len(units) == 1, within_s=120)
    return str(units[0]["id"])


async def test_the_process_unit_is_there_and_its_values_follow_the_skid(aggregator: Aggregator) -> None:
    async with Skid(noise=False) as skid, engine(skid, aggregator):
        unit = await unit_id(aggregator)
        path = f"/api/process_unit/{quote(unit, safe='')}"

        values = await aggregator.values(unit, lambda values: values.get("PU01") == 0 and values.get("dP") is not None)
        assert values["VA01"] == "Closed"
        assert values["System State"] == "Stopped"
        assert values["Connection Status"] == "Connected"

        readings = await aggregator.get(f"{path}/process_values")
        names = [reading["name"] for reading in readings]
        assert names[:5] == ["MS01", "FT01", "PT01", "PT02", "dP"], "the process values, in the author's order"
        by_name: dict[str, Any] = {reading["name"]: reading for reading in readings}
        assert by_name["FT01"]["value_unit"] == "L/h"
        assert [command["name"] for command in by_name["PU01"]["commands"]] != []

        await skid.write(VA01=True, VA02=True, PU01=60.0)
        await aggregator.values(
            unit,
            lambda values: values["PU01"] == 60 and values["VA01"] == "Open" and (values["FT01"] or 0) > 300,
            within_s=120,
        )

        await skid.pause()
        await skid.set(PT01=1.234, TT01=31.5, PT02=1.0)
        values = await aggregator.values(unit, lambda values: values["PT01"] == 1.234 and values["TT01"] == 31.5)
        truth = skid.truth()
        values = await aggregator.values(unit, lambda values: values["PC01"] == truth.opcua["PC01"])
        assert values["FT01"] == pytest.approx(truth.values["FT01"], abs=0.5), "within its deadband"
        assert values["MS01"] == truth.values["MS01"]
        assert values["dP"] == pytest.approx(0.234)


async def test_a_dead_device_is_shown_without_values_and_the_rest_goes_on(aggregator: Aggregator) -> None:
    async with Skid(noise=False) as skid, engine(skid, aggregator):
        unit = await unit_id(aggregator)
        await aggregator.values(unit, lambda values: values.get("PT01") is not None and values.get("FT01") is not None)
        await skid.modbus.refuse()
        gone = await aggregator.values(
            unit, lambda values: all(values[name] is None for name in ("PT01", "dP", "TT01")), within_s=120
        )
        assert gone["FT01"] is not None
        assert gone["Connection Status"] == "Disconnected"
        await skid.modbus.restore()
        await aggregator.values(
            unit, lambda values: values["PT01"] is not None and values["Connection Status"] == "Connected", within_s=120
        )
