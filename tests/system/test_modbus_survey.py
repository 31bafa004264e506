"""`skidlink modbus`: devices are found, read raw, kept and replayed, as a person at a terminal does it."""

from __future__ import annotations

import asyncio
import math
import os
import pty
import re
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from typer.testing import CliRunner

from drivers.contract import Counts, Identifies, Point
from drivers.modbus import survey as survey_module
from drivers.modbus.address import reach
from drivers.modbus.driver import ModbusTcp
from drivers.modbus.identification import identification
from drivers.modbus.options import PointOptions, TcpDeviceOptions
from drivers.modbus.pdu import Table
from drivers.modbus.survey import Survey
from engine.cli.app import app
from tests.clock import Clock
from tests.system.modbus_servers import PtyLine, libmodbus_slave, pymodbus_server, serving

SKIDLINK = Path(sys.executable).with_name("skidlink")
IDENTIFICATION = 43
"""function code"""
TIMEOUT_MS = 10_000
PATIENT = ("--timeout-ms", "60000")


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """Device ids 1 and 2 with 400 holding and input registers and 64 bits of each sort."""
    async with serving(*pymodbus_server("tcp", "socket")) as port:
        yield port


@pytest.fixture
def port_of_a_server() -> Iterator[str]:
    """The same server, for tests that run programs and wait for them; as HOST:PORT."""
    with subprocess.Popen(pymodbus_server("tcp", "socket"), stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield f"127.0.0.1:{server.stdout.readline().split()[1]}"
        server.terminate()


def skidlink(*words: str | Path, code: int = 0) -> str:
    """Run a command in this process, and give back what it says."""
    done = CliRunner().invoke(app, ["modbus", *map(str, words)])
    assert done.exit_code == code, done.output
    return done.output


async def test_devices_and_their_ranges_are_found(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey_module, "PAUSE_S", 0.0)
    survey = Survey(reach(f"127.0.0.1:{port}"), [1, 2], timeout_ms=60_000)
    asked: list[int] = []
    steps: list[int] = []
    async with survey.opened():
        await survey.present(asked.append)
        found = survey.found
        assert [each.device_id for each in found] == [1, 2]
        assert asked == [1, 2]
        await survey.explore(found[0], list(Table), 500, 1000, steps.append)
        assert sum(steps) == 4 * 501, "each address of each table is settled once"
        assert found[0].ranges == {
            Table.COIL: [(0, 63)], Table.DISCRETE: [(0, 63)], Table.HOLDING: [(0, 399)], Table.INPUT: [(0, 399)],
        }  # fmt: skip
        assert not found[0].unfinished
        cells = await survey.cells(found[0])
        assert cells["holding"] == {address: address for address in range(400)}
        assert [cells["coil"][address] for address in range(4)] == [0, 1, 1, 0]
        await survey.explore(found[1], [Table.HOLDING], 500, 2, steps.append)
        assert sum(steps) == 5 * 501, "what was given up counts, too"
        await survey.explore(found[1], [Table.COIL], 63, 2, steps.append)
        assert found[1].unfinished == [Table.HOLDING]
        assert found[1].ranges == {Table.HOLDING: [(0, 249)], Table.COIL: [(0, 63)]}


async def test_a_line_with_a_device_that_knows_no_identification(tmp_path: Path, clock: Clock) -> None:
    """libmodbus answers no function that it does not know, and nothing under another device id."""
    line = PtyLine(tmp_path)

    def unanswered(data: bytes) -> bytes:
        if data[0] == 2 or data[1] == IDENTIFICATION:
            clock.leap_soon(TIMEOUT_MS / 1000 + 1)
        # libmodbus would take what follows a request to another device for that device's answer.
        return b"" if data[0] == 2 else data

    line.to_device = unanswered
    slave = libmodbus_slave()
    async with line.plugged(), serving(slave, "rtu", line.ends[1], "115200", "1"):
        survey = Survey(
            reach(f"rtu://{line.ends[0]}?baudrate=115200&parity=none"), [1, 2], timeout_ms=TIMEOUT_MS, retries=1
        )
        async with survey.opened():
            await survey.present(lambda _: None)
            (found,) = survey.found
            assert found.device_id == 1
            await survey.explore(found, [Table.HOLDING], 200, 20, lambda _: None)
            assert found.ranges == {Table.HOLDING: [(0, 200)]}
            await survey.identify(found)
            assert found.identity == {}


async def test_ids_that_only_ever_fail_are_doubtful_and_those_behind_a_dead_end_absent() -> None:
    """Exception 04 is what pymodbus's server answers for ids that it has not, 0A and 0B what gateways answer."""
    codes = {1: 0x04, 2: 0x0A, 3: 0x0B, 4: 0x02}

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                head = await reader.readexactly(8)
                await reader.readexactly(int.from_bytes(head[4:6]) - 2)
                writer.write(head[:4] + b"\0\3" + head[6:7] + bytes((head[7] | 0x80, codes[head[6]])))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        survey = Survey(reach(f"127.0.0.1:{server.sockets[0].getsockname()[1]}"), list(codes), timeout_ms=10_000)
        async with survey.opened():
            await survey.present(lambda _: None)
    assert [(each.device_id, each.is_doubtful) for each in survey.found] == [(1, True), (4, False)]


def test_a_scan_says_which_ids_are_doubtful(port_of_a_server: str) -> None:
    said = skidlink("scan", port_of_a_server, "--ids", "2-4", "--last", "3")
    assert "left out" in said
    assert "device ids 3, 4; some servers say that of ids that nobody has" in said.replace("\n", " ")


async def test_what_a_device_says_it_is(port: int) -> None:
    driver = ModbusTcp({"plc": TcpDeviceOptions(host="127.0.0.1", port=port, timeout_ms=60_000)}, [])
    await driver.open()
    try:
        found = await identification(driver.link, driver.devices["plc"])
        assert found == {"vendor": "Skidlink", "product code": "TEST", "revision": "1.0", "product name": "Test device"}
        assert await driver.identify() == {"plc": "Skidlink, TEST, 1.0, Test device"}
    finally:
        await driver.close()


def test_a_scan_is_kept_and_replayed(port_of_a_server: str, tmp_path: Path) -> None:
    kept = tmp_path / "kept.json"
    cut = skidlink("scan", port_of_a_server, "--ids", "1", "--last", "200", "--requests", "1", *PATIENT)
    assert "nothing so far (the search ended early: raise --requests)" in " ".join(cut.replace("│", " ").split())
    said = skidlink("scan", port_of_a_server, "--ids", "1-2", "--last", "40", *PATIENT, "--dump", kept)
    assert "ended early" not in said
    assert "0-40" in said
    assert "Skidlink, TEST" in said
    for line in ("device ids (2)", "addresses of device id 1 (164)", "addresses of device id 2 (164)"):
        assert line in said.splitlines(), "in a pipe there is a line for each bar"
    replay = subprocess.Popen([SKIDLINK, "modbus", "replay", kept, "--port", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert replay.stdout is not None
        where = replay.stdout.readline().split()[2].rstrip(",")
        said = skidlink("probe", where, "holding:31", "--expect", "30", "--device-id", "2", "--tag", "PT01", *PATIENT)
        assert "off by one: it is at 30, one less than asked" in said
        assert "PT01: {device: device, holding: 30, type: int16}" in said
        uod = tmp_path / "uod.yaml"
        host, _, number = where.partition(":")
        uod.write_text(
            f"uod: Replayed\ndevices:\n  pump: {{driver: modbus-tcp, host: {host}, port: {number}}}\n"
            "tags:\n  A: {device: pump, holding: 7}\n"
        )
        assert "holding 9 as" in skidlink("probe", uod, "9", *PATIENT)
        assert "has no Modbus device named valve; it has pump" in skidlink(
            "probe", uod, "9", "--device", "valve", code=1
        )
        assert "nothing at or beside" in skidlink("probe", where, "9", "--expect", "-77.5", *PATIENT, code=1)
    finally:
        replay.terminate()
        replay.communicate()


def test_a_terminal_shows_bars_that_fill(port_of_a_server: str) -> None:
    master, slave = pty.openpty()
    termios.tcsetwinsize(slave, (24, 100))
    scan = [SKIDLINK, "modbus", "scan", port_of_a_server, "--ids", "1-2", "--last", "40", *PATIENT]
    with subprocess.Popen(
        scan, stdout=subprocess.DEVNULL, stderr=slave, env={**os.environ, "TERM": "xterm-256color"}
    ) as running:
        os.close(slave)
        shown = b""
        with suppress(OSError):  # the end of the last program on a terminal is an error on Linux
            while data := os.read(master, 65_536):
                shown += data
        assert running.wait() == 0
    os.close(master)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())
    assert "2/2" in text
    assert "addresses of device id 2" in text
    assert "164/164" in text
    assert "━" in text


def test_a_vendors_table_is_printed_as_tags(tmp_path: Path) -> None:
    file = tmp_path / "map.csv"
    file.write_text("name,address,type,unit\non,5,float32,L/h\nbad,x,float32,\n")
    said = skidlink("import", file, "--device", "pump", code=1)
    assert '  "on": {device: pump, holding: 5, type: float32, unit: L/h}  # line 2\n' in said
    assert "line 3 (bad): 'x' is no address" in said
    assert "there is no such file: give the path" in skidlink("import", tmp_path / "none.csv", code=1)
    assert "this is a folder: give the path" in skidlink("import", tmp_path, code=1)


def test_what_cannot_be_is_said_in_one_line(tmp_path: Path) -> None:
    assert "are no device ids" in skidlink("scan", "127.0.0.1:1", "--ids", "x", code=1)
    refused = skidlink("scan", "127.0.0.1:1", "--ids", "1", code=1)
    assert "nothing listens at this port" in refused
    assert refused.count("127.0.0.1") == 1
    (tmp_path / "no.json").write_text("{}")
    assert "no.json is not a dump: make one with" in skidlink("replay", tmp_path / "no.json", "--port", "0", code=1)
    missing = skidlink("replay", tmp_path / "none.json", "--port", "0", code=1)
    assert "there is no such file: give what scan --dump has kept" in missing
    assert "Errno" not in missing


async def test_check_online_shows_what_devices_say_they_are(port: int, tmp_path: Path) -> None:
    uod = tmp_path / "uod.yaml"
    uod.write_text(
        f"uod: Checked\ndevices:\n  pump: {{driver: modbus-tcp, host: 127.0.0.1, port: {port}}}\n"
        "tags:\n  A: {device: pump, holding: 7}\n"
    )
    done = await asyncio.to_thread(
        subprocess.run, [SKIDLINK, "check", uod, "--online"], capture_output=True, text=True, timeout=300, check=False
    )
    assert "pump: Skidlink, TEST, 1.0, Test device" in done.stdout, done.stderr
    assert done.returncode == 0


async def test_counters_keep_their_names(port: int) -> None:
    point = Point("A", "pump", PointOptions(holding=7), 100)
    driver = ModbusTcp({"pump": TcpDeviceOptions(host="127.0.0.1", port=port, timeout_ms=60_000)}, [point])
    before = driver.counters()
    assert isinstance(driver, Counts)
    assert isinstance(driver, Identifies)
    assert math.isnan(before["pump.round_trip_p50_ms"])
    await driver.open()
    try:
        await driver.read(0)
    finally:
        await driver.close()
    after = driver.counters()
    assert after.keys() == before.keys()
    assert (after["pump.requests"], after["pump.replies"], after["pump.exceptions_02"]) == (1, 1, 0)
    assert 0 < after["pump.round_trip_p50_ms"] <= after["pump.round_trip_p99_ms"]
    assert after["bytes_received"] == after["pump.bytes_received"] == 11
