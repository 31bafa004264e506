"""Nodes that come, go and change in the midst of a session, which goes on as if nothing had happened."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asyncua.server.internal_session import InternalSession

from drivers.contract import Kind, Point, Quality
from drivers.opcua.driver import OpcUa
from drivers.opcua.options import PointOptions
from engine.links import Link
from tests.clock import Clock
from tests.system.opcua_server import SKID, SkidServer, opened, quality, skid_node, ua

V = ua.VariantType
MODES = ["poll", "subscribe"]
LOOK_S = 6.0


@pytest.fixture
def plc() -> Iterator[SkidServer]:
    """A server of each test's own, as nodes are deleted."""
    server = SkidServer([SKID])
    server.add("there", 1, V.Int32)
    yield server
    server.stop()


def tags(*options: PointOptions) -> list[Point]:
    return [Point(f"T{row}", "plc", option, 20, True, True) for row, option in enumerate(options)]


def remove(plc: SkidServer, name: str) -> None:
    async def work() -> None:
        del plc.server.iserver.aspace[ua.NodeId(name, plc.index)]  # its own way stumbles over subscribers

    plc.run(work())


async def until(driver: OpcUa, true: Callable[[], bool]) -> None:
    """Read on, each group, until it is so; a subscription tells of it some time later."""
    async with asyncio.timeout(60):
        while not true():
            for group in range(len(driver.groups)):
                await driver.read(group)
            await asyncio.sleep(0.01)


def good(driver: OpcUa, *rows: int) -> bool:
    return all(quality(driver, row)[0] is Quality.GOOD for row in rows)


async def session_of(plc: SkidServer) -> list[Any]:
    """What the server has of sessions and connections: one of each, and the same, while nobody connects anew."""
    listener: Any = plc.server.bserver
    return list(listener.clients)


@pytest.mark.parametrize("mode", MODES)
async def test_a_node_that_comes_later_is_read_without_harm_to_the_link(
    plc: SkidServer, mode: str, clock: Clock
) -> None:
    by_path = PointOptions(node=f"Objects/nsu={SKID};System/nsu={SKID};late")
    on = tags(skid_node("there"), skid_node("late"), by_path, skid_node("late", index=1))
    async with opened(plc.endpoint, on, mode=mode) as driver:
        await driver.read(0)
        assert good(driver, 0)
        assert not good(driver, 1)
        before, image = await session_of(plc), driver.image
        plc.add("late", "here", V.String)
        await driver.read(0)
        assert not good(driver, 1), "it is not looked for at each reading"
        clock.leap(LOOK_S)
        await until(driver, lambda: good(driver, 0, 1, 2))
        assert [driver.image.value(row) for row in range(3)] == [1, "here", "here"]
        assert quality(driver, 3)[1].startswith("the node is")
        assert driver.image is not image, "a text has another column than what is not known yet"
        plc.run(plc.server.get_node(ua.NodeId("late", plc.index)).write_value("there"))
        plc.run(plc.server.get_node(ua.NodeId("there", plc.index)).write_value(2, V.Int32))
        await until(driver, lambda: driver.image.value(1) == driver.image.value(2) == "there")
        await until(driver, lambda: driver.image.value(0) == 2)
        assert await driver.write({1: "written"}) == {}
        await until(driver, lambda: driver.image.value(1) == "written")
        assert await session_of(plc) == before


@pytest.mark.parametrize("mode", MODES)
async def test_a_node_that_goes_and_comes_back_twice(plc: SkidServer, mode: str, clock: Clock) -> None:
    plc.add("guest", 0.5, V.Double)
    on = tags(skid_node("there"), skid_node("guest"), skid_node("guest", type="float64"))
    async with opened(plc.endpoint, on, mode=mode) as driver:
        await until(driver, lambda: good(driver, 0, 1, 2))
        before = await session_of(plc)
        for turn in range(2):
            remove(plc, "guest")
            if mode == "subscribe":  # asyncua tells no subscriber that a node was deleted
                driver._known.doubt([1])
            await driver.read(0)
            clock.leap(LOOK_S)
            await until(driver, lambda: not good(driver, 1) and not good(driver, 2))
            assert good(driver, 0)
            assert "BadNodeIdUnknown" in quality(driver, 1)[1] or "no such node" in quality(driver, 1)[1]
            plc.add("guest", float(turn), V.Double)
            clock.leap(LOOK_S * 4)
            await until(driver, lambda: good(driver, 1, 2))
            assert driver.image.value(1) == driver.image.value(2) == turn
        assert await session_of(plc) == before


async def test_a_node_that_is_back_before_it_is_looked_for_is_subscribed_to_anew(plc: SkidServer, clock: Clock) -> None:
    """The server's monitored item has gone with the node, so that nobody would ever tell that it is back."""
    plc.add("guest", 0.5, V.Double)
    async with opened(plc.endpoint, tags(skid_node("guest")), mode="subscribe") as driver:
        await until(driver, lambda: good(driver, 0))
        gone = ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(ua.StatusCodes.BadNodeIdUnknown)))
        plc.run(plc.server.write_attribute_value(ua.NodeId("guest", plc.index), gone))
        await until(driver, lambda: not good(driver, 0))
        plc.set("guest", ua.DataValue(ua.Variant(1.5, V.Double)))
        clock.leap(LOOK_S)
        await until(driver, lambda: good(driver, 0))
        assert driver.image.value(0) == 1.5
        plc.run(plc.server.get_node(ua.NodeId("guest", plc.index)).write_value(2.5))
        await until(driver, lambda: driver.image.value(0) == 2.5)


