"""What functions with a memory remember goes on in another process, and what does not fit any more is told."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Image, Kind, Quality
from engine.core.core import Core
from engine.core.spec import FromEngine, FromExpression, FromPoint, TagSpec

LASTING = (
    "integral({}) + 1",
    "since({})",
    "count({} > 0)",
    "on_time({} > 0)",
    "hold({}, {} < 0)",
    "latch({} > 5, {} < -5)",
    "count({} > 0) + integral(abs({}))",
)
FADING = ("rate({})", "ema({}, 60)", "mean({}, 60)", "delay({}, 1)", "median({}, 60)", "max_over({}, 60)")


def core_of(*texts: str, backwards: bool = False) -> Core:
    """Two tags A and B of the engine's own, and each text over both."""
    specs = [TagSpec(name, FromEngine(Kind.FLOAT)) for name in "AB"]
    for place, text in enumerate(texts):
        specs += [TagSpec(f"{name}{place}", FromExpression(text.replace("{}", name))) for name in "AB"]
    return Core(specs[::-1] if backwards else specs, [])


def tick(core: Core, now: float, a: float | None, b: float | None = 0.0) -> list[object]:
    core.set("A", a)
    core.set("B", b)
    core.derive(now)
    return [core.table.value(core.table.row_of(f"{name}{place}")) for place in range(_texts(core)) for name in "AB"]


def _texts(core: Core) -> int:
    return (len(core.table) - 2) // 2


samples = st.tuples(
    st.floats(0.001, 30.0), st.none() | st.floats(-10, 10), st.none() | st.floats(-10, 10, allow_subnormal=False)
)


@given(before=st.lists(samples, max_size=8), after=st.lists(samples, min_size=1, max_size=8), boot=st.floats(0, 1e6))
@settings(deadline=None)
def test_a_restart_is_as_if_no_time_had_passed(
    before: list[tuple[float, float | None, float | None]],
    after: list[tuple[float, float | None, float | None]],
    boot: float,
) -> None:
    lasting, now = core_of(*LASTING), 1000.0
    for gap, a, b in before:
        now += gap
        tick(lasting, now, a, b)
    restarted = core_of(*LASTING, backwards=True)
    assert restarted.remember(lasting.memory()) == []
    clock = boot
    for place, (gap, a, b) in enumerate(after):
        if place:
            now, clock = now + gap, clock + gap
        for found, expected in zip(tick(restarted, clock, a, b), tick(lasting, now, a, b), strict=True):
            assert found is None if expected is None else found == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_numbers_keep_their_last_bit() -> None:
    old, new = core_of("integral({})"), core_of("integral({})")
    tick(old, 0.0, 0.1, math.pi * 1e-300)
    tick(old, 0.3, 0.2, math.pi * 1e-300)
    shown = tick(old, 0.3, 0.2)
    assert new.remember(old.memory()) == []
    assert tick(new, 77.0, 5.0) == shown
    assert new.memory() == old.memory()


@pytest.mark.parametrize("text", FADING)
def test_what_fades_begins_anew(text: str) -> None:
    old, new, blank = core_of(text), core_of(text), core_of(text)
    for now in range(5):
        tick(old, float(now), float(now * now))
    assert new.remember(old.memory()) == []
    for now in (9.0, 9.5, 10.5):
        assert tick(new, now, now) == tick(blank, now, now)


def test_what_was_settled_stays_and_has_to_be_different_anew() -> None:
    old, new = core_of("debounce({} > 0, 10)"), core_of("debounce({} > 0, 10)")
    for now, a in ((0.0, 1.0), (1.0, 1.0), (2.0, -1.0), (9.0, -1.0)):
        tick(old, now, a)
    new.remember(old.memory())
    assert [tick(new, now, -1.0)[0] for now in (20.0, 29.9, 30.0)] == [True, True, False]


def test_what_was_never_measured_is_not_remembered_as_a_number() -> None:
    old, new = core_of("since({})", "hold({}, {} < 0)"), core_of("since({})", "hold({}, {} < 0)")
    tick(old, 0.0, None, None)
    assert new.remember(old.memory()) == []
    assert tick(new, 1.0, 7.0, 8.0) == [0.0, 0.0, 7.0, 8.0]


