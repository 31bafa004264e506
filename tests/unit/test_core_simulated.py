"""Simulated values: they stand over what the device says, are marked, and so is what is derived from them."""

from __future__ import annotations

import json

import pytest

from drivers.contract import Image, Kind, Quality
from engine.core.core import Core
from engine.core.publish import Publisher
from engine.core.spec import FromEngine, FromExpression, FromPoint, TagSpec

SPECS = [
    TagSpec("PT01", FromPoint(0, 0), stale_after_s=2.0),
    TagSpec("PT02", FromPoint(0, 1)),
    TagSpec("VA01", FromPoint(0, 2), choices={"Closed": 0, "Open": 1}),
    TagSpec("dP", FromExpression("PT01 - PT02")),
    TagSpec("Twice", FromExpression("dP * 2")),
    TagSpec("Other", FromExpression("PT02 * 2")),
    TagSpec("State", FromEngine(Kind.TEXT)),
]


def sample() -> Image:
    image = Image([Kind.FLOAT, Kind.FLOAT, Kind.UINT])
    image.columns[Kind.FLOAT][:] = (5.0, 1.0)
    image.columns[Kind.UINT][:] = 1
    image.quality[:], image.reason[:], image.received[:] = Quality.GOOD, 0, 0.0
    return image


def tick(core: Core, now: float = 0.0) -> dict[str, tuple[object, bool]]:
    core.take(0)
    core.derive(now)
    rows = core.changed(now)
    tags = json.loads(Publisher(core.table).pack(rows, 1.8e9))
    return {tag["name"]: (tag["value"], tag["simulated"]) for tag in tags}


def test_a_simulated_value_and_what_rests_on_it() -> None:
    core = Core(SPECS, [sample()])
    tick(core)
    core.simulate("PT01", 7.0)
    assert tick(core) == {"PT01": (7.0, True), "dP": (6.0, True), "Twice": (12.0, True)}
    core.simulate("VA01", "Closed")
    assert tick(core) == {"VA01": ("Closed", True)}
    assert tick(core, 60.0) == {}, "what is simulated does not grow old"
    core.stop_simulating("VA01")
    assert tick(core) == {"VA01": ("Open", False)}
    core.stop_simulating("PT01")
    assert tick(core) == {"PT01": (5.0, False), "dP": (4.0, False), "Twice": (8.0, False)}
    core.stop_simulating("PT01")
    assert tick(core) == {}


def test_it_stands_over_a_device_that_has_failed_and_over_its_new_values() -> None:
    image = sample()
    core = Core(SPECS, [image])
    tick(core)
    core.simulate("PT01", 7.0)
    tick(core)
    image.quality[0], image.columns[Kind.FLOAT][:] = Quality.BAD, (6.0, 2.0)
    assert tick(core) == {"PT02": (2.0, False), "dP": (5.0, True), "Twice": (10.0, True), "Other": (4.0, False)}
    core.stop_simulating("PT01")
    assert tick(core) == {"PT01": (None, False), "dP": (None, False), "Twice": (None, False)}


def test_it_outlives_a_new_plan() -> None:
    old = Core(SPECS, [sample()])
    tick(old)
    old.simulate("PT01", 7.0)
    tick(old)
    new = Core(SPECS[::-1], [sample()])
    new.adopt(old)
    assert tick(new) == {}
    new.stop_simulating("PT01")
    assert tick(new)["PT01"] == (5.0, False)


@pytest.mark.parametrize(("tag", "value"), [("dP", 1.0), ("State", "Running"), ("VA01", "Ajar"), ("PT01", "high")])
def test_what_cannot_be_simulated(tag: str, value: float | str) -> None:
    core = Core(SPECS, [sample()])
    with pytest.raises(ValueError, match=tag):
        core.simulate(tag, value)
    assert not core.table.simulated.any()
