"""Subscribing to nodes with the OPC UA driver, against asyncua's server over a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import InternalSession
from asyncua.server.subscription_service import SubscriptionService
from asyncua.server.uaprocessor import UaProcessor

from drivers.contract import LinkError, Point, Quality
from drivers.opcua.driver import OpcUa
from drivers.opcua.options import DeviceOptions, PointOptions
from tests.clock import IN_FLIGHT_S, Clock
from tests.system.opcua_server import SKID, Proxy, SkidServer, opened, points, quality, skid_node, ua

V = ua.VariantType
FAST: dict[str, Any] = {"mode": "subscribe"}
EVERY_MS = 50
TIMEOUT_S = 20.0
SILENT_S = TIMEOUT_S + 5
"""Longer than the time-out and what a subscription that lives says nothing; the session may be idle for a minute."""


@pytest.fixture(scope="module")
def plc() -> Iterator[SkidServer]:
    """A server that the tests of this module share; each adds nodes of its own."""
    server = SkidServer([SKID])
    yield server
    server.stop()


def follow(*nodes: PointOptions) -> list[Point]:
    return [Point(f"T{row}", "plc", node, EVERY_MS) for row, node in enumerate(nodes)]


async def until(driver: OpcUa, true: Callable[[], bool]) -> None:
    """Read as the engine does, at the group's cadence, until something holds."""
    async with asyncio.timeout(300):
        while not true():
            await driver.read(0)
            await asyncio.sleep(EVERY_MS / 1000)


def put(plc: SkidServer, name: str, value: Any) -> Any:
    """Give a node a new value as a PLC program does, and have the server tell its subscribers."""
    return asyncio.to_thread(lambda: plc.run(plc.server.write_attribute_value(ua.NodeId(name, plc.index), value)))


@pytest.mark.parametrize("fast_path", [True, False])
async def test_what_changes_comes_and_is_exact(plc: SkidServer, fast_path: bool) -> None:
    plc.add("double", 0.1, V.Double)
    plc.add("int64", 2**63 - 1, V.Int64)
    plc.add("text", "läuft", V.String)
    plc.add("array", [1, 2, 3], V.Int32)
    on = follow(*map(skid_node, ("double", "int64", "text")), skid_node("array", index=2), skid_node("nowhere"))
    async with opened(plc.endpoint, on, fast_path=fast_path, **FAST) as driver:
        assert driver.plan == ["plc: a subscription follows 5 nodes for 5 tags"]
        await driver.read(0)
        assert [driver.image.value(row) for row in range(4)] == [0.1, 2**63 - 1, "läuft", 3]
        assert quality(driver, 4)[0] is Quality.BAD
        await put(plc, "int64", ua.DataValue(ua.Variant(-5, V.Int64)))
        await put(plc, "text", ua.DataValue(ua.Variant("steht", V.String)))
        await put(plc, "array", ua.DataValue(ua.Variant([1, 2, 9], V.Int32)))
        await put(plc, "double", ua.DataValue(ua.Variant(0.2, V.Double), ua.StatusCode(ua.UInt32(0x80310000))))
        await until(driver, lambda: driver.image.value(3) == 9 and driver.image.quality[0] == Quality.BAD)
        assert [driver.image.value(row) for row in range(3)] == [0.1, -5, "steht"]
        assert "BadNoCommunication" in quality(driver, 0)[1]
        assert [quality(driver, row) for row in (1, 2, 3)] == [(Quality.GOOD, "")] * 3


async def test_no_initial_value_is_lost(plc: SkidServer) -> None:
    names = [f"many{number}" for number in range(400)]
    for number, name in enumerate(names):
        plc.add(name, number, V.Int32)
    plc.set_limit(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall, 150)
    async with opened(plc.endpoint, follow(*map(skid_node, names)), **FAST) as driver:
        await driver.read(0)
        assert [driver.image.value(row) for row in range(400)] == list(range(400))
        changes = [
            plc.server.write_attribute_value(
                ua.NodeId(name, plc.index), ua.DataValue(ua.Variant(number + 1000, V.Int32))
            )
            for number, name in enumerate(names)
        ]
        await asyncio.to_thread(plc.run, _all(changes))
        last = [number + 1000 for number in range(400)]
        await until(driver, lambda: [driver.image.value(row) for row in range(400)] == last)
    plc.set_limit(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall, 0)


async def test_a_server_deadband_keeps_small_changes_back(plc: SkidServer) -> None:
    for name in ("banded", "free"):
        plc.add(name, 10.0, V.Double)
    async with opened(
        plc.endpoint, follow(skid_node("banded", server_deadband=1.0), skid_node("free")), **FAST
    ) as driver:
        for value in (10.5, 12.0):
            await put(plc, "banded", ua.DataValue(ua.Variant(value, V.Double)))
            await put(plc, "free", ua.DataValue(ua.Variant(value, V.Double)))
            await until(driver, lambda value=value: driver.image.value(1) == value)
            if value == 10.5:
                assert driver.image.value(0) == 10.0
        await until(driver, lambda: driver.image.value(0) == 12.0)


