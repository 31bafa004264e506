"""Faults at random, several at a time, in virtual time: when they are over, everything is as it was."""

from __future__ import annotations

import asyncio
import logging
import random

import numpy as np
import pytest

from drivers.contract import Point, Quality
from drivers.modbus import pieces
from drivers.modbus.options import PointOptions, TcpDeviceOptions
from engine.links import DeviceState, Link
from tests.unit.memory_skid import Asked, ClosedError, Skid, exception, holding
from tests.unit.virtual_links import Virtually

ADDRESSES = [*range(0, 30, 3), *range(100, 106), 150, *range(200, 330, 13)]
KINDS = ["01", "02", "03", "04", "06", "0A", "short", "long", "silence", "closed"]


class Troubles:
    """What is wrong with each device at present."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.places: dict[tuple[int, int], str] = {}
        """device id, address -> how a request that touches it fails"""
        self.devices: dict[int, str] = {}
        """device id -> how everything fails"""

    def change(self) -> None:
        """Begin one more trouble, or end one."""
        chance = self._chance
        roll = chance.random()
        if roll < 0.4:
            self.places[chance.choice([1, 2, 3]), chance.choice(ADDRESSES)] = chance.choice(KINDS)
        elif roll < 0.6:
            self.devices[chance.choice([1, 2, 3])] = chance.choice([*KINDS, "silence", "silence"])
        elif roll < 0.8 and self.places:
            del self.places[chance.choice(list(self.places))]
        elif self.devices:
            del self.devices[chance.choice(list(self.devices))]

    def behave(self, asked: Asked) -> bytes | None:
        kind = self.devices.get(asked.device_id)
        for (device_id, address), failure in self.places.items():
            if kind is None and device_id == asked.device_id and asked.touches(address):
                kind = failure
        if kind is None or asked.function not in {3, 4}:
            return holding(asked)
        if kind == "silence":
            return None
        if kind == "closed":
            raise ClosedError
        if kind in {"short", "long"}:
            count = asked.count + (1 if kind == "long" else -1)
            return holding(Asked(asked.at, asked.device_id, asked.function, asked.address, count, 0))
        return exception(asked, int(kind, 16))

    def end(self) -> None:
        self.places.clear()
        self.devices.clear()


@pytest.mark.parametrize("seed", range(9))
def test_when_all_faults_are_over_everything_is_as_it_was(
    virtually: Virtually,
    seed: int,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pieces, "LAST_COSTLY_JOIN_S", pieces.LAST_RETRY_S)
    troubles = Troubles(seed)
    skid = Skid(troubles.behave, numbered=seed % 3 != 2)
    chance = random.Random(seed)
    window, write, count = (1 if seed % 2 else 6), seed % 4 == 3, 1 + seed % 3

    async def main() -> None:
        devices = {f"dev{number}": TcpDeviceOptions(host="memory", device_id=number, max_in_flight=window)
                   for number in range(1, count + 1)}  # fmt: skip
        points = [
            Point(f"{name} T{address}", name, PointOptions(holding=address), _cadence_ms(address), write=write)
            for name in devices
            for address in ADDRESSES
        ]
        driver = skid.driver()(devices, points)
        link = Link("line", driver)
        task = asyncio.create_task(link.run())
        await asyncio.sleep(12)
        usual = _requests(skid)
        for _ in range(2):
            for _ in range(25):
                troubles.change()
                await asyncio.sleep(chance.choice([0.05, 0.3, 1.0, 4.0]))
                good = np.flatnonzero(driver.image.quality == Quality.GOOD).tolist()
                assert all(driver.image.value(row) == driver._fields[row].address for row in good)
            troubles.end()
            await asyncio.sleep(140)
            bad = [points[row].tag for row in np.flatnonzero(driver.image.quality != Quality.GOOD).tolist()]
            assert bad == []
            assert set(link.devices.values()) == {DeviceState.UP}
            assert (driver.image.received > asyncio.get_running_loop().time() - 5).all()
            assert all(not group._pieces.is_split and not group._pieces.doubtful for group in driver._readings)
            if skid.numbered:  # on a serial line, what a device refused to give beside what was wanted costs requests
                assert _requests(skid) <= usual + 4, "they are as few as before, and what may be left is seldom tried"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    with caplog.at_level(logging.ERROR):
        virtually(main())
    assert not [record for record in caplog.records if record.exc_info], "the driver has not failed by itself"


def _cadence_ms(address: int) -> int:
    return 2000 if address == 150 else 500


def _requests(skid: Skid) -> int:
    """How many requests there were in the last ten seconds."""
    return len(skid.since(skid.asked[-1].at - 10))
