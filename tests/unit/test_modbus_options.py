"""Modbus options: what an author may write, and what the messages say where it cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from drivers.contract import Kind, Point
from drivers.modbus.driver import ModbusTcp
from drivers.modbus.options import PointOptions, TcpDeviceOptions
from drivers.modbus.pdu import Table


@pytest.mark.parametrize(
    ("modicon", "place"),
    [
        (40101, (Table.HOLDING, 100)),
        ("40101", (Table.HOLDING, 100)),
        (400101, (Table.HOLDING, 100)),
        (465536, (Table.HOLDING, 65_535)),
        (30001, (Table.INPUT, 0)),
        (10001, (Table.DISCRETE, 0)),
        (101, (Table.COIL, 100)),
        ("00101", (Table.COIL, 100)),
        ("010001", (Table.COIL, 10_000)),
    ],
)
def test_modicon_notation(modicon: int | str, place: tuple[Table, int]) -> None:
    assert PointOptions(modicon=modicon).place == place


@pytest.mark.parametrize("modicon", [0, 40000, 465537, 20001, 50001, 4000001, "4x101", "holding"])
def test_modicon_that_is_no_address(modicon: int | str) -> None:
    with pytest.raises(ValidationError, match=f"modicon {modicon} is not an address: use five or six digits"):
        PointOptions(modicon=modicon)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one of holding, input, coil, discrete and modicon, not none"),
        ({"holding": 1, "coil": 1}, "not holding and coil"),
        ({"coil": 1, "word_order": "CDAB"}, "a coil has no word_order"),
        ({"discrete": 1, "bit": 3}, "a discrete has no bit"),
        ({"coil": 1, "type": "uint16"}, "type is bool, not uint16"),
        ({"holding": 1, "bit": 3, "type": "int16"}, "leave out bit or type"),
        ({"holding": 65_535, "type": "float32"}, r"address 65535 \+ 2 registers runs past 65535"),
        ({"holding": 0, "type": "string"}, "a string needs length"),
        ({"holding": 0, "type": "int32", "length": 2}, "length is for strings; int32"),
        ({"holding": 0, "type": "int32", "word_order": "middle"}, "'middle' is not a word order; use ABCD"),
        ({"holding": 0, "type": "int32", "word_order": "GHEFCDAB"}, "for 4 registers, not for 2; use one of ABCD"),
        ({"holding": 65_536}, "less than or equal to 65535"),
        ({"holding": 1, "bytes": 3}, "Extra inputs are not permitted"),
        ({"holding": 1, "bits": "7-4"}, "'7-4' is no range: write the first and the last, as 4-7"),
        ({"holding": 1, "bits": "4-16"}, "less than or equal to 15"),
        ({"holding": 1, "bits": "4-7", "type": "int16"}, "leave out bit, index and type"),
        ({"coil": 1, "bits": "4-7"}, "a coil has no bits"),
        ({"holding": 65_530, "type": "float32", "index": 3}, "runs past 65535"),
    ],
)
def test_what_a_point_cannot_be(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PointOptions(**options)


def test_a_device_wide_order_holds_for_values_of_any_length() -> None:
    assert TcpDeviceOptions(host="h", word_order="word-swapped").word_order == "CDAB"
    with pytest.raises(ValidationError, match="must have four letters"):
        TcpDeviceOptions(host="h", word_order="GHEFCDAB")


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"coil": 1}, Kind.BOOL),
        ({"holding": 1, "bit": 3}, Kind.BOOL),
        ({"holding": 1}, Kind.UINT),
        ({"holding": 1, "type": "int64"}, Kind.INT),
        ({"holding": 1, "type": "float32"}, Kind.FLOAT32),
        ({"holding": 1, "type": "float64"}, Kind.FLOAT),
        ({"holding": 1, "type": "string", "length": 3}, Kind.TEXT),
    ],
)
def test_kind_of_a_point(options: dict[str, Any], kind: Kind) -> None:
    assert PointOptions(**options).data_type.kind is kind


def _point(tag: str, write: bool = False, read: bool = True, **options: Any) -> Point:
    return Point(tag, "pump", PointOptions(**options), 100, read=read, write=write)


def test_review_warns_of_overlaps_and_refuses_what_cannot_work() -> None:
    devices = {"pump": TcpDeviceOptions(host="h", max_block=2)}
    points = [
        _point("A", holding=0, type="float32"),
        _point("B", holding=1),
        _point("C", holding=0, type="float32"),
        _point("D", holding=1, bit=4),
        _point("E", input=1, write=True),
        _point("F", modicon=40101, type="float64"),
    ]
    remarks = ModbusTcp.review(devices, points)
    assert [(remark.tag, remark.key, remark.error) for remark in remarks] == [
        ("E", "input", True),
        ("F", "modicon", True),
        ("B", "holding", False),
    ]
    assert remarks[2].message.startswith("holding 1 (uint16) shares registers with")


def test_devices_on_one_host_and_port_share_a_link() -> None:
    one, two = TcpDeviceOptions(host="10.0.0.1"), TcpDeviceOptions(host="10.0.0.1", device_id=2)
    assert ModbusTcp.link_name(one) == ModbusTcp.link_name(two) == "10.0.0.1:502"
