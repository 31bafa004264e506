"""Modbus TCP against devices that misbehave: no value lands on a wrong point, and the driver recovers."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import pytest

from drivers.contract import DeviceError, LinkError
from drivers.modbus import transactions
from drivers.modbus.driver import ModbusTcp
from drivers.modbus.options import TcpDeviceOptions
from drivers.reasons import reason_text
from tests.clock import IN_FLIGHT_S, Clock
from tests.system.misbehaving_device import TIMEOUT_S, Asked, Device, check, points, well


@pytest.fixture
def device(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Device:
    monkeypatch.setattr(transactions, "DEBT_LIFETIME_S", 1000 * TIMEOUT_S)
    return Device(clock)


async def test_a_device_that_accepts_and_never_answers(device: Device) -> None:
    device.behave = device.silence
    async with device.driven(points(1, 20), retries=2) as driver:
        started = time.monotonic()
        with pytest.raises(
            LinkError, match=r"dev1 \(device_id 1 on 127.0.0.1:\d+\) does not answer within 10000 ms, asked 3"
        ):
            await driver.read(0)
        assert 4 * TIMEOUT_S <= time.monotonic() - started < 5 * TIMEOUT_S
        assert check(driver) == [0, 1]
        assert [(asked.address, asked.number) for asked in device.asked] == [(1, 1), (1, 2), (1, 3), (20, 4)]
        assert driver.devices["dev1"].counters.timeouts == 4


async def test_a_silent_device_is_told_apart_from_a_dead_link(device: Device) -> None:
    device.behave = lambda asked: device.silence() if asked.device_id == 2 else [asked.answer()]
    async with device.driven([*points(1), *points(5, device="dev2")]) as driver:
        with pytest.raises(DeviceError, match="dev2"):
            await driver.read(1)
        await driver.read(0)
        assert check(driver) == [1]
        device.behave = device.silence
        with pytest.raises(LinkError, match="dev1"):
            await driver.read(0)


async def test_a_gateway_that_cannot_reach_a_device(device: Device) -> None:
    device.behave = lambda asked: [asked.framed(b"\x83\x0b")]
    async with device.driven(points(1)) as driver:
        with pytest.raises(
            DeviceError, match=r"dev1: the gateway 127.0.0.1:\d+ cannot reach device_id 1: gateway target"
        ):
            await driver.read(0)


async def test_a_connection_closed_in_mid_answer_and_opened_again(device: Device) -> None:

    def broken(asked: Asked) -> Iterable[bytes] | None:
        return [asked.answer()[:9]] if asked.address == 1 else None

    device.behave = broken
    async with device.driven(points(1, 20), max_in_flight=2) as driver:
        with pytest.raises(LinkError, match="the other side closed the connection"):
            await driver.read(0)
        with pytest.raises(LinkError, match="the other side closed the connection"):
            await driver.read(0)
        assert check(driver) == [0, 1]
        device.behave = well
        await driver.open()
        await driver.read(0)
        assert check(driver) == []
        assert driver.link.counters.reconnects == 1


async def test_no_server_is_a_link_error(closed_port: int) -> None:
    driver = ModbusTcp({"dev1": TcpDeviceOptions(host="127.0.0.1", port=closed_port)}, points(1))
    with pytest.raises(
        LinkError, match=f"^127.0.0.1:{closed_port}: nothing listens at this port: .*, or correct port$"
    ):
        await driver.open()
    with pytest.raises(LinkError, match="not connected"):
        await driver.read(0)


@pytest.mark.parametrize("zero", [False, True], ids=["with transaction ids", "with transaction id 0"])
async def test_answers_late_by_one_request(device: Device, zero: bool) -> None:
    """The first answer comes with the second request, as after a pause longer than the time-out."""
    owed: list[Asked] = []

    def late(asked: Asked) -> Iterable[bytes]:
        due = [*owed]
        owed[:] = []
        if len(device.asked) == 1:
            owed.append(asked)
            return device.silence()
        return [one.answer(0 if zero else None) for one in (*due, asked)]

    device.behave = late
    async with device.driven(points(1, 20, 40), retries=2) as driver:
        await driver.read(0)
        assert check(driver) == []
        assert driver.devices["dev1"].counters.late == 1


async def test_a_device_always_late_by_one_never_gives_a_wrong_value(device: Device) -> None:
    """Every answer is that to the request before, under transaction id 0: nothing of it can be trusted."""
    device.behave = lambda _: [*(asked.answer(0) for asked in device.asked[-2:-1]), *device.silence()]
    async with device.driven(points(1, 20, 40), retries=1) as driver:
        for _ in range(3):
            with suppress(LinkError):
                await driver.read(0)
            assert {1, 2} <= set(check(driver))
        assert driver.devices["dev1"].counters.late >= 5


async def test_pipelined_answers_in_any_order(device: Device) -> None:
    held: list[Asked] = []

    def backwards(asked: Asked) -> Iterable[bytes]:
        held.append(asked)
        if len(held) < 4:
            return []
        answers = [one.answer() for one in reversed(held)]
        held.clear()
        return answers

    device.behave = backwards
    async with device.driven(points(*range(0, 160, 20)), max_in_flight=4) as driver:
        await driver.read(0)
        assert check(driver) == []


async def test_a_slow_device_has_its_time_for_each_of_several_requests(device: Device) -> None:
    device.delay_s = 0.6 * TIMEOUT_S
    async with device.driven(points(*range(0, 120, 20)), max_in_flight=6) as driver:
        await driver.read(0)
        assert check(driver) == []
        assert driver.devices["dev1"].counters.timeouts == 0


async def test_a_device_with_transaction_id_0_is_not_pipelined_again(device: Device) -> None:
    device.behave = lambda asked: [asked.answer(0)]
    async with device.driven(points(1, 20, 40), max_in_flight=3) as driver:
        with pytest.raises(LinkError, match="transaction id 0 while several requests are open"):
            await driver.read(0)
        assert check(driver) == [0, 1, 2]
        await driver.open()
        await driver.read(0)
        assert check(driver) == []


async def test_duplicated_answers(device: Device) -> None:
    device.behave = lambda asked: [asked.answer(), asked.answer()]
    async with device.driven(points(1, 20, 40)) as driver:
        await driver.read(0)
        await driver.read(0)
        assert check(driver) == []
        assert driver.link.counters.unasked >= 5  # the last duplicate may still be on its way


@pytest.mark.parametrize(
    ("count", "reason"),
    [
        (1, "holding 20 to 21: the device answers with less than was asked for"),
        (3, "holding 20 to 21: the device answers with more than was asked for"),
    ],
)
async def test_answers_of_a_wrong_length_make_their_points_bad(device: Device, count: int, reason: str) -> None:
    device.behave = lambda asked: [asked.answer(count=count if asked.count == 2 else None)]
    async with device.driven(points(1, 20, 21), retries=1) as driver:
        await driver.read(0)
        assert check(driver) == [1, 2]
        assert reason_text(int(driver.image.reason[1])) == reason
        counters = driver.devices["dev1"].counters
        assert (counters.short, counters.wrong, counters.repeats) == ((2, 0, 1) if count == 1 else (0, 2, 1))


async def test_garbage_breaks_the_link(device: Device) -> None:
    device.behave = lambda _: [b"HTTP/1.1 400 Bad Request\r\n\r\n"]
    async with device.driven(points(1)) as driver:
        with pytest.raises(LinkError, match=r"what came is not Modbus TCP \(header 48 54 54 50"):
            await driver.read(0)
        assert check(driver) == [0]


async def test_an_answer_without_its_end_does_not_swallow_the_next_one(device: Device) -> None:
    def behave(asked: Asked) -> Iterable[bytes]:
        answer = asked.answer()
        return [answer] if asked.address != 20 else [answer[:5] + b"\x40", answer[6:], *device.silence()]

    device.behave = behave
    async with device.driven(points(1, 20, 40), retries=2) as driver:
        with pytest.raises(LinkError, match="only a part of a response came within 10000 ms"):
            await driver.read(0)
        assert [asked.address for asked in device.asked] == [1, 20]
        device.behave = well
        await driver.open()
        await driver.read(0)
        assert check(driver) == []


async def test_answers_in_single_bytes(device: Device) -> None:
    async with device.driven(points(1, 20)) as driver:
        device.behave = lambda asked: [bytes((byte,)) for byte in asked.answer()]
        await driver.read(0)
        assert check(driver) == []


async def test_a_cancelled_read_leaves_nothing_behind(device: Device) -> None:
    arrived = asyncio.Event()

    def keep(_: Asked) -> Iterable[bytes]:
        arrived.set()
        return []

    device.behave = keep
    async with device.driven(points(1, 20), max_in_flight=2) as driver:
        cancelled = asyncio.create_task(driver.read(0))
        await arrived.wait()
        cancelled.cancel()
        await asyncio.wait([cancelled])
        assert cancelled.cancelled()
        stray = device.asked[0]
        device.behave = lambda asked: [stray.answer(), asked.answer()]
        await driver.read(0)
        assert check(driver) == []
        assert driver.devices["dev1"].counters.late == 1


async def test_a_write_answered_for_another_register_is_not_taken_as_done(device: Device) -> None:
    device.behave = lambda asked: [asked.framed(struct.pack(">BHH", 6, asked.address + 1, asked.count))]
    async with device.driven(points(1)) as driver:
        refused = await driver.write({0: 7})
        assert refused[0].startswith("it is not known whether holding 1 was written (function 6: the device's answer")


async def test_a_connection_that_ends_in_a_write_leaves_it_open_whether_it_was_done(device: Device) -> None:
    device.behave = lambda asked: None if asked.function == 6 else [asked.answer()]
    async with device.driven(points(1)) as driver:
        await driver.read(0)
        with pytest.raises(LinkError, match=r"; it is not known whether T1 \(holding 1\) was written$"):
            await driver.write({0: 7})
        await driver.close()
        await driver.open()
        await driver.read(0)
        assert check(driver) == []


async def test_pauses_are_kept(device: Device, clock: Clock) -> None:
    pauses: dict[str, Any] = {"pause_after_connect_ms": 20_000, "pause_between_requests_ms": 5_000}
    async with device.driven(points(1, 20, 40), **pauses, max_in_flight=3) as driver:
        counters = driver.devices["dev1"].counters
        for _ in range(2):
            reading = asyncio.create_task(driver.read(0))
            for _ in range(3):
                count = counters.replies
                pause_s = 5.0 if count else 20.0
                clock.leap(0.9 * pause_s)
                await asyncio.sleep(5 * IN_FLIGHT_S)
                assert len(device.asked) == count, "so early nothing is asked"
                clock.leap(0.1 * pause_s)
                async with asyncio.timeout(300):
                    while counters.replies == count:
                        await asyncio.sleep(0.001)  # a counter is a plain field
            await reading
            assert check(driver) == []


async def test_a_device_that_answers_with_another_device_id_is_told_which(device: Device) -> None:
    def behave(asked: Asked) -> Iterable[bytes]:
        asked.device_id = 0
        return [asked.answer()]

    device.behave = behave
    async with device.driven(points(1, 20), retries=1) as driver:
        with pytest.raises(
            DeviceError,
            match=r"dev1 on 127.0.0.1:\d+ was asked as device_id 1 and its responses bear device_id 0: set dev",
        ):
            await driver.read(0)
        assert check(driver) == [0, 1]


async def test_one_answer_with_another_device_id_costs_its_block_only(device: Device) -> None:
    def behave(asked: Asked) -> Iterable[bytes]:
        asked.device_id = 1 if asked.address == 1 else 0
        return [asked.answer()]

    device.behave = behave
    async with device.driven(points(1, 20), retries=1) as driver:
        await driver.read(0)
        assert check(driver) == [1]
