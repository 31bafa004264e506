"""A server whose attributes and properties have other types than the specification gives them, over a real socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from asyncua.server.internal_session import InternalSession

from drivers.contract import Quality
from tests.system.opcua_server import SKID, SkidServer, opened, points, skid_node, ua

V = ua.VariantType
WRONG = [
    ua.Variant("text", V.String),
    ua.Variant(-7, V.Int32),
    ua.Variant(2.5, V.Double),
    ua.Variant(ua.NodeId("x", 2), V.NodeId),
    ua.Variant([1, 2], V.Int32),
    ua.Variant(True, V.Boolean),
    ua.Variant(ua.Range(1.0, 2.0), V.ExtensionObject),
]
LIMITS = {
    ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite,
}


@pytest.fixture(scope="module")
def plc() -> Iterator[SkidServer]:
    """A server that the tests of this module share, with an enumeration whose texts are one text."""
    server = SkidServer([SKID])
    server.add("value", 1.5, V.Double)
    server.add("state", True, V.Boolean)

    async def add() -> None:
        state = server.server.get_node(ua.NodeId("state", server.index))
        for name in ("EnumStrings", "EnumValues", "FalseState"):
            await state.add_property(ua.NodeId(name, server.index), ua.QualifiedName(name), "wrong")
        await state.add_property(ua.NodeId("T", server.index), ua.QualifiedName("TrueState"), ua.LocalizedText("On"))

    server.run(add())
    yield server
    server.stop()


@pytest.mark.parametrize("wrong", WRONG, ids=lambda each: each.VariantType.name)
@pytest.mark.parametrize("mode", ["poll", "subscribe"])
async def test_values_are_read_whatever_is_told_of_their_nodes(
    plc: SkidServer, monkeypatch: pytest.MonkeyPatch, wrong: Any, mode: str
) -> None:
    read = InternalSession.read
    attributes = {ua.AttributeIds.DataType, ua.AttributeIds.ValueRank, ua.AttributeIds.UserAccessLevel}

    async def wrongly(self: InternalSession, params: Any) -> Any:
        answers = await read(self, params)
        return [
            ua.DataValue(wrong)
            if node.AttributeId in attributes or (node.NodeId.NamespaceIndex == 0 and node.NodeId.Identifier in LIMITS)
            else answer
            for node, answer in zip(params.NodesToRead, answers, strict=True)
        ]

    monkeypatch.setattr(InternalSession, "read", wrongly)
    on = points(skid_node("value"), skid_node("state", server_texts=True), skid_node("nowhere"), write=True)
    async with opened(plc.endpoint, on, mode=mode) as driver:
        await driver.read(0)
        assert [driver.image.value(row) for row in range(2)] == [1.5, "On"]
        assert driver.image.quality.tolist() == [Quality.GOOD, Quality.GOOD, Quality.BAD]
        assert await driver.write({0: 1.5}) == {}
