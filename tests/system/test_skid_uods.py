"""The example UODs against the simulated skid: each tag reads the very thing that its name says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

import uod_examples
from drivers.contract import Quality
from drivers.registry import driver_class
from engine.core.spec import FromPoint
from engine.uod.reader import read_uod
from uod_examples.skid import Skid
from uod_examples.skid.model import Status, Value

FOLDER = Path(uod_examples.__file__).parent
UODS = sorted(path.name for path in FOLDER.iterdir() if path.suffix in {".yaml", ".py"} and path.stem != "__init__")
NAMES = {"CT01 ABCD": "CT01", "CT01 CDAB": "CT01", "CT01 BADC": "CT01", "CT01 DCBA": "CT01"}
BITS = {"FOULED": Status.FILTER_FOULED, "ALARM": Status.ALARM, "LOW": Status.LOW_LEVEL, "RUNNING": Status.RUNNING}


def true_value(values: Mapping[str, Value], tag: str) -> Value:
    """What a tag of the examples stands for, in units of the model."""
    if tag in BITS:
        return bool(int(values["SW01"]) & BITS[tag])
    return values[NAMES.get(tag, tag)]


def overrides(name: str, skid: Skid) -> list[str]:
    """Where the skid of this test is, for each device of a UOD."""
    found = read_uod(FOLDER / name).skid
    assert found is not None
    settings: list[str] = []
    for link in found.links:
        for device in link.devices:
            settings.append(f"devices.{device}.timeout_ms=60000")
            if link.driver == "opcua":
                settings.append(f"devices.{device}.endpoint={skid.opcua_endpoint}")
            else:
                settings.append(f"devices.{device}.port={skid.modbus_port}")
    return settings


def test_there_is_one_for_each_story() -> None:
    assert UODS == ["filtration.yaml", "modbus_only.yaml", "opcua_only.yaml", "python_uod.py"]


@pytest.mark.parametrize("name", UODS)
def test_reads_without_a_fault(name: str) -> None:
    assert read_uod(FOLDER / name).faults == ()


async def test_every_tag_of_every_uod_is_the_truth() -> None:
    async with Skid(running=True, noise=False) as skid:
        await skid.pause()
        await skid.advance(20.0)
        truth = skid.truth().values
        for name in UODS:
            uod = read_uod(FOLDER / name, overrides(name, skid)).skid
            assert uod is not None
            for place, link in enumerate(uod.links):
                driver = driver_class(link.driver)(link.devices, link.points)
                try:
                    await driver.open()
                    for group in range(len(driver.groups)):
                        await driver.read(group)
                finally:
                    await driver.close()
                for tag in uod.tags:
                    if not isinstance(tag.source, FromPoint) or tag.source.link != place:
                        continue
                    assert driver.image.quality[tag.source.row] == Quality.GOOD, (name, tag.name)
                    raw, wanted = driver.image.value(tag.source.row), true_value(truth, tag.name)
                    if isinstance(raw, str | bool):
                        assert raw == wanted, (name, tag.name)
                    else:
                        factor = 1000.0 if tag.name == "FQ01" else 1.0  # the UODs want litres, the model counts mL
                        value = (raw * tag.scale + tag.offset) * factor
                        step = 0.51 * tag.scale * factor if isinstance(raw, int) else 0.0  # of a scaled integer
                        assert value == pytest.approx(wanted, rel=1e-6, abs=step), (name, tag.name)
