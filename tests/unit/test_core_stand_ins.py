"""What is published of tags that are bad or stale: nothing, the last good value, or another one; and their quality."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from drivers.contract import Image, Kind, Quality
from drivers.reasons import reason_code
from engine.core.core import Core
from engine.core.publish import Publisher
from engine.core.spec import FromExpression, FromPoint, TagSpec

REFUSED = reason_code("the device refuses")
KINDS = (Kind.FLOAT, Kind.INT, Kind.BOOL, Kind.TEXT, Kind.UINT)
SPECS = (
    TagSpec("None", FromPoint(0, 0), stale_after_s=2.0),
    TagSpec("Hold", FromPoint(0, 0), on_bad="hold", stale_after_s=2.0),
    TagSpec("Float", FromPoint(0, 0), on_bad="value", on_bad_value=-1, stale_after_s=2.0),
    TagSpec("Int", FromPoint(0, 1), on_bad="value", on_bad_value=7, stale_after_s=2.0),
    TagSpec("Bool", FromPoint(0, 2), on_bad="value", on_bad_value=True, stale_after_s=2.0),
    TagSpec("Text", FromPoint(0, 3), on_bad="value", on_bad_value="unknown", stale_after_s=2.0),
    TagSpec(
        "Choice", FromPoint(0, 4), choices={"Closed": 0, "Open": 1}, on_bad="value", on_bad_value="Open",
        stale_after_s=2.0,
    ),
    TagSpec("Sum", FromExpression("Float + Hold")),
    TagSpec("Anyway", FromExpression("Float + Hold", ignore_quality=True)),
    TagSpec("Held sum", FromExpression("Float * 1 + Hold"), on_bad="hold"),
    TagSpec("Safe sum", FromExpression("Float * 2 + Hold"), on_bad="value", on_bad_value=99),
)  # fmt: skip
GOOD = {
    "None": 5.0, "Hold": 5.0, "Float": 5.0, "Int": 3, "Bool": 0, "Text": "on", "Choice": "Closed", "Sum": 10.0,
    "Anyway": 10.0, "Held sum": 10.0, "Safe sum": 15.0,
}  # fmt: skip
STANDING_IN = {
    "None": None, "Hold": 5.0, "Float": -1.0, "Int": 7, "Bool": 1, "Text": "unknown", "Choice": "Open", "Sum": None,
    "Anyway": 4.0, "Held sum": 10.0, "Safe sum": 99.0,
}  # fmt: skip


class Skid:
    """One image, read or not, and what goes out of it."""

    def __init__(self, specs: tuple[TagSpec, ...] = SPECS) -> None:
        self.image = Image(KINDS)
        self.core = Core(specs, [self.image])

    def read(self, at: float, *, quality: Quality = Quality.GOOD) -> None:
        if quality is Quality.GOOD:
            for kind, value in zip(KINDS, (5.0, 3, False, "on", 0), strict=True):
                self.image.columns[kind][:] = value
        self.image.quality[:], self.image.reason[:] = quality, 0 if quality is Quality.GOOD else REFUSED
        self.image.received[:] = at
        self.core.take(0)

    def tick(self, now: float) -> dict[str, Any]:
        """What is published at this moment."""
        self.core.derive(now)
        rows = self.core.changed(now)
        return {tag["name"]: tag["value"] for tag in json.loads(Publisher(self.core.table).pack(rows, 1.8e9))}

    def quality(self, tag: str) -> Quality:
        return Quality(int(self.core.table.quality[self.core.table.row_of(tag)]))


@pytest.mark.parametrize("cause", ["bad", "stale"])
def test_what_stands_in_is_published_with_its_quality_as_it_is_until_the_value_is_back(cause: str) -> None:
    skid = Skid()
    skid.read(10.0)
    assert skid.tick(10.0) == GOOD
    if cause == "bad":
        skid.read(13.0, quality=Quality.BAD)
    assert skid.tick(13.0) == STANDING_IN
    expected = Quality.BAD if cause == "bad" else Quality.STALE
    sources = [spec.name for spec in SPECS if isinstance(spec.source, FromPoint)]
    assert {skid.quality(tag) for tag in sources} == {expected}
    assert skid.quality("Sum") >= Quality.STALE, "what stands in makes nothing good that rests on it"
    assert skid.quality("Held sum") >= Quality.STALE
    assert skid.tick(13.1) == {}, "nothing has changed"
    skid.read(13.2)
    assert skid.tick(13.2) == GOOD


def test_before_the_first_reading_there_is_nothing_to_hold() -> None:
    skid = Skid()
    first = skid.tick(10.0)
    assert first["None"] is None
    assert first["Hold"] is None
    assert first["Float"] == -1.0
    assert first["Choice"] == "Open"
    assert skid.core.table.shown(skid.core.table.row_of("Float")) == -1.0
    assert skid.core.table.value(skid.core.table.row_of("Float")) is None, "who acts on a value is given none"


def test_a_simulated_value_goes_before_what_stands_in() -> None:
    skid = Skid()
    skid.read(10.0)
    skid.tick(10.0)
    skid.core.simulate("Float", 42.0)
    skid.read(11.0, quality=Quality.BAD)
    assert skid.tick(11.0)["Float"] == 42.0
    skid.core.stop_simulating("Float")
    assert skid.tick(11.1)["Float"] == -1.0


def test_what_stands_in_survives_a_new_plan() -> None:
    skid = Skid()
    skid.read(10.0)
    skid.tick(10.0)
    skid.read(11.0, quality=Quality.BAD)
    skid.tick(11.0)
    old, skid.core = skid.core, Core(SPECS, [skid.image])
    skid.core.adopt(old)
    skid.core.take(0)
    assert skid.tick(11.1) == {}
    table = skid.core.table
    assert [table.shown(table.row_of(name)) for name in ("Hold", "Float")] == [5.0, -1.0]


def test_a_value_that_does_not_fit_what_the_device_has_is_left_out_and_named() -> None:
    specs = (replace(SPECS[2], on_bad_value="nothing"), SPECS[3])
    skid = Skid(specs)
    assert skid.core.unfit_stand_ins == ("Float: its on_bad_value is left out: it is a number, and not 'nothing'",)
    assert skid.tick(10.0) == {"Float": None, "Int": 7}


def test_what_a_device_calls_stale_is_never_the_last_good_value() -> None:
    """A device that has lost its instrument may send a substitute: it is neither published nor held."""
    skid = Skid()
    skid.read(1.0, quality=Quality.STALE)
    assert skid.tick(1.0)["Hold"] is None, "there has been no good value yet"
    skid.read(2.0)
    assert skid.tick(2.0)["Hold"] == 5.0
    for turn in range(2):
        skid.image.columns[Kind.FLOAT][:] = 77.0
        skid.read(3.0 + turn, quality=Quality.STALE)
        skid.tick(3.0 + turn)
        table = skid.core.table
        assert [table.shown(table.row_of(name)) for name in ("None", "Hold", "Float", "Sum")] == [None, 5.0, -1.0, None]
        assert table.why(table.row_of("None")) == "the device refuses"
        assert table.quality[table.row_of("Sum")] == Quality.STALE
        skid.read(3.5 + turn)
        assert skid.tick(3.5 + turn)["None"] == 5.0
