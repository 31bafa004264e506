"""Tags that turn bad are told once, with their reason; those that flap are counted."""

from __future__ import annotations

import logging

import pytest

from drivers.contract import Image, Kind, Point, Quality
from drivers.reasons import note_explained, reason_code
from drivers.simulated import Simulated, SimulatedDevice, SimulatedPoint
from engine.core.core import Core
from engine.core.spec import FromExpression, FromPoint, TagSpec
from engine.floods import MINUTE_S
from engine.links import DeviceState, Link
from engine.quality_log import NAMED, QualityLog

REFUSED = reason_code("the device refuses: illegal data address")
INACCURATE = reason_code("the server says UncertainSensorNotAccurate")
LAST_USABLE = reason_code("the server says UncertainLastUsableValue")
COUNT = 8


class Skid:
    """Some tags of two devices on one link, the last one limited, and two derived ones."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO)
        self.caplog = caplog
        devices = [f"d{row % 2}" for row in range(COUNT)]
        points = [Point(f"T{row}", device, SimulatedPoint(), 100) for row, device in enumerate(devices)]
        self.link = Link("bus", Simulated({name: SimulatedDevice() for name in ("d0", "d1")}, points))
        self.link.devices |= {"d0": DeviceState.UP, "d1": DeviceState.UP}
        self.specs = [TagSpec(f"T{row}", FromPoint(0, row), stale_after_s=2.0) for row in range(COUNT - 1)]
        self.specs += [
            TagSpec(f"T{COUNT - 1}", FromPoint(0, COUNT - 1), stale_after_s=2.0, maximum=10),
            TagSpec("Half", FromExpression("T0 / 2")),
            TagSpec("Ratio", FromExpression("T0 / T1")),
        ]
        self.image = self.link.image
        self.core = Core(self.specs, [self.image])
        self.quality_log = QualityLog(self.core.table, [self.link])

    def look(
        self,
        now: float,
        *bad: int,
        values: float = 1.0,
        fresh: bool = True,
        quality: Quality = Quality.BAD,
        reason: int = REFUSED,
    ) -> list[str]:
        """A reading in which some rows are refused, if there is one; what is told of it."""
        self.caplog.clear()
        if fresh:
            self.image.columns[Kind.FLOAT][:] = values
            self.image.quality[:], self.image.reason[:], self.image.received[:] = Quality.GOOD, 0, now
            self.image.quality[list(bad)], self.image.reason[list(bad)] = quality, reason
            self.core.take(0)
        self.core.derive(now)
        self.turned = self.quality_log.look(now)
        return [f"{record.levelname} {record.message}" for record in self.caplog.records]


@pytest.fixture
def skid(caplog: pytest.LogCaptureFixture) -> Skid:
    return Skid(caplog)


def test_what_has_not_been_read_yet_is_no_news(skid: Skid) -> None:
    assert skid.look(10, fresh=False) == []
    assert skid.look(11) == []


def test_a_tag_that_turns_bad_is_told_once_with_its_reason_and_what_rests_on_it_is_not(skid: Skid) -> None:
    skid.look(10)
    assert skid.look(11, 0, 2) == ["WARNING T0, T2 are bad: the device refuses: illegal data address"]
    assert skid.turned == 4, "and the two that rest on T0"
    assert skid.look(12, 0, 2) == []
    assert skid.look(13, 2) == ["INFO T0, Half, Ratio are good again"]
    assert skid.look(14) == ["INFO T2 is good again"]


def test_many_tags_are_one_message_a_reason(skid: Skid) -> None:
    skid.look(10)
    assert skid.look(11, *range(COUNT - 1), values=11) == [
        f"WARNING T{COUNT - 1} is bad: above the maximum",
        f"WARNING T0, T1, T2, T3, T4 and {COUNT - 1 - NAMED} others are bad: the device refuses: illegal data address",
    ]


def test_a_fault_of_a_derived_tag_is_its_own(skid: Skid) -> None:
    skid.look(10)
    (entry,) = skid.look(11, values=0)
    assert entry.startswith("WARNING Ratio is bad: ")


def test_of_a_device_that_does_not_answer_its_state_is_in_the_error_log_already(skid: Skid) -> None:
    skid.look(10)
    skid.link.devices["d1"] = DeviceState.DOWN
    assert skid.look(13, fresh=False) == [
        "WARNING T0, T2, T4, T6 are stale: no new value for more than 2 s",
        f"INFO T1, T3, T5, T{COUNT - 1} are stale: no new value for more than 2 s",
    ]


def test_what_its_driver_has_explained_is_told_again_only_when_it_is_news(skid: Skid) -> None:
    skid.look(0)
    note_explained("T3", REFUSED)
    note_explained("T5", INACCURATE)
    assert skid.look(1, 3, 4, 5) == ["WARNING T4, T5 are bad: the device refuses: illegal data address"]
    assert skid.look(2) == ["INFO T3, T4, T5 are good again"]
    assert skid.look(100, 3) == ["WARNING T3 is bad: the device refuses: illegal data address"]


def test_a_tag_that_turns_bad_as_its_minute_ends_is_counted_within_that_minute(skid: Skid) -> None:
    skid.look(0)
    assert skid.look(1, 3) == ["WARNING T3 is bad: the device refuses: illegal data address"]
    skid.look(2)
    assert skid.look(3, 3) == []
    skid.look(60.5)
    assert skid.look(61.2, 3) == [
        "WARNING bad or stale again in the last minute: T3 1 times",
        "WARNING T3 is bad: the device refuses: illegal data address",
    ]
    assert skid.look(130, 3) == [], "nothing of the first minute is told again"


def test_a_tag_that_flaps_is_counted_and_told_once_a_minute(skid: Skid) -> None:
    skid.look(0)
    warnings = [
        entry
        for turn in range(200)
        for entry in skid.look(1 + turn, *([3] if turn % 2 else []))
        if entry.startswith("WARNING")
    ]
    told = "WARNING T3 is bad: the device refuses: illegal data address"
    again = "WARNING bad or stale again in the last minute: T3 {} times"
    assert warnings == [told, again.format(29), told, again.format(29), told, again.format(29), told]
    assert skid.look(201 + MINUTE_S) == [again.format(9), "INFO T3 is good again"]


def test_an_uncertain_value_that_is_published_is_marked_once_a_minute(skid: Skid) -> None:
    skid.look(0)
    warnings: list[str] = []
    for turn in range(90):
        rows = [3] if turn % 3 else []
        entries = skid.look(1 + turn, *rows, quality=Quality.UNCERTAIN, reason=INACCURATE)
        assert skid.turned == 0
        warnings += [entry for entry in entries if entry.startswith("WARNING")]
    said = "WARNING T3 is uncertain, and published all the same: the server says UncertainSensorNotAccurate"
    assert warnings == [said, said]


def test_a_marked_value_that_turns_stale_is_told_at_once(skid: Skid) -> None:
    skid.look(0)
    skid.look(1, 3, quality=Quality.UNCERTAIN, reason=INACCURATE)
    stale = skid.look(2, 3, quality=Quality.STALE, reason=LAST_USABLE)
    assert stale == ["WARNING T3 is stale: the server says UncertainLastUsableValue"]
    assert skid.turned == 1
    assert skid.look(3, 3, quality=Quality.UNCERTAIN, reason=INACCURATE) == []
    assert skid.look(4) == ["INFO T3 is good again"]


def test_a_new_plan_tells_nothing_anew(skid: Skid) -> None:
    skid.look(10)
    skid.look(11, 0)
    core = Core(skid.specs, [skid.image])
    core.adopt(skid.core)
    quality_log = QualityLog(core.table, [skid.link])
    quality_log.adopt(skid.quality_log)
    skid.core, skid.quality_log = core, quality_log
    assert skid.look(12, 0) == []
    assert skid.look(13) == ["INFO T0, Half, Ratio are good again"]


def test_an_image_of_other_kinds_is_looked_at_too(skid: Skid) -> None:
    skid.link.image = Image([Kind.TEXT] * COUNT)
    assert QualityLog(Core(skid.specs[:2], [skid.link.image]).table, [skid.link]).look(0) == 0
