"""What is read together, and what it costs."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Kind, Point
from drivers.opcua.driver import OpcUa
from drivers.opcua.options import DeviceOptions, PointOptions
from drivers.opcua.plan import batches, make_plan

PLC = DeviceOptions(endpoint="opc.tcp://plc")


@settings(deadline=None)
@given(st.integers(0, 5000), st.integers(0, 700))
def test_batches_hold_everything_once_in_order_and_keep_the_limit(count: int, limit: int) -> None:
    items = list(range(count))
    parts = [items[part] for part in batches(count, limit)]
    assert [item for part in parts for item in part] == items
    assert all(parts)
    if limit:
        assert all(len(part) <= limit for part in parts)
        assert len(parts) == -(-count // limit)
    else:
        assert len(parts) <= 1


def _points(*nodes: tuple[str, int | None, int]) -> list[Point]:
    return [
        Point(f"T{row}", "plc", PointOptions(node=node, index=index), every_ms)
        for row, (node, index, every_ms) in enumerate(nodes)
    ]


def test_a_node_that_feeds_several_tags_is_read_once() -> None:
    plan = make_plan({"plc": PLC}, _points(("ns=2;s=A", 0, 100), ("ns=2;s=A", 1, 100), ("ns=2;s=B", None, 100)))
    assert plan.nodes_of(0) == [0, 1]
    assert plan.lines(0) == ["plc: 1 request reads 2 nodes for 3 tags"]
    assert plan.lines(1) == ["plc: 2 requests read 2 nodes for 3 tags"]


def test_cadences_are_told_apart() -> None:
    plan = make_plan({"plc": PLC}, _points(("ns=2;s=A", None, 100), ("ns=2;s=B", None, 1000)))
    assert plan.lines(0) == [
        "plc: 1 request reads 1 node for 1 tag every 100 ms",
        "plc: 1 request reads 1 node for 1 tag every 1000 ms",
    ]


def test_a_driver_plans_before_it_connects() -> None:
    declared = Point("T9", "plc", PointOptions(node="ns=2;s=C", type="uint16"), 100)
    driver = OpcUa({"plc": PLC}, [*_points(("ns=2;s=A", None, 100)), declared])
    assert driver.plan == ["plc: 1 request reads 2 nodes for 2 tags"]
    assert driver.image.kinds.tolist() == [Kind.FLOAT, Kind.UINT]
    assert OpcUa.link_name(PLC) == "opc.tcp://plc:4840"


def test_points_of_another_driver_are_no_points_of_this_one() -> None:
    with pytest.raises(TypeError, match="tag T1"):
        make_plan({"plc": PLC}, [Point("T1", "plc", PLC, 100)])


@pytest.mark.parametrize(
    ("every_ms", "limits", "known_within_s"),
    [
        (100, [2000, None, 5000], 1.9),
        (5000, [15_000], 10.0),
        (1000, [1500], 0.75),
        (100, [None], math.inf),
    ],
)
def test_a_dead_session_is_to_be_known_before_the_next_reading_finds_stale_values(
    every_ms: int, limits: list[int | None], known_within_s: float
) -> None:
    points = [
        Point(f"T{row}", "plc", PointOptions(node="ns=2;s=A"), every_ms, stale_after_ms=limit)
        for row, limit in enumerate(limits)
    ]
    assert make_plan({"plc": PLC}, points).known_within_s == [known_within_s]


def test_only_a_time_out_that_was_not_given_gives_way() -> None:
    assert PLC.answer_within_s(0.5) == 0.5
    assert PLC.answer_within_s(60) == 2.0
    assert DeviceOptions(endpoint="opc.tcp://plc", timeout_ms=2000).answer_within_s(0.5) == 2.0


def test_subscribed_rows_are_stamped_by_the_driver() -> None:
    points = [Point("T0", "plc", PointOptions(node="i=1"), 100), Point("T1", "plc", PointOptions(node="i=2"), 100)]
    points[1] = replace(points[1], options=PointOptions(node="i=2", mode="subscribe"))
    assert [group.stamps for group in make_plan({"plc": PLC}, points).groups] == [False, True]
