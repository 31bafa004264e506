"""Simulated values: they stand over what the device says, are marked, and so is what is derived from them."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from drivers.contract import Image, Kind, Quality
from engine.core.core import Core
from engine.core.publish import Publisher
from engine.core.spec import FromEngine, FromExpression, FromPoint, Simulated, TagSpec

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
    image = sample()
    core = Core(SPECS, [image])
    tick(core)
    core.simulate("PT01", 7.0)
    assert tick(core) == {"PT01": (7.0, True), "dP": (6.0, True), "Twice": (12.0, True)}
    core.simulate("VA01", "Closed")
    assert tick(core) == {"VA01": ("Closed", True)}
    assert tick(core, 60.0) == {}, "what is simulated does not grow old"
    core.stop_simulating("VA01")
    assert tick(core, 61.0) == {"VA01": ("Open", False)}
    core.stop_simulating("PT01")
    assert tick(core, 62.0) == {"PT01": (None, False), "dP": (None, False), "Twice": (None, False)}, "but it is old"
    image.received[:] = 63.0
    assert tick(core, 63.0) == {"PT01": (5.0, False), "dP": (4.0, False), "Twice": (8.0, False)}
    core.stop_simulating("PT01")
    assert tick(core, 64.0) == {}


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


GUARDED = [
    *SPECS,
    TagSpec("Run", FromEngine(Kind.BOOL)),
    TagSpec("Pump Allowed", FromExpression("Twice < 10", is_condition=True, guards_outputs=True)),
    TagSpec("Worn out", FromExpression("integral(dP) > 100", reset_on=(), is_condition=True, guards_outputs=True)),
    TagSpec("Free", FromExpression("`Pump Allowed` and Twice < 100")),
]


def test_what_guards_outputs_sees_what_the_devices_say() -> None:
    image = sample()
    core = Core(GUARDED, [image])
    assert tick(core)["Pump Allowed"] == (True, False)
    core.simulate("PT01", 90.0)
    assert tick(core) == {"PT01": (90.0, True), "dP": (89.0, True), "Twice": (178.0, True), "Free": (False, True)}
    image.columns[Kind.FLOAT][0] = 11.0
    assert tick(core) == {"Pump Allowed": (False, False)}, "dP and Twice are computed for it once more"
    core.simulate("PT01", 2.0)
    assert "Pump Allowed" not in tick(core)
    core.stop_simulating("PT01")
    assert tick(core)["Twice"] == (20.0, False)


def test_where_it_is_asked_for_a_simulated_value_drives_outputs() -> None:
    core = Core(GUARDED, [sample()])
    tick(core)
    core.simulate("PT01", 90.0, drives_outputs=True)
    assert tick(core)["Pump Allowed"] == (False, True)
    core.simulate("PT01", 90.0)
    assert tick(core)["Pump Allowed"] == (True, False)


def test_the_total_behind_an_interlock_goes_on_in_another_process() -> None:
    image = sample()
    image.received[:] = math.inf
    core, again = Core(GUARDED, [image]), Core(GUARDED, [image])
    core.simulate("PT01", 1.0)
    tick(core, 0.0)
    assert "Worn out" not in tick(core, 20.0), "what is shown of dP is 0, what it is 4"
    assert again.remember(core.memory()) == []
    tick(again, 0.0)
    assert tick(again, 6.0)["Worn out"] == (True, False)


def test_an_expression_is_one_tick_behind_and_sees_what_is_shown() -> None:
    image = sample()
    image.received[:] = math.inf
    core = Core(SPECS, [image])
    tick(core)
    core.simulate_by("PT01", "PT01 + 1")
    assert [tick(core, now)["PT01"] for now in (1.0, 2.0, 3.0)] == [(6.0, True), (7.0, True), (8.0, True)]
    image.columns[Kind.FLOAT][0] = 50.0
    assert tick(core, 4.0)["dP"] == (8.0, True), "whatever the device says"
    core.simulate_by("PT02", "integral(PT01)")
    tick(core, 5.0)
    core.simulate("VA01", "Open")
    assert tick(core, 6.0)["PT02"] == (pytest.approx(9.5), True), "what it remembers goes on when others come and go"
    core.stop_simulating("PT01")
    assert tick(core, 7.0)["PT01"] == (50.0, False)


def test_an_expression_is_as_bad_as_what_it_rests_on() -> None:
    image = sample()
    core = Core(SPECS, [image])
    tick(core)
    core.simulate_by("PT01", "PT02 * 2")
    assert tick(core)["PT01"] == (2.0, True)
    image.quality[1] = Quality.BAD
    tick(core)
    assert tick(core)["PT01"] == (None, True)
    image.quality[1] = Quality.GOOD
    tick(core)
    assert tick(core)["PT01"] == (2.0, True)
    core.simulate_by("PT01", "1 / (PT02 - 1)")
    assert tick(core)["PT01"] == (None, True)
    assert core.table.why(core.table.row_of("PT01")) == "division by zero"


KINDS: dict[str, tuple[Kind, dict[str, int], list[tuple[float, object]]]] = {
    "Narrow": (Kind.FLOAT32, {}, [(0.1, 0.1), (1e300, None), (-2.5, -2.5)]),
    "Signed": (Kind.INT, {}, [(2.6, 3), (-(2.0**63), -(2**63)), (2.0**63, None), (-(2.0**64), None)]),
    "Unsigned": (Kind.UINT, {}, [(2.4, 2), (-1.0, None), (2.0**63, 2.0**63), (2.0**64, None)]),
    "Flag": (Kind.BOOL, {}, [(0.0, 0), (3.0, 1)]),
    "Valve": (Kind.INT, {"Shut": 0, "Ajar": 7}, [(7.0, "Ajar"), (1.0, None), (0.0, "Shut")]),
}


@pytest.mark.parametrize("name", KINDS)
def test_results_become_values_of_the_tag_or_say_why_not(name: str) -> None:
    kind, choices, results = KINDS[name]
    image = Image([kind])
    image.quality[:], image.reason[:], image.received[:] = Quality.GOOD, 0, 0.0
    core = Core([TagSpec(name, FromPoint(0, 0), choices=choices), TagSpec("X", FromEngine(Kind.FLOAT))], [image])
    core.simulate_by(name, "X > 0" if kind is Kind.BOOL else "X")
    for now, (x, shown) in enumerate(results):
        core.set("X", x)
        tick(core, float(now))
        core.derive(now + 0.5)
        row = core.table.row_of(name)
        tags = json.loads(Publisher(core.table).pack(core.everything()[row : row + 1], 1.8e9))
        assert (tags[0]["value"], tags[0]["simulated"]) == (shown, True)
        assert (core.table.why(row) == "") == (shown is not None)


def test_what_the_author_simulates_is_simulated_from_the_start_and_again_after_users_have_played() -> None:
    specs = [
        replace(SPECS[0], simulated=Simulated(expr="PT02 + 1")),
        replace(SPECS[1], simulated=Simulated(3.0)),
        *SPECS[2:],
    ]
    image = sample()
    image.quality[:] = Quality.BAD
    core = Core(specs, [image])
    assert tick(core, 0.0)["dP"] == (1.0, True)
    core.stop_simulating("PT02")
    core.simulate("VA01", "Open")
    assert tick(core, 2.0)["PT02"] == (None, False)
    core.simulate_as_authored()
    tick(core, 3.0)
    assert core.simulated == {"PT01": Simulated(expr="PT02 + 1"), "PT02": Simulated(3.0)}
    new = Core(specs, [image])
    core.stop_simulating("PT01")
    new.adopt(core)
    assert new.simulated == {"PT02": Simulated(3.0)}


def test_a_simulation_that_does_not_fit_what_a_device_has_turned_out_to_be_is_told_and_left_out() -> None:
    specs = [
        TagSpec("Word", FromPoint(0, 0), simulated=Simulated(1.5)),
        TagSpec("Other", FromPoint(0, 1), simulated=Simulated(expr="Word + 1")),
    ]
    core = Core(specs, [Image([Kind.TEXT, Kind.INT])])
    assert core.unfit_simulations == [
        "Other is not simulated: the simulation of Other: column 1: Word is a text: compare it, == 'text'"
    ]
    assert core.simulated == {"Word": Simulated(1.5)}
    before = Core(specs, [Image([Kind.FLOAT, Kind.INT], [False, False])])
    before.simulate_by("Other", "Word * 2")
    core.adopt(before)
    assert len(core.unfit_simulations) == 1, "what a user has asked for is told, too"
    assert core.simulated == {"Word": Simulated(1.5)}


def test_a_snapshot_between_two_ticks_shows_what_is_marked() -> None:
    core = Core(SPECS, [sample()])
    tick(core)
    core.simulate("PT01", 7.0)
    core.simulate("PT02", 2.0)
    row = core.table.row_of("PT01")
    assert (core.table.value(row), bool(core.table.simulated[row])) == (7.0, True)


@pytest.mark.parametrize(
    ("tag", "text", "why"),
    [
        ("dP", "1", "fed by no device"),
        ("PT01", "PT03", "no tag is named PT03"),
        ("PT01", "PT02 +", "the expression ends"),
        ("VA01", "State == 'x' and", "the expression ends"),
    ],
)
def test_expressions_that_simulate_nothing(tag: str, text: str, why: str) -> None:
    core = Core(SPECS, [sample()])
    core.simulate("PT02", 2.0)
    with pytest.raises(ValueError, match=why):
        core.simulate_by(tag, text)
    assert list(core.simulated) == ["PT02"]


@pytest.mark.parametrize(("tag", "value"), [("dP", 1.0), ("State", "Running"), ("VA01", "Ajar"), ("PT01", "high")])
def test_what_cannot_be_simulated(tag: str, value: float | str) -> None:
    core = Core(SPECS, [sample()])
    with pytest.raises(ValueError, match=tag):
        core.simulate(tag, value)
    assert not core.table.simulated.any()


def test_a_simulated_value_equal_to_the_real_one_is_published_for_its_mark_alone() -> None:
    core = Core(
        [TagSpec("A", FromPoint(0, 0)), TagSpec("B", FromPoint(0, 1)), TagSpec("C", FromPoint(0, 2))], [sample()]
    )
    tick(core)

    for _ in range(2):
        core.simulate("A", 5.0)
        assert tick(core) == {"A": (5, True)}
        assert tick(core) == {}
        core.stop_simulating("A")
        assert tick(core) == {"A": (5, False)}
        assert tick(core) == {}