def test_only_what_still_fits_is_taken() -> None:
    def core(unit: str, **texts: str) -> Core:
        specs = [TagSpec("FT01", FromEngine(Kind.FLOAT), unit=unit)]
        specs += [TagSpec(name, FromExpression(text), unit="L") for name, text in texts.items()]
        specs.append(TagSpec("Hours", FromExpression("on_time(FT01 > 0)"), unit="h"))
        return Core(specs, [])

    def ticks(core: Core, start: float) -> dict[str, object]:
        for now in (start, start + 3600):
            core.set("FT01", 2.0)
            core.derive(now)
        return {name: core.table.value(core.table.row_of(name)) for name in core.table.names if name != "FT01"}

    old = core("L/h", V="integral(FT01)", Gone="integral(FT01)", Other="integral(FT01)")
    ticks(old, 0.0)
    new = core("L/h", V="integral(FT01)", Other="integral(FT01 * 2)", New="integral(FT01)")
    assert sorted(new.remember(old.memory())) == [
        "Gone: nothing of this name has a memory now; what it remembered is dropped",
        "Other: was integral(FT01) [L] of FT01 [L/h], and is now integral(FT01 * 2) [L] of FT01 [L/h]: it begins anew",
    ]
    assert ticks(new, 50.0) == pytest.approx({"V": 4.0, "Other": 4.0, "New": 2.0, "Hours": 2.0})
    other_unit = core("m3/h", V="integral(FT01)")
    assert "Hours: was on_time(FT01 > 0) [h] of FT01 [L/h], and is now on_time(FT01 > 0) [h] of FT01 [m3/h]" in str(
        other_unit.remember(old.memory())
    )
    assert ticks(other_unit, 0.0)["V"] == pytest.approx(2000.0)


def test_it_outlives_the_plan_in_which_a_type_is_not_known_yet() -> None:
    specs = [
        TagSpec("Valve", FromPoint(0, 0)),
        TagSpec("State", FromPoint(0, 1)),
        TagSpec("Openings", FromExpression("count(Valve)")),
        TagSpec("Busy", FromExpression("on_time(State == 'busy')")),
    ]

    def core(kinds: list[Kind], learned: bool) -> tuple[Core, Image]:
        image = Image(kinds, [learned] * 2)
        return Core(specs, [image]), image

    def ticks(core: Core, image: Image) -> list[object]:
        image.quality[:], image.reason[:] = Quality.GOOD, 0
        image.columns[Kind.TEXT][:] = "busy"
        for now, is_open in enumerate((False, True, True)):
            image.columns[Kind.BOOL][:] = is_open
            core.take(0)
            core.derive(float(now))
        return [core.table.value(core.table.row_of(name)) for name in ("Openings", "Busy")]

    known = [Kind.BOOL, Kind.TEXT]
    first, image = core(known, learned=True)
    assert ticks(first, image) == [1, 2]
    at_start, _ = core([Kind.FLOAT, Kind.FLOAT], learned=False)
    assert at_start.remember(first.memory()) == []
    at_start.derive(0.0)
    connected, image = core(known, learned=True)
    connected.adopt(at_start)
    assert ticks(connected, image) == [2, 4]


def test_what_is_no_memory_is_refused_and_nothing_is_taken() -> None:
    core = core_of("integral({})")
    tick(core, 0.0, 1.0)
    tick(core, 1.0, 1.0)
    good = core.memory()
    for bad in (
        b"",
        b"[]",
        b"{}",
        good[:-1],
        good.replace(b'"format":1', b'"format":9'),
        good.replace(b"[1.0,", b"["),
        good.replace(b"[1.0,", b'["x",'),
        good.replace(b"[1.0,", b"[[1.0],"),
    ):
        with pytest.raises(ValueError, match="no memory of derived tags"):
            core.remember(bad)
    other = good.replace(b'"total"', b'"sum"')
    assert core.remember(other) == [
        f"{name}0: was kept by a version that remembers otherwise: it begins anew" for name in "AB"
    ]
    assert core.memory() == good


def test_a_core_without_memory() -> None:
    core = core_of("{} * 2")
    assert core.remember(core.memory()) == []
    assert [line.split(":")[0] for line in core.remember(core_of("integral({})").memory())] == ["A0", "B0"]
