"""Reading a UOD: both spellings, the command line's overrides, and what an author can do wrong around the model."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from engine.uod.faults import Severity
from engine.uod.reader import Reading, read_uod
from engine.uod.skid import Skid

YAML = """\
uod: Filtration skid
author: {name: Process Lab, email: lab@example.org}
location: Lab 3
tick_ms: 50
devices:
  plc: {driver: simulated, bus: a}
  pump: {driver: simulated, bus: a, every_ms: 500}
  far: {driver: simulated, bus: b, stale_after_ms: 9000}
tags:
  FT01: {device: plc, signal: sine, unit: L/h}
  PT01: {device: pump, raw_unit: mbar, unit: bar, scale: 0.1, deadband: 0.005}
  TT01: {device: far, raw_unit: degF, unit: degC, deadband: "1%", min: 0, max: 200, not_available: [32767]}
  PU01: {device: pump, type: float32, unit: "%", direction: output, min: 0, max: 100, safe_value: 0}
  VA01: {device: plc, type: int64, direction: both, choices: {off: 0, on: 1}, safe_value: off}
derived:
  Twice: {expr: "FT01 * 2", unit: L/h}
commands:
  Speed: {sets: PU01, units: ["%"], description: Set the pump.}
process_values: [FT01, Run Time, {entry: PU01}, {choice: VA01}]
"""

PYTHON = """\
from engine.uod.model import Author, Command, Derived, Device, ProcessValue, Tag, Uod


def create() -> Uod:
    tags = {
        "FT01": Tag(device="plc", signal="sine", unit="L/h"),
        "PT01": Tag(device="pump", raw_unit="mbar", unit="bar", scale=0.1, deadband=0.005),
        "TT01": Tag(
            device="far", raw_unit="degF", unit="degC", deadband="1%", min=0, max=200, not_available=[32767]
        ),
        "PU01": Tag(
            device="pump", type="float32", unit="%", direction="output", min=0, max=100, safe_value=0
        ),
    }
    tags["VA01"] = Tag(
        device="plc", type="int64", direction="both", choices={"off": 0, "on": 1}, safe_value="off"
    )
    return Uod(
        uod="Filtration skid",
        author=Author(name="Process Lab", email="lab@example.org"),
        location="Lab 3",
        tick_ms=50,
        devices={
            "plc": Device(driver="simulated", bus="a"),
            "pump": Device(driver="simulated", bus="a", every_ms=500),
            "far": Device(driver="simulated", bus="b", stale_after_ms=9000),
        },
        tags=tags,
        derived={"Twice": Derived(expr="FT01 * 2", unit="L/h")},
        commands={"Speed": Command(sets="PU01", units=["%"], description="Set the pump.")},
        process_values=["FT01", "Run Time", ProcessValue(entry="PU01"), ProcessValue(choice="VA01")],
    )
