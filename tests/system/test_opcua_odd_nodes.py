"""Nodes with unusual ids and unusual values, over a real socket: read, or bad with the true reason."""

from __future__ import annotations

import base64
import datetime
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from drivers.contract import Quality
from drivers.opcua.options import PointOptions
from tests.system.opcua_server import SKID, SkidServer, opened, points, quality, skid_node, ua

V = ua.VariantType
GUID = uuid.UUID("09087e75-8e5e-499b-954f-f2a9603db28a")
IDS: dict[str, tuple[Any, str]] = {
    "semicolons": ("a;b=c;s=d", "s=a;b=c;s=d"),
    "letters": ("Füllstand/€😀 x", "s=Füllstand/€😀 x"),
    "quotes": ('"DB 1"."x[0]"', 's="DB 1"."x[0]"'),
    "bars": ("|var|CODESYS Control.Application.GVL.x", "s=|var|CODESYS Control.Application.GVL.x"),
    "long": ("x" * 5000, f"s={'x' * 5000}"),
    "guid": (GUID, f"g={str(GUID).upper()}"),
    "opaque": (b"\x00\xff;=", f"b={base64.b64encode(bytes((0, 255)) + b';=').decode()}"),
    "number": (4_294_967_295, "i=4294967295"),
}
VARIANTS: dict[str, Any] = {
    "bytes": ua.Variant(b"\x01\x02\xff", V.ByteString),
    "byte_array": ua.Variant([1, 2, 255], V.Byte),
    "mixed": ua.Variant([ua.Variant(1, V.Int32), ua.Variant("x", V.String)], V.Variant, is_array=True),
    "structure": ua.Variant(ua.Range(1.0, 2.0), V.ExtensionObject),
    "structures": ua.Variant([ua.Range(1.0, 2.0)], V.ExtensionObject),
    "empty": ua.Variant([], V.Double, is_array=True),
    "texts": ua.Variant([ua.LocalizedText("läuft"), ua.LocalizedText("steht")], V.LocalizedText),
    "statuses": ua.Variant([ua.StatusCode(ua.UInt32(ua.StatusCodes.BadDeviceFailure))], V.StatusCode),
    "times": ua.Variant([datetime.datetime(2026, 1, 31, tzinfo=datetime.UTC)], V.DateTime),
}
STRUCTURE = "the node is a structure"
EACH_OTHER = "each element of the node may be of another type"
NO_ELEMENT = "the array of the node has no such element"
CASES: list[tuple[PointOptions, Any]] = [
    (skid_node("bytes"), "0102ff"),
    (skid_node("bytes", index=2), 255),
    (skid_node("bytes", index=1, type="uint8"), 2),
    (skid_node("bytes", index=3), ValueError(NO_ELEMENT)),
    (skid_node("byte_array", index=2), 255),
    (skid_node("byte_array"), ValueError("the node is an array: give the element")),
    (skid_node("byte_array", type="string"), ValueError("type is given as String, but the node is Byte")),
    (skid_node("mixed"), ValueError(EACH_OTHER)),
    (skid_node("mixed", index=0), ValueError(EACH_OTHER)),
    (skid_node("structure"), ValueError(STRUCTURE)),
    (skid_node("structures", index=0), ValueError(STRUCTURE)),
    (skid_node("empty", index=0), ValueError(NO_ELEMENT)),
    (skid_node("texts", index=1), "steht"),
    (skid_node("statuses", index=0), "BadDeviceFailure"),
    (skid_node("times", index=0), "2026-01-31T00:00:00Z"),
]


@pytest.fixture(scope="module")
def plc() -> Iterator[SkidServer]:
    """A server that the tests of this module share."""
    server = SkidServer(["urn:other", SKID])

    async def add() -> None:
        for number, (identifier, _) in enumerate(IDS.values()):
            node = ua.NodeId(identifier, server.index)
            await server.folder.add_variable(node, ua.QualifiedName(f"id{number}", server.index), float(number))
        for name, value in VARIANTS.items():
            node, data_type = ua.NodeId(name, server.index), ua.NodeId(ua.ObjectIds.BaseDataType)
            await server.folder.add_variable(node, ua.QualifiedName(name, server.index), value, datatype=data_type)

    server.run(add())
    yield server
    server.stop()


@pytest.mark.parametrize("mode", ["poll", "subscribe"])
@pytest.mark.parametrize("space", ["ns=3", f"nsu={SKID}"])
async def test_every_form_of_a_node_id(plc: SkidServer, mode: str, space: str) -> None:
    assert plc.index == 3
    on = points(*(f"{space};{text}" for _, text in IDS.values()))
    async with opened(plc.endpoint, on, mode=mode) as driver:
        await driver.read(0)
        assert [driver.image.value(row) for row in range(len(on))] == list(range(len(IDS)))
        assert set(driver.image.quality.tolist()) == {Quality.GOOD}


@pytest.mark.parametrize("node", ["ns=40000;s=x", "ns=65535;i=1", "Objects/40000:x", "Objects/2:System/65535:x"])
async def test_a_namespace_that_no_server_has_costs_its_own_tag(plc: SkidServer, node: str) -> None:
    async with opened(plc.endpoint, points(node, skid_node("bytes", index=0))) as driver:
        await driver.read(0)
        assert quality(driver, 0)[1].startswith("the server has no such node")
        assert driver.image.value(1) == 1


@pytest.mark.parametrize("mode", ["poll", "subscribe"])
@pytest.mark.parametrize("fast_path", [True, False])
async def test_every_value_is_read_or_bad_for_the_true_reason(plc: SkidServer, mode: str, fast_path: bool) -> None:
    on = points(*(options for options, _ in CASES))
    async with opened(plc.endpoint, on, mode=mode, fast_path=fast_path) as driver:
        for _ in range(2):
            await driver.read(0)
            for row, (options, expected) in enumerate(CASES):
                found, why = quality(driver, row)
                if isinstance(expected, ValueError):
                    assert (options.node, found) == (options.node, Quality.BAD)
                    assert why.startswith(str(expected))
                else:
                    assert (options.node, found) == (options.node, Quality.GOOD)
                    assert driver.image.value(row) == expected


async def test_a_byte_of_a_byte_string_is_not_written_over_all_of_it(plc: SkidServer) -> None:
    async with opened(plc.endpoint, points(skid_node("bytes", index=0), write=True)) as driver:
        assert "one byte cannot be written" in (await driver.write({0: 7}))[0]
        await driver.read(0)
        assert driver.image.value(0) == 1
