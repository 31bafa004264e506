"""What happens on a serial line: ports that vanish, echo, noise, and answers that are late or come twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from drivers.contract import LinkError, Quality
from drivers.modbus import serial_port, transactions
from tests.clock import IN_FLIGHT_S, Clock
from tests.system.modbus_served import TIMEOUT_MS, Served, bad, point, port_options
from tests.system.modbus_servers import PtyLine, pymodbus_server, serving

SILENCE_S = TIMEOUT_MS / 1000 + 1
"""The time-out, and what a serial line takes for question and answer."""


async def test_a_port_that_is_pulled_out_and_plugged_in_again(tmp_path: Path) -> None:
    line = PtyLine(tmp_path)
    for watch in (True, False):
        await _replug(line, watch=watch)


async def _replug(line: PtyLine, *, watch: bool) -> None:
    options = port_options(line)
    served = Served("modbus-rtu", options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serial_port, "CAN_WATCH", watch)
        async with (
            line.plugged(),
            serving(*pymodbus_server("serial", "rtu", line.ends[1])),
            served.driven([point("A", holding=7)]) as driver,
        ):
            await driver.read(0)
            line.unplug()
            with pytest.raises(LinkError, match=r"ttyDriver: the connection"):
                await driver.read(0)
            assert driver.image.value(0) == 7
            with pytest.raises(LinkError, match=r"ttyDriver is not there: plug the adapter in"):
                await driver.open()
            line.plug()
            async with serving(*pymodbus_server("serial", "rtu", line.ends[1])):
                await driver.open()
                await driver.read(0)
            assert driver.link.counters.reconnects == 1


@pytest.mark.parametrize("rs485", ["kernel", "rts"])
async def test_a_port_without_direction_control_is_refused(tmp_path: Path, rs485: str) -> None:
    """Only the refusal can be seen here: a pseudo terminal has neither RTS nor a driver that turns RS-485 round."""
    line = PtyLine(tmp_path)
    async with line.plugged():
        served = Served("modbus-rtu", port_options(line) | {"rs485": rs485})
        with pytest.raises(LinkError, match="cannot turn RS-485 round by"):
            async with served.driven([point("A", holding=7)]):
                raise AssertionError("direction control where there is none")


async def test_the_echo_of_the_line_is_told_and_taken_away(tmp_path: Path) -> None:
    line = PtyLine(tmp_path)
    served = Served("modbus-rtu", port_options(line))
    line.echo = True
    line.to_device = lambda _: b""  # no answer that could still come when the next driver is there
    async with line.plugged(), serving(*pymodbus_server("serial", "rtu", line.ends[1])):
        async with served.driven([point("A", holding=7)]) as driver:
            with pytest.raises(LinkError, match="gives back what is sent to it: set local_echo: true"):
                await driver.read(0)
        line.to_device = lambda data: data
        async with served.driven([point("A", holding=7, write=True)], local_echo=True) as driver:
            assert await driver.write({0: 12}) == {}
            await driver.read(0)
            assert driver.image.value(0) == 12
            assert (driver.link.counters.unasked, driver.link.counters.garbled) == (0, 0)


async def test_noise_on_the_line_costs_no_value(tmp_path: Path) -> None:
    """Bytes before and after each answer, as transceivers make them when they turn round."""
    line = PtyLine(tmp_path)
    served = Served("modbus-rtu", port_options(line))
    line.to_driver = lambda data: b"\0" + data + b"\xff\0"
    async with (
        line.plugged(),
        serving(*pymodbus_server("serial", "rtu", line.ends[1])),
        served.driven([point("A", holding=7), point("B", holding=300)], retries=0) as driver,
    ):
        for _ in range(3):
            await driver.read(0)
            assert [driver.image.value(row) for row in (0, 1)] == [7, 300]
            assert not bad(driver)


async def test_a_spoilt_answer_is_asked_for_again(tmp_path: Path, clock: Clock) -> None:
    line = PtyLine(tmp_path)
    served = Served("modbus-rtu", port_options(line))
    first = [True]

    def spoil(data: bytes) -> bytes:
        if first:
            first.clear()
            clock.leap_soon(SILENCE_S)
            return data[:3] + bytes((data[3] ^ 1,)) + data[4:]
        return data

    line.to_driver = spoil
    async with (
        line.plugged(),
        serving(*pymodbus_server("serial", "rtu", line.ends[1])),
        served.driven([point("A", holding=7)]) as driver,
    ):
        await driver.read(0)
        assert driver.image.value(0) == 7
        assert driver.link.counters.garbled == 1
        assert driver.devices["dev1"].counters.timeouts == 1


@pytest.mark.parametrize("framing", ["rtu", "ascii"])
async def test_answers_late_by_one_request_reach_no_other_tag(tmp_path: Path, framing: str, clock: Clock) -> None:
    """Every fifth answer is held back until the next one comes: all blocks have the same length."""
    line = PtyLine(tmp_path)
    options: dict[str, Any] = port_options(line)
    if framing == "ascii":
        options["databits"] = 8
    served = Served(f"modbus-{framing}", options)
    held: list[bytes] = []
    passed = 0

    def late(data: bytes) -> bytes:
        nonlocal passed
        passed += 1
        if passed % 5 == 0:
            held.append(data)
            clock.leap_soon(SILENCE_S)
            return b""
        due = b"".join(held)
        held.clear()
        return due + data

    line.to_driver = late
    points = [point(f"T{address}", holding=address) for address in (10, 40, 70, 100)]
    async with (
        line.plugged(),
        serving(*pymodbus_server("serial", framing, line.ends[1])),
        served.driven(points, retries=2) as driver,
    ):
        for _ in range(6):
            await driver.read(0)
            assert [driver.image.value(row) for row in range(4)] == [10, 40, 70, 100]
        counters = driver.devices["dev1"].counters
        assert counters.late >= 3
        assert counters.timeouts >= 3


@pytest.mark.parametrize("framing", ["rtu", "ascii"])
async def test_duplicated_answers_reach_no_other_tag(
    tmp_path: Path, framing: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer comes twice: at once, or the second one only with the next answer. All blocks are of one length."""
    monkeypatch.setattr(transactions, "DEBT_LIFETIME_S", 1000 * SILENCE_S)
    line = PtyLine(tmp_path)
    served = Served(f"modbus-{framing}", port_options(line) | ({"databits": 8} if framing == "ascii" else {}))
    held: list[bytes] = []
    asked = passed = 0

    def ask(data: bytes) -> bytes:
        nonlocal asked
        asked += 1
        return data

    def give_up() -> None:
        """Let the time-out pass where the driver waits on, as what it has heard is in doubt."""
        if asked == passed:
            clock.leap(SILENCE_S)

    def twice(data: bytes) -> bytes:
        nonlocal passed
        passed += 1
        asyncio.get_running_loop().call_later(5 * IN_FLIGHT_S, give_up)
        due = b"".join(held)
        held.clear()
        if passed % 2:
            return due + data + data
        held.append(data)
        return due + data

    line.to_device = ask
    line.to_driver = twice
    points = [point(f"T{address}", holding=address) for address in (10, 40, 70, 100)]
    good = 0
    async with (
        line.plugged(),
        serving(*pymodbus_server("serial", framing, line.ends[1])),
        served.driven(points, retries=2) as driver,
    ):
        for _ in range(6):
            await driver.read(0)
            for row, address in enumerate((10, 40, 70, 100)):
                if driver.image.quality[row] == Quality.GOOD:
                    assert driver.image.value(row) == address
                    good += 1
    assert good >= 20, "and they cost next to nothing"
