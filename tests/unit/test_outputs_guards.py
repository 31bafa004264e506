"""What guards an output beside its limits: ramps, interlocks, feedbacks, control, and the engine's sign of life."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.contract import Quality
from engine.links import DeviceState, LinkState
from engine.outputs import OutputRefusedError
from engine.outputs.ramp import Ramp
from tests.unit.unmanned_links import Desk, Value

PUMP = {"device": "sim", "direction": "output", "unit": "%", "min": 0, "max": 100, "safe_value": 0}


def desk(tags: dict[str, Any], **parts: Any) -> Desk:
    """A desk with one simulated device, whose outputs have taken their safe values."""
    made = Desk({"uod": "Test", "devices": {"sim": {"driver": "simulated"}}, "tags": tags} | parts)
    made.connect()
    made.write()
    return made


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname in {"ERROR", "WARNING"}]


# Ramps


def test_a_ramp_is_a_matter_of_time_and_not_of_how_often_it_is_asked() -> None:
    often, seldom = Ramp(2.0, 0.0, 0.1), Ramp(2.0, 0.0, 0.1)
    for ramp in (often, seldom):
        ramp.set_out(10.0)
    for tick in range(1, 41):
        often.step(10.0, 10.0 + tick / 10)
    assert often.position == pytest.approx(seldom.step(10.0, 14.0)) == pytest.approx(8.0)
    assert seldom.moving
    assert seldom.step(10.0, 15.0) == 10.0
    assert not seldom.moving


def test_an_output_with_a_rate_goes_there_in_steps_and_the_newest_wish_is_the_target() -> None:
    here = desk({"PU01": PUMP | {"max_rate": 5}})
    here.outputs.wish("PU01", 3)
    assert here.write() == {}, "nothing moves before time has passed"
    steps: list[Value] = []
    for _ in range(3):
        here.tick(0.2)
        steps += here.write().values()
    assert steps == pytest.approx([1.0, 2.0, 3.0])
    assert here.outputs.written("PU01")
    here.outputs.wish("PU01", 100)
    here.tick(0.4)
    assert here.write() == {"PU01": pytest.approx(5.0)}
    assert here.outputs.written("PU01") is None
    assert here.value("PU01 Status") == "on its way"
    here.outputs.wish("PU01", 3.5)
    here.tick(1.0)
    assert here.write() == {"PU01": 3.5}
    here.tick(1.0)
    assert here.value("PU01 Status") == "as asked"


def test_a_register_takes_its_next_step_when_the_ramp_has_reached_it() -> None:
    here = desk({"PU01": PUMP | {"type": "int64", "max_rate": 0.5}})
    here.outputs.wish("PU01", 2)
    steps = []
    for _ in range(40):
        here.tick()
        steps.append(here.write().get("PU01"))
    assert [(place, step) for place, step in enumerate(steps) if step is not None] == [(19, 1), (39, 2)]


def test_a_slow_device_makes_a_ramp_slower_and_never_leap() -> None:
    here = desk({"PU01": PUMP | {"max_rate": 5}})
    here.outputs.wish("PU01", 50)
    here.tick()
    here.lines[0].take_off()
    for _ in range(30):
        here.tick()
    assert here.lines[0].land() == {0: pytest.approx(0.5)}
    here.tick()
    assert here.write() == {"PU01": pytest.approx(1.5)}, "of the three seconds without an answer, one tick counts"


def test_safe_values_know_no_ramp() -> None:
    here = desk({"PU01": PUMP | {"max_rate": 5}})
    here.outputs.wish("PU01", 10)
    here.tick(2.0)
    assert here.write() == {"PU01": 10}
    here.outputs.make_safe()
    assert here.write() == {"PU01": 0}


@pytest.mark.parametrize(("direction", "first"), [("both", 40.5), ("output", 0.0)])
def test_after_a_blink_a_ramp_begins_at_what_the_device_shows_or_else_at_the_safe_value(
    direction: str, first: float
) -> None:
    here = desk({"PU01": PUMP | {"direction": direction, "max_rate": 5}})
    here.outputs.wish("PU01", 50)
    here.tick(10.0)
    here.write()
    here.lines[0].turn(LinkState.DOWN)
    here.now += 1.0
    here.read("PU01", 40.0)
    here.lines[0].turn(LinkState.UP)
    here.tick()
    assert here.write() == {"PU01": pytest.approx(first)}
    for _ in range(101):
        here.tick()
        here.write()
    assert here.outputs.written("PU01")


# Interlocks

INTERLOCKED = {
    "LT01": {"device": "sim", "unit": "%"},
    "PU01": PUMP | {"allow_if": "LT01 > 10"},
}


def test_an_output_falls_with_its_interlock_and_does_not_rise_with_it(caplog: pytest.LogCaptureFixture) -> None:
    here = desk(INTERLOCKED)
    with pytest.raises(OutputRefusedError, match="not allowed now: LT01 > 10 has not been looked at yet"):
        here.outputs.wish("PU01", 50)
    here.read("LT01", 80.0)
    here.tick()
    here.outputs.wish("PU01", 50)
    assert here.write() == {"PU01": 50}
    here.read("LT01", 9.0)
    here.tick()
    here.tick()
    assert here.write() == {"PU01": 0}, "in the tick that saw it"
    assert errors(caplog) == ["PU01 goes to its safe value: LT01 > 10 is false"]
    here.tick(1.0)
    assert here.value("PU01 Allowed") is False
    assert here.value("PU01 Status") == "safe: LT01 > 10 is false"
    assert here.outputs.written("PU01") is False, "what was asked for is not what it does"
    with pytest.raises(OutputRefusedError, match="PU01 is not allowed now: LT01 > 10 is false"):
        here.outputs.wish("PU01", 60)
    here.outputs.wish("PU01", 0)
    here.read("LT01", 80.0)
    here.tick()
    assert here.write() == {}, "it waits to be asked"
    here.outputs.wish("PU01", 60)
    assert here.write() == {"PU01": 60}
    assert len(errors(caplog)) == 1


@pytest.mark.parametrize(("quality", "wait_s", "why"), [(Quality.BAD, 0.1, ""), (Quality.GOOD, 5.0, "no new value")])
def test_what_is_bad_or_stale_is_not_known_to_be_true(quality: Quality, wait_s: float, why: str) -> None:
    here = desk(INTERLOCKED)
    here.read("LT01", 80.0)
    here.tick()
    here.outputs.wish("PU01", 50)
    here.write()
    here.read("LT01", 80.0, quality)
    here.tick(wait_s)
    assert here.write() == {"PU01": 0}
    with pytest.raises(OutputRefusedError, match=f"LT01 > 10 is not known: .*{why}"):
        here.outputs.wish("PU01", 60)


def test_a_pause_does_not_bring_back_what_is_not_allowed_any_more(caplog: pytest.LogCaptureFixture) -> None:
    here = desk(INTERLOCKED)
    here.read("LT01", 80.0)
    here.tick()
    here.outputs.wish("PU01", 50)
    here.write()
    here.outputs.pause()
    here.read("LT01", 5.0)
    here.tick()
    here.write()
    here.outputs.resume()
    assert here.write() == {}
    assert errors(caplog) == ["PU01 stays at its safe value after the pause: LT01 > 10 is false"]


# Feedbacks

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
    assert len(errors(caplog)) == alarms


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


# Control


def test_outputs_go_safe_when_nobody_is_in_control_and_wait_to_be_asked(caplog: pytest.LogCaptureFixture) -> None:
    here = desk({"PU01": PUMP, "SP01": PUMP | {"safe_value": None}}, safe_after_ms=3000)
    here.outputs.wish("PU01", 50)
    here.outputs.wish("SP01", 7)
    here.write()
    here.connected = False
    for _ in range(29):
        here.tick()
    here.connected = True
    here.tick()
    here.connected = False
    for _ in range(29):
        here.tick()
    assert here.write() == {}
    here.tick()
    here.tick()
    assert here.write() == {"PU01": 0}
    assert errors(caplog) == ["no aggregator has been connected for 3 s: outputs go to their safe values"]
    with pytest.raises(OutputRefusedError, match="no aggregator is connected"):
        here.outputs.wish("PU01", 50)
    here.connected = True
    here.outputs.wish("PU01", 60)  # the command may come before the tick that sees who is there
    here.tick()
    assert here.write() == {"PU01": 60}
    assert len(errors(caplog)) == 2


def test_without_safe_after_ms_control_does_not_matter() -> None:
    here = desk({"PU01": PUMP})
    here.connected = False
    here.outputs.wish("PU01", 50)
    for _ in range(100):
        here.tick(60.0)
    assert here.write() == {"PU01": 50}


def test_what_was_wanted_before_a_pause_is_forgotten_with_control() -> None:
    here = desk({"PU01": PUMP}, safe_after_ms=1000)
    here.outputs.wish("PU01", 50)
    here.outputs.pause()
    here.connected = False
    here.tick(2.0)
    here.connected = True
    here.tick()
    here.write()
    here.outputs.resume()
    assert here.write() == {}


# What a device refuses


def test_a_safe_value_that_is_refused_is_tried_until_it_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    here = desk({"PU01": PUMP})
    here.outputs.wish("PU01", 50)
    here.write()
    here.outputs.make_safe()
    assert here.write("it is busy") == {"PU01": 0}
    tries = 0
    for _ in range(100):
        here.tick()
        tries += bool(here.write("it is busy"))
    assert 3 <= tries <= 20, "less and less often"
    assert len(errors(caplog)) == 1
    while not here.write():
        here.tick()
    assert here.outputs.written("PU01") is False
    for _ in range(150):
        here.tick()
    assert here.write() == {}


def test_a_wish_that_is_refused_is_not_tried_again() -> None:
    here = desk({"PU01": PUMP | {"max_rate": 5}})
    here.outputs.wish("PU01", 50)
    here.tick()
    assert here.write("it is busy") == {"PU01": pytest.approx(0.5)}
    for _ in range(100):
        here.tick()
    assert here.write() == {}
    assert here.outputs.written("PU01") is False
    assert here.value("PU01 Status") == "not known: its device refused the value written last"
    here.outputs.wish("PU01", 50)
    here.tick()
    assert here.write() == {"PU01": pytest.approx(0.5)}, "from where it was accepted last"


# The sign of life


@pytest.mark.parametrize(
    ("keys", "beats"),
    [
        ({"type": "bool", "heartbeat": "toggle"}, [False, True, False, True, False]),
        ({"type": "int64", "heartbeat": "toggle"}, [0, 1, 0, 1, 0]),
        ({"type": "uint64", "heartbeat": "counter", "max": 2}, [0, 1, 2, 0, 1]),
        ({"type": "uint64", "heartbeat": "counter", "min": 5, "max": 7}, [5, 6, 7, 5, 6]),
    ],
)
def test_a_heartbeat_goes_on_as_long_as_the_tick_does(keys: dict[str, Any], beats: list[Value]) -> None:
    here = desk({"WD01": {"device": "sim", "direction": "output"} | keys})
    seen: list[tuple[int, Value]] = []
    for tick in range(45):
        here.tick()
        seen += [(tick, beat) for beat in here.write().values()]
    assert [beat for _, beat in seen] == beats
    assert [tick for tick, _ in seen] == [0, 10, 20, 30, 40]
    assert here.value("WD01") == beats[-1]
    here.now += 60.0
    assert here.write() == {}, "no tick, no heartbeat"


def test_a_counter_stays_within_what_every_type_holds() -> None:
    here = desk({"WD01": {"device": "sim", "type": "int64", "direction": "both", "heartbeat": "counter"}})
    beats: list[Value] = []
    for _ in range(250):
        here.tick(1.0)
        beats += here.write().values()
    assert beats[:2] == [0, 1]
    assert max(beats) == 99
    assert beats.count(99) == 2


def test_a_heartbeat_pauses_with_its_link_and_is_complained_of_once(caplog: pytest.LogCaptureFixture) -> None:
    here = desk({"WD01": {"device": "sim", "type": "bool", "direction": "output", "heartbeat": "toggle"}})
    for _ in range(3):
        here.tick(1.0)
        assert here.write("read-only")
    assert len(errors(caplog)) == 1
    here.lines[0].turn(LinkState.DOWN)
    here.tick(1.0)
    here.lines[0].turn(LinkState.UP)
    assert here.write() == {}
    here.tick(1.0)
    assert here.write() == {"WD01": True}


def test_users_cannot_set_a_heartbeat_and_nothing_makes_it_safe() -> None:
    here = desk({"WD01": {"device": "sim", "type": "bool", "direction": "output", "heartbeat": "toggle"}})
    with pytest.raises(OutputRefusedError, match="WD01 is no output"):
        here.outputs.wish("WD01", True)
    here.outputs.make_safe()
    assert here.write() == {}


# Limits


@pytest.mark.parametrize(("asked", "raw"), [(0.05, 1), (99.97, 999), (50.04, 500), (50.06, 501)])
def test_rounding_to_a_register_never_leaves_the_limits(asked: float, raw: int) -> None:
    keys = {"type": "int64", "scale": 0.1, "min": 0.05, "max": 99.97, "safe_value": 1}
    here = desk({"PU01": PUMP | keys})
    here.outputs.wish("PU01", asked)
    assert here.write() == {"PU01": raw}


# A device that is silent on a link that lives


@pytest.mark.parametrize(("away_s", "after"), [(1.0, {"PU01": 50}), (3.0, {"PU01": 0})])
def test_a_silent_device_is_as_one_whose_link_is_down(away_s: float, after: dict[str, Value]) -> None:
    devices = {name: {"driver": "simulated"} for name in ("sim", "other")}
    here = desk({"PU01": PUMP, "PU02": PUMP | {"device": "other"}}, devices=devices)
    here.outputs.wish("PU01", 50)
    here.outputs.wish("PU02", 60)
    here.write()
    here.lines[0].devices["sim"] = DeviceState.DEMOTED
    here.tick()
    assert here.value("PU01") is None
    assert here.value("PU02") == 60
    with pytest.raises(OutputRefusedError, match="PU01 cannot be written: sim does not answer"):
        here.outputs.wish("PU01", 70)
    here.outputs.wish("PU02", 70)
    assert here.write() == {"PU02": 70}
    here.tick(away_s)
    here.lines[0].devices["sim"] = DeviceState.UP
    here.tick()
    assert here.write() == after


def test_a_ramp_goes_on_where_it_was_when_its_device_was_silent_for_a_moment() -> None:
    devices = {name: {"driver": "simulated"} for name in ("sim", "other")}
    here = desk({"PU01": PUMP | {"max_rate": 5}, "X": {"device": "other"}}, devices=devices)
    here.outputs.wish("PU01", 50)
    here.tick(2.0)
    assert here.write() == {"PU01": pytest.approx(10.0)}
    here.lines[0].devices["sim"] = DeviceState.DEMOTED
    here.tick(1.0)
    here.lines[0].devices["sim"] = DeviceState.UP
    here.tick()
    assert here.write() == {"PU01": pytest.approx(10.0)}, "whatever it may hold now"
    here.tick(0.2)
    assert here.write() == {"PU01": pytest.approx(11.0)}


def test_a_ramp_begins_within_the_limits_whatever_the_device_shows() -> None:
    here = desk({"PU01": PUMP | {"direction": "both", "max_rate": 5}})
    here.outputs.wish("PU01", 50)
    here.tick(10.0)
    here.write()
    here.lines[0].turn(LinkState.DOWN)
    here.read("PU01", 140.0)
    here.lines[0].turn(LinkState.UP)
    here.tick()
    assert here.write() == {"PU01": pytest.approx(99.5)}


@pytest.mark.parametrize("refusal", [None, "it is busy"])
def test_the_answer_to_an_older_value_says_nothing_of_the_newer(refusal: str | None) -> None:
    here = desk({"PU01": PUMP})
    here.outputs.wish("PU01", 50)
    here.lines[0].take_off()
    here.outputs.wish("PU01", 60)
    here.lines[0].land(refusal)
    assert here.outputs.written("PU01") is None
    assert here.value("PU01") == 0
    assert here.write() == {"PU01": 60}
    assert here.outputs.written("PU01")
    assert here.value("PU01") == 60
