"""`skidlink check`: what a person who has made a mistake is told, offline and online."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.command_line import skidlink
from uod_examples.skid import Skid

UOD = """\
uod: Bench
tick_ms: 50
devices:
  good: {{driver: modbus-tcp, host: {host}, port: {port}, device_id: 1, timeout_ms: {timeout_ms}, retries: 0}}
  other: {{{other}}}
tags:
  PT01: {{device: good, holding: 100, type: uint16, raw_unit: mbar, unit: bar}}
  OTHER: {{device: {device}, {tag}}}
"""


@pytest.fixture
async def skid() -> AsyncIterator[Skid]:
    async with Skid(opcua=False, noise=False) as skid:
        yield skid


def write_uod(
    folder: Path,
    skid: Skid,
    *,
    other: str = "driver: simulated",
    device: str = "good",
    tag: str,
    timeout_ms: int = 60_000,
) -> Path:
    file = folder / "bench.yaml"
    where = {"host": skid.modbus_host, "port": skid.modbus_port}
    file.write_text(UOD.format(**where, other=other, device=device, tag=tag, timeout_ms=timeout_ms))
    return file


async def online(file: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    code, out, log = await skidlink("check", file, "--online", "--json")
    assert "Traceback" not in log
    answer = json.loads(out)
    assert code == (0 if answer["ok"] and all(point["quality"] == "good" for point in answer["points"]) else 1)
    return answer, {point["tag"]: point for point in answer["points"]}


async def test_raw_value_value_unit_and_quality_are_shown(skid: Skid, tmp_path: Path) -> None:
    await skid.pause()
    await skid.set(PT01=1.25)
    answer, points = await online(write_uod(tmp_path, skid, tag="holding: 106, type: uint16, scale: 0.1, unit: '%'"))
    assert answer["ok"]
    assert points["PT01"] | {"why": ""} == {
        "tag": "PT01", "device": "good", "raw": 1250, "value": 1.25, "unit": "bar", "quality": "good", "why": "",
    }  # fmt: skip
    code, out, _ = await skidlink("check", tmp_path / "bench.yaml", "--online")
    assert code == 0
    for word in ("PT01", "1250", "1.25", "bar", "good"):
        assert word in out


async def test_a_refused_address_makes_its_own_tag_bad_and_no_other(skid: Skid, tmp_path: Path) -> None:
    answer, points = await online(write_uod(tmp_path, skid, tag="holding: 999, type: uint16"))
    assert answer["ok"], "the link and the device are well"
    assert points["PT01"]["quality"] == "good"
    assert points["OTHER"]["quality"] == "bad"
    assert "illegal data address" in points["OTHER"]["why"]
    assert points["OTHER"]["value"] is None


@pytest.mark.parametrize(
    ("other", "tag", "words"),
    [
        # No machine has the port 1 of the loopback open, so this one refuses at once.
        ("driver: modbus-tcp, host: 127.0.0.1, port: 1, timeout_ms: 99", "holding: 0", ("127.0.0.1:1", "correct port")),
        ("driver: opcua, endpoint: 'opc.tcp://127.0.0.1:1', timeout_ms: 500", "node: i=2258", ("127.0.0.1:1",)),
        ("driver: simulated, answers: false", "type: int64", ("other", "plug it in")),
    ],
)
async def test_an_unreachable_device_is_named_with_what_to_check_and_the_rest_is_read(
    skid: Skid, tmp_path: Path, other: str, tag: str, words: tuple[str, ...]
) -> None:
    answer, points = await online(write_uod(tmp_path, skid, other=other, device="other", tag=tag))
    assert not answer["ok"]
    (trouble,) = answer["troubles"]
    for word in words:
        assert word in trouble
    assert points["PT01"]["quality"] == "good"
    assert points["OTHER"]["quality"] == "bad"


async def test_a_device_that_never_answers_is_told_apart_from_one_that_is_not_there(skid: Skid, tmp_path: Path) -> None:
    await skid.modbus.black_hole()
    answer, points = await online(write_uod(tmp_path, skid, tag="holding: 106", timeout_ms=1500))
    assert "does not answer within 1500 ms" in answer["troubles"][0]
    assert points["PT01"]["quality"] == "bad"


async def test_a_gateway_without_the_device_costs_only_that_device(skid: Skid, tmp_path: Path) -> None:
    other = f"driver: modbus-tcp, host: {skid.modbus_host}, port: {skid.modbus_port}, device_id: 77, timeout_ms: 60000"
    answer, points = await online(write_uod(tmp_path, skid, other=other, device="other", tag="holding: 0"))
    assert "device_id 77" in answer["troubles"][0]
    assert points["PT01"]["quality"] == "good"


async def test_all_faults_are_listed_at_once_with_line_key_and_nearest_name(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(
        "uod: Wrong\n"
        "devices:\n"
        "  box: {driver: modbus-tcp, host: 127.0.0.1, timout_ms: 100}\n"
        "  plc: {driver: opcau, endpoint: 'opc.tcp://127.0.0.1'}\n"
        "tags:\n"
        "  A: {device: box, holding: 1, type: uint61}\n"
        "  B: {device: bos, holding: 2}\n"
        "  B: {device: box, holding: 3}\n"
        "derived:\n"
        "  C: {expr: 'A + BB'}\n"
    )
    code, out, log = await skidlink("check", file)
    assert code == 1
    assert out == ""
    assert "Traceback" not in log
    for line, words in {
        3: ("timout_ms", "timeout_ms"),
        4: ("opcau", "opcua"),
        6: ("uint61", "uint64"),
        7: ("bos", "box"),
        8: ("B",),
        10: ("BB", "B"),
    }.items():
        said = [fault for fault in log.splitlines() if fault.startswith(f"{file}:{line}:")]
        assert said, f"nothing is said about line {line}:\n{log}"
        assert all(word in " ".join(said) for word in words), said


async def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    code, _, log = await skidlink("check", tmp_path / "nowhere.yaml")
    assert code == 1
    assert "no such file" in log
    assert "Traceback" not in log


async def test_the_schema_is_json_and_knows_the_drivers() -> None:
    code, out, _ = await skidlink("schema")
    assert code == 0
    schema = json.loads(out)
    assert {"devices", "tags", "derived", "commands", "process_values"} <= schema["properties"].keys()
    assert "holding" in out
    assert "endpoint" in out


async def test_the_drivers_are_listed_with_their_keys() -> None:
    code, out, _ = await skidlink("drivers", "--json")
    assert code == 0
    found = {driver["name"]: driver for driver in json.loads(out)["drivers"]}
    assert {"modbus-tcp", "opcua", "simulated"} <= found.keys()
    assert found["modbus-tcp"]["device_keys"]["host"] == "", "a key that must be given"
    assert found["modbus-tcp"]["writes"]
