"""Losing an OPC UA server and finding it again: restarts, black holes, long pauses, closing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from asyncua.server.internal_session import InternalSession

from drivers.contract import Driver, LinkError, Quality, Writes
from drivers.opcua.driver import OpcUa
from drivers.opcua.options import DeviceOptions
from drivers.registry import driver_class
from tests.clock import Clock
from tests.system.opcua_server import LONG_S, SKID, Proxy, SkidServer, impatient, opened, points, quality, skid_node, ua
from uod_examples.skid.proxy import FaultProxy

V = ua.VariantType


@pytest.fixture(scope="module")
def plc() -> Iterator[SkidServer]:
    """A server that the tests of this module share."""
    server = SkidServer([SKID])
    server.add("byte", 255, V.Byte)
    yield server
    server.stop()


async def test_a_restart_that_shuffles_namespaces_changes_nothing() -> None:
    first = SkidServer([SKID, "urn:other"])
    second: SkidServer | None = None
    try:
        first.add("FT01", 1.0, V.Double)
        on = points(skid_node("FT01"), f"Objects/nsu={SKID};System/nsu={SKID};FT01")
        async with opened(first.endpoint, on) as driver:
            await driver.read(0)
            assert [driver.image.value(row) for row in range(2)] == [1.0, 1.0]
            await asyncio.to_thread(first.stop)
            with pytest.raises(LinkError, match=first.endpoint):
                await driver.read(0)
            with pytest.raises(LinkError, match="nothing listens"):
                await driver.open()
            second = await asyncio.to_thread(SkidServer, ["urn:other", SKID], first.port)
            assert second.index != first.index
            second.add("FT01", 2.0, V.Double)
            await driver.open()
            await driver.read(0)
            assert [driver.image.value(row) for row in range(2)] == [2.0, 2.0]
            assert quality(driver, 0) == quality(driver, 1) == (Quality.GOOD, "")
    finally:
        first.stop()
        if second is not None:
            second.stop()


async def read_on(driver: OpcUa) -> None:
    while True:
        await driver.read(0)
        await asyncio.sleep(0.05)


async def test_a_server_that_never_answers_is_noticed_in_time() -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    hole = await asyncio.start_server(swallow, "127.0.0.1", 0)
    endpoint = f"opc.tcp://127.0.0.1:{hole.sockets[0].getsockname()[1]}"
    driver = OpcUa({"plc": DeviceOptions(endpoint=endpoint, timeout_ms=300)}, points("i=2258"))
    async with asyncio.timeout(60):
        with pytest.raises(LinkError, match=r"no answer within 0.3 s while connecting"):
            await driver.open()
        await driver.close()
    hole.close()
    await hole.wait_closed()


async def test_a_black_hole_in_mid_session_is_noticed_and_survived(plc: SkidServer) -> None:
    async with Proxy(plc.port) as proxy, opened(proxy.endpoint, points(skid_node("byte"))) as driver:
        await driver.read(0)
        proxy.silent = True
        image = driver.image
        stamp = image.source_time.copy()
        async with asyncio.timeout(60):
            with impatient(driver, 0.3):
                with pytest.raises(LinkError, match=r"no answer within 0.3 s while reading"):
                    await driver.read(0)
                assert image.quality[0] == Quality.GOOD  # a reading that failed touches no row
                assert (image.source_time == stamp).all()
                await driver.close()
        proxy.silent = False
        await driver.open()
        await driver.read(0)
        assert driver.image.value(0) == 255
        proxy.drop()
        with pytest.raises(LinkError, match="was the server stopped or restarted"):
            await driver.read(0)


STALE_S = 0.6 * LONG_S
KNOWN_S = 0.8 * LONG_S
"""Well before the time-out alone, and with some turns of the racing clock that a slow machine may need."""


@pytest.mark.parametrize("mode", ["poll", "subscribe"])
async def test_a_black_hole_is_known_before_values_are_stale(plc: SkidServer, mode: str, clock: Clock) -> None:
    on = [replace(point, every_ms=50, stale_after_ms=int(STALE_S * 1000)) for point in points(skid_node("byte"))]
    async with Proxy(plc.port) as proxy, opened(proxy.endpoint, on, mode=mode) as driver:
        await driver.read(0)
        proxy.silent = True
        began = time.monotonic()
        async with clock.racing():
            with pytest.raises(LinkError, match=r"no answer within|has said nothing for"):
                await read_on(driver)
            assert time.monotonic() - began < KNOWN_S
            await driver.close()


async def test_a_black_hole_is_known_although_nobody_reads(plc: SkidServer, clock: Clock) -> None:
    on = [replace(point, stale_after_ms=int(STALE_S * 1000)) for point in points(skid_node("byte"), write=True)]
    async with Proxy(plc.port) as proxy, opened(proxy.endpoint, on) as driver:
        proxy.silent = True
        link: Any = driver._link
        began = time.monotonic()
        async with clock.racing():
            await asyncio.wait([link._upkeep])
            assert time.monotonic() - began < KNOWN_S
            with pytest.raises(LinkError, match="while keeping the session alive"):
                await driver.write({0: 1})
            await driver.close()


async def test_a_time_out_that_is_given_holds_though_values_become_stale(
    plc: SkidServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("drivers.opcua.session._SHORTEST_PAUSE_S", LONG_S)  # nobody else asks meanwhile
    on = [replace(point, every_ms=50, stale_after_ms=200) for point in points(skid_node("byte"))]
    async with FaultProxy("127.0.0.1", plc.port) as proxy:
        endpoint = f"opc.tcp://127.0.0.1:{proxy.port}"
        async with opened(endpoint, on, timeout_ms=int(LONG_S * 1000)) as driver:
            proxy.delay = 0.3
            await driver.read(0)
            assert driver.image.value(0) == 255
            proxy.delay = 0.0
        async with opened(endpoint, on) as driver:
            proxy.delay = 0.3
            with pytest.raises(LinkError, match=r"no answer within 0\.15 s while reading: .*raise timeout_ms"):
                await driver.read(0)
            proxy.delay = 0.0


async def test_slow_answers_are_waited_for_and_go_to_their_own_question(plc: SkidServer) -> None:
    plc.add("slow", 1, V.Int32)
    async with FaultProxy("127.0.0.1", plc.port) as proxy:
        endpoint = f"opc.tcp://127.0.0.1:{proxy.port}"
        async with opened(endpoint, points(skid_node("byte"), skid_node("slow"))) as driver:
            proxy.delay = 0.25
            await driver.read(0)
            assert [driver.image.value(row) for row in range(2)] == [255, 1]
            plc.set("slow", ua.DataValue(ua.Variant(2, V.Int32)))
            with impatient(driver, 0.2), pytest.raises(LinkError, match=r"no answer within 0\.2 s while reading"):
                await driver.read(0)
            plc.set("slow", ua.DataValue(ua.Variant(3, V.Int32)))
            proxy.delay = 0.0
            await driver.open()
            await driver.read(0)
            assert driver.image.value(1) == 3  # not the 2 of the answer that came late


async def test_a_port_of_another_protocol_is_told() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()
        writer.close()

    other = await asyncio.start_server(babble, "127.0.0.1", 0)
    endpoint = f"opc.tcp://127.0.0.1:{other.sockets[0].getsockname()[1]}"
    driver = OpcUa({"plc": DeviceOptions(endpoint=endpoint, timeout_ms=500)}, points("i=2258"))
    with pytest.raises(LinkError, match=endpoint):
        await driver.open()
    await driver.close()
    other.close()
    await other.wait_closed()


async def test_the_session_lives_through_long_pauses(plc: SkidServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses that are long for what client and server have agreed upon, of which the client uses a small part only."""
    monkeypatch.setattr("drivers.opcua.session.SESSION_TIMEOUT_S", 6.0)
    monkeypatch.setattr("drivers.opcua.session._PROBES_PER_SESSION_TIMEOUT", 60)
    monkeypatch.setattr("drivers.opcua.session.CHANNEL_LIFETIME_S", LONG_S)
    monkeypatch.setattr("drivers.opcua.session._RENEW_AFTER", 0.004)
    asked = 0
    read = InternalSession.read

    async def counted(self: InternalSession, params: Any) -> Any:
        nonlocal asked
        asked += 1
        return await read(self, params)

    monkeypatch.setattr(InternalSession, "read", counted)
    async with opened(plc.endpoint, points(skid_node("byte"))) as driver:
        link: Any = driver._link
        connection = link._client.uaclient.protocol._connection
        before, token = asked, connection.security_token.TokenId
        async with asyncio.timeout(60):
            while asked < before + 3 or connection.security_token.TokenId < token + 2:
                await asyncio.sleep(0.01)  # nobody is told of either
        await driver.read(0)
        assert driver.image.value(0) == 255


async def test_a_group_whose_nodes_are_all_missing_notices_a_lost_link(plc: SkidServer) -> None:
    async with Proxy(plc.port) as proxy, opened(proxy.endpoint, points(skid_node("nowhere"))) as driver:
        await driver.read(0)
        proxy.drop()
        with pytest.raises(LinkError, match=proxy.endpoint):
            await driver.read(0)


async def test_closing_is_always_safe_and_the_contract_is_kept(plc: SkidServer) -> None:
    driver: Driver = OpcUa({"plc": DeviceOptions(endpoint=plc.endpoint, timeout_ms=60_000)}, points(skid_node("byte")))
    assert driver_class("opcua") is OpcUa
    assert isinstance(driver, Writes)
    await driver.close()
    with pytest.raises(LinkError, match="open the link first"):
        await driver.read(0)
    await driver.open()
    await driver.close()
    await driver.close()
    opening = asyncio.ensure_future(driver.open())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await driver.close()
    await driver.open()
    await driver.read(0)
    await driver.close()
