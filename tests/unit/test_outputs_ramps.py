"""How fast an output may change, and where it begins."""

from __future__ import annotations

import pytest

from engine.links import DeviceState, LinkState
from engine.outputs.ramp import Ramp
from tests.unit.unmanned_links import PUMP, desk


def test_a_ramp_is_a_matter_of_time_and_not_of_how_often_it_is_asked() -> None:
    often, seldom = Ramp(2.0, 0.0, 0.1), Ramp(2.0, 0.0, 0.1)
    for ramp in (often, seldom):
        ramp.set_out(10.0)
    for step in range(1, 81):
        often.step(10.0, 10.0 + step / 20)
    for step in range(1, 21):
        seldom.step(10.0, 10.0 + step / 5)
    assert often.position == pytest.approx(8.0)
    assert seldom.position == pytest.approx(8.0)
    assert seldom.moving
    for step in range(21, 26):
        seldom.step(10.0, 10.0 + step / 5)
    assert seldom.position == 10.0
    assert not seldom.moving


@pytest.mark.parametrize(("target", "step"), [(50, 21.0), (0, 19.0)])
@pytest.mark.parametrize("late_s", [0.2, 0.5, 8.0, 3600.0])
def test_a_late_tick_is_no_leap(late_s: float, target: float, step: float) -> None:
    here = desk({"PU01": PUMP | {"max_rate": 5}})
    here.outputs.wish("PU01", 20)
    here.pass_time(5.0)
    here.outputs.wish("PU01", target)
    here.tick(late_s)
    assert here.write() == {"PU01": pytest.approx(step)}, "two ticks of 0.1 s at most"
    here.tick()
    way = 0.5 if target > 20 else -0.5
    assert here.write() == {"PU01": pytest.approx(step + way)}, "it goes on later, and nothing is caught up"


def test_an_output_with_a_rate_goes_there_in_steps_and_the_newest_wish_is_the_target() -> None:
    here = desk({"PU01": PUMP | {"max_rate": 5}})
    here.outputs.wish("PU01", 3)
    assert here.write() == {}, "nothing moves before time has passed"
    assert [value for _, value in here.pass_time(0.6, 0.2)] == pytest.approx([1.0, 2.0, 3.0])
    assert here.outputs.written("PU01")
    here.outputs.wish("PU01", 100)
    assert here.pass_time(0.4)[-1] == ("PU01", pytest.approx(5.0))
    assert here.outputs.written("PU01") is None
    assert here.value("PU01 Status") == "on its way"
    here.outputs.wish("PU01", 3.5)
    assert [value for _, value in here.pass_time(1.0)] == pytest.approx([4.5, 4.0, 3.5])
    here.tick(1.0)
    assert here.value("PU01 Status") == "as asked"


def test_a_ramp_that_has_arrived_is_written_again_when_it_is_asked_again() -> None:
    here = desk({"PU01": PUMP | {"max_rate": 5}})
    here.outputs.wish("PU01", 2)
    here.pass_time(1.0)
    for _ in range(2):
        here.outputs.wish("PU01", 2)
        assert here.outputs.written("PU01") is None
        assert here.pass_time(1.0) == [("PU01", 2)]
        assert here.outputs.written("PU01")


def test_a_register_takes_its_next_step_when_the_ramp_has_reached_it() -> None:
    here = desk({"PU01": PUMP | {"type": "int64", "max_rate": 0.5}})
    here.outputs.wish("PU01", 2)
    steps = []
    for _ in range(40):
        here.tick()
        steps.append(here.write().get("PU01"))
    assert [(place, step) for place, step in enumerate(steps) if step is not None] == [(0, 0), (19, 1), (39, 2)]


@pytest.mark.parametrize(
    ("scale", "offset", "there", "back"),
    [
        (1, 0, [0, 1, 2, 3], [3, 2, 1, 0]),
        (0.5, 0, [0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0]),
        (0.5, -10, [20, 21, 22, 23, 24, 25, 26], [26, 25, 24, 23, 22, 21, 20]),
        (-0.5, 100, [200, 199, 198, 197, 196, 195, 194], [194, 195, 196, 197, 198, 199, 200]),
    ],
)
def test_a_ramp_on_a_register_rises_and_falls_by_steps_and_never_ahead_of_its_time(
    scale: float, offset: float, there: list[int], back: list[int]
) -> None:
    here = desk({"PU01": PUMP | {"type": "int64", "max_rate": 0.5, "scale": scale, "offset": offset}})
    for target, steps in ((3, there), (0, back)):
        here.outputs.wish("PU01", target)
        began, seen = here.now, []
        for _ in range(80):
            here.tick()
            for raw in here.write().values():
                assert isinstance(raw, int)
                seen.append(raw)
                moved = abs(raw * scale + offset - (3 - target))
                assert moved <= 0.5 * (here.now - began) + 1e-6
        assert seen == steps


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
    assert here.pass_time(2.5)[-1] == ("PU01", 10)
    here.outputs.make_safe()
    assert here.write() == {"PU01": 0}


@pytest.mark.parametrize(("direction", "first"), [("both", 40.5), ("output", 0.0)])
def test_after_a_blink_a_ramp_begins_at_what_the_device_shows_or_else_at_the_safe_value(
    direction: str, first: float
) -> None:
    here = desk({"PU01": PUMP | {"direction": direction, "max_rate": 5}})
    here.outputs.wish("PU01", 50)
    here.pass_time(10.5)
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


def test_a_ramp_goes_on_where_it_was_when_its_device_was_silent_for_a_moment() -> None:
    devices = {name: {"driver": "simulated"} for name in ("sim", "other")}
    here = desk({"PU01": PUMP | {"max_rate": 5}, "X": {"device": "other"}}, devices=devices)
    here.outputs.wish("PU01", 50)
    assert here.pass_time(2.0)[-1] == ("PU01", pytest.approx(10.0))
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
    here.pass_time(10.5)
    here.lines[0].turn(LinkState.DOWN)
    here.read("PU01", 140.0)
    here.lines[0].turn(LinkState.UP)
    here.tick()
    assert here.write() == {"PU01": pytest.approx(99.5)}
