"""Register tables in the manner of real manuals: each CSV beside the tags and the remarks that are made of it."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drivers.modbus.pdu import Table
from drivers.modbus.vendor_addresses import Address, AddressNotation, address_of
from drivers.modbus.vendor_numbers import number_of
from drivers.modbus.vendor_types import type_of
from drivers.modbus.vendor_words import access_of, table_of
from engine.cli.app import app
from engine.uod.faults import Severity
from engine.uod.reader import read_uod

TABLES = Path(__file__).with_name("vendor_tables")
NAMES = sorted(path.name for path in TABLES.iterdir() if path.suffix in {".csv", ".md"})
OPTIONS = {"inverter.csv": ["--factor", "divide"], "sizes.csv": ["--device-id", "3"]}
"""What is typed beside the name of a table."""


def imported(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """What `skidlink modbus import` prints: the tags, and what was not understood."""
    monkeypatch.chdir(TABLES)
    done = CliRunner().invoke(app, ["modbus", "import", name, *OPTIONS.get(name, [])])
    assert done.exit_code == 1, "each of these tables has a row that is no tag"
    return done.stdout, done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_tags_and_remarks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tags, said = imported(name, monkeypatch)
    table = TABLES / name
    assert tags == table.with_suffix(".yaml").read_text(encoding="utf-8")
    assert said == table.with_suffix(".txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NAMES)
def test_the_tags_can_be_pasted(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tags, _ = imported(name, monkeypatch)
    file = tmp_path / "uod.yaml"
    file.write_text(f"uod: Pasted\ndevices:\n  device: {{driver: modbus-tcp, host: 192.0.2.20}}\n{tags}")
    reading = read_uod(file)
    assert reading.skid is not None, reading.faults
    assert not [fault for fault in reading.faults if fault.severity is Severity.ERROR]


@pytest.mark.parametrize("name", NAMES)
def test_no_line_is_lost(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line below the first heading is a tag, is left out by its number, or is told as what holds for others."""
    tags, said = imported(name, monkeypatch)
    lines = (TABLES / name).read_text(encoding="utf-8").splitlines()
    is_heading = re.compile(r"(?:Reg No|[Aa]ddress|Adresse|Register)(?: \(hex\))?\s*[;,|\t]")
    first = next(number for number, line in enumerate(lines, 1) if is_heading.search(line))
    told = {int(number) for number in re.findall(r"(?:# |left out: )line (\d+)", tags + said)}
    for number, line in enumerate(lines, 1):
        text = line.strip(";,|\t #")
        if number > first and text and not is_heading.search(line) and not re.fullmatch(r"[\s|:\-]+", line):
            assert number in told or f"look: {text!r}" in said, line


@pytest.mark.parametrize(
    ("text", "registers", "data_type"),
    [
        ("Unsigned 16", 0, "uint16"), ("U16", 1, "uint16"), ("UINT16", 0, "uint16"), ("Float", 0, "float32"),
        ("IEEE754", 2, "float32"), ("IEEE 754 32-bit", 0, "float32"), ("32-bit signed integer", 0, "int32"),
        ("unsigned", 2, "uint32"), ("UDINT", 0, "uint32"), ("DWORD", 0, "uint32"), ("LREAL", 0, "float64"),
        ("Double", 4, "float64"), ("Float64", 0, "float64"), ("SHORT", 0, "int16"), ("long int", 0, "int32"),
        ("BCD", 0, "bcd16"), ("String[16]", 0, "string"), ("Bitmap", 1, "uint16"), ("boolean", 0, "bool"),
        ("ULINT", 0, "uint64"), ("INT 32", 0, "int32"),
    ],
)  # fmt: skip
def test_words_for_types(text: str, registers: int, data_type: str) -> None:
    assert type_of(text, registers) == data_type


@pytest.mark.parametrize("text", ["FLOAT80", "DATE_TIME", "UINT8 array", "int 24 x 128", "?"])
def test_words_that_are_no_type(text: str) -> None:
    with pytest.raises(ValueError, match="no type"):
        type_of(text, 0)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("x0.1", "1/10"), ("0,1", "1/10"), ("*0.01", "1/100"), ("1/10", "1/10"), ("/10", "1/10"), ("10^-2", "1/100"),
        ("1E-3", "1/1000"), ("-2.5", "-5/2"), ("10", "10"),
    ],
)  # fmt: skip
def test_ways_to_write_a_factor(text: str, number: str) -> None:
    assert number_of(text) == Fraction(number)


@pytest.mark.parametrize(
    ("text", "table", "address"),
    [
        ("40001", None, "40001"), ("40001", Table.INPUT, 40001), ("100", None, 100), ("0x0064", None, 100),
        ("0064h", None, 100), ("64H", None, 100), ("400101", Table.HOLDING, "400101"), ("&H10", None, 16),
    ],
)  # fmt: skip
def test_addresses(text: str, table: Table | None, address: str | int) -> None:
    said = address_of(text, table, AddressNotation())
    assert (said.modicon or said.number) == address


def test_a_column_of_addresses_says_what_each_of_them_means() -> None:
    assert address_of("0010", None, AddressNotation.of("Address [hex]", [])) == Address(16)
    assert address_of("0010", None, AddressNotation.of("Address", ["0010", "001A"])) == Address(16)
    assert address_of("0x00010", None, AddressNotation.of("Address", ["4x0001"])).modicon == "000010"
    assert address_of("0x0010", None, AddressNotation.of("Address", ["0x0001"])) == Address(16)
    assert address_of("40007.12", None, AddressNotation()) == Address(40007, "40007", Table.HOLDING, 12)
    assert address_of("30001/30002", None, AddressNotation()) == Address(30001, "30001", Table.INPUT, registers=2)
    assert address_of("400100 [4]", None, AddressNotation()).elements == 4
    assert address_of("HR12", None, AddressNotation()) == Address(12, table=Table.HOLDING)
    for wrong in ("12a", "30002-30001", "1-500", "", "n/a"):
        with pytest.raises(ValueError, match="is no address"):
            address_of(wrong, None, AddressNotation())


def test_functions_and_accesses() -> None:
    assert [table_of(text) for text in ("FC03", "3/6/16", "Input registers", "01/05", "0x04", "Function code 2")] == [
        Table.HOLDING, Table.HOLDING, Table.INPUT, Table.COIL, Table.INPUT, Table.DISCRETE,
    ]  # fmt: skip
    with pytest.raises(ValueError, match="more than one table"):
        table_of("3/4")
    assert [access_of(text) for text in ("R", "R/W", "W", "read only", "-")] == [
        (True, False), (True, True), (False, True), (True, False), (True, False),
    ]  # fmt: skip
