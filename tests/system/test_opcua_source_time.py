"""Values that a server goes on to call good though nobody renews them, over a real socket."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import Callable, Iterator

import pytest

from drivers.contract import Point, Quality
from drivers.opcua.driver import OpcUa
from tests.system.opcua_server import SKID, Proxy, SkidServer, opened, quality, skid_node, ua

V = ua.VariantType
START = datetime.datetime(2001, 1, 1, tzinfo=datetime.UTC)
"""By the clock of a PLC that nobody has set."""
REASON = "the source time has not changed for more than 0.3 s"


@pytest.fixture(scope="module")
def plc() -> Iterator[SkidServer]:
    """A server that the tests of this module share."""
    server = SkidServer([SKID])
    for name in ("renewed", "frozen"):
        server.add(name, 1.0, V.Double)
    yield server
    server.stop()


class Instrument:
    """Writes to the server as the PLC does, with source times of its own."""

    def __init__(self, plc: SkidServer) -> None:
        self._plc = plc
        self._turn = 0

    def renew(self, *names: str) -> None:
        self._turn += 1
        for name in names:
            value = ua.DataValue(ua.Variant(float(self._turn), V.Double))
            value.SourceTimestamp = START + datetime.timedelta(milliseconds=self._turn)
            self._plc.run(self._plc.server.write_attribute_value(ua.NodeId(name, self._plc.index), value))


async def until(driver: OpcUa, instrument: Instrument, names: tuple[str, ...], true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.to_thread(instrument.renew, *names)
            await driver.read(0)
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("mode", ["poll", "subscribe"])
@pytest.mark.parametrize("fast_path", [True, False])
async def test_a_source_time_that_stands_still(plc: SkidServer, mode: str, fast_path: bool) -> None:
    """It makes its own value stale only, each time anew, and a new session does not renew it."""
    instrument = Instrument(plc)
    instrument.renew("renewed", "frozen")
    nodes = [skid_node("renewed"), skid_node("frozen"), skid_node("frozen", stale_by="received")]
    on = [Point(f"T{row}", "plc", node, 50, stale_after_ms=300) for row, node in enumerate(nodes)]
    options = {"mode": mode, "fast_path": fast_path, "stale_by": "source", "timeout_ms": 60_000}
    async with Proxy(plc.port) as proxy, opened(proxy.endpoint, on, **options) as driver:
        for _ in range(2):
            await until(driver, instrument, ("renewed",), lambda: quality(driver, 1) == (Quality.STALE, REASON))
            assert quality(driver, 2)[0] is Quality.GOOD
            await until(driver, instrument, ("renewed", "frozen"), lambda: quality(driver, 1)[0] is Quality.GOOD)
        await until(driver, instrument, ("renewed",), lambda: quality(driver, 1)[0] is Quality.STALE)
        proxy.drop()
        await driver.open()
        await driver.read(0)
        assert quality(driver, 1) == (Quality.STALE, REASON)
        await until(driver, instrument, ("renewed", "frozen"), lambda: quality(driver, 1)[0] is Quality.GOOD)
