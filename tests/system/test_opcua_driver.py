"""Reading and writing with the OPC UA driver, against asyncua's server over a real socket."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import InternalSession

from drivers.contract import Kind, Quality
from drivers.opcua.driver import OpcUa
from drivers.opcua.options import DeviceOptions
from tests.system.opcua_server import SKID, SkidServer, is_sign_of_life, opened, points, quality, skid_node, ua
from tests.system.opcua_values import EVENING, NOON, VALUES, V, values_server


@pytest.fixture(scope="module")
def plc() -> Iterator[SkidServer]:
    """A server that the tests of this module share; each adds nodes of its own."""
    with values_server() as server:
        yield server


@pytest.fixture
def limited(plc: SkidServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], list[int]]]:
    """Make the server refuse reads of more nodes than this; gives the sizes of the requests that it has seen."""
    seen: list[int] = []

    def limit(most: int) -> list[int]:
        read = InternalSession.read

        async def limited_read(self: InternalSession, params: Any) -> Any:
            if not is_sign_of_life(params):
                seen.append(len(params.NodesToRead))
            if len(params.NodesToRead) > most:
                raise ServiceError(ua.StatusCodes.BadTooManyOperations)
            return await read(self, params)

        monkeypatch.setattr(InternalSession, "read", limited_read)
        return seen

    yield limit
    plc.set_limit(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead, 0)
    plc.set_limit(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite, 0)


@pytest.mark.parametrize("fast_path", [True, False])
async def test_every_built_in_type_is_learned_and_exact(plc: SkidServer, fast_path: bool) -> None:
    async with opened(plc.endpoint, points(*map(skid_node, VALUES)), fast_path=fast_path) as driver:
        await driver.read(0)
        for row, (name, (_, _, kind, value)) in enumerate(VALUES.items()):
            assert (name, Kind(int(driver.image.kinds[row]))) == (name, kind)
            assert (name, driver.image.value(row)) == (name, value)
            assert quality(driver, row) == (Quality.GOOD, "")
        assert driver.plan == [f"plc: 1 request reads {len(VALUES)} nodes for {len(VALUES)} tags"]


async def test_an_asyncua_that_is_other_inside_is_slower_only(
    plc: SkidServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("drivers.opcua.session._INNER_PARTS", ("_connection", "_renamed"))
    async with opened(plc.endpoint, points(skid_node("double"))) as driver:
        await driver.read(0)
        assert driver.image.value(0) == 0.1
    assert "has no _renamed: reading is slower" in caplog.text


async def test_every_way_to_name_a_node(plc: SkidServer) -> None:
    index = plc.index
    ways = [
        f"ns={index};s=double",
        f"nsu={SKID};s=double",
        f"Objects/{index}:System/{index}:double",
        f"Objects/nsu={SKID};System/nsu={SKID};double",
        f"/Root/Objects/{index}:System/{index}:double",
    ]
    async with opened(plc.endpoint, points(*ways, "i=2259", "Objects/Server/ServerStatus/State")) as driver:
        await driver.read(0)
        assert [driver.image.value(row) for row in range(7)] == [0.1] * 5 + [0, 0]
        assert driver.image.kinds[5] == Kind.INT  # an enumeration


async def test_kinds_wait_for_the_server_and_declared_ones_do_not(plc: SkidServer) -> None:
    on = points(skid_node("int64"), skid_node("int64", type="int64"), skid_node("double", type="int32"))
    async with opened(plc.endpoint, on) as driver:
        before = OpcUa({"plc": DeviceOptions(endpoint=plc.endpoint)}, on).image
        assert before.kinds.tolist() == [Kind.FLOAT, Kind.INT, Kind.INT]
        await driver.read(0)
        assert driver.image.kinds.tolist() == [Kind.INT, Kind.INT, Kind.INT]
        assert [driver.image.value(row) for row in range(2)] == [-(2**63)] * 2
        assert quality(driver, 2) == (
            Quality.BAD,
            "type is given as Int32, but the node is Double: correct it, or leave it out",
        )


@pytest.mark.parametrize("fast_path", [True, False])
async def test_arrays_and_structures(plc: SkidServer, fast_path: bool) -> None:
    plc.add("array", [1.5, 2.5], V.Double)
    plc.add("matrix", [[1, 2], [3, 4]], V.Int32)
    on = points(
        skid_node("array", index=1),
        skid_node("array", index=2),
        skid_node("array"),
        skid_node("double", index=0),
        skid_node("matrix", index=2),
        "i=2256",
        "i=2253",
    )
    async with opened(plc.endpoint, on, fast_path=fast_path) as driver:
        await driver.read(0)
        assert driver.image.value(0) == 2.5
        assert quality(driver, 1) == (Quality.BAD, "the array of the node has no such element: lower index")
        assert quality(driver, 2) == (
            Quality.BAD,
            "the node is an array: give the element to read, as index: 0",
        )
        assert quality(driver, 3) == (Quality.BAD, "the node is no array: delete index")
        assert driver.image.value(4) == 3
        assert quality(driver, 5)[1].startswith("the node is a structure")
        assert quality(driver, 6)[1].startswith("the node is an object")
        assert quality(driver, 0) == quality(driver, 4) == (Quality.GOOD, "")


@pytest.mark.parametrize("fast_path", [True, False])
async def test_status_becomes_quality_and_keeps_its_name(plc: SkidServer, fast_path: bool) -> None:
    for name in ("bad", "uncertain", "clamped", "empty"):
        plc.add(name, 1.0, V.Double)
    on = points(*map(skid_node, ("bad", "uncertain", "clamped", "empty", "double")))
    async with opened(plc.endpoint, on, fast_path=fast_path) as driver:
        variant = ua.Variant(7.0, V.Double)
        for name, status in (
            ("bad", ua.StatusCodes.BadDeviceFailure),
            ("uncertain", ua.StatusCodes.UncertainLastUsableValue),
            ("clamped", ua.StatusCodes.GoodClamped),
        ):
            plc.set(name, ua.DataValue(variant, ua.StatusCode(ua.UInt32(status))))
        plc.set("empty", ua.DataValue(ua.Variant(None, V.Null)))
        await driver.read(0)
        assert quality(driver, 0)[0] is Quality.BAD
        assert "BadDeviceFailure" in quality(driver, 0)[1]
        assert quality(driver, 1)[0] is Quality.STALE
        assert "UncertainLastUsableValue" in quality(driver, 1)[1]
        assert driver.image.value(1) == 7.0
        assert quality(driver, 2) == (Quality.GOOD, "")
        assert driver.image.value(2) == 7.0
        assert quality(driver, 3) == (Quality.BAD, "the server has no value for the node (null)")
        assert quality(driver, 4) == (Quality.GOOD, "")


@pytest.mark.parametrize("timestamp", ["source", "server", "tick"])
async def test_time_comes_from_where_the_author_says(plc: SkidServer, timestamp: str) -> None:
    plc.add(f"timed_{timestamp}", 1.0, V.Double)
    plc.set(
        f"timed_{timestamp}", ua.DataValue(ua.Variant(1.0, V.Double), SourceTimestamp=NOON, ServerTimestamp=EVENING)
    )
    async with opened(plc.endpoint, points(skid_node(f"timed_{timestamp}")), timestamp=timestamp) as driver:
        await driver.read(0)
        found = float(driver.image.source_time[0])
        match timestamp:
            case "source":
                assert found == NOON.timestamp()
            case "server":
                assert found == EVENING.timestamp()
            case _:
                assert math.isnan(found)


async def test_a_missing_node_is_bad_alone_and_the_log_says_what_is_near(
    plc: SkidServer, caplog: pytest.LogCaptureFixture
) -> None:
    on = points(
        f"Objects/{plc.index}:System/{plc.index}:Duoble",
        skid_node("double"),
        "nsu=urn:skit;s=double",
        skid_node("nowhere"),
        "Objects/2:System/2:double",  # the index that the namespace had before
    )
    async with opened(plc.endpoint, on) as driver:
        await driver.read(0)
        assert [quality(driver, row)[0] for row in range(5)] == [Quality.BAD, Quality.GOOD] + [Quality.BAD] * 3
        told = caplog.text
        assert f"did you mean '{plc.index}:double'?" in told
        assert "did you mean 'urn:skid'?" in told
        assert f"Objects is there, but has no '2:System'; did you mean '{plc.index}:System'?" in told
        assert "T3: nsu=urn:skid;s=nowhere: no node has this id" in told
        caplog.clear()
        await driver.open()
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("fast_path", [True, False])
async def test_a_value_that_cannot_be_decoded_costs_its_own_tag_only(plc: SkidServer, fast_path: bool) -> None:
    for number in range(5):
        plc.add(f"sound{number}", number, V.Int32)
    plc.add("spoiled", 0, V.Int32)
    names = ["sound0", "sound1", "sound2", "spoiled", "sound3", "sound4"]
    async with opened(plc.endpoint, points(*map(skid_node, names)), fast_path=fast_path) as driver:
        status_type = ua.NodeId(ua.ObjectIds.ServerStatusDataType_Encoding_DefaultBinary)
        plc.set("spoiled", ua.DataValue(ua.Variant(ua.ExtensionObject(status_type, b"\x01"), V.ExtensionObject)))
        for _ in range(2):
            await driver.read(0)
            assert [quality(driver, row)[0] for row in range(6)] == [Quality.GOOD] * 3 + [Quality.BAD] + [
                Quality.GOOD
            ] * 2
            assert [driver.image.value(row) for row in (0, 1, 2, 4, 5)] == [0, 1, 2, 3, 4]
            assert quality(driver, 3)[1].startswith("the node is a structure")


@pytest.mark.parametrize("fast_path", [True, False])
async def test_a_changed_type_is_bad_and_learned_at_the_next_connect(plc: SkidServer, fast_path: bool) -> None:
    plc.add("changing", 5, V.Int32)
    async with opened(plc.endpoint, points(skid_node("changing"), skid_node("double")), fast_path=fast_path) as driver:
        await driver.read(0)
        image = driver.image
        plc.set("changing", ua.DataValue(ua.Variant(5.5, V.Double)))
        await driver.read(0)
        assert image.value(0) == 5
        assert quality(driver, 0)[0] is Quality.BAD
        assert quality(driver, 1)[0] is Quality.GOOD
        await driver.open()
        assert driver.image is not image
        await driver.read(0)
        assert driver.image.value(0) == 5.5


@pytest.mark.parametrize("fast_path", [True, False])
async def test_requests_keep_to_the_limits_of_the_server(
    plc: SkidServer, limited: Callable[[int], list[int]], fast_path: bool
) -> None:
    names = [f"many{number}" for number in range(10)]
    for number, name in enumerate(names):
        plc.add(name, number, V.Int32)
    plc.set_limit(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead, 4)
    seen = limited(5)  # five is what the first request asks for, when the limit is not yet known
    async with opened(plc.endpoint, points(*map(skid_node, names)), fast_path=fast_path) as driver:
        assert driver.plan == ["plc: 3 requests read 10 nodes for 10 tags"]
        seen.clear()
        await driver.read(0)
        assert sorted(seen) == [3, 3, 4]
        assert [driver.image.value(row) for row in range(10)] == list(range(10))


@pytest.mark.parametrize("fast_path", [True, False])
async def test_a_server_that_takes_less_than_it_says(
    plc: SkidServer, limited: Callable[[int], list[int]], fast_path: bool
) -> None:
    names = [f"more{number}" for number in range(9)]
    for number, name in enumerate(names):
        plc.add(name, number, V.Int32)
    seen = limited(3)
    async with opened(plc.endpoint, points(*map(skid_node, names)), fast_path=fast_path) as driver:
        await driver.read(0)
        seen.clear()
        await driver.read(0)
        assert max(seen) <= 3
        assert [driver.image.value(row) for row in range(9)] == list(range(9))