"""


def read(folder: Path, text: str, *overrides: str, name: str = "skid.yaml") -> Reading:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return read_uod(path, overrides)


def sound(reading: Reading) -> Skid:
    assert not reading.faults
    assert reading.skid is not None
    return reading.skid


def told(reading: Reading) -> list[str]:
    """The faults without the folder of their file."""
    return [str(replace(fault, file=Path(fault.file).name)) for fault in reading.faults]


def test_the_two_spellings_give_equal_skids(tmp_path: Path) -> None:
    yaml = sound(read(tmp_path, YAML))
    python = sound(read(tmp_path, PYTHON, name="skid.py"))

    assert replace(python, file=yaml.file) == yaml


def test_words_of_yaml_1_1_stay_words(tmp_path: Path) -> None:
    skid = sound(read(tmp_path, YAML))

    assert skid.tags[4].choices == {"off": 0, "on": 1}
    assert skid.outputs[1].safe_value == "off"


def test_an_override_changes_what_the_file_says(tmp_path: Path) -> None:
    skid = sound(read(tmp_path, YAML, "devices.plc.bus=c", "tags.PT01.deadband=0.5", "tick_ms=20"))

    assert [link.name for link in skid.links] == ["simulated c", "simulated a", "simulated b"]
    assert skid.tags[1].deadband == 0.5
    assert skid.tick_s == 0.02


def test_an_override_works_on_a_python_file(tmp_path: Path) -> None:
    skid = sound(read(tmp_path, PYTHON, "tags.FT01.unit=L/min", name="skid.py"))

    assert skid.tags[0].unit == "L/min"


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("devces.plc.bus=c", "--set devces.plc.bus=c: error: the UOD has no devces; did you mean 'devices'?"),
        ("devices.plk.bus=c", "--set devices.plk.bus=c: error: the UOD has no devices.plk; did you mean 'plc'?"),
        ("uod.name=c", "--set uod.name=c: error: uod holds no keys"),
        ("bus", "--set bus: error: expected KEY=VALUE, as devices.plc.endpoint=opc.tcp://127.0.0.1:4840"),
        (
            "devices.plc.buss=c",
            "--set devices.plc.buss=c: error: devices.plc.buss: nobody reads the key 'buss'; did you mean 'bus'?",
        ),
        ("tick_ms=fast", "--set tick_ms=fast: error: tick_ms: expected a whole number, found 'fast'"),
    ],
)
def test_an_override_that_fits_nowhere_is_a_fault(tmp_path: Path, override: str, fault: str) -> None:
    assert told(read(tmp_path, YAML, override)) == [fault]


def test_a_merge_key_brings_the_keys_of_another_part(tmp_path: Path) -> None:
    text = YAML.replace("  FT01: {", "  FT00: &flow {device: plc, unit: L/min, low: 5}\n  FT01: {<<: *flow, ")

    assert told(read(tmp_path, text)) == []


def test_a_part_that_contains_itself_is_a_fault(tmp_path: Path) -> None:
    reading = read(tmp_path, "uod: &me\n  inner: *me\n")

    assert "skid.yaml:1:6: error: uod.inner: this refers to a part that it stands in itself" in told(reading)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("skid.yml", "skid.yml: error: there is no such file; did you mean 'skid.yaml'?"),
        ("skid.txt", "skid.txt: error: a UOD ends in .yaml, .yml, .py; rename the file"),
        (
            "skid.csv",
            "skid.csv: error: a table is not a UOD; to make tags of it, save it as CSV and see skidlink modbus import",
        ),
    ],
)
def test_a_file_that_is_not_there(tmp_path: Path, name: str, fault: str) -> None:
    (tmp_path / "skid.yaml").write_text(YAML)

    assert told(read_uod(tmp_path / name)) == [fault]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("\ndef create(:\n    pass\n", "skid.py:2:12: error: this is not Python: invalid syntax"),
        ("import no_such_module\n", "skid.py:1: error: ModuleNotFoundError: No module named 'no_such_module'"),
        (
            "def speed() -> float:\n    return 1 / 0\n\n\ndef create() -> float:\n    return speed()\n",
            "skid.py:2: error: ZeroDivisionError: division by zero",
        ),
        (
            "def make() -> None:\n    pass\n",
            "skid.py:1: error: there is no function create(); write def create() -> Uod, which returns the UOD",
        ),
        (
            "\ndef create() -> None:\n    pass\n",
            "skid.py:2: error: create() returned None; write def create() -> Uod, which returns the UOD",
        ),
    ],
)
def test_a_fault_in_the_authors_own_code_is_at_his_own_line(tmp_path: Path, text: str, fault: str) -> None:
    assert told(read(tmp_path, text, name="skid.py")) == [fault]


def test_a_wrong_keyword_in_python_is_at_its_own_line(tmp_path: Path) -> None:
    text = PYTHON.replace(
        'device="pump", type="float32", unit="%", direction',
        'device="pump",\n            unit=3, outside="keep", direction',
    )

    assert told(read(tmp_path, text, name="skid.py")) == [
        "skid.py:13:13: error: unit: expected a text, found 3; put it in quotes",
        "skid.py:13:21: error: outside: 'keep' is not possible here; known values: clamp, reject",
    ]


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ('bus="b"', 'buss="b"', "skid.py:26:47: error: devices.far.buss: nobody reads the key 'buss'"),
        ('device="plc", type', 'device="plk", type', "skid.py:16:9: error: tags.VA01.device: no device is named 'plk'"),
        ('ProcessValue(entry="PU01")', '"PU02"', "skid.py:31:45: error: process_values[2]: no tag is named 'PU02'"),
    ],
)
def test_faults_of_a_python_file_are_found_in_its_text(tmp_path: Path, before: str, after: str, fault: str) -> None:
    assert before in PYTHON

    faults = told(read(tmp_path, PYTHON.replace(before, after), name="skid.py"))

    assert [line.partition(";")[0] for line in faults] == [fault]


def test_a_python_file_may_import_what_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside_this_skid.py").write_text("LOCATION = 'Lab 3'\n")
    text = PYTHON.replace('location="Lab 3"', "location=LOCATION").replace(
        "\n\n\n", "\nfrom beside_this_skid import LOCATION\n\n\n", 1
    )

    assert sound(read(tmp_path, text, name="skid.py")).location == "Lab 3"
    assert str(tmp_path) not in sys.path


def test_a_skid_with_warnings_runs(tmp_path: Path) -> None:
    reading = read(tmp_path, YAML.replace(", safe_value: 0}", "}"))

    assert reading.skid is not None
    assert [fault.severity for fault in reading.faults] == [Severity.WARNING]
    assert reading.warnings == reading.faults
    assert not reading.errors
