"""Each value that is read is that of its own device, table and address, whatever the line does with the answers.

SKIDLINK_MATCHING_READINGS sets how many blocks are read in all; a million take some minutes (`make matching`).
SKIDLINK_MATCHING_SEED makes other runs of the same cases.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from drivers.contract import DeviceError, LinkError
from drivers.modbus.connection import Connection, Pace
from drivers.modbus.device import Device
from drivers.modbus.frames import Frames, MbapFrames
from drivers.modbus.lines import AsciiFrames, RtuFrames
from drivers.modbus.link import Link
from drivers.modbus.options import RtuDeviceOptions, TcpDeviceOptions
from drivers.modbus.pdu import Table, read
from tests.unit.modbus_adversary import Adversary, is_own
from tests.unit.virtual_time import VirtualTime, run_virtually

READINGS = int(os.environ.get("SKIDLINK_MATCHING_READINGS", "6000"))
SEED = os.environ.get("SKIDLINK_MATCHING_SEED", "")

HONEST = ("lost", "late", "twice", "twice, the second time later", "in one piece", "the one before first",
          "the one before only", "the one before, its own late", "an old one", "cut",
          "exception, then late", "close, and bring it to the next connection")  # fmt: skip
SOBER = (*HONEST, "another device", "short", "another function")
OVERTAKING = (*SOBER, "very late", "any time")
LINE = ("noise", "flip")
NUMBERED = ("a stray without number", "an old number", "close")


class Wire:
    """A way to an adversary instead of a socket."""

    name = "line"
    settings = ""
    is_redialled = False
    pace = Pace()

    def __init__(self, adversary: Adversary) -> None:
        self.adversary = adversary

    def frames(self, counters: Any) -> Frames:
        of: Any = self.adversary.framing
        return of() if of is MbapFrames else of(counters)

    async def connect(self, make: Any) -> Connection:
        connection: Connection = make()
        self.adversary.join(connection)
        await asyncio.sleep(0.01)
        return connection


@dataclass
class Tally:
    """What came of the readings."""

    asked: int = 0
    right: int = 0
    wrong: int = 0


async def read_on(link: Link, devices: Sequence[Device], chance: random.Random, count: int, tally: Tally) -> None:
    """Read blocks of equal and unequal lengths, as a plan would, turn after turn."""
    blocks = [
        (device, table, address, size)
        for device in devices
        for table in (Table.HOLDING, Table.INPUT)
        for address, size in ((0, 2), (40, 2), (80, 10), (120, 10), (200, 7), (300, 10))
    ]
    await link.open()
    while tally.asked < count:
        device = chance.choice(devices)
        mine = [block for block in blocks if block[0] is device]
        asked = chance.sample(mine, chance.randint(1, 5))
        tally.asked += len(asked)
        try:
            replies = await link.exchange(device, [read(*block[1:]) for block in asked])
        except DeviceError:
            continue
        except LinkError:
            await link.open()
            continue
        for (_, table, address, _), reply in zip(asked, replies, strict=True):
            if isinstance(reply, bytes):
                own = is_own(reply, device.options.device_id, table, address)
                tally.right += own
                tally.wrong += not own
        await asyncio.sleep(chance.choice([0.0, 0.02, 0.2]))


def talk(adversary: Adversary, chance: random.Random, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Tally:
    tally = Tally()
    numbered = adversary.framing is MbapFrames
    given = {"host": "dev"} if numbered else {"port": "dev"}
    of = TcpDeviceOptions if numbered else RtuDeviceOptions
    devices = [
        Device(f"dev{at}", of.model_validate(given | {"device_id": at, "timeout_ms": 300} | options))
        for at in (1, 2, 3)
    ]

    async def main() -> None:
        link = Link(Wire(adversary), devices)
        await read_on(link, devices, chance, READINGS // len(CASES), tally)
        await link.close()

    run_virtually(main(), VirtualTime(), monkeypatch)
    return tally


CASES = [
    pytest.param(RtuFrames, OVERTAKING + LINE, {}, {}, id="rtu"),
    pytest.param(AsciiFrames, OVERTAKING + LINE, {}, {}, id="ascii"),
    pytest.param(RtuFrames, HONEST + LINE, {"in_order": True}, {}, id="rtu in order"),
    pytest.param(MbapFrames, OVERTAKING + NUMBERED, {}, {}, id="tcp"),
    pytest.param(MbapFrames, OVERTAKING + NUMBERED, {}, {"max_in_flight": 4}, id="tcp pipelined"),
    pytest.param(MbapFrames, OVERTAKING, {"zero": True}, {}, id="tcp without numbers"),
]


@pytest.mark.parametrize(("framing", "behaviours", "line", "options"), CASES)
def test_no_value_is_another_ones(
    framing: type[Frames],
    behaviours: tuple[str, ...],
    line: dict[str, Any],
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chance = random.Random(f"{framing.__name__} {line} {options}{SEED}")
    adversary = Adversary(framing, behaviours, chance, **line)
    tally = talk(adversary, chance, monkeypatch, **options)
    print(f"{framing.__name__}, seed {SEED!r}: {tally}")
    assert tally.wrong == 0
    assert tally.right > 0.5 * tally.asked, f"{tally}: too little is left to call it a reading"
    assert set(adversary.done) == {*behaviours, "well"}
