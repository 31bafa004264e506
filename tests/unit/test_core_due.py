"""A program runs when something that it reads is new, or time alone changes what it gives; and no result differs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Kind
from engine.core.core import Core
from engine.core.spec import FromEngine, FromExpression, TagSpec

TEXTS = {
    "Sum": "A + B",
    "Twice": "Sum * 2",
    "Grown": "since(A) + Twice",
    "Times": "count(A > 0)",
    "Kept": "hold(B, A > 1)",
    "On": "latch(A > 1, B > 1)",
    "Total": "integral(B)",
    "Late": "delay(A, 1)",
    "Of total": "where(On, Total, Kept)",
    "Quotient": "B / A",
    "Anyway": "A + 1",
    "Text": "State == 'on' or Quotient > 0",
    "Fixed": "2 * 3",
}


def core_of() -> Core:
    specs = [TagSpec("A", FromEngine(Kind.FLOAT)), TagSpec("B", FromEngine(Kind.INT))]
    specs.append(TagSpec("State", FromEngine(Kind.TEXT)))
    specs += [TagSpec(name, FromExpression(text, name == "Anyway")) for name, text in TEXTS.items()]
    return Core(specs, [])


small = st.none() | st.integers(-1, 2)


@given(
    st.lists(
        st.tuples(
            st.fixed_dictionaries({}, optional={"A": small, "B": small, "State": st.sampled_from(("on", "off"))}),
            st.sampled_from((0.0, 0.1, 0.7)),
            st.sampled_from(((), (), (), ("Grown", "Times"), ("Total", "On", "Kept"))),
        ),
        max_size=15,
    )
)
@settings(deadline=None)
def test_nothing_differs_from_running_everything_in_every_tick(
    turns: list[tuple[dict[str, int | str | None], float, tuple[str, ...]]],
) -> None:
    lazy, busy = core_of(), core_of()
    now = 0.0
    for values, gap, begin_anew in turns:
        now += gap
        for core in (lazy, busy):
            for name, value in values.items():
                core.set(name, value)
            core.reset(begin_anew)
        busy._derived.renew()
        lazy.derive(now)
        busy.derive(now)
        for row in core.everything().tolist():
            assert lazy.table.last_value(row) == busy.table.last_value(row)
            assert lazy.table.quality[row] == busy.table.quality[row]
            assert lazy.table.why(row) == busy.table.why(row)
        assert lazy.changed(now).tolist() == busy.changed(now).tolist()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, {"Total", "Late", "Of total"}),
        ({"A": 5.0}, {"Total", "Late", "Of total"}),
        ({"B": 7}, set(TEXTS) - {"Times", "Anyway", "Fixed"}),
        ({"State": "on"}, {"Total", "Late", "Of total", "Text"}),
        ({"A": None}, set(TEXTS)),
    ],
)
def test_what_runs(values: dict[str, float | str | None], expected: set[str]) -> None:
    core = core_of()
    for name, value in {"A": 5.0, "B": 2, "State": "off"}.items():
        core.set(name, value)
    for now in (0.0, 1.0):
        core.derive(now)
    for name, value in values.items():
        core.set(name, value)
    core.derive(2.0)
    assert {name for program in core._derived._programs if program.has_run for name in program.names} == expected