@pytest.mark.parametrize("mode", MODES)
async def test_a_node_whose_type_changes(plc: SkidServer, mode: str, clock: Clock) -> None:
    plc.add("retyped", 5, V.Int32)
    async with opened(plc.endpoint, tags(skid_node("retyped"), skid_node("there")), mode=mode) as driver:
        await until(driver, lambda: good(driver, 0, 1))
        before = await session_of(plc)
        steps: list[tuple[Any, Any, Kind]] = [
            ("five", V.String, Kind.TEXT),
            (5.5, V.Double, Kind.FLOAT),
            (6, V.Int32, Kind.INT),
        ]
        for value, variant_type, kind in steps:
            remove(plc, "retyped")
            plc.add("retyped", value, variant_type)
            if mode == "subscribe":
                driver._known.doubt([0])
            await driver.read(0)
            clock.leap(LOOK_S)
            await until(driver, lambda value=value: good(driver, 0) and driver.image.value(0) == value)
            assert Kind(int(driver.image.kinds[0])) is kind
            assert good(driver, 1)
            assert driver.image.value(1) == 1
        assert await session_of(plc) == before


async def test_what_is_missing_is_looked_for_at_growing_intervals(
    plc: SkidServer, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    looks: list[int] = []
    read = InternalSession.read

    async def counted(self: InternalSession, params: Any) -> Any:
        looks.extend(1 for node in params.NodesToRead if node.NodeId == ua.NodeId("nowhere", plc.index))
        return await read(self, params)

    async with opened(plc.endpoint, tags(skid_node("there"), skid_node("nowhere"))) as driver:
        monkeypatch.setattr(InternalSession, "read", counted)
        for _ in range(600):
            clock.leap(1.0)
            await driver.read(0)
    assert 3 * 11 <= len(looks) <= 3 * 16, "three attributes at 5, 15, 35, 75, 135, ... s"


@pytest.mark.parametrize("way", ["id", "path"])
async def test_a_gateway_that_knows_a_node_once_its_folder_was_browsed(
    plc: SkidServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    """FactoryTalk Linx Gateway answers BadNodeIdUnknown until then."""
    read, browse = InternalSession.read, InternalSession.browse
    lazy, folder = ua.NodeId("there", plc.index), ua.NodeId("System", plc.index)
    known: set[int] = set()

    async def lazy_read(self: InternalSession, params: Any) -> Any:
        answers = await read(self, params)
        unknown = ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(ua.StatusCodes.BadNodeIdUnknown)))
        return [
            unknown if node.NodeId == lazy and id(self) not in known else answer
            for node, answer in zip(params.NodesToRead, answers, strict=True)
        ]

    async def knowing_browse(self: InternalSession, params: Any) -> Any:
        if any(node.NodeId == folder for node in params.NodesToBrowse):
            known.add(id(self))
        return await browse(self, params)

    monkeypatch.setattr(InternalSession, "read", lazy_read)
    monkeypatch.setattr(InternalSession, "browse", knowing_browse)
    path = PointOptions(node=f"Objects/nsu={SKID};System/nsu={SKID};there")
    tag = skid_node("there") if way == "id" else path
    async with opened(plc.endpoint, tags(tag), security="none") as driver:
        await driver.read(0)
        assert good(driver, 0)
        assert driver.image.value(0) == 1
    assert not [record for record in caplog.records if record.name.startswith("skidlink")]


async def test_a_node_that_is_listed_but_unknown_is_not_confused_with_itself(
    plc: SkidServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, clock: Clock
) -> None:
    read = InternalSession.read
    ready = False

    async def unready(self: InternalSession, params: Any) -> Any:
        answers = await read(self, params)
        unknown = ua.DataValue(StatusCode=ua.StatusCode(ua.UInt32(ua.StatusCodes.BadNodeIdUnknown)))
        return [
            unknown if node.NodeId == ua.NodeId("there", plc.index) and not ready else answer
            for node, answer in zip(params.NodesToRead, answers, strict=True)
        ]

    monkeypatch.setattr(InternalSession, "read", unready)
    path = PointOptions(node=f"Objects/nsu={SKID};System/nsu={SKID};there")
    async with opened(plc.endpoint, tags(path)) as driver:
        await driver.read(0)
        assert "finds the node by its path, but says BadNodeIdUnknown" in quality(driver, 0)[1]
        assert "did you mean" not in caplog.text
        ready = True
        clock.leap(LOOK_S)
        await until(driver, lambda: good(driver, 0))


async def test_the_engine_goes_on_with_the_image_of_the_same_session(plc: SkidServer, clock: Clock) -> None:
    device_points = tags(skid_node("there"), skid_node("late"))
    async with opened(plc.endpoint, device_points) as driver:
        link = Link("plc", driver)
        task = asyncio.create_task(link.run())
        try:
            async with asyncio.timeout(60):
                while not (link.up and quality(driver, 0)[0] is Quality.GOOD):
                    await asyncio.sleep(0.01)
                plc.add("late", "here", V.String)
                clock.leap(LOOK_S)
                while link.image.value(1) != "here":
                    await asyncio.sleep(0.01)
            assert link.image is driver.image
            assert link.image.value(0) == 1
            assert link.counters.broken == 0
        finally:
            task.cancel()
            await asyncio.wait([task])
