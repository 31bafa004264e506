"""The skid's register map, against encodings worked out by hand."""

from __future__ import annotations

import math

import pytest

from uod_examples.skid.model import SkidModel, Status, Value
from uod_examples.skid.nodes import NODES
from uod_examples.skid.registers import REGISTERS, Register, Table, WordOrder, arranged

BY_NAME = {register.name: register for register in REGISTERS}


def values(**changed: Value) -> dict[str, Value]:
    return SkidModel(noise=False).values() | changed


@pytest.mark.parametrize(
    ("order", "words"),
    [("ABCD", [0x0A0B, 0x0C0D]), ("CDAB", [0x0C0D, 0x0A0B]), ("BADC", [0x0B0A, 0x0D0C]), ("DCBA", [0x0D0C, 0x0B0A])],
)
def test_word_orders(order: WordOrder, words: list[int]) -> None:
    assert arranged(b"\x0a\x0b\x0c\x0d", order) == words


@pytest.mark.parametrize(
    ("name", "changed", "words"),
    [
        ("PT01", {"PT01": 1.2346}, [1235]),
        ("PT01", {"PT01": 99.0}, [65535]),
        ("PT02", {"PT02": 1.5}, [0x0000, 0x3FC0]),
        ("FT01_input", {"FT01": 1.5}, [0x3FC0, 0x0000]),
        ("FQ01", {"FQ01": 0x12345678}, [0x5678, 0x1234]),
        ("PC01", {"PC01": 2**53 + 1}, [0x0001, 0x0000, 0x0000, 0x0020]),
        ("TT01", {"TT01": -1.5}, [0xFF6A]),
        ("TT01", {"TT01": math.nan}, [0x8000]),
        ("BA01", {"BA01": "AB1"}, [0x4142, 0x3100, 0, 0, 0, 0, 0, 0]),
        ("VA01", {"VA01": True}, [1]),
    ],
)
def test_encoding(name: str, changed: dict[str, Value], words: list[int]) -> None:
    assert BY_NAME[name].encode(values(**changed)) == words


def test_discrete_inputs_are_the_bits_of_the_status_word() -> None:
    shown = {bit.name: BY_NAME[bit.name or ""].encode(values(SW01=0x8001)) for bit in Status}
    assert {name for name, words in shown.items() if words == [1]} == {"RUNNING", "ALARM"}


@pytest.mark.parametrize("register", [each for each in REGISTERS if each.writable], ids=lambda each: each.name)
def test_what_is_written_is_what_is_read(register: Register) -> None:
    wanted: dict[str, Value] = {
        "PU01": 12.5,
        "MO01": 2,
        "BA01": "B-7",
        "VA01": True,
        "VA02": True,
        "VA03": True,
        "WD01": 513,
    }
    assert register.decode(register.encode(values(**wanted))) == wanted[register.quantity]


def test_no_two_registers_share_an_address() -> None:
    taken: set[tuple[int, Table, int]] = set()
    for register in REGISTERS:
        own = {(register.device_id, register.table, register.address + word) for word in range(register.words)}
        assert not own & taken, register.name
        taken |= own


def test_names_are_unique_and_stand_for_quantities() -> None:
    assert len(BY_NAME) == len(REGISTERS)
    assert {register.quantity for register in REGISTERS} <= values().keys()
    assert {node.name for node in NODES} - {"ALARM"} <= values().keys()


def test_each_bus_has_something_that_the_other_has_not() -> None:
    on_modbus = {register.quantity for register in REGISTERS}
    on_opcua = {node.name for node in NODES}
    assert on_modbus - on_opcua == {"PT02", "CT01"}
    assert on_opcua - on_modbus == {"LT01", "ALARM"}
