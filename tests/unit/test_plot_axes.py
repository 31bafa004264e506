"""Which values share an axis, and how axes follow their values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drivers.contract import Kind
from engine.core.core import Core
from engine.core.spec import Direction, FromEngine, TagSpec
from engine.core.table import TagKind
from engine.plots.axes import axes_of
from engine.plots.seen import PlotAxes
from engine.uod.draft import draft_of
from engine.uod.resolve import resolve
from engine.uod.skid import Skid
from protocol.models import PlotConfiguration

SPAN = tuple[float, float]


def skid(**tags: Mapping[str, Any]) -> Skid:
    draft, _ = draft_of(
        {
            "uod": "Test",
            "devices": {"sim": {"driver": "simulated"}},
            "tags": {name: {"device": "sim", **keys} for name, keys in tags.items()},
            "process_values": list(tags),
        }
    )
    assert draft is not None
    found, findings = resolve(draft, "test.yaml")
    assert found is not None, findings
    return found


def core(**kinds: Kind) -> Core:
    """A table in which a test can set what it wants."""
    return Core([TagSpec(name, FromEngine(kind), direction=Direction.NA) for name, kind in kinds.items()], [])


def spans(plots: PlotConfiguration) -> dict[str, SPAN]:
    return {axis.label: (axis.y_min, axis.y_max) for plot in plots.sub_plots for axis in plot.axes}


def test_units_that_are_spelled_differently_share_an_axis() -> None:
    found = axes_of(
        skid(A={"unit": "L/h"}, B={"unit": "degC"}, C={"unit": "l/h"}, D={"unit": "°C"}, E={"unit": "K"}), {}
    )
    assert [(axis.label, axis.tags) for axis in found] == [("L/h", ("A", "C")), ("degC", ("B", "D")), ("K", ("E",))]


def test_a_value_without_a_unit_has_an_axis_of_its_own_and_a_text_has_none() -> None:
    kinds = {"On": TagKind.BOOL, "Run": TagKind.BOOL, "Label": TagKind.TEXT}
    found = axes_of(skid(A={}, B={}, On={}, Label={}, Run={}), kinds)
    assert [(axis.label, axis.tags) for axis in found] == [("A", ("A",)), ("B", ("B",)), ("on = 1", ("On", "Run"))]


def test_the_authors_limits_are_the_axis_unless_they_are_those_of_a_type() -> None:
    found = axes_of(
        skid(
            A={"unit": "L/h", "min": -5, "max": 20},
            B={"unit": "L/h", "max": 60},
            C={"unit": "bar", "min": -32768, "max": 32767},
            D={"unit": "%", "min": 10},
        ),
        {},
    )
    assert [axis.start for axis in found] == [(-5.0, 60.0), (0.0, 10.0), (0.0, 100.0)]


def test_no_more_than_four_plots_stand_above_each_other() -> None:
    many = PlotAxes(skid(**{unit: {"unit": unit} for unit in ("bar", "L/h", "degC", "%", "pH", "rpm")})).configuration()
    assert [[axis.label for axis in plot.axes] for plot in many.sub_plots] == [
        ["bar", "L/h"],
        ["degC"],
        ["%", "pH"],
        ["rpm"],
    ]
    assert len({axis.color for plot in many.sub_plots for axis in plot.axes}) == 6


def test_axes_grow_with_their_values_and_are_told_seldom() -> None:
    plots, table = PlotAxes(skid(A={"unit": "L/h"}, B={"unit": "bar", "max": 4})), core(A=Kind.FLOAT, B=Kind.INT)
    assert not plots.look(table.table, 0.0), "nothing is known yet"
    table.set("A", 90.0)
    table.set("B", 3)
    assert not plots.look(table.table, 1.0), "all of it fits"
    table.set("A", 530.0)
    assert not plots.look(table.table, 1.5), "it is not looked at twice a second"
    assert plots.look(table.table, 2.0)
    assert spans(plots.configuration()) == {"L/h": (0.0, 700.0), "bar": (0.0, 4.0)}
    table.set("A", 900.0)
    table.set("B", 5)
    assert not plots.look(table.table, 4.0), "it was told two seconds ago"
    assert plots.look(table.table, 12.0)
    assert spans(plots.configuration()) == {"L/h": (0.0, 1200.0), "bar": (0.0, 7.0)}


def test_a_value_that_does_not_hold_moves_no_axis() -> None:
    plots, table = PlotAxes(skid(A={"unit": "L/h"})), core(A=Kind.FLOAT)
    table.set("A", 5_000.0)
    table.set("A", None)
    assert not plots.look(table.table, 0.0)
    assert spans(plots.configuration()) == {"L/h": (0.0, 100.0)}


def test_an_axis_without_limits_shrinks_to_values_that_would_look_flat() -> None:
    plots, table = PlotAxes(skid(A={"unit": "L/h"}, B={"unit": "rpm", "max": 100})), core(A=Kind.FLOAT, B=Kind.FLOAT)
    table.set("A", 0.4)
    table.set("B", 0.4)
    assert plots.look(table.table, 0.0)
    assert spans(plots.configuration()) == {"L/h": (0.0, 0.5), "rpm": (0.0, 100.0)}


def test_the_record_of_a_run_fits_the_values_of_that_run() -> None:
    plots, table = PlotAxes(skid(A={"unit": "degC", "min": -50, "max": 200})), core(A=Kind.FLOAT)
    table.set("A", 120.0)
    plots.look(table.table, 0.0)
    plots.begin_run()
    for now, value in ((1.0, 20.2), (2.0, 23.7)):
        table.set("A", value)
        plots.look(table.table, now)
    assert spans(plots.configuration_of_run()) == {"degC": (20.0, 24.0)}
    assert spans(plots.configuration()) == {"degC": (-50.0, 200.0)}
