"""Modbus TCP against devices that leave requests unanswered: which of them are there, and what they do not answer."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from drivers.contract import LinkError
from drivers.modbus import pieces, transactions
from drivers.reasons import reason_text
from tests.clock import Clock
from tests.system.misbehaving_device import TIMEOUT_S, Asked, Device, check, points, well


@pytest.fixture
def device(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Device:
    monkeypatch.setattr(transactions, "DEBT_LIFETIME_S", 1000 * TIMEOUT_S)
    return Device(clock)


async def test_a_block_that_alone_is_not_answered_is_narrowed_down_to_its_point(
    device: Device, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The device is silent whenever register 22 is asked for; one part is tried with each reading."""
    monkeypatch.setattr(pieces, "COSTLY_PAUSE_S", 0.0)
    monkeypatch.setattr(pieces, "FIRST_RETRY_S", 1000 * TIMEOUT_S)
    monkeypatch.setattr(pieces, "LAST_RETRY_S", 1000 * TIMEOUT_S)
    silent = {22}

    def behave(asked: Asked) -> Iterable[bytes]:
        touched = silent.intersection(range(asked.address, asked.address + asked.count))
        return device.silence() if touched else [asked.answer()]

    device.behave = behave
    async with device.driven(points(1, 20, 21, 22, 23, 40), retries=1) as driver:
        await driver.read(0)
        assert {3} <= set(check(driver)) <= {1, 2, 3, 4}
        assert re.fullmatch(
            r"the device does not answer holding 2\d( to 23)?, though it answers others",
            reason_text(int(driver.image.reason[3])),
        )
        for _ in range(8):
            await driver.read(0)
        assert check(driver) == [3]
        device.asked.clear()
        await driver.read(0)
        assert [(asked.address, asked.count) for asked in device.asked] == [(1, 1), (20, 2), (23, 1), (40, 1)]
        assert caplog.text.count("it is tried in parts") == 1

        silent.clear()
        (lost,) = driver._readings[0]._pieces.doubtful
        lost.due = 0.0
        await driver.read(0)
        assert check(driver) == []
        device.asked.clear()
        await driver.read(0)
        assert [(asked.address, asked.count) for asked in device.asked] == [(1, 1), (20, 4), (40, 1)]


async def test_a_device_that_goes_away_before_its_last_block_is_not_taken_for_one_with_a_silent_block(
    device: Device,
) -> None:
    """What was answered before the silence proves nothing: the points must come back with the device."""
    gone = False

    def behave(asked: Asked) -> Iterable[bytes]:
        nonlocal gone
        gone = gone or asked.address == 40
        return device.silence() if gone else [asked.answer()]

    device.behave = behave
    async with device.driven(points(1, 20, 40), retries=1) as driver:
        with pytest.raises(LinkError, match="does not answer"):
            await driver.read(0)
        device.behave = well
        await driver.open()
        await driver.read(0)
        assert check(driver) == []


async def test_a_device_that_comes_back_after_its_first_block_is_not_taken_for_one_with_a_silent_block(
    device: Device,
) -> None:
    """What it was asked for before it was there is asked for once more, or its points would be bad for a minute."""
    there = False

    def behave(asked: Asked) -> Iterable[bytes]:
        nonlocal there
        there = there or asked.address == 20
        return [asked.answer()] if there else device.silence()

    device.behave = behave
    async with device.driven(points(1, 20, 40), retries=1) as driver:
        await driver.read(0)
        assert check(driver) == []
