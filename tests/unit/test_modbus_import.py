"""What decides the value of a register is used, or its row is refused: types, orders, factors, signs, addresses."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from drivers.contract import DriverError
from drivers.modbus.register_map import MapOptions, RegisterMap, read_map
from drivers.modbus.vendor_numbers import factor_of, number_of
from drivers.modbus.vendor_types import order_of, said_type
from drivers.modbus.vendor_words import choices_of, unit_of
from engine.cli.app import app


@pytest.mark.parametrize(
    ("text", "alone", "of_words"),
    [
        ("Big Endian", "ABCD", "ABCD"), ("little-endian", "DCBA", "CDAB"), ("MSW first", "ABCD", "ABCD"),
        ("Low word first", "CDAB", "CDAB"), ("word swap", "CDAB", "CDAB"), ("2-3-0-1", "CDAB", "CDAB"),
        ("2143", "BADC", "BADC"), ("CD AB", "CDAB", "CDAB"), ("Motorola", "ABCD", "ABCD"), ("Intel", "DCBA", "CDAB"),
        ("niederwertiges Wort zuerst", "CDAB", "CDAB"), ("little-endian byte swap", "CDAB", "CDAB"),
    ],
)  # fmt: skip
def test_spellings_of_orders(text: str, alone: str, of_words: str) -> None:
    assert (order_of(text), order_of(text, of_words=True)) == (alone, of_words)


@pytest.mark.parametrize(
    ("text", "name", "order", "scale"),
    [
        ("Float (CDAB)", "float32", "CDAB", None), ("UINT32 LSW first", "uint32", "CDAB", None),
        ("uint32_le", "uint32", "DCBA", None), ("INT16 /10", "int16", None, Fraction(1, 10)),
        ("U16 x0.01", "uint16", None, Fraction(1, 100)), ("16 Bit ohne Vorzeichen", "uint16", None, None),
        ("entier non signé 32", "uint32", None, None), ("Double word", "uint32", None, None),
        ("4-byte float", "float32", None, None), ("2 registers unsigned", "uint32", None, None),
    ],
)  # fmt: skip
def test_every_word_of_a_type_counts(text: str, name: str, order: str | None, scale: Fraction | None) -> None:
    said = said_type(text)
    assert (said.name(0), said.order, said.scale) == (name, order, scale)


@pytest.mark.parametrize("text", ["Float inverse", "UINT16 x10", "SINT", "INT16 of 2", "UINT16 mirrored"])
def test_a_type_with_a_word_that_is_not_understood_is_not_a_type(text: str) -> None:
    with pytest.raises(ValueError, match="no type"):
        said_type(text)


def test_a_bare_factor_above_one_needs_a_direction() -> None:
    with pytest.raises(ValueError, match="--factor"):
        factor_of("10", divides=None)
    assert [factor_of("10", divides=divides) for divides in (True, False)] == [Fraction(1, 10), 10]
    assert [factor_of(text, divides=None) for text in ("0.1", "1", "x10", "/10")] == [
        Fraction(1, 10), 1, 10, Fraction(1, 10),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="1000 in another"):
        number_of("1,000")


@pytest.mark.parametrize(
    ("text", "unit", "scale"),
    [
        ("0.1 °C", "°C", Fraction(1, 10)), ("degC/100", "degC", Fraction(1, 100)), ("1/min", "1/min", None),
        ("10^-2 bar", "bar", Fraction(1, 100)), ("L/h", "L/h", None), ("C", "degC", None), ("m³/h", "m3/h", None),
    ],
)  # fmt: skip
def test_factors_beside_units(text: str, unit: str, scale: Fraction | None) -> None:
    assert unit_of(text) == (unit, scale)


def test_enumerations() -> None:
    assert choices_of("0=Off; 1=On") == {"Off": 0, "On": 1}
    assert choices_of("0: zu, 1: auf") == {"zu": 0, "auf": 1}
    assert choices_of("0x00=Idle / 0x10=Run") == {"Idle": 0, "Run": 16}
    for other in ("1 = on", "0=Off; 1=Off", "0..100", "see chapter 4", "0 = 20 mA; 1"):
        assert choices_of(other) == {}


CELLS = ("A", "2", "INT16", "bar", "0.1", "0..9", "R", "")


def read(*lines: str, **options: Any) -> RegisterMap:
    return read_map("\n".join(lines), "device", MapOptions(**options))


@pytest.mark.parametrize(
    ("heading", "cells"),
    [("Darstellung", ["INT16", "FLOAT32"]), ("Korrektur", ["0.1", "0.01"]), ("Lage", ["CDAB", "ABCD"]),
     ("Skalentyp", ["linear", "log"]), ("Byte", ["3", "4"])],
)  # fmt: skip
def test_a_column_that_could_decide_and_is_not_understood_refuses_the_table(heading: str, cells: list[str]) -> None:
    lines = [f"Name;Address;{heading}", *(f"T{place};{place};{cell}" for place, cell in enumerate(cells))]
    found = read(*lines)
    assert not found.tags
    (fault,) = found.faults
    assert repr(heading) in fault
    assert "=ignore" in fault
    assert len(read(*lines, columns={heading: "ignore"}).tags) == len(cells)


def test_a_person_can_say_what_a_column_holds() -> None:
    found = read("Name;Address;Darstellung", "A;1;FLOAT32", columns={"Darstellung": "type"})
    assert found.tags["A"] == {"device": "device", "holding": 1, "type": "float32"}
    with pytest.raises(DriverError, match="no column 'Art'"):
        read("Name;Address", "A;1", columns={"Art": "type"})
    with pytest.raises(DriverError, match="cannot be 'typ'"):
        read("Name;Address;Art", "A;1;x", columns={"Art": "typ"})


@pytest.mark.parametrize("cells", [["", ""], ["-", "-"], ["1", "1"], ["V2.1", "V2.1"]])
def test_a_column_that_says_nothing_is_passed_over(cells: list[str]) -> None:
    found = read("Name;Address;Type;Conversion note", *(f"T{at};{at};INT16;{cell}" for at, cell in enumerate(cells)))
    assert (len(found.tags), found.faults) == (2, [])


def test_of_two_columns_of_addresses_that_differ_by_one_the_smaller_is_the_protocols() -> None:
    found = read("Name,Register,Address,Type", "A,3000,0x0BB7,Float32", "B,3028,0x0BD3,Float32")
    assert [keys["holding"] for keys in found.tags.values()] == [2999, 3027]
    found = read("Name,Address (hex),Address (dec)", "A,0x10,16", "B,0x20,32", base=1)
    assert [keys["holding"] for keys in found.tags.values()] == [15, 31]


def test_40001_among_other_numbers_is_not_guessed() -> None:
    lines = "Name,Address", "A,12", "B,40001", "C,7"
    (fault,) = read(*lines).faults
    assert "--addresses plain" in fault
    assert read(*lines, addresses="plain").tags["B"]["holding"] == 40001
    assert read(*lines, addresses="modicon").tags["B"]["modicon"] == "40001"
    assert read("Name,Address", "A,20500", "B,40001").tags["B"]["holding"] == 40001


def test_a_number_among_hexadecimal_ones_is_not_guessed() -> None:
    assert all("hexadecimal" in fault for fault in read("Name,Address", "A,12", "B,1A", "C,F0").faults)
    found = read("Name,Address (hex)", "A,12", "B,1A")
    assert [keys["holding"] for keys in found.tags.values()] == [18, 26]
    assert list(read("Name,Address", "A,12", "B,13a").tags) == ["A"], "a foot note"


def test_a_range_below_zero_says_the_sign() -> None:
    found = read("Name,Address,Type,Range", "A,1,,-50..50", "B,2,UINT16,-50..50", "C,3,INT16,-50..50")
    assert [found.tags[name]["type"] for name in ("A", "C")] == ["int16", "int16"]
    assert "no sign" in found.faults[0]


def test_rows_of_several_devices_are_taken_apart() -> None:
    lines = "Name,Address,Slave ID", "A,1,3", "B,1,4"
    assert all("--device-id" in fault for fault in read(*lines).faults)
    assert list(read(*lines, device_id=4).tags) == ["B"]


@pytest.mark.parametrize(
    ("data", "said"), [(b"PK\x03\x04", "workbook"), (b"%PDF-1.7", "PDF"), (b"Name\0\1\2", "not a text")]
)
def test_a_file_that_is_not_a_table_is_named_for_what_it_is(data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_bytes(data)
    done = CliRunner().invoke(app, ["modbus", "import", str(tmp_path / "map.csv")])
    assert (done.exit_code, said in done.stderr, done.stdout) == (1, True, "")


@pytest.mark.parametrize("junk", ["1" * 5_000, "a-" * 50_000, "0=A;" * 20_000, " " * 90_000 + "x", "((" * 40_000])
def test_a_cell_without_end_costs_its_row_and_no_time(junk: str) -> None:
    """The patterns meet short texts only: this takes minutes where one of them is quadratic."""
    heading = "Name;Address;Type;Unit;Factor;Range;Access;Values"
    lines = [";".join(junk if at == place else cell for at, cell in enumerate(CELLS)) for place in range(1, len(CELLS))]
    found = read(heading, "sound;1;INT16;bar;0.1;0..9;R;", *lines)
    assert "sound" in found.tags or found.faults


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_encodings_of_spreadsheets(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "map.csv").write_bytes("Name;Adresse;Einheit\nWärme;1;°C\n".encode(encoding))
    done = CliRunner().invoke(app, ["modbus", "import", str(tmp_path / "map.csv"), "--json"])
    (tag,) = json.loads(done.stdout)["tags"]
    assert (tag["name"], tag["unit"], tag["line"]) == ("Wärme", "°C", 2)


def test_a_thousand_with_a_point_is_not_taken_for_one_where_others_have_a_comma() -> None:
    found = read("Name;Address;Type;Factor", "A;1;INT16;0,1", "B;2;INT16;1.000")
    assert list(found.tags) == ["A"]
    assert "could be a thousand" in found.faults[0]
    assert list(read("Name;Address;Type;Factor", "A;1;INT16;0.1", "B;2;INT16;1.000").tags) == ["A", "B"]


def test_a_leading_zero_alone_does_not_make_a_coil() -> None:
    lines = "Name,Address", "A,00301", "B,00302"
    assert all("--addresses plain" in fault for fault in read(*lines).faults)
    assert read(*lines, addresses="plain").tags["A"]["holding"] == 301
    assert read("Name,Address", "A,00301", "B,40001").tags["A"]["modicon"] == "00301"
    assert read("Name,Function,Address", "A,Holding register,00301").tags["A"]["holding"] == 301


def test_of_several_columns_that_could_be_names_the_fullest_is_taken() -> None:
    found = read("Register,Value,Type,Description", "1,Pressure,Float,absolute", "3,Flow,Float,", "5,Setpoint,Float,")
    assert list(found.tags) == ["Pressure", "Flow", "Setpoint"]


@pytest.mark.parametrize(
    ("lines", "keys"),
    [
        (("Name,Address,Type", "A,5,Input"), {"input": 5}),
        (("Name,Address,Type,Resolution", "A,5,INT16,0.01 °C"),
         {"holding": 5, "type": "int16", "scale": 0.01, "unit": "°C"}),
        (("Name,Address (hex),Address", "A,0xA100,41217", "B,0x0010,17"), {"holding": 41216}),
        (("Title,ID,Size", "A,40004,s16"), {"modicon": "40004", "type": "int16"}),
        (("Name,Start Reg (Hex),Type,Res.", "A,1F,U16,0.1"), {"holding": 31, "type": "uint16", "scale": 0.1}),
        (("dbus-service-name,description,Address,Type", "com.vendor.vebus,Voltage,3,uint16"),
         {"holding": 3, "type": "uint16"}),
    ],
)  # fmt: skip
def test_headings_and_cells_of_makers(lines: tuple[str, ...], keys: dict[str, object]) -> None:
    found = read(*lines)
    assert not found.faults
    made = next(iter(found.tags.values()))
    assert {key: made[key] for key in keys} == keys
    assert set(made) <= {"device", "description", *keys}
