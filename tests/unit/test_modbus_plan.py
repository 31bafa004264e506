"""Modbus plans: every point is read, within the limits of the device and of the protocol."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.contract import DriverError, Image, Point, groups_of
from drivers.modbus.driver import ModbusTcp
from drivers.modbus.options import BITS_PER_REGISTER, PointOptions, RtuDeviceOptions, TcpDeviceOptions
from drivers.modbus.plan import plan_group
from drivers.modbus.review import fields_of

TYPES = ["uint16", "int32", "float64", "bool", "string"]


def point(tag: str, every_ms: int = 100, read: bool = True, device: str = "pump", **options: Any) -> Point:
    return Point(tag, device, PointOptions(**options), every_ms, read=read)


@st.composite
def any_points(draw: st.DrawFn) -> list[Point]:
    points: list[Point] = []
    for index in range(draw(st.integers(1, 60))):
        table = draw(st.sampled_from(["holding", "input", "coil", "discrete"]))
        address = draw(st.integers(0, 600))
        if table in {"coil", "discrete"}:
            options: dict[str, Any] = {table: address}
            points.append(point(f"T{index}", **options))
            continue
        name = draw(st.sampled_from(TYPES))
        options = {table: address, "type": name}
        if name == "string":
            options["length"] = draw(st.integers(1, 8))
        points.append(point(f"T{index}", **options))
    return points


@given(any_points(), st.integers(0, 20), st.integers(8, 125))
def test_every_point_is_read_once_within_the_limits(points: list[Point], max_gap: int, max_block: int) -> None:
    device = TcpDeviceOptions(host="h", max_gap=max_gap, max_block=max_block)
    fields = fields_of({"pump": device}, points)
    image = Image([field.data_type.kind for field in fields])
    (group,) = groups_of(points)
    plan = plan_group(group, fields, device, image)
    assert sorted(field.row for block in plan.blocks for field in block.fields) == list(range(len(points)))
    for block in plan.blocks:
        weight = BITS_PER_REGISTER if block.table.is_bits else 1
        assert 1 <= block.count <= min(max_block * weight, 2000)
        assert int.from_bytes(block.request.pdu[1:3], "big") == block.address
        assert int.from_bytes(block.request.pdu[3:5], "big") == block.count
        needed = {address for field in block.fields for address in range(field.address, field.end)}
        assert needed <= set(range(block.address, block.address + block.count))
        gap = 0
        for address in range(block.address, block.address + block.count):
            gap = 0 if address in needed else gap + 1
            assert gap <= max_gap * weight
        assert 0 <= block.offset < plan.raw_size


@given(any_points(), st.integers(0, 8), st.integers(8, 125))
def test_where_answers_bear_no_number_blocks_leave_room_to_be_wider(
    points: list[Point], max_gap: int, max_block: int
) -> None:
    device = RtuDeviceOptions(port="/dev/null", max_gap=max_gap, max_block=max_block)
    fields = fields_of({"pump": device}, points)
    (group,) = groups_of(points)
    plan = plan_group(group, fields, device, Image([field.data_type.kind for field in fields]))
    assert sorted(field.row for block in plan.blocks for field in block.fields) == list(range(len(points)))
    for block in plan.blocks:
        step = 8 if block.table.is_bits else 1
        room = device.longest(block.table) - block.count
        assert room >= 0
        assert room >= step or max_gap == 0 or len(block.spans) == 1


@given(any_points(), st.data())
def test_a_part_of_a_block_stores_where_the_whole_does(points: list[Point], data: st.DataObject) -> None:
    device = TcpDeviceOptions(host="h")
    fields = fields_of({"pump": device}, points)
    (group,) = groups_of(points)
    plan = plan_group(group, fields, device, Image([field.data_type.kind for field in fields]))
    block = data.draw(st.sampled_from(plan.blocks))
    begin = data.draw(st.integers(0, len(block.spans) - 1))
    end = data.draw(st.integers(begin + 1, len(block.spans)))
    part = block.part(begin, end)
    device_memory = np.random.default_rng(1).integers(0, 256, 2048, np.uint8)
    bits = np.unpackbits(device_memory, bitorder="little")
    whole_raw, part_raw = bytearray(plan.raw_size), bytearray(plan.raw_size)
    for one, raw in ((block, whole_raw), (part, part_raw)):
        if one.table.is_bits:
            answer = np.packbits(bits[one.address : one.address + one.count], bitorder="little").tobytes()
        else:
            answer = device_memory[2 * one.address : 2 * (one.address + one.count)].tobytes()
        assert len(answer) == one.request.reply_size - 2
        one.store(raw, answer)
    width = 1 if block.table.is_bits else 2
    stored = slice(part.offset, part.offset + width * part.count)
    assert part_raw[stored] == whole_raw[stored]
    assert not any(part_raw[: stored.start])
    assert not any(part_raw[stored.stop :])


def test_plan_lines_say_what_reading_costs() -> None:
    devices = {
        "pump": TcpDeviceOptions(host="h"),
        "valve": TcpDeviceOptions(host="h", device_id=2),
        "lamp": TcpDeviceOptions(host="h", device_id=3),
    }
    points = [
        *(point(f"P{address}", holding=address) for address in range(0, 200, 2)),
        point("W", holding=500, read=False),
        point("C", coil=3),
        point("V", device="valve", input=7),
    ]
    assert list(ModbusTcp(devices, points).plan) == [
        "pump: 3 requests touch 198 registers and 1 bit for 101 tags",
        "valve: 1 request touches 1 register for 1 tag",
        "lamp: nothing to read",
    ]


def test_scan_groups_are_planned_apart_and_writing_points_not_at_all() -> None:
    points = [
        point("A", holding=0),
        point("B", 1000, holding=1),
        point("C", holding=2),
        point("W", holding=3, read=False),
    ]
    driver = ModbusTcp({"pump": TcpDeviceOptions(host="h")}, points)
    assert [(group.every_ms, group.rows.tolist()) for group in driver.groups] == [(100, [0, 2]), (1000, [1])]


def test_a_point_longer_than_a_block_is_refused() -> None:
    with pytest.raises(DriverError, match=r"pump: A \(holding 0\) takes 2 registers, more than the max_block 1"):
        ModbusTcp({"pump": TcpDeviceOptions(host="h", max_block=1)}, [point("A", holding=0, type="float32")])


def test_what_is_readable_is_read_across_any_gap_and_never_past_its_end() -> None:
    device = TcpDeviceOptions(host="h", readable={"holding": ["0-59", "60-99", "200..260"]}, max_gap=8)  # type: ignore[arg-type]
    points = [point(f"T{address}", holding=address) for address in (0, 50, 59, 60, 99, 100, 105, 200, 260)]
    fields = fields_of({"pump": device}, points)
    (group,) = groups_of(points)
    plan = plan_group(group, fields, device, Image([field.data_type.kind for field in fields]))
    assert [(block.address, block.end) for block in plan.blocks] == [
        (0, 60), (60, 100), (100, 101), (105, 106), (200, 261),
    ]  # fmt: skip
    remarks = ModbusTcp.review({"pump": device}, points)
    assert [remark.tag for remark in remarks] == ["T100", "T105"]
    assert remarks[0].message == "holding 100 is outside of what pump has as readable: correct one of them"
