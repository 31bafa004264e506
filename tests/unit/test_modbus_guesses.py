"""Registers of unknown meaning, addresses as they are typed, and tables of vendors."""

from __future__ import annotations

import json
import struct
from fractions import Fraction
from typing import Any

import pytest
from typer.testing import CliRunner

from drivers.contract import DriverError
from drivers.modbus.address import place, reach
from drivers.modbus.driver import ModbusAscii, ModbusRtu, ModbusRtuOverTcp, ModbusTcp
from drivers.modbus.dump import dumped
from drivers.modbus.guesses import guesses, matches, remarks
from drivers.modbus.pdu import Table
from drivers.modbus.register_map import MapOptions, read_map
from engine.cli.app import app
from engine.cli.modbus_survey import expected


def words(data: bytes, address: int = 100) -> dict[int, int]:
    return {address + place: word for place, (word,) in enumerate(struct.iter_unpack(">H", data))}


def test_every_type_that_fits_is_shown() -> None:
    found = {
        (guess.data_type.name, guess.order): guess.value
        for guess in guesses(words(bytes(range(8))), Table.HOLDING, 100)
    }
    assert found["uint32", "CDAB"] == 0x02030001
    assert found["float64", "ABCDEFGH"] == struct.unpack(">d", bytes(range(8)))[0]
    assert found["bcd16", "AB"] == 1
    assert ("string", "AB") not in found
    assert ("bcd32", "DCBA") in found
    assert [guess.value for guess in guesses({7: 1}, Table.COIL, 7)] == [True]
    assert not list(guesses({}, Table.HOLDING, 100))


@pytest.mark.parametrize(
    ("data", "line", "said"),
    [
        (struct.pack(">f", 23.4), "T: {device: d, holding: 100, type: float32}", []),
        (struct.pack("<f", 23.4), "T: {device: d, holding: 100, type: float32, word_order: DCBA}", ["word order"]),
        (
            struct.pack(">f", 23.4)[2:] + struct.pack(">f", 23.4)[:2],
            "T: {device: d, holding: 100, type: float32, word_order: CDAB}",
            ["word order: the device sends CDAB, not ABCD"],
        ),
        (struct.pack(">H", 234), "T: {device: d, holding: 100, type: int16, scale: 0.1}", ["scale: the register"]),
        (b"\xff\xff" + struct.pack(">f", 23.4), "T: {device: d, holding: 101, type: float32}", ["off by one"]),
    ],
)
def test_an_expected_value_is_found_and_what_was_wrong_is_said(data: bytes, line: str, said: list[str]) -> None:
    best = matches(words(data + b"\xff\xff\xff\xff"), Table.HOLDING, 100, Fraction("23.4"))[0]
    assert best.uod_line("T", "d") == line
    assert best.scaled is not None
    assert float(best.scaled) == pytest.approx(23.4, rel=0.0025)
    found = remarks(best, 100)
    assert len(found) == len(said)
    assert all(one.startswith(start) for one, start in zip(found, said, strict=True))


def test_a_value_that_is_nowhere_is_not_made_up() -> None:
    assert not matches(words(bytes(20)), Table.HOLDING, 102, Fraction("23.4"))


@pytest.mark.parametrize(
    ("text", "driver", "options"),
    [
        ("192.0.2.1", ModbusTcp, {"host": "192.0.2.1"}),
        ("plc:5020", ModbusTcp, {"host": "plc", "port": 5020}),
        ("/dev/ttyUSB0", ModbusRtu, {"port": "/dev/ttyUSB0"}),
        ("COM3", ModbusRtu, {"port": "COM3"}),
        ("ascii:///dev/ttyS1?baudrate=9600&parity=N", ModbusAscii,
         {"port": "/dev/ttyS1", "baudrate": 9600, "parity": "N"}),
        ("modbus-rtu-over-tcp://gw:4001", ModbusRtuOverTcp, {"host": "gw", "port": 4001}),
    ],
)  # fmt: skip
def test_links_as_they_are_typed(text: str, driver: type, options: dict[str, Any]) -> None:
    found = reach(text)
    assert found.driver is driver
    assert found.options == options
    assert found.device(7).device_id == 7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("profibus://x", "profibus:// is no way to a Modbus device"),
        ("[/x]", "Invalid IPv6 URL"),
        ("tcp://plc:70000", "Port out of range"),
        ("plc?speed=3", "speed: Extra inputs are not permitted"),
    ],
)
def test_links_that_are_none(text: str, message: str) -> None:
    with pytest.raises(DriverError, match=message):
        reach(text).device()


