"""Writing to Modbus devices that lack a function, pass over it in silence, or show what was written later."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from drivers.contract import LinkError, Point, WriteError
from drivers.modbus.driver import ModbusTcp
from drivers.modbus.options import PointOptions, TcpDeviceOptions
from tests.clock import Clock
from tests.system.writable_device import WritableDevice


@pytest.fixture
def device(clock: Clock) -> WritableDevice:
    return WritableDevice(clock)


REGISTER = {"holding": 100}
COIL = {"coil": 7}


@pytest.mark.parametrize(("point", "first", "second"), [(REGISTER, 6, 16), (COIL, 5, 15)], ids=["register", "coil"])
async def test_a_function_that_is_not_answered_is_replaced_by_the_other(
    device: WritableDevice, point: dict[str, Any], first: int, second: int
) -> None:
    """The readings go on, and the place is written by the second function alone from then on."""
    address = next(iter(point.values()))
    device.silent = {(first, address)}
    async with device.driven(point, {"holding": 5}) as driver:
        await driver.read(0)
        device.asked.clear()
        assert await driver.write({0: 1}) == {}
        assert [function for function, _ in device.asked if function > 4] == [first, second]
        assert device.registers[100] == 1 or device.coils[7]
        assert await driver.write({0: 0}) == {}
        assert [function for function, _ in device.asked if function > 4] == [first, second, second]
        await driver.read(0)
        assert driver.image.value(1) == 5
        assert driver.link.counters.reconnects == 0
        assert await driver.write({1: 9}) == {}, "another register is written by the first function"
        assert device.asked[-1] == (6, 5)


@pytest.mark.parametrize("code", [1, 2, 3])
async def test_a_function_that_is_refused_is_replaced_by_the_other(device: WritableDevice, code: int) -> None:
    device.refused = {(6, 100): code}
    async with device.driven(REGISTER, {"holding": 110}) as driver:
        assert await driver.write({0: 7}) == {}
        assert device.registers[100] == 7
        device.asked.clear()
        assert await driver.write({0: 8}) == {}
        assert await driver.write({1: 9}) == {}
        # Exception 01 speaks of the function, the others of the place.
        assert device.asked == [(16, 100), (16, 110) if code == 1 else (6, 110)]


async def test_a_device_without_function_16_is_written_by_6(device: WritableDevice) -> None:
    device.refused = {(16, 100): 1}
    async with device.driven(REGISTER, {"holding": 101}) as driver:
        assert await driver.write({0: 7, 1: 8}) == {}
        assert await driver.write({0: 9, 1: 10}) == {}
        assert device.asked == [(16, 100), (6, 100), (6, 101), (6, 100), (6, 101)]
        assert (device.registers[100], device.registers[101]) == (9, 10)


async def test_a_device_failure_is_not_tried_by_another_function(device: WritableDevice) -> None:
    """Exception 04 says that the device tried: nobody knows what it did."""
    device.refused = {(6, 100): 4}
    async with device.driven(REGISTER) as driver:
        assert await driver.write({0: 7}) == {
            0: "the device refuses to write holding 100 (function 6: device failure (exception 04)): check its "
            "address, its limits and write_function"
        }
        assert device.asked == [(6, 100)]


async def test_a_register_that_answers_no_function_is_a_failed_write_and_no_dead_link(device: WritableDevice) -> None:
    device.silent = {(6, 100), (16, 100)}
    async with device.driven(REGISTER, {"holding": 5}) as driver:
        await driver.read(0)
        device.asked.clear()
        assert await driver.write({0: 7, 1: 8}) == {
            0: "it is not known whether holding 100 was written (functions 6 and 16 without an answer within 10000 "
            "ms), though the device answers readings: check that it can be written, and by which write_function"
        }
        assert device.registers[5] == 8
        await driver.read(0)
        # Later tries cost one time-out each, by the two functions in turns.
        for function in (6, 16, 6):
            device.asked.clear()
            refused = await driver.write({0: 7})
            assert f"(function {function} without an answer" in refused[0]
            assert [place for place in device.asked if place[0] > 4] == [(function, 100)]
        device.silent.clear()
        assert await driver.write({0: 7}) == {}
        assert device.registers[100] == 7
        device.asked.clear()
        assert await driver.write({0: 8}) == {}
        assert device.asked == [(16, 100)]


@pytest.mark.parametrize("point", [REGISTER, REGISTER | {"bit": 3}], ids=["register", "bit"])
async def test_a_write_that_is_an_act_is_not_sent_again_in_doubt(device: WritableDevice, point: dict[str, Any]) -> None:
    device.silent = {(6, 100), (22, 100)}
    async with device.driven(point, {"holding": 101}, acts=True) as driver:
        assert "it is not known" in (await driver.write({0: 1, 1: 1}))[0]
        assert len([place for place in device.asked if place[0] > 4 and place[1] == 100]) == 1
    device.refused, device.silent = {(6, 100): 1, (22, 100): 1}, set()
    async with device.driven(point, acts=True) as driver:
        assert await driver.write({0: 1}) == {}, "what was refused was not done"


async def test_a_device_that_answers_nothing_is_a_dead_link(device: WritableDevice) -> None:
    device.silent = {(6, 100), (3, 100)}
    async with device.driven(REGISTER) as driver:
        with pytest.raises(LinkError, match=r"does not answer within 10000 ms.*whether T0 \(holding 100\) was written"):
            await driver.write({0: 7})
        assert device.asked == [(6, 100), (3, 100)]


async def test_one_silent_device_of_a_line_costs_no_write_to_another(device: WritableDevice) -> None:
    async with device.listening() as port:
        devices = {
            name: TcpDeviceOptions(host="127.0.0.1", port=port, device_id=device_id, timeout_ms=10_000)
            for device_id, name in enumerate(("one", "two", "three"), 1)
        }
        points = [
            Point(f"T{row}", name, PointOptions(holding=100 + row), 100, write=True)
            for row, name in enumerate(("one", "two", "one", "three"))
        ]
        driver = ModbusTcp(devices, points)
        await driver.open()
        try:
            device.silent_ids = {1}
            with pytest.raises(WriteError, match=r"one .* does not answer") as raised:
                await driver.write({0: 1, 1: 2, 2: 3, 3: 4})
            assert set(raised.value.silent) == {"one"}
            assert raised.value.refused.keys() == {0, 2}
            assert (device.registers[101], device.registers[103]) == (2, 4)
        finally:
            await driver.close()


@pytest.mark.parametrize(
    ("of_device", "own", "point", "functions"),
    [
        (16, None, REGISTER, [16]),
        ([6, 15], None, REGISTER, [6]),
        ([6, 15], None, COIL, [15]),
        ((), 15, COIL, [15]),
        (6, 16, REGISTER, [16]),
        (6, None, {"holding": 100, "type": "float32"}, [16]),
        ((), 16, {"holding": 100, "bit": 3}, [3, 16]),
        (16, None, {"holding": 100, "bit": 3}, [22]),
        ((), 22, {"holding": 100, "bit": 3}, [22]),
    ],
)
async def test_a_write_function_that_is_said_is_the_only_one(
    device: WritableDevice, of_device: Any, own: int | None, point: dict[str, Any], functions: list[int]
) -> None:
    async with device.driven(point | {"write_function": own}, write_function=of_device) as driver:
        assert await driver.write({0: 1}) == {}
        assert [function for function, _ in device.asked] == functions


@pytest.mark.parametrize("function", [6, 16])
async def test_no_other_function_is_tried_where_one_is_said(device: WritableDevice, function: int) -> None:
    device.refused = {(function, 100): 1}
    async with device.driven(REGISTER | {"write_function": function}) as driver:
        assert f"(function {function}: illegal function" in (await driver.write({0: 1}))[0]
        assert device.asked == [(function, 100)]


async def test_single_registers_are_not_joined_where_function_6_is_said(device: WritableDevice) -> None:
    async with device.driven({"holding": 100}, {"holding": 101}, write_function=6) as driver:
        assert await driver.write({0: 1, 1: 2}) == {}
        assert device.asked == [(6, 100), (6, 101)]


async def test_part_of_a_register_is_written_by_reading_it_where_function_22_is_not_answered(
    device: WritableDevice,
) -> None:
    device.silent = {(22, 100)}
    async with device.driven({"holding": 100, "bit": 0}) as driver:
        assert await driver.write({0: True}) == {}
        assert device.registers[100] == 101
        device.asked.clear()
        assert await driver.write({0: False}) == {}
        assert device.asked == [(3, 100), (6, 100)]


READ_BACK = {"holding": 100, "read_back": True}


@pytest.mark.parametrize("written", [99, 101], ids=["below", "above"])
async def test_without_a_tolerance_what_is_read_back_may_not_differ_by_one(
    device: WritableDevice, written: int
) -> None:
    async with device.driven(READ_BACK | {"read_back_within_ms": 0}) as driver:
        device.shows = False
        assert f"still holds 100 and not {written}" in (await driver.write({0: written}))[0]


async def test_a_value_that_shows_late_is_waited_for_while_others_are_read(
    device: WritableDevice, clock: Clock
) -> None:
    async with device.driven(READ_BACK, {"holding": 5}) as driver:
        device.shows = False
        assert await driver.write({0: 7}) == {}
        assert driver.unconfirmed == [0]
        await driver.read(0)
        assert (driver.image.value(0), driver.image.value(1)) == (100, 5)
        clock.leap(1.5)
        assert await driver.read_back() == {}
        device.show()
        clock.leap(0.5)
        assert await driver.read_back() == {0: None}
        assert driver.read_back_due == math.inf


async def test_a_newer_value_has_a_time_of_its_own(device: WritableDevice, clock: Clock) -> None:
    async with device.driven(READ_BACK) as driver:
        device.shows = False
        assert await driver.write({0: 7}) == {}
        clock.leap(4.0)
        assert await driver.write({0: 8}) == {}
        clock.leap(4.0)
        assert await driver.read_back() == {}
        clock.leap(1.0)
        assert await driver.read_back() == {
            0: "holding 100 was written, but still holds 100 and not 8 after 5000 ms: where the device takes longer to "
            "show it, raise read_back_within_ms; where it limits or rounds, read_back_tolerance lets it differ"
        }
        assert not driver.unconfirmed


async def test_tries_to_read_back_are_some_time_apart(device: WritableDevice, clock: Clock) -> None:
    async with device.driven(READ_BACK) as driver:
        device.shows = False
        assert await driver.write({0: 7}) == {}
        start = time.monotonic()
        while driver.unconfirmed:
            clock.leap(max(0.0, driver.read_back_due - time.monotonic()))
            await driver.read_back()
        assert time.monotonic() - start >= 4.9
        assert 8 <= device.asked.count((3, 100)) <= 14


async def test_what_cannot_be_read_back_is_said_so(device: WritableDevice) -> None:
    device.refused = {(3, 100): 2}
    async with device.driven(READ_BACK | {"read_back_within_ms": 0}) as driver:
        assert (await driver.write({0: 7}))[0] == (
            "holding 100 was written, but cannot be read back: illegal data address (exception 02); leave out "
            "read_back if it is write-only"
        )


async def test_a_connection_opened_anew_waits_for_no_old_value(device: WritableDevice) -> None:
    async with device.driven(READ_BACK) as driver:
        device.shows = False
        assert await driver.write({0: 7}) == {}
        await driver.open()
        assert not driver.unconfirmed
