"""Whether an output does what it was told, by what is read of it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from drivers.contract import Kind, Quality
from engine.core.spec import FromPoint, TagSpec
from engine.links import LinkState
from engine.outputs.feedback import Feedback
from engine.uod.skid import FeedbackSpec
from tests.unit.unmanned_links import PUMP, Desk, desk, errors

VALVE = {
    "VA01": {
        "device": "sim",
        "type": "bool",
        "direction": "output",
        "choices": {"Closed": 0, "Open": 1},
        "safe_value": "Closed",
        "feedback": "ZS01",
    },
    "ZS01": {"device": "sim", "type": "int64", "choices": {"Closed": 0, "Open": 1, "Moving": 2}},
}


def test_a_valve_that_does_not_follow_is_one_alarm_and_one_line_when_it_does(
    caplog: pytest.LogCaptureFixture,
) -> None:
    here = desk(VALVE)
    here.outputs.wish("VA01", "Open")
    here.write()
    for shown in (0, 2, 0, 2, 2, 2, 2):
        here.read("ZS01", shown)
        here.tick(1.0)
    assert len(errors(caplog)) == 1
    assert "VA01 was set to Open, but ZS01 has shown something else for 5 s, now Moving; look" in errors(caplog)[0]
    assert here.value("VA01 Status") == "ZS01 shows something else"
    here.read("ZS01", 1)
    here.tick(1.0)
    here.tick(1.0)
    assert errors(caplog)[1:] == ["VA01: ZS01 shows Open again, as was set"]
    assert here.value("VA01 Status") == "as asked"


def test_a_feedback_that_is_bad_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    here = desk(VALVE)
    for quality in (Quality.GOOD, Quality.BAD) * 10:
        here.read("ZS01", 1, quality)
        here.tick(1.0)
    assert errors(caplog) == []


@pytest.mark.parametrize(
    ("keys", "asked", "shown", "alarms"),
    [
        ({"type": "int64"}, 50, 50, 0),
        ({"type": "int64"}, 50, 49, 1),
        ({"type": "int64", "feedback_tolerance": 1}, 50, 49, 0),
        ({"type": "int64", "feedback_tolerance": 0}, 50, 51, 1),
        ({"type": "int64", "scale": 0.1}, 50, 501, 0),
        ({"type": "int64", "scale": 0.1}, 50, 502, 1),
        ({"type": "float32"}, 33.3, 33.3, 0),
        ({"type": "float64"}, 33.3, 33.31, 1),
    ],
)
def test_how_far_what_is_read_back_may_be_off(
    keys: dict[str, Any], asked: float, shown: float, alarms: int, caplog: pytest.LogCaptureFixture
) -> None:
    here = desk({"PU01": PUMP | {"direction": "both", "feedback_after_ms": 1000} | keys})
    here.outputs.wish("PU01", asked)
    here.write()
    for _ in range(5):
        here.read("PU01", shown)
        here.tick(0.5)
    assert [line.partition(" was set to ")[0] for line in errors(caplog)] == ["PU01"] * alarms


def test_a_feedback_may_have_another_unit(caplog: pytest.LogCaptureFixture) -> None:
    here = desk(
        {
            "PU01": PUMP | {"feedback": "ST01", "feedback_tolerance": 0.5, "feedback_after_ms": 1000},
            "ST01": {"device": "sim", "unit": ""},
        }
    )
    here.outputs.wish("PU01", 50)
    here.write()
    for shown in (0.503, 0.503, 0.503, 0.506, 0.506, 0.506):
        assert errors(caplog) == []
        here.read("ST01", shown)
        here.tick(0.7)
    assert len(errors(caplog)) == 1


def test_the_time_of_an_alarm_begins_anew_with_each_value_that_is_set(caplog: pytest.LogCaptureFixture) -> None:
    here = desk(VALVE)
    for turn in range(12):
        here.outputs.wish("VA01", ("Open", "Closed")[turn % 2])
        here.write()
        for _ in range(4):
            here.read("ZS01", 2)
            here.tick(1.0)
    assert errors(caplog) == [], "none of them had five seconds to be reached in"


def test_a_feedback_that_agreed_for_a_moment_has_its_whole_time_again(caplog: pytest.LogCaptureFixture) -> None:
    here = desk(VALVE)
    here.outputs.wish("VA01", "Open")
    here.write()
    for _ in range(4):
        for shown in (2, 2, 2, 2, 1):
            here.read("ZS01", shown)
            here.tick(1.0)
    assert errors(caplog) == []


@pytest.mark.parametrize("shown", ["Moving", "50", ""])
def test_a_text_is_no_number(shown: str) -> None:
    spec = FeedbackSpec("ZS01", 5.0, tolerance=1e9)
    assert not Feedback(spec, TagSpec("PU01", FromPoint(0, 0))).agree(50.0, shown, Kind.FLOAT)
    assert not Feedback(spec, TagSpec("PU01", FromPoint(0, 0))).agree(shown, 50.0, Kind.FLOAT)
    assert Feedback(spec, TagSpec("PU01", FromPoint(0, 0))).agree(shown, shown, Kind.TEXT)


# What a device loses, or somebody else changes


def deviating(direction: str = "both", **keys: Any) -> Desk:
    """A pump at 50 %, whose device shows 5 % since ten seconds."""
    here = desk({"PU01": PUMP | {"direction": direction} | keys})
    here.outputs.wish("PU01", 50)
    here.pass_time(12.0)
    here.read("PU01", 50.0)
    here.tick()
    for _ in range(10):
        here.read("PU01", 5.0)
        here.tick(1.0)
    return here


def test_a_value_that_its_device_has_lost_is_told_once_and_not_written_back(caplog: pytest.LogCaptureFixture) -> None:
    here = deviating()
    assert here.write() == {}, "what somebody asked for long ago is not for the engine to repeat"
    (alarm,) = errors(caplog)
    assert alarm.startswith("PU01 was set to 50, but its device has shown something else for 5 s, now 5")
    assert alarm.endswith("ask for it again if it is still wanted")
    assert here.outputs.counted() == {"output_deviations": 1}
    here.outputs.wish("PU01", 50)
    assert here.write() == {"PU01": 50}
    here.read("PU01", 50.0)
    here.tick(1.0)
    assert len(errors(caplog)) == 2
    for _ in range(10):
        here.read("PU01", 5.0)
        here.tick(1.0)
    assert here.outputs.counted() == {"output_deviations": 2}, "the second time, too"
    assert len(errors(caplog)) == 3


def test_a_safe_value_that_its_device_has_lost_is_written_again_until_it_is_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    here = desk({"PU01": PUMP | {"direction": "both"}})
    written: list[float] = []
    for second in range(60):
        here.read("PU01", 30.0)
        here.tick(1.0)
        if "PU01" in here.write():
            written.append(second)
    assert len(written) == 6
    assert written[0] == 6
    assert all(later - earlier == 10 for earlier, later in pairwise(written))
    (alarm,) = errors(caplog)
    assert alarm.endswith("its safe value is written again")
    for _ in range(60):
        here.read("PU01", 0.0)
        here.tick(1.0)
    assert here.write() == {}


def test_a_ramp_that_is_asked_again_begins_where_the_device_has_gone() -> None:
    here = deviating(max_rate=5)
    here.outputs.wish("PU01", 60)
    assert [value for _, value in here.pass_time(0.3)] == pytest.approx([5.5, 6.0, 6.5])


def test_a_momentary_output_is_written_each_time_and_never_by_the_engine(caplog: pytest.LogCaptureFixture) -> None:
    coil = {"device": "sim", "type": "bool", "direction": "both", "choices": {"Idle": 0, "Acknowledge": 1}}
    here = desk({"ACK": coil | {"momentary": True, "safe_value": "Idle"}})
    for _ in range(2):
        here.outputs.wish("ACK", "Acknowledge")
        assert here.write() == {"ACK": True}
        here.read("ACK", False)
        here.pass_time(10.0)
    assert errors(caplog) == [], "the device may reset it"
    here.outputs.wish("ACK", "Acknowledge")
    here.write()
    here.lines[0].turn(LinkState.DOWN)
    here.now += 1.0
    here.lines[0].turn(LinkState.UP)
    assert here.write() == {}, "it is not given again after a blink"
    here.outputs.pause()
    assert here.write() == {"ACK": False}
    here.outputs.resume()
    assert here.write() == {}, "nor after a pause"
