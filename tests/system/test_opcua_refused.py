"""What a server does not let us read or write, and whom to ask for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.contract import Learns, Quality
from engine.cli.check import check_uod
from engine.links import Link
from tests.system.opcua_server import SKID, SkidServer, opened, points, quality, skid_node, ua

V = ua.VariantType
NOBODY = "the server lets nobody write the node ns=2;s=locked: ask the PLC's programmer to let OPC UA clients write it"
NOT_US = "the server does not let this user write the node ns=2;s=others: ask the PLC's programmer which user may"


@pytest.fixture(scope="module")
def plc() -> Iterator[SkidServer]:
    """A server that the tests of this module share: `locked` is for nobody to write, `others` for other users only."""
    server = SkidServer([SKID])
    for name in ("open", "locked", "others"):
        server.add(name, 1.0, V.Double)
    server.add("text", "water", V.String)

    async def lock() -> None:
        def node(name: str) -> Any:
            return server.server.get_node(ua.NodeId(name, server.index))

        for name, attributes in (
            ("locked", (ua.AttributeIds.AccessLevel, ua.AttributeIds.UserAccessLevel)),
            ("others", (ua.AttributeIds.UserAccessLevel,)),
        ):
            for attribute in attributes:
                await node(name).write_attribute(attribute, ua.DataValue(ua.Variant(1, V.Byte)))

    server.run(lock())
    yield server
    server.stop()


async def test_what_cannot_be_written_is_known_without_writing(
    plc: SkidServer, caplog: pytest.LogCaptureFixture
) -> None:
    on = points(*map(skid_node, ("open", "locked", "others", "nowhere")), write=True)
    async with opened(plc.endpoint, on) as driver:
        assert isinstance(driver, Learns)
        assert [(remark.tag, remark.key) for remark in driver.remarks()] == [("T1", "direction"), ("T2", "direction")]
        found = [remark.message for remark in driver.remarks()]
        assert found[0].startswith(NOBODY)
        assert found[1].startswith(NOT_US)
        await driver.read(0)
        refused = await driver.write({0: 5.0, 1: 5.0})
        assert set(refused) == {1}
        assert "BadNotWritable" in refused[1] or "BadUserAccessDenied" in refused[1]
        assert "ask the PLC's programmer" in refused[1]
        await driver.write({0: 1.0})
    async with opened(plc.endpoint, points(skid_node("locked"))) as driver:
        assert driver.remarks() == [], "a tag that is only read has nothing to complain of"
    async with opened(plc.endpoint, on) as driver:
        link = Link("plc", driver)
        for _ in range(2):
            link._tell_remarks()
    assert caplog.text.count(NOBODY) == 1


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        ("BadNotReadable", "ask the PLC's programmer to let OPC UA clients read it"),
        ("BadUserAccessDenied", "ask the PLC's programmer which user may do that"),
        ("BadWaitingForInitialData", "wait; if it lasts, ask the PLC's programmer what writes the variable"),
        ("BadSensorFailure", "look at the sensor and its wiring"),
    ],
)
@pytest.mark.parametrize("fast_path", [True, False])
async def test_a_status_says_what_to_do(plc: SkidServer, status: str, advice: str, fast_path: bool) -> None:
    plc.add("refused", 1.0, V.Double)
    async with opened(plc.endpoint, points(skid_node("refused")), fast_path=fast_path) as driver:
        plc.set("refused", ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(getattr(ua.StatusCodes, status)))))
        await driver.read(0)
        found, why = quality(driver, 0)
        assert found is Quality.BAD
        assert why.startswith(f"the server says {status} ")
        assert advice in why


def test_check_online_says_that_an_output_cannot_be_written(
    plc: SkidServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "uod.yaml"
    file.write_text(
        f"""
uod: Locked
devices:
  plc: {{driver: opcua, endpoint: "{plc.endpoint}", timeout_ms: 60000}}
tags:
  PU01: {{device: plc, node: "nsu={SKID};s=locked", direction: both, safe_value: 0}}
  FT01: {{device: plc, node: "nsu={SKID};s=locked"}}
""",
        encoding="utf-8",
    )
    assert check_uod(file, [], online=True, as_json=True) == 1
    found = json.loads(capsys.readouterr().out)
    assert [trouble for trouble in found["troubles"] if not trouble.startswith(f"tag PU01: {NOBODY}")] == []
    assert len(found["troubles"]) == 1
    assert [point["quality"] for point in found["points"]] == ["good", "good"]


@pytest.mark.parametrize(
    ("direction", "key", "right"),
    [("output", "", False), ("both", "", False), ("output", ", type: string", True), ("both", ", type: string", True)],
)
def test_check_online_says_that_a_setpoint_is_a_text(
    plc: SkidServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], direction: str, key: str, right: bool
) -> None:
    file = tmp_path / "uod.yaml"
    file.write_text(
        f"""
uod: Recipes
devices:
  plc: {{driver: opcua, endpoint: "{plc.endpoint}", timeout_ms: 60000}}
tags:
  RECIPE: {{device: plc, node: "nsu={SKID};s=text", direction: {direction}{key}}}
  STEP: {{device: plc, node: "nsu={SKID};s=open", direction: output}}
process_values: [{{entry: RECIPE}}, {{entry: STEP}}]
""",
        encoding="utf-8",
    )
    assert check_uod(file, [], online=True, as_json=True) == (0 if right else 1)
    said = "tag RECIPE: the device holds a text there, but RECIPE takes a number: write type: string under the tag"
    assert json.loads(capsys.readouterr().out)["troubles"] == ([] if right else [said])


async def test_a_text_is_written_to_a_node_whose_type_nobody_has_declared(plc: SkidServer) -> None:
    async with opened(plc.endpoint, points(skid_node("text"), write=True)) as driver:
        assert await driver.write({0: "ethanol"}) == {}
        await driver.read(0)
        assert driver.image.value(0) == "ethanol"
        assert "takes a text, not 5" in (await driver.write({0: 5}))[0]