async def test_nodes_that_are_not_monitored_are_polled(
    plc: SkidServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    create = InternalSession.create_monitored_items

    async def some_refused(self: InternalSession, params: Any) -> Any:
        refused = params.ItemsToCreate[1:]
        params.ItemsToCreate = params.ItemsToCreate[:1]
        results = await create(self, params)
        status = ua.StatusCode(ua.UInt32(ua.StatusCodes.BadTooManyMonitoredItems))
        return results + [ua.MonitoredItemCreateResult(StatusCode=status) for _ in refused]

    monkeypatch.setattr(InternalSession, "create_monitored_items", some_refused)
    for name in ("followed", "left_out"):
        plc.add(name, 1, V.Int32)
    async with opened(plc.endpoint, follow(*map(skid_node, ("followed", "left_out"))), **FAST) as driver:
        assert "does not monitor 1 of 2 nodes" in caplog.text
        for name in ("followed", "left_out"):
            await put(plc, name, ua.DataValue(ua.Variant(7, V.Int32)))
        await until(driver, lambda: [driver.image.value(row) for row in range(2)] == [7, 7])


async def test_polled_and_subscribed_tags_share_a_session(plc: SkidServer) -> None:
    for name in ("slow", "quick", "watched"):
        plc.add(name, 1, V.Int32)
    on = [
        Point("slow", "plc", skid_node("slow"), 1000),
        Point("watched", "plc", skid_node("watched", mode="subscribe"), EVERY_MS),
        Point("quick", "plc", skid_node("quick"), EVERY_MS),
    ]
    async with opened(plc.endpoint, on) as driver:
        assert [group.rows.tolist() for group in driver.groups] == [[0], [2], [1]]
        assert [line.split(":")[1].split(" node")[0] for line in driver.plan] == [
            " 1 request reads 1",
            " 1 request reads 1",
            " a subscription follows 1",
        ]
        for group in range(3):
            await driver.read(group)
        assert [driver.image.value(row) for row in range(3)] == [1, 1, 1]


async def test_a_subscription_that_is_dead_behind_a_live_connection_is_noticed_and_made_anew(
    plc: SkidServer, clock: Clock
) -> None:
    plc.add("alive", 1, V.Int32)
    async with opened(plc.endpoint, follow(skid_node("alive")), timeout_ms=int(TIMEOUT_S * 1000), **FAST) as driver:
        await driver.read(0)
        stops = [
            found.stop() for found in plc.server.iserver.subscription_service.subscriptions.values()
        ]  # what they publish ends; the session and its connection stay
        plc.run(asyncio.wait_for(_all(stops), 50))
        clock.leap(SILENT_S)
        with pytest.raises(LinkError, match="has said nothing for"):
            await until(driver, lambda: False)
        await put(plc, "alive", ua.DataValue(ua.Variant(2, V.Int32)))
        await driver.open()
        await driver.read(0)
        assert driver.image.value(0) == 2


async def _all(work: list[Any]) -> None:
    await asyncio.gather(*work)


async def test_a_lost_connection_is_noticed_and_all_is_read_anew(plc: SkidServer) -> None:
    plc.add("anew", 1, V.Int32)
    async with Proxy(plc.port) as proxy, opened(proxy.endpoint, follow(skid_node("anew")), **FAST) as driver:
        await driver.read(0)
        proxy.drop()
        with pytest.raises(LinkError, match="was the server stopped or restarted"):
            await until(driver, lambda: False)
        await put(plc, "anew", ua.DataValue(ua.Variant(2, V.Int32)))
        await driver.open()
        await driver.read(0)
        assert driver.image.value(0) == 2
        await put(plc, "anew", ua.DataValue(ua.Variant(3, V.Int32)))
        await until(driver, lambda: driver.image.value(0) == 3)


async def test_a_black_hole_is_noticed(plc: SkidServer, clock: Clock) -> None:
    plc.add("hole", 1, V.Int32)
    on = follow(skid_node("hole"))
    async with (
        Proxy(plc.port) as proxy,
        opened(proxy.endpoint, on, timeout_ms=int(TIMEOUT_S * 1000), **FAST) as driver,
    ):
        proxy.silent = True
        await asyncio.sleep(5 * IN_FLIGHT_S)  # what the proxy has let through is heard
        clock.leap(SILENT_S)
        with pytest.raises(LinkError, match="has said nothing for"):
            await until(driver, lambda: False)


async def test_values_are_no_fresher_than_what_was_last_heard(plc: SkidServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.opcua.subscription.KEEP_ALIVE_S", 0.1)
    plc.add("steady", 1, V.Int32)
    on = follow(skid_node("steady"), skid_node("nowhere"))
    async with Proxy(plc.port) as proxy, opened(proxy.endpoint, on, **FAST) as driver:
        assert driver.groups[0].stamps
        first = driver.image.received.copy()
        await until(driver, lambda: bool((driver.image.received > first).all()))  # a keep-alive is enough
        proxy.silent = True
        await asyncio.sleep(10 * IN_FLIGHT_S)  # what the proxy has let through is heard
        last = driver.image.received.copy()
        for _ in range(8):
            await driver.read(0)
            await asyncio.sleep(EVERY_MS / 1000)
        assert driver.image.received.tolist() == last.tolist()


async def test_a_server_that_is_heard_too_seldom_is_told(plc: SkidServer, caplog: pytest.LogCaptureFixture) -> None:
    plc.add("rare", 1, V.Int32)
    create = SubscriptionService.create_subscription

    async def seldom(self: SubscriptionService, params: Any, *rest: Any, **keys: Any) -> Any:
        result = await create(self, params, *rest, **keys)
        result.RevisedMaxKeepAliveCount = 1000
        return result

    on = [replace(point, stale_after_ms=3000) for point in follow(skid_node("rare"))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SubscriptionService, "create_subscription", seldom)
        async with opened(plc.endpoint, on, **FAST):
            pass
    assert "only every 50 s that its subscription lives" in caplog.text
    assert "raise stale_after_ms above 50050" in caplog.text


async def test_a_deadband_that_the_server_does_not_have_is_told_and_left_out(
    plc: SkidServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    create = InternalSession.create_monitored_items

    async def without_filters(self: InternalSession, params: Any) -> Any:
        asked = params.ItemsToCreate
        filtered = [hasattr(item.RequestedParameters.Filter, "DeadbandValue") for item in asked]
        params.ItemsToCreate = [item for item, refused in zip(asked, filtered, strict=True) if not refused]
        made = iter(await create(self, params))
        status = ua.StatusCode(ua.UInt32(ua.StatusCodes.BadFilterNotAllowed))
        return [ua.MonitoredItemCreateResult(StatusCode=status) if refused else next(made) for refused in filtered]

    monkeypatch.setattr(InternalSession, "create_monitored_items", without_filters)
    for name in ("unbanded", "plain"):
        plc.add(name, 10.0, V.Double)
    on = follow(skid_node("unbanded", server_deadband=1.0), skid_node("plain"))
    async with opened(plc.endpoint, on, **FAST) as driver:
        assert "the server has no deadband for nsu=urn:skid;s=unbanded: every change comes" in caplog.text
        assert "does not monitor" not in caplog.text
        for name in ("unbanded", "plain"):
            await put(plc, name, ua.DataValue(ua.Variant(10.5, V.Double)))
        await until(driver, lambda: [driver.image.value(row) for row in range(2)] == [10.5, 10.5])


async def test_a_server_that_keeps_one_publish_request_only_is_served_by_one(
    plc: SkidServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, refused = 0, 0
    process = UaProcessor._process_message

    async def one_only(self: UaProcessor, kind: Any, header: Any, sequence: Any, body: Any) -> Any:
        nonlocal waiting, refused
        if kind == ua.NodeId(ua.ObjectIds.PublishRequest_Encoding_DefaultBinary):
            if len(self._publish_requests) >= 1:
                refused += 1
                raise ServiceError(ua.StatusCodes.BadTooManyPublishRequests)
            waiting += 1
        return await process(self, kind, header, sequence, body)

    monkeypatch.setattr(UaProcessor, "_process_message", one_only)
    plc.add("alone", 1, V.Int32)
    async with opened(plc.endpoint, follow(skid_node("alone")), **FAST) as driver:
        for value in range(2, 6):
            await put(plc, "alone", ua.DataValue(ua.Variant(value, V.Int32)))
            await until(driver, lambda value=value: driver.image.value(0) == value)
    assert refused == 1  # and the request that was refused is not sent again and again
    assert waiting >= 4


async def test_a_subscription_without_nodes_still_notices_a_lost_link(plc: SkidServer) -> None:
    async with Proxy(plc.port) as proxy, opened(proxy.endpoint, follow(skid_node("nowhere")), **FAST) as driver:
        await driver.read(0)
        proxy.drop()
        with pytest.raises(LinkError):
            await driver.read(0)


def test_keys_of_subscriptions_need_one() -> None:
    device = DeviceOptions(endpoint="opc.tcp://plc")
    tags = points(skid_node("a", server_deadband=0.5), skid_node("b", mode="subscribe", sampling_ms=10))
    assert [(remark.tag, remark.key) for remark in OpcUa.review({"plc": device}, tags)] == [("T0", "server_deadband")]
