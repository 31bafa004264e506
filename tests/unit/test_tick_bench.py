"""What the bench of the tick measures is the real thing: an engine's own tick that publishes what has changed."""

from __future__ import annotations

from bench.tick_skidlink import engine_of, marks, tick


def test_its_ticks_and_marks_cost_something() -> None:
    assert 0 < marks({})["us"] < tick({"tags": 50, "every": 10, "ticks": 5})["us"]


def test_its_engine_has_the_tags_that_are_asked_for() -> None:
    engine = engine_of(30, 5)
    assert [tag.name for tag in engine.skid.tags] == [*(f"T{row}" for row in range(30)), "D", "V", "box Status"]
    assert engine.skid.tick_s == 0.005
