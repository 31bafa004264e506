"""What the OPC UA driver writes, and what it refuses to write, against asyncua's server."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator
from typing import Any

import pytest
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import InternalSession

from tests.system.opcua_server import SkidServer, opened, points, skid_node, ua
from tests.system.opcua_values import GUID, VALUES, V, values_server


@pytest.fixture(scope="module")
def plc() -> Iterator[SkidServer]:
    """A server that the tests of this module share; each adds nodes of its own."""
    with values_server() as server:
        yield server


WRITES: list[tuple[str, Any, Any]] = [
    ("bool", False, False),
    ("int16", 32767, 32767),
    ("uint16", 65535, 65535),
    ("int32", 5.0, 5),
    ("int64", -(2**63), -(2**63)),
    ("uint64", 2**64 - 1, 2**64 - 1),
    ("float", 0.1, 0.10000000149011612),
    ("double", 7, 7.0),
    ("string", "läuft", "läuft"),
    ("time", "2026-11-22T12:00:00Z", datetime.datetime(2026, 11, 22, 12, 0, tzinfo=datetime.UTC)),
    ("guid", str(GUID), GUID),
    ("bytes", "0aff", b"\x0a\xff"),
    ("localized", "steht", ua.LocalizedText("steht")),
]


async def test_writes_take_the_type_of_the_node_and_no_time(plc: SkidServer) -> None:
    for name, _, _ in WRITES:
        value, variant_type, _, _ = VALUES[name]
        plc.add(f"w_{name}", value, variant_type)
    on = points(*(skid_node(f"w_{name}") for name, _, _ in WRITES), write=True)
    async with opened(plc.endpoint, on) as driver:
        assert await driver.write({row: value for row, (_, value, _) in enumerate(WRITES)}) == {}
        for name, _, expected in WRITES:
            found = plc.get(f"w_{name}")
            assert found.Value is not None
            assert (name, found.Value.Value) == (name, expected)
            assert found.Value.VariantType is VALUES[name][1]
            assert found.SourceTimestamp is None
        await driver.read(0)
        assert driver.image.value(5) == 2**64 - 1


async def test_an_element_is_not_written_over_its_array(plc: SkidServer) -> None:
    plc.add("w_array", [1, 2, 3], V.Int32)
    on = points(skid_node("w_array", index=1), skid_node("w_array"), write=True)
    async with opened(plc.endpoint, on) as driver:
        refused = await driver.write({0: 7, 1: 7})
        assert refused[1] == "the node is an array: give the element to read, as index: 0"
        await driver.read(0)
        assert refused[0].startswith("the server cannot write one element")  # asyncua's would replace the array
        assert driver.image.value(0) == 2


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("bool", 1, "takes true or false, not 1"),
        ("int16", 32768, "is Int16 and takes -32768 to 32767, not 32768"),
        ("int16", 1.5, "takes a whole number, not 1.5"),
        ("int16", True, "takes a whole number, not True"),
        ("uint16", -5, "is UInt16 and takes 0 to 65535, not -5"),
        ("uint64", 2**64, "is UInt64 and takes 0 to 18446744073709551615, not 18446744073709551616"),
        ("int64", "5", "takes a whole number, not '5'"),
        ("float", 1e39, "is Float and takes numbers up to 3.40282e+38, not 1e+39"),
        ("float", 16_777_217, "is Float and cannot hold the whole number 16777217 exactly"),
        ("double", math.nan, "takes a number, not nan"),
        ("string", 5, "takes a text, not 5"),
        ("status", "Good", "is of type StatusCode, which cannot be written"),
    ],
)
async def test_a_value_that_does_not_fit_is_refused(plc: SkidServer, name: str, value: Any, why: str) -> None:
    async with opened(plc.endpoint, points(skid_node(name), write=True)) as driver:
        before = plc.get(name).Value
        assert await driver.write({0: value}) == {0: f"the node ns={plc.index};s={name} {why}"}
        assert plc.get(name).Value == before


async def test_writes_keep_their_order_on_a_server_that_takes_few(
    plc: SkidServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    write = InternalSession.write

    async def limited_write(self: InternalSession, params: Any) -> Any:
        if len(params.NodesToWrite) > 2:
            raise ServiceError(ua.StatusCodes.BadTooManyOperations)
        written.extend(node.Value.Value.Value for node in params.NodesToWrite)
        return await write(self, params)

    for number in range(9):
        plc.add(f"w_few{number}", 0, V.Int32)
    monkeypatch.setattr(InternalSession, "write", limited_write)
    async with opened(plc.endpoint, points(*(skid_node(f"w_few{row}") for row in range(9)), write=True)) as driver:
        for _ in range(2):
            written.clear()
            assert await driver.write({row: row for row in range(9)}) == {}
            assert written == list(range(9))


async def test_what_is_read_back_and_differs_is_refused(plc: SkidServer, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["w_float", "w_kept", "w_unasked"]
    for name in names:
        plc.add(name, 1.0, V.Float)
    plc.add("w_text", "a", V.String)
    on = points(
        skid_node("w_float", read_back=True),
        skid_node("w_kept", read_back=True),
        skid_node("w_unasked"),
        skid_node("w_text", read_back=True),
        write=True,
    )
    write = InternalSession.write

    async def overwritten(self: InternalSession, params: Any) -> Any:
        results = await write(self, params)
        for name in names[1:]:
            node = plc.server.iserver.aspace[ua.NodeId(name, plc.index)]
            node.attributes[ua.AttributeIds.Value].value = ua.DataValue(ua.Variant(1.0, V.Float))
        return results

    async with opened(plc.endpoint, on) as driver:
        monkeypatch.setattr(InternalSession, "write", overwritten)
        refused = await driver.write({0: 0.1, 1: 0.1, 2: 0.1, 3: "b"})
        assert refused == {
            1: f"ns={plc.index};s=w_kept was written, but holds 1.0 and not 0.1: does the PLC program overwrite it?"
        }


async def test_states_have_the_texts_of_the_server(plc: SkidServer) -> None:
    enumeration = plc.run(plc.server.nodes.enum_data_type.add_data_type(plc.index, "States"))
    values = [
        ua.EnumValueType(Value=value, DisplayName=ua.LocalizedText(text)) for value, text in ((5, "Auf"), (9, "Zu"))
    ]
    plc.run(enumeration.add_property(0, "EnumValues", values))
    plc.add("state", 9, V.Int32)
    node = plc.server.get_node(ua.NodeId("state", plc.index))
    plc.run(node.write_attribute(ua.AttributeIds.DataType, ua.DataValue(ua.Variant(enumeration.nodeid, V.NodeId))))
    plc.add("two_state", True, V.Boolean)
    node = plc.server.get_node(ua.NodeId("two_state", plc.index))
    plc.run(node.add_property(0, "FalseState", ua.LocalizedText("aus")))
    plc.run(node.add_property(0, "TrueState", ua.LocalizedText("an")))
    on = points(*(skid_node(name, server_texts=True) for name in ("state", "two_state")), write=True)
    async with opened(plc.endpoint, on) as driver:
        await driver.read(0)
        assert [driver.image.value(row) for row in range(2)] == ["Zu", "an"]
        assert await driver.write({0: "Auf", 1: "aus"}) == {}
        await driver.read(0)
        assert [driver.image.value(row) for row in range(2)] == ["Auf", "aus"]
        assert plc.get("two_state").Value.Value is False


async def test_what_the_server_refuses_is_told_with_its_status(plc: SkidServer) -> None:
    plc.set_limit(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite, 1)
    plc.add("w_open", 1.0, V.Double)
    plc.add("w_closed", 1.0, V.Double)
    plc.run(plc.server.get_node(ua.NodeId("w_closed", plc.index)).set_writable(False))
    on = points(skid_node("w_closed"), skid_node("w_open"), skid_node("nowhere"), write=True)
    async with opened(plc.endpoint, on) as driver:
        refused = await driver.write({0: 2.0, 1: 3.0, 2: 4.0})
        assert sorted(refused) == [0, 2]
        assert refused[0].startswith(f"the server refuses 2.0 for ns={plc.index};s=w_closed: Bad")
        written = plc.get("w_open").Value
        assert written is not None
        assert written.Value == 3.0
    plc.set_limit(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite, 0)