def test_addresses_as_they_are_typed() -> None:
    assert place("100") == (Table.HOLDING, 100)
    assert place("input:7") == (Table.INPUT, 7)
    assert place("modicon:30008") == (Table.INPUT, 7)
    for text in ("register:7", "input:x", "modicon:9", "holding:70000"):
        if text == "modicon:9":
            assert place(text) == (Table.COIL, 8)
        else:
            with pytest.raises(DriverError, match="is no address"):
                place(text)


def test_what_gives_just_the_expected_value_comes_before_what_comes_near() -> None:
    """4,000,000,000 in two registers, where a float beside it is close by chance."""
    data = words((4_000_000_000).to_bytes(4) + struct.pack(">f", 4.00005e9))
    best, *others = matches(data, Table.HOLDING, 101, Fraction(4_000_000_000))
    assert (best.data_type.name, best.address, best.shown) == ("uint32", 100, "4000000000")
    assert all(other.scaled != 4_000_000_000 for other in others if other.data_type.name.startswith("float"))


@pytest.mark.parametrize(("raw", "expect", "shown"), [(57, "0.57", "0.57"), (215, "21,5", "21.5"), (4, "4000", "4000")])
def test_scaled_values_are_shown_as_people_write_them(raw: int, expect: str, shown: str) -> None:
    best = matches(words(raw.to_bytes(2)), Table.HOLDING, 100, expected(expect))[0]
    assert best.shown == shown


def test_an_expected_value_that_could_be_two_is_not_guessed() -> None:
    with pytest.raises(ValueError, match="1000 in another"):
        expected("1,000")
    done = CliRunner().invoke(app, ["modbus", "probe", "127.0.0.1:1", "7", "--expect", "1,000"])
    assert done.exit_code == 2
    assert "write it as" in done.output


TABLE = """Tag;Register;Data type;Unit;Factor;R/W;Description;Length
Flow 1;0x0064;FLOAT;L/h;1;R;Flow of line 1;
Set point;103;INT16;degC;0,1;R/W;;
Serial;110;string;;;R;;8
Old;40201;U16;;;R;;
Broken;12a;U16;;;R;;
Odd;120;FLOAT80;;;R;;
;121;U16;;;R;;
"""


def test_a_vendors_table_becomes_tags() -> None:
    found = read_map(TABLE, "pump", MapOptions(base=1, addresses="modicon"))
    assert found.tags == {
        "Flow 1": {
            "device": "pump", "holding": 99, "type": "float32", "unit": "L/h", "description": "Flow of line 1",
        },
        "Set point": {
            "device": "pump", "holding": 102, "type": "int16", "scale": 0.1, "unit": "degC", "direction": "both",
        },
        "Serial": {"device": "pump", "holding": 109, "type": "string", "length": 8},
        "Old": {"device": "pump", "modicon": "40201", "type": "uint16"},
    }  # fmt: skip
    assert [fault.split(":")[0] for fault in found.faults] == ["line 6 (Broken)", "line 7 (Odd)", "line 8 (no name)"]


def test_a_table_with_functions_and_no_base() -> None:
    found = read_map("name,fc,address\nA,4,5\nB,01,5\nC,9,5\n", "pump")
    assert found.tags == {"A": {"device": "pump", "input": 5}, "B": {"device": "pump", "coil": 5}}
    assert found.faults == [
        "line 4 (C): '9' is no table: use one of coil, discrete, input and holding; it says ['C', '9', '5']"
    ]


def test_a_file_without_a_heading_is_refused() -> None:
    with pytest.raises(DriverError, match="must name the columns, and none has name and address"):
        read_map("1,2,3\n", "pump")


def test_a_dump_keeps_ranges() -> None:
    kept = json.loads(dumped("plc:502", {1: {"holding": {1: 10, 2: 20, 5: 50}, "coil": {}}}))
    assert kept["devices"] == {"1": {"holding": {"1": [10, 20], "5": [50]}}}
