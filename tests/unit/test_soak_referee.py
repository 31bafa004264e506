"""The judge of the soak has to find each kind of fault that it is there for: here an engine commits them."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest

from tests.soak.cadence import Cadence, cadences
from tests.soak.faults import CALM_S, KINDS, WARM_UP_S, counted, drawn
from tests.soak.growth import growth
from tests.soak.points import DIFFERENCE, SoakTag, soak_tags
from tests.soak.referee import USEFUL_S, Referee
from tests.soak.shown import Shown, Span, lit
from uod_examples.skid import Frame, Showing
from uod_examples.skid.model import SkidModel

TAGS = {tag.name: tag for tag in soak_tags()}
SPEED = TAGS["plc PU01"]
STEP_S = 0.05
ARRIVES_S = 0.01


class Skid:
    """A model and one server, on a clock of its own; the server shows a frame a hundredth of a second later."""

    def __init__(self) -> None:
        self.model = SkidModel(noise=False)
        self.now = 0.0
        self.showings: list[Showing] = []
        self.server = Shown(self.showings)
        self._show()

    def go(self, seconds: float, **values: float) -> None:
        """Write setpoints, and let time pass."""
        self.model.write(values)
        for _ in range(round(seconds / STEP_S)):
            self._show()
            self.model.step(STEP_S)
            self.now += STEP_S

    def _show(self) -> None:
        frame = Frame(len(self.showings), self.now, self.model.values())
        self.showings.append(Showing(frame, self.now, self.now + ARRIVES_S))


def follow(skid: Skid, *tags: SoakTag) -> Referee:
    return Referee(tags, {"plc": skid.server, "box": skid.server, "peer": skid.server})


def settled(referee: Referee, skid: Skid) -> dict[str, int]:
    """Kind -> how many faults, once suspects are decided upon."""
    referee.settle(skid.now + 10.0)
    return dict(referee.verdict.counts)


def test_a_frame_can_be_read_from_when_it_is_sent_until_the_next_one_is_surely_shown() -> None:
    skid = Skid()
    skid.go(1.0)
    skid.go(1.0, PU01=40.0)
    changed = next(showing for showing in skid.showings if showing.frame.values["PU01"] == 40.0)
    assert {values["PU01"] for values in skid.server.between(0.5, changed.sent - 0.001)} == {0.0}
    assert {values["PU01"] for values in skid.server.between(changed.sent, changed.held - 0.001)} == {0.0, 40.0}
    assert {values["PU01"] for values in skid.server.between(changed.held + 0.001, 2.0)} == {40.0}


def test_what_a_server_has_not_confirmed_may_still_be_the_frame_before() -> None:
    skid = Skid()
    skid.go(1.0)
    skid.go(0.05, PU01=40.0)
    skid.showings[-1].held = math.inf
    assert {values["PU01"] for values in skid.server.between(5.0, 6.0)} == {0.0, 40.0}


def test_in_the_dark_nothing_is_read() -> None:
    assert lit(0.0, 10.0, [Span(2.0, 3.0), Span(8.0)]) == [(0.0, 2.0), (3.0, 8.0)]
    assert lit(4.0, 5.0, [Span(3.0, 6.0)]) == []
    skid = Skid()
    skid.go(5.0)
    skid.server.dark_places["PU01"] = [Span(0.0)]
    assert not list(skid.server.between(1.0, 4.0, "PU01"))
    assert list(skid.server.between(1.0, 4.0, "FT01"))


def test_an_honest_engine_is_found_to_be_honest() -> None:
    skid = Skid()
    referee = follow(skid, *(tag for tag in TAGS.values() if tag.bus != "peer"))
    chance = random.Random(1)
    for _ in range(100):
        skid.go(0.1, PU01=round(chance.uniform(0, 100), 1), VA01=True, VA02=True)
        read = skid.showings[-2].frame.values
        published = {name: tag.shown(read) for name, tag in TAGS.items() if tag.bus != "peer"}
        published[DIFFERENCE] = published["box PT01_input"] - published["box FT01"]  # type: ignore[operator]
        referee.take(published, skid.now, skid.now)
    assert settled(referee, skid) == {}
    assert referee.verdict.published == 100 * sum(tag.bus != "peer" for tag in TAGS.values())
    assert referee.verdict.prompt > 0


@pytest.mark.parametrize("wrong", [41.0, 40.0001, "40.0", True])
def test_a_value_that_was_never_shown_is_wrong(wrong: float | str) -> None:
    skid = Skid()
    referee = follow(skid, SPEED)
    skid.go(1.0, PU01=40.0)
    referee.take({SPEED.name: wrong}, skid.now, skid.now)
    assert settled(referee, skid)["wrong"] == 1


def test_the_value_of_another_tag_is_wrong() -> None:
    skid = Skid()
    tag = TAGS["box FQ01"]
    referee = follow(skid, tag)
    skid.go(1.0)
    referee.take({tag.name: TAGS["box PC01"].shown(skid.model.values())}, skid.now, skid.now)
    assert settled(referee, skid)["wrong"] == 1


def test_a_value_that_is_too_old_is_wrong_when_it_is_published() -> None:
    skid = Skid()
    referee = follow(skid, SPEED)
    skid.go(1.0, PU01=40.0)
    skid.go(USEFUL_S + 0.5, PU01=50.0)
    referee.take({SPEED.name: 40.0}, skid.now, skid.now)
    assert settled(referee, skid)["wrong"] == 1


def test_a_value_that_nobody_can_have_confirmed_is_stale_even_if_it_is_still_true() -> None:
    skid = Skid()
    referee = follow(skid, SPEED)
    skid.go(1.0, PU01=40.0)
    referee.take({SPEED.name: 40.0}, skid.now, skid.now)
    referee.sick["plc"].append(Span(skid.now))
    skid.server.dark.append(Span(skid.now))
    skid.go(USEFUL_S)
    referee.judge(skid.now, skid.now)
    assert settled(referee, skid) == {}
    skid.go(0.5)
    referee.judge(skid.now, skid.now)
    assert settled(referee, skid) == {"stale": 1}
    referee.take({SPEED.name: None}, skid.now, skid.now)
    assert settled(referee, skid) == {"stale": 1}, "null is what it has to be"


def test_a_change_that_does_not_get_out_is_lost() -> None:
    skid = Skid()
    referee = follow(skid, SPEED)
    skid.go(3.0, PU01=40.0)
    referee.take({SPEED.name: 40.0}, skid.now, skid.now)
    skid.go(0.4, PU01=50.0)
    referee.judge(skid.now, skid.now)
    assert settled(referee, skid) == {}, "it has as long as a reading and a tick"
    skid.go(0.6)
    referee.judge(skid.now, skid.now)
    assert settled(referee, skid) == {"lost": 1}


def test_a_null_on_a_sound_link_is_a_lost_value() -> None:
    skid = Skid()
    referee = follow(skid, SPEED)
    skid.go(3.0, PU01=40.0)
    referee.take({SPEED.name: None}, skid.now, skid.now)
    assert settled(referee, skid) == {"lost": 1}


def test_a_busy_computer_and_a_sick_link_have_more_time() -> None:
    skid = Skid()
    busy, sick = follow(skid, SPEED), follow(skid, SPEED)
    skid.go(3.0, PU01=40.0)
    busy.strain.append(Span(skid.now, skid.now + 0.2))
    sick.sick["plc"].append(Span(skid.now))
    for referee in (busy, sick):
        referee.take({SPEED.name: 40.0}, skid.now, skid.now)
    skid.go(1.0, PU01=50.0)
    for referee in (busy, sick):
        referee.judge(skid.now, skid.now)
        assert settled(referee, skid) == {}
    assert busy.verdict.strained == 1
    skid.go(3.0)
    busy.judge(skid.now, skid.now)
    sick.judge(skid.now, skid.now)
    assert settled(busy, skid) == {"lost": 1}
    assert settled(sick, skid) == {"stale": 1}


@pytest.mark.parametrize(("difference", "found"), [(-1.5, {}), (-1.4, {"derived": 1}), (None, {"derived": 1})])
def test_a_derived_reading_is_of_the_same_tick_as_what_it_rests_on(
    difference: float | None, found: dict[str, int]
) -> None:
    skid = Skid()
    skid.go(1.0)
    referee = follow(skid)
    referee.take({"box PT01_input": 0.5, "box FT01": 2.0, DIFFERENCE: difference}, skid.now, skid.now)
    assert settled(referee, skid) == found


def test_a_deadband_holds_back_changes_but_makes_nothing_up() -> None:
    tag = TAGS["plc LT01"]
    assert tag.matches(50.0, 50.04)
    assert not tag.matches(50.0, 50.06)
    assert not tag.matches(50.0, 50.04, exactly=True)


def test_a_leak_is_found_and_a_fault_that_takes_its_share_for_a_time_is_not() -> None:
    chance = random.Random(1)
    noise = [(float(second), 100.0 + chance.uniform(-0.5, 0.5)) for second in range(600)]
    leak = [(second, value + second / 100) for second, value in noise]
    spikes = [(second, value + (20.0 if 100 < second < 180 else 0.0)) for second, value in noise]
    assert growth("MiB", noise, 4.0).passed
    assert growth("MiB", spikes, 4.0).passed
    found = growth("MiB", leak, 4.0)
    assert not found.passed
    assert found.grown == pytest.approx(6.0, abs=0.3)


def test_faults_are_the_same_for_a_seed_and_leave_a_calm_beginning_and_end() -> None:
    assert drawn(7, 180.0) == drawn(7, 180.0) != drawn(8, 180.0)
    faults = drawn(7, 3600.0)
    assert set(counted(faults)) == {kind for kinds in KINDS.values() for kind in kinds}
    assert all(fault.at >= WARM_UP_S and fault.at + fault.lasts <= 3600.0 - CALM_S for fault in faults)
    for where in {fault.where for fault in faults}:
        mine = [fault for fault in faults if fault.where == where]
        assert all(before.at + before.lasts < after.at for before, after in pairwise(mine))


def test_readings_are_counted_only_while_all_is_sound() -> None:
    cadence = Cadence("plc", 10.0)
    for second in range(41):
        cadence.take({"plc reads": 1000 + 10 * second - (5 if second > 7 else 0)}, float(second), 0.0)
    cadence.settle(100.0, lambda _bus, start, _end: start != 2.0)
    assert cadence.due == pytest.approx(390.0)
    assert cadence.judged
    assert cadence.share == pytest.approx(385 / 390)
    assert {each.bus: round(each.per_s) for each in cadences(list(TAGS.values()))} == {"plc": 13, "box": 25, "peer": 13}


def test_no_reading_is_due_while_the_engine_has_no_processor() -> None:
    cadence = Cadence("plc", 10.0)
    cadence.take({"plc reads": 0}, 0.0, 5.0)
    cadence.take({"plc reads": 700}, 100.0, 35.0)
    cadence.settle(200.0, lambda _bus, _start, _end: True)
    assert cadence.due == pytest.approx(700.0)
    assert cadence.share == pytest.approx(1.0)
