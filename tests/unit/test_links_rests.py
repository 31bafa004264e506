"""How long a silent device is left alone, in virtual time, over a real Modbus driver: the first time and the second."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from drivers.contract import Point
from drivers.modbus.driver import Modbus
from drivers.modbus.options import PointOptions, TcpDeviceOptions
from engine.links import DeviceState, Link, LinkState
from engine.rests import LONGEST_REST_S
from tests.unit.memory_skid import Asked, Skid, exception, holding
from tests.unit.virtual_links import Virtually, working


def driver_of(skid: Skid, *points: Point) -> Modbus:
    devices = {
        name: TcpDeviceOptions(host="memory", device_id=int(name[-1]), retries=0)
        for name in dict.fromkeys(point.device for point in points)
    }
    return skid.driver()(devices, points)


def point(device: str, address: int = 7, every_ms: int = 100) -> Point:
    return Point(f"{device}.{address}", device, PointOptions(holding=address), every_ms, stale_after_ms=2000)


def test_a_silent_device_is_left_alone_for_longer_and_longer_each_time_anew(virtually: Virtually) -> None:
    skid = Skid()

    async def main() -> None:
        link = Link("line", driver_of(skid, point("dev1"), point("dev2")))
        loop = asyncio.get_running_loop()
        async with working(link):
            for _ in range(2):
                await asyncio.sleep(60)
                skid.dead, died = {2}, loop.time()
                await asyncio.sleep(300)
                tries = [asked.at for asked in skid.since(died) if asked.device_id == 2]
                rests = [after - before for before, after in pairwise(tries)]
                assert max(rests[:3]) < 6, "soon at first"
                assert 0.4 * LONGEST_REST_S < min(rests[-5:]) <= max(rests[-5:]) < LONGEST_REST_S + 2
                assert 25 <= len(tries) <= 55
                skid.dead = set()

    virtually(main())


def test_a_rest_does_not_outlast_the_connection(virtually: Virtually) -> None:
    """Whoever has mended the skid by pulling its plug does not wait for the end of a rest."""
    skid = Skid()

    async def main() -> None:
        link = Link("line", driver_of(skid, point("dev1"), point("dev2")))
        async with working(link):
            for _ in range(2):
                skid.dead = {2}
                await asyncio.sleep(200)
                assert link.devices["dev2"] is DeviceState.DEMOTED
                skid.dead, skid.is_reachable = set(), False
                assert skid.outlet is not None
                skid.outlet.close()
                await asyncio.sleep(2)
                assert link.state is LinkState.DOWN
                skid.is_reachable = True
                while link.state is LinkState.DOWN:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.3)
                assert link.devices["dev2"] is DeviceState.UP

    virtually(main())


def test_a_line_that_is_opened_again_is_not_up_before_a_device_answers(virtually: Virtually) -> None:
    skid = Skid()
    ups: list[bool] = []

    async def main() -> None:
        link = Link("line", driver_of(skid, point("dev1"), point("dev2")))
        async with working(link):
            for _ in range(2):
                await asyncio.sleep(20)
                assert link.state is LinkState.UP
                skid.dead = {1, 2}
                while link.up:
                    await asyncio.sleep(0.01)
                link.on_state = lambda: ups.append(link.up)
                await asyncio.sleep(60)
                link.on_state = None
                skid.dead = set()

    virtually(main())
    assert ups == []


def test_a_device_that_had_bad_points_before_it_was_opened_again_is_not_called_degraded_for_them(
    virtually: Virtually,
) -> None:
    skid = Skid()
    refused = False

    def behave(asked: Asked) -> bytes:
        return exception(asked, 2) if refused and asked.touches(50) else holding(asked)

    skid.behave = behave

    async def main() -> None:
        nonlocal refused
        link = Link("line", driver_of(skid, point("dev1"), point("dev1", 50, 30_000)))
        async with working(link):
            refused = True
            await asyncio.sleep(65)
            assert link.devices["dev1"] is DeviceState.DEGRADED
            refused, skid.is_reachable = False, False
            assert skid.outlet is not None
            skid.outlet.close()
            await asyncio.sleep(2)
            skid.is_reachable = True
            while link.state is LinkState.DOWN:
                await asyncio.sleep(0.001)
            assert link.devices["dev1"] is DeviceState.UP

    virtually(main())
