"""One value's whole way through the core: image, table, derived reading, age, diff, JSON."""

from __future__ import annotations

import json

import numpy as np

from drivers.contract import Image, Kind, Quality
from engine.core.core import Core
from engine.core.publish import Publisher
from engine.core.spec import Direction, FromEngine, FromExpression, FromPoint, TagSpec

SPECS = [
    TagSpec("PT01", FromPoint(0, 0), unit="mbar", scale=0.5, stale_after_s=5.0),
    TagSpec("PT 2", FromPoint(0, 1), unit="bar", stale_after_s=5.0),
    TagSpec("Serial", FromPoint(0, 2)),
    TagSpec("VA01", FromPoint(0, 3), choices={"Closed": 0, "Open": 1}, direction=Direction.BOTH),
    TagSpec("dP", FromExpression("`PT 2` - PT01"), unit="mbar", direction=Direction.NA),
    TagSpec("Sum", FromExpression("integral(`PT 2`)"), unit="bar*h", direction=Direction.NA),
    TagSpec("Ready", FromExpression("VA01 == 'Open' and Serial == 'x'"), direction=Direction.NA),
    TagSpec("System State", FromEngine(Kind.TEXT), direction=Direction.NA),
]


def filled_image(received: float) -> Image:
    image = Image([Kind.UINT, Kind.FLOAT32, Kind.TEXT, Kind.BOOL])
    image.columns[Kind.UINT][0] = 100
    image.columns[Kind.FLOAT32][0] = 0.1
    image.columns[Kind.TEXT][0] = "x"
    image.columns[Kind.BOOL][0] = True
    image.quality[:] = Quality.GOOD
    image.reason[:] = 0
    image.received[:] = received
    return image


def tick(core: Core, now: float) -> dict[str, object]:
    core.take(0)
    core.derive(now)
    core.age(now)
    return {core.table.names[row]: core.table.value(row) for row in core.changed(now).tolist()}


def test_a_value_on_its_whole_way() -> None:
    image = Image([Kind.UINT, Kind.FLOAT32, Kind.TEXT, Kind.BOOL])
    core = Core(SPECS, [image])
    assert tick(core, 0.0) == dict.fromkeys((spec.name for spec in SPECS), None)
    source = filled_image(1.0)
    for kind in Kind:
        image.columns[kind][:] = source.columns[kind]
    image.quality[:], image.reason[:], image.received[:] = source.quality, source.reason, source.received
    core.set("System State", "Stopped")
    first = tick(core, 1.0)
    assert first.pop("dP") == np.float64(np.float32(0.1)) * 1000 - 50
    assert first == {
        "PT01": 50.0,
        "PT 2": float(np.float32(0.1)),
        "Serial": "x",
        "VA01": "Open",
        "Sum": 0.0,
        "Ready": True,
        "System State": "Stopped",
    }
    assert set(tick(core, 2.0)) == {"Sum"}
    assert tick(core, 6.5) == dict.fromkeys(("PT01", "PT 2", "dP", "Sum"), None)
    assert core.table.why(core.table.row_of("dP")) == "no new value for more than 5 s"
    image.received[:] = 7.0
    assert set(tick(core, 7.0)) == {"PT01", "PT 2", "dP", "Sum"}
    assert tick(core, 7.0) == {}


def test_what_a_link_reads_meanwhile_is_not_seen_before_it_is_taken() -> None:
    image = filled_image(1.0)
    core = Core(SPECS, [image])
    tick(core, 1.0)
    before = {name: core.table.value(row) for row, name in enumerate(core.table.names)}
    image.columns[Kind.UINT][0], image.columns[Kind.FLOAT32][0], image.columns[Kind.TEXT][0] = 300, 0.5, "y"
    image.quality[3], image.received[:] = Quality.BAD, 1.5
    core.derive(1.0)
    assert core.changed(1.0).size == 0
    assert {name: core.table.value(row) for row, name in enumerate(core.table.names)} == before
    assert tick(core, 1.0) == {"PT01": 150.0, "PT 2": 0.5, "Serial": "y", "VA01": None, "dP": 350.0, "Ready": None}


def test_the_wire_shows_what_the_table_holds() -> None:
    core = Core(SPECS, [filled_image(1.0)])
    core.set("System State", None)
    tick(core, 1.0)
    packed = {tag["name"]: tag for tag in json.loads(Publisher(core.table).pack(core.everything(), 1.7e9))}
    assert packed["PT 2"] == {
        "name": "PT 2",
        "tick_time": 1.7e9,
        "value": 0.1,
        "value_unit": "bar",
        "value_formatted": None,
        "direction": "input",
        "simulated": False,
    }
    assert packed["VA01"]["value"] == "Open"
    assert packed["VA01"]["direction"] == "output"
    assert packed["Ready"]["value"] == 1
    assert packed["System State"]["value"] is None


def test_a_new_plan_takes_over_what_the_old_one_knew() -> None:
    image = filled_image(1.0)
    old = Core(SPECS, [image])
    for now in (1.0, 2.0, 3.0):
        tick(old, now)
    new = Core(list(reversed(SPECS)), [image])
    new.adopt(old)
    assert tick(new, 4.0) == {"Sum": 3 * float(np.float32(0.1)) / 3600}


def test_what_is_too_old_stays_stale_when_something_else_of_its_link_changes() -> None:
    image = Image([Kind.UINT, Kind.UINT])
    image.columns[Kind.UINT][:] = (1, 2)
    image.quality[:], image.reason[:], image.received[:] = Quality.GOOD, 0, 0.0
    core = Core([TagSpec("Old", FromPoint(0, 0), stale_after_s=5.0), TagSpec("Other", FromPoint(0, 1))], [image])
    assert tick(core, 0.0) == {"Old": 1, "Other": 2}

    for start in (0.0, 20.0):  # the second time as the first
        assert tick(core, start + 4.9) == {}
        assert tick(core, start + 5.1) == {"Old": None}
        image.columns[Kind.UINT][1] += 1  # its neighbour changes, nothing of it is newer
        assert tick(core, start + 6.0) == {"Other": image.columns[Kind.UINT][1]}
        assert core.table.quality[core.table.row_of("Old")] == Quality.STALE
        image.received[0] = start + 20.0
        assert tick(core, start + 20.0) == {"Old": 1}
