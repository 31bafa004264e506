"""What guards an output beside its limits: interlocks, control, and the engine's sign of life."""

from __future__ import annotations

from typing import Any

import pytest

from drivers.contract import Quality
from engine.links import DeviceState, LinkState
from engine.outputs import OutputRefusedError
from engine.outputs.interlock import Interlock, Interlocks
from tests.unit.unmanned_links import PUMP, Value, desk, errors

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
    assert here.write() == {"PU01": 0}, "no interlock forbids the safe value"
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


def test_a_condition_that_does_not_fit_what_its_device_has_become_permits_nothing() -> None:
    here = desk({"LT01": {"device": "sim"}}, derived={"High": {"expr": "LT01 > 10"}, "Twice": {"expr": "LT01 * 2"}})
    here.read("LT01", 80.0)
    here.tick()
    specs = {tag.name: tag for tag in here.core.table.specs}
    sound, second, unfit = (Interlock(specs[name]) for name in ("High", "High", "Twice"))
    interlocks = Interlocks([unfit, sound, second])
    for _ in range(2):
        interlocks.look(here.core)
        assert (unfit.is_true, sound.is_true, second.is_true) == (False, True, True)
    assert unfit.forbids == "LT01 * 2 is false"
    here.read("LT01", 8.0)
    here.tick()
    interlocks.look(here.core)
    assert not sound.is_true
    assert not second.is_true


def test_a_condition_that_was_true_is_not_when_its_device_has_become_another() -> None:
    before, after = (
        desk({"LT01": {"device": "sim"}}, derived={"High": {"expr": expr}}) for expr in ("LT01 > 10", "LT01 * 2")
    )
    for here in (before, after):
        here.read("LT01", 80.0)
        here.tick()
    interlock = Interlock(next(tag for tag in before.core.table.specs if tag.name == "High"))
    interlocks = Interlocks([interlock])
    interlocks.look(before.core)
    assert interlock.is_true
    interlocks.look(after.core)
    assert not interlock.is_true


def test_several_interlocks_stand_each_for_itself(caplog: pytest.LogCaptureFixture) -> None:
    levels = {f"LT0{each}": {"device": "sim", "unit": "%"} for each in (1, 2, 3)}
    here = desk(levels | {f"PU0{each}": PUMP | {"allow_if": f"LT0{each} > 10"} for each in (1, 2, 3)})
    for tag in levels:
        here.read(tag, 80.0)
    here.tick()
    for each in (1, 2, 3):
        here.outputs.wish(f"PU0{each}", 50)
    here.write()
    here.read("LT02", 5.0)
    here.tick()
    assert here.write() == {"PU02": 0}
    assert errors(caplog) == ["PU02 goes to its safe value: LT02 > 10 is false"]


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


def test_control_that_is_lost_a_second_time_makes_safe_a_second_time(caplog: pytest.LogCaptureFixture) -> None:
    here = desk({"PU01": PUMP}, safe_after_ms=3000)
    for turn in range(3):
        here.connected = True
        here.tick()
        here.outputs.wish("PU01", 50)
        assert here.write() == {"PU01": 50}
        here.connected = False
        here.pass_time(2.8)
        assert here.write() == {}
        assert here.pass_time(1.0) == [("PU01", 0)]
        assert sum("has been connected for 3 s" in line for line in errors(caplog)) == turn + 1


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


@pytest.mark.parametrize(("every_ms", "tick_s"), [(250, 0.1), (1000, 0.3), (100, 0.07)])
def test_a_heartbeat_keeps_its_pace_on_average_whatever_the_tick(every_ms: int, tick_s: float) -> None:
    tag = {
        "device": "sim",
        "type": "bool",
        "direction": "output",
        "heartbeat": "toggle",
        "heartbeat_every_ms": every_ms,
    }
    here = desk({"WD01": tag | {"heartbeat": "toggle"}}, tick_ms=round(tick_s * 1000))
    beats = len(here.pass_time(60.0, tick_s))
    assert beats == pytest.approx(60_000 / every_ms, abs=2)


def test_beats_that_are_late_are_not_caught_up() -> None:
    tag = {"device": "sim", "type": "bool", "direction": "output", "heartbeat": "toggle", "heartbeat_every_ms": 200}
    here = desk({"WD01": tag})
    here.pass_time(1.0)
    here.tick(30.0)
    assert len(here.write()) == 1
    assert len(here.pass_time(1.0)) in {4, 5}


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


@pytest.mark.parametrize("refusal", [None, "it is busy"])
def test_the_answer_to_a_value_is_not_that_to_the_same_value_asked_for_later(refusal: str | None) -> None:
    here = desk({"PU01": PUMP})
    here.outputs.wish("PU01", 50)
    here.lines[0].take_off()
    here.outputs.wish("PU01", 50)
    here.lines[0].land(refusal)
    assert here.outputs.written("PU01") is None
    assert here.write() == {"PU01": 50}
    assert here.outputs.written("PU01")


def test_only_what_somebody_has_asked_for_is_to_go_out_before_the_next_value() -> None:
    here = desk({"PU01": PUMP, "PU02": PUMP | {"max_rate": 5}})
    here.outputs.make_safe()
    assert not here.outputs.is_busy("PU01"), "a person's value takes the place of a safe one"
    here.outputs.wish("PU01", 50)
    here.outputs.wish("PU02", 50)
    here.tick()
    assert here.outputs.is_busy("PU01")
    assert not here.outputs.is_busy("PU02"), "a ramp has a new target"
    assert not here.outputs.is_busy("PU03")
    here.lines[0].take_off()
    assert not here.outputs.is_busy("PU01"), "it has gone out"
