"""One node that breaks the whole answer, over a real socket: it alone is bad, and read again when it is sound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import InternalSession

from drivers.contract import LinkError, Quality
from drivers.opcua.driver import OpcUa
from drivers.opcua.options import DeviceOptions
from tests.clock import Clock
from tests.system.opcua_server import SKID, Proxy, SkidServer, is_sign_of_life, opened, points, quality, skid_node, ua

V = ua.VariantType
NAMES = [f"n{number}" for number in range(20)]
ON = points(*map(skid_node, [*NAMES[:13], "culprit", *NAMES[13:]]))
CULPRIT = 13
TRIAL_S = 61.0
"""After so long the node is tried again."""


@pytest.fixture(scope="module")
def plc() -> Iterator[SkidServer]:
    """A server that the tests of this module share."""
    server = SkidServer(["urn:other", SKID])
    for number, name in enumerate(NAMES):
        server.add(name, float(number), V.Double)
    yield server
    server.stop()


@pytest.fixture
def culprit(plc: SkidServer) -> SkidServer:
    """The server, with the node that the tests are about, sound as yet."""
    plc.add("culprit", -1.0, V.Double)
    return plc


def absurd() -> Any:
    """A value that our decoder refuses."""
    return ua.Variant([None] * 250_000, V.String, is_array=True)


def look(driver: OpcUa) -> list[bool]:
    return [quality(driver, row)[0] is Quality.GOOD for row in range(len(ON))]


ALL = [True] * len(ON)
ALL_BUT_ONE = [row != CULPRIT for row in range(len(ON))]


@pytest.fixture
def misbehave(culprit: SkidServer, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """Have the server do something at each reading with the culprit in it; gives the sizes of all readings."""
    read = InternalSession.read
    bad = ua.NodeId("culprit", culprit.index)

    def install(what: Callable[[], None]) -> list[int]:
        seen: list[int] = []

        async def reading(self: InternalSession, params: Any) -> Any:
            if not is_sign_of_life(params):
                seen.append(len(params.NodesToRead))
            if any(node.NodeId == bad and node.AttributeId == ua.AttributeIds.Value for node in params.NodesToRead):
                what()
            return await read(self, params)

        monkeypatch.setattr(InternalSession, "read", reading)
        return seen

    return install


def fault(status: int) -> Callable[[], None]:
    def fail() -> None:
        raise ServiceError(status)

    return fail


@pytest.mark.parametrize("mode", ["poll", "subscribe"])
@pytest.mark.parametrize("fast_path", [True, False])
async def test_a_value_that_cannot_be_decoded_is_there_from_the_start(
    culprit: SkidServer, fast_path: bool, mode: str, clock: Clock
) -> None:
    culprit.set("culprit", ua.DataValue(absurd()))
    async with opened(culprit.endpoint, ON, fast_path=fast_path, mode=mode) as driver:
        for _ in range(2):
            await driver.read(0)
            assert look(driver) == ALL_BUT_ONE
            assert "cannot be decoded with this node in it" in quality(driver, CULPRIT)[1]
            assert [driver.image.value(row) for row in (0, 12, 14)] == [0, 12, 13]
        culprit.set("culprit", ua.DataValue(ua.Variant(7.0, V.Double)))
        clock.leap(TRIAL_S)
        await driver.read(0)
        assert look(driver) == ALL
        assert driver.image.value(CULPRIT) == 7.0


@pytest.mark.parametrize("fast_path", [True, False])
async def test_a_node_that_begins_and_ceases_to_break_answers(
    culprit: SkidServer, fast_path: bool, clock: Clock
) -> None:
    async with opened(culprit.endpoint, ON, fast_path=fast_path) as driver:
        for turn in range(2):
            await driver.read(0)
            assert look(driver) == ALL
            culprit.set("culprit", ua.DataValue(absurd()))
            culprit.set("n0", ua.DataValue(ua.Variant(100.0 + turn, V.Double)))
            await driver.read(0)
            assert look(driver) == ALL_BUT_ONE
            assert driver.image.value(0) == 100.0 + turn
            clock.leap(TRIAL_S)
            await driver.read(0)
            assert look(driver) == ALL_BUT_ONE, "it is as bad as before"
            culprit.set("culprit", ua.DataValue(ua.Variant(float(turn), V.Double)))
            clock.leap(2 * TRIAL_S)
            await driver.read(0)
            assert driver.image.value(CULPRIT) == turn
    culprit.set("n0", ua.DataValue(ua.Variant(0.0, V.Double)))


@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.parametrize("status", ["BadInternalError", "BadDecodingError", "BadResponseTooLarge", "BadNodeIdUnknown"])
async def test_an_error_in_the_place_of_an_answer(
    culprit: SkidServer, misbehave: Callable[..., list[int]], fast_path: bool, status: str
) -> None:
    seen = misbehave(fault(getattr(ua.StatusCodes, status)))
    async with opened(culprit.endpoint, ON, fast_path=fast_path) as driver:
        await driver.read(0)
        assert look(driver) == ALL_BUT_ONE
        assert status in quality(driver, CULPRIT)[1]
        seen.clear()
        await driver.read(0)
        assert seen == [len(ON) - 1], "the others are read together as before"
        assert look(driver) == ALL_BUT_ONE


async def test_a_value_larger_than_any_message_may_be(culprit: SkidServer) -> None:
    culprit.set("culprit", ua.DataValue(ua.Variant("x" * 17 * 1024 * 1024, V.String)))
    async with opened(culprit.endpoint, ON) as driver:
        await driver.read(0)
        assert look(driver) == ALL_BUT_ONE
        assert "BadResponseTooLarge" in quality(driver, CULPRIT)[1]


@pytest.mark.parametrize("fast_path", [True, False])
async def test_a_lost_link_is_noticed_where_every_node_is_left_out(culprit: SkidServer, fast_path: bool) -> None:
    culprit.set("culprit", ua.DataValue(absurd()))
    on = points(skid_node("culprit"))
    async with Proxy(culprit.port) as proxy, opened(proxy.endpoint, on, fast_path=fast_path) as driver:
        for _ in range(2):
            await driver.read(0)
            assert quality(driver, 0)[0] is Quality.BAD
        proxy.drop()
        with pytest.raises(LinkError):
            await driver.read(0)


async def test_a_server_that_fails_all_readings_has_a_fault_of_its_own(
    culprit: SkidServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(culprit.endpoint, ON) as driver:
        await driver.read(0)

        async def failing(self: InternalSession, params: Any) -> Any:
            raise ServiceError(ua.StatusCodes.BadInternalError)

        monkeypatch.setattr(InternalSession, "read", failing)
        with pytest.raises(LinkError, match="BadInternalError"):
            await driver.read(0)
        assert driver._link.quarantine.next_trial == float("inf"), "no node is to blame"


@pytest.mark.parametrize("fast_path", [True, False])
async def test_a_connection_that_is_closed_at_one_node(
    culprit: SkidServer, misbehave: Callable[..., list[int]], fast_path: bool, clock: Clock
) -> None:
    """It is found by halving, a connection at a time; then the link stays up without it."""

    def close() -> None:
        listener: Any = culprit.server.bserver
        for client in list(listener.clients):
            client.transport.abort()

    misbehave(close)
    driver = OpcUa({"plc": DeviceOptions(endpoint=culprit.endpoint, timeout_ms=60_000, fast_path=fast_path)}, ON)
    lost = 0
    try:
        while lost < 15:
            try:
                await driver.open()
                await driver.read(0)
                break
            except LinkError:
                lost += 1
        assert lost == 0, "it is found within one open"
        assert look(driver) == ALL_BUT_ONE
        assert quality(driver, CULPRIT)[1] == "the server closes the connection when the node is read"
        for _ in range(3):
            await driver.read(0)
            assert look(driver) == ALL_BUT_ONE
        clock.leap(601.0)
        with pytest.raises(LinkError):
            await driver.read(0)
        await driver.open()
        await driver.read(0)
        assert look(driver) == ALL_BUT_ONE
    finally:
        await driver.close()


@pytest.mark.parametrize("fast_path", [True, False])
@pytest.mark.parametrize("operations", ["read", "all"])
async def test_a_server_that_answers_a_part_only_is_asked_for_less(
    culprit: SkidServer, monkeypatch: pytest.MonkeyPatch, fast_path: bool, operations: str
) -> None:
    read, write = InternalSession.read, InternalSession.write
    seen: list[int] = []

    async def cut(self: InternalSession, params: Any) -> Any:
        if not is_sign_of_life(params):
            seen.append(len(params.NodesToRead))
        params.NodesToRead = params.NodesToRead[:7]
        return await read(self, params)

    async def cut_write(self: InternalSession, params: Any) -> Any:
        params.NodesToWrite = params.NodesToWrite[:2]
        return await write(self, params)

    monkeypatch.setattr(InternalSession, "read", cut)
    if operations == "all":
        monkeypatch.setattr(InternalSession, "write", cut_write)
    async with opened(culprit.endpoint, ON, fast_path=fast_path) as driver:
        await driver.read(0)
        seen.clear()
        await driver.read(0)
        assert seen == [7, 7, 7]
        assert look(driver) == ALL
        assert [driver.image.value(row) for row in (0, 12, 14, 20)] == [0, 12, 13, 19]
        wanted = {row: float(50 + row) for row in range(5)}
        assert await driver.write(wanted) == {}
        await driver.read(0)
        assert [driver.image.value(row) for row in range(5)] == list(wanted.values())
        await driver.write({row: float(row) for row in range(5)})


@pytest.mark.parametrize("fast_path", [True, False])
async def test_a_node_at_which_the_server_hangs(
    culprit: SkidServer, monkeypatch: pytest.MonkeyPatch, fast_path: bool
) -> None:
    """A gateway may wait for a device that is off; it is found as one at which the connection is closed."""
    read = InternalSession.read
    bad = ua.NodeId("culprit", culprit.index)

    async def hanging(self: InternalSession, params: Any) -> Any:
        if any(node.NodeId == bad and node.AttributeId == ua.AttributeIds.Value for node in params.NodesToRead):
            await asyncio.sleep(3600)
        return await read(self, params)

    monkeypatch.setattr(InternalSession, "read", hanging)
    driver = OpcUa({"plc": DeviceOptions(endpoint=culprit.endpoint, timeout_ms=1000, fast_path=fast_path)}, ON[10:16])
    silences = 0
    try:
        while silences < 30:
            try:
                await driver.open()
                await driver.read(0)
                break
            except LinkError:
                silences += 1
        found, why = quality(driver, CULPRIT - 10)
        assert found is Quality.BAD
        assert why.startswith("the server does not answer when the node is read")
        assert [quality(driver, row)[0] for row in (0, 1, 2, 4, 5)] == [Quality.GOOD] * 5
        await driver.read(0)
    finally:
        await driver.close()


@pytest.mark.parametrize("fast_path", [True, False])
async def test_a_server_that_closes_the_connection_at_large_requests_gets_smaller_ones(
    culprit: SkidServer, monkeypatch: pytest.MonkeyPatch, fast_path: bool
) -> None:
    """Some servers end the connection where they should say BadTooManyOperations."""
    read = InternalSession.read
    seen: list[int] = []

    async def reading(self: InternalSession, params: Any) -> Any:
        seen.append(len(params.NodesToRead))
        if len(params.NodesToRead) > 9:
            listener: Any = culprit.server.bserver
            for client in list(listener.clients):
                client.transport.abort()
        return await read(self, params)

    monkeypatch.setattr(InternalSession, "read", reading)
    driver = OpcUa({"plc": DeviceOptions(endpoint=culprit.endpoint, timeout_ms=60_000, fast_path=fast_path)}, ON)
    lost = good = 0
    try:
        while good < 3 and lost < 40:
            try:
                await driver.open()
                while good < 3:
                    await driver.read(0)
                    assert look(driver) == ALL
                    good += 1
            except LinkError:
                lost, good = lost + 1, 0
        assert good == 3
        assert lost <= 20
        seen.clear()
        await driver.read(0)
        assert len(seen) <= 6, "few requests, of the size that the server bears"
        await driver.open()
        await driver.read(0)
        assert look(driver) == ALL
    finally:
        await driver.close()
