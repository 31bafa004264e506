from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from drivers.contract import Kind, LinkError, Point, Quality, Writes
from drivers.registry import UnknownDriverError, driver_class
from drivers.simulated import Simulated, SimulatedDevice, SimulatedPoint


def driver(*options: SimulatedPoint, device: SimulatedDevice | None = None) -> Simulated:
    points = [Point(f"T{i}", "box", option, 100, write=True) for i, option in enumerate(options)]
    return Simulated({"box": device or SimulatedDevice()}, points)


async def test_memory_keeps_what_is_written_to_the_last_bit() -> None:
    box = driver(
        SimulatedPoint(type="int64"),
        SimulatedPoint(type="uint64"),
        SimulatedPoint(type="float32"),
        SimulatedPoint(type="bool"),
        SimulatedPoint(type="string", start="idle"),
    )
    assert isinstance(box, Writes)
    await box.open()
    assert await box.write({0: -(2**63), 1: 2**64 - 1, 2: 0.1, 3: True}) == {}
    await box.read(0)
    assert [box.image.value(row) for row in range(5)] == [-(2**63), 2**64 - 1, float(np.float32(0.1)), True, "idle"]
    assert (box.image.quality == Quality.GOOD).all()


async def test_signals_stay_between_their_limits_and_move() -> None:
    box = driver(*(SimulatedPoint(signal=s, low=2, high=4, period_s=0.05) for s in ("sine", "ramp", "square")))
    await box.open()
    seen: list[list[float]] = []
    while len(seen) < 2 or seen[0] == seen[-1]:
        await box.read(0)
        seen.append([float(value) for value in box.image.columns[Kind.FLOAT]])
    assert all(2 <= value <= 4 for values in seen for value in values)


@pytest.mark.parametrize(
    ("type_name", "value"),
    [
        ("int64", 2**63),
        ("int64", 1.5),
        ("uint64", -1),
        ("bool", 2),
        ("float64", float("nan")),
        ("string", 1),
        ("int64", "x"),
    ],
)
async def test_a_value_that_does_not_fit_is_refused_and_changes_nothing(type_name: str, value: float | str) -> None:
    box = driver(SimulatedPoint.model_validate({"type": type_name}))
    await box.open()
    await box.read(0)
    before = box.image.value(0)
    assert 0 in await box.write({0: value})
    await box.read(0)
    assert box.image.value(0) == before


async def test_a_signal_cannot_be_written() -> None:
    box = driver(SimulatedPoint(signal="sine"))
    await box.open()
    assert "memory" in (await box.write({0: 1.0}))[0]


async def test_a_bus_that_is_not_plugged_in_breaks_the_link() -> None:
    box = driver(SimulatedPoint(), device=SimulatedDevice(answers=False))
    with pytest.raises(LinkError, match="plug it in"):
        await box.open()
    with pytest.raises(LinkError):
        await box.read(0)


def test_options_that_contradict_are_refused() -> None:
    with pytest.raises(ValidationError, match="number"):
        SimulatedPoint(signal="sine", type="string")
    with pytest.raises(ValidationError, match="start"):
        SimulatedPoint(type="int64", start=1.5)


def test_the_registry_names_the_nearest_driver() -> None:
    assert driver_class("simulated") is Simulated
    with pytest.raises(UnknownDriverError, match="did you mean 'simulated'"):
        driver_class("simulatd")
