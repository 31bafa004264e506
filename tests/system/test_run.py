"""`skidlink run` as a person starts it: a process of its own, against the servers of the simulated skid."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asyncua.client.client import Client
from pymodbus.client import AsyncModbusTcpClient

from tests.system import command_line
from tests.system.shared_skid import SharedSkid

ROOT = Path(__file__).parents[2]
UODS = ROOT / "uod_examples"
SKIDLINK = (Path(sys.executable).with_name("skidlink"),)
PATIENT_SKIDLINK = (
    sys.executable,
    "-c",
    "from engine import engine; from engine.cli.app import main; engine.SAFE_WITHIN_S = 60.0; main()",
)
"""The same, but that its last writes may take as long as a slow machine needs."""


@pytest.fixture(scope="module")
def shared_skid() -> Iterator[SharedSkid]:
    skid = SharedSkid()
    yield skid
    skid.stop()


@pytest.fixture
async def skid(shared_skid: SharedSkid) -> SharedSkid:
    await shared_skid.begin_anew()
    return shared_skid


MODBUS_DEVICES = {
    "filtration.yaml": ("pump", "transmitter"),
    "modbus_only.yaml": ("pump",),
    "opcua_only.yaml": (),
    "python_uod.py": ("pump", "transmitter"),
}


def overrides(skid: SharedSkid, uod: str = "filtration.yaml", patient: bool = True) -> list[str]:
    """Point a UOD's devices to the servers of a skid, and give them the time that a slow machine takes."""
    has_plc = uod in {"filtration.yaml", "opcua_only.yaml"}
    keys = [f"devices.plc.endpoint={skid.opcua_endpoint}"] if has_plc else []
    for device in MODBUS_DEVICES[uod]:
        keys += [f"devices.{device}.host={skid.modbus_host}", f"devices.{device}.port={skid.modbus_port}"]
    if patient:
        keys += [f"devices.{device}.timeout_ms=30000" for device in (*MODBUS_DEVICES[uod], *(["plc"] * has_plc))]
    return [word for key in keys for word in ("--set", key)]


@asynccontextmanager
async def skidlink(
    *arguments: str | Path, program: Sequence[str | Path] = SKIDLINK
) -> AsyncGenerator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *program, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, cwd=ROOT
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def messages(process: asyncio.subprocess.Process) -> AsyncIterator[dict[str, Any]]:
    assert process.stdout is not None
    async for line in process.stdout:
        yield json.loads(line)


class Reader:
    """Follows the messages of an engine: the newest value of each tag, and all messages so far."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._messages = messages(process)
        self.values: dict[str, Any] = {}
        self.seen: list[dict[str, Any]] = []

    async def next(self) -> dict[str, Any]:
        message = await anext(self._messages)
        self.seen.append(message)
        self.values.update({tag["name"]: tag["value"] for tag in message.get("tags", ())})
        return message

    async def until(self, condition: Callable[[dict[str, Any]], bool]) -> None:
        """Read on until the values are as wanted."""
        async with asyncio.timeout(200):
            while not condition(self.values):
                await self.next()

    async def until_known(self, names: Iterable[str]) -> None:
        """Read on until each of the tags has a value."""
        await self.until(lambda values: all(values.get(name) is not None for name in names))


WRITES = ("--control", "--output", "-")
"""Safe values and heartbeats are written, though nobody can give commands."""
WATCHDOG_S = 60.0
"""So long no slow machine lets it wait for a sign of life."""
SAFE = {"PU01": 0, "VA01": "Closed", "VA02": "Closed", "MO01": "Collect", "BA01": ""}


async def read_independently(skid: SharedSkid) -> dict[str, Any]:
    """What clients of other makes read from the servers, scaled by hand."""
    values: dict[str, Any] = {}
    async with Client(skid.opcua_endpoint) as opcua:
        for name in ("FT01", "LT01", "ST01", "MS01", "PC01", "PU01"):
            values[name] = await opcua.get_node(f"ns=2;s={name}").read_value()
    modbus = AsyncModbusTcpClient(skid.modbus_host, port=skid.modbus_port)
    await modbus.connect()
    holding = {
        address: (await modbus.read_holding_registers(address, count=count, device_id=1)).registers
        for address, count in ((100, 1), (102, 2), (110, 2), (120, 1))
    }
    tank = (await modbus.read_input_registers(0, count=1, device_id=2)).registers[0]
    conductivity = (await modbus.read_input_registers(2, count=2, device_id=2)).registers
    alarm = (await modbus.read_discrete_inputs(15, count=1, device_id=1)).bits[0]
    modbus.close()
    values["PT01"] = pytest.approx(holding[100][0] / 1000)
    values["PT02"] = shortest(holding[102][1] << 16 | holding[102][0])
    values["FQ01"] = pytest.approx((holding[110][1] << 16 | holding[110][0]) / 1000)
    values["SW01"] = holding[120][0]
    values["FOULED"] = "Fouled" if holding[120][0] & 8 else "Clean"
    values["ALARM"] = "Alarm" if alarm else "Normal"
    values["TT01"] = pytest.approx(tank * 0.01)
    values["CT01"] = shortest(conductivity[0] << 16 | conductivity[1])
    return values


def shortest(word: int) -> float:
    """The float32 in a 32-bit word, as its own shortest text says it."""
    return float(str(np.array([word], np.uint32).view(np.float32)[0]))


async def test_what_is_published_equals_what_an_independent_client_reads(skid: SharedSkid) -> None:
    await skid.write(VA01=True, VA02=True, PU01=60.0)
    await skid.pause()
    await skid.advance(10)
    exact = [word for tag in ("FT01", "LT01", "PT01", "PT02", "CT01") for word in ("--set", f"tags.{tag}.deadband=0")]
    async with skidlink("run", UODS / "filtration.yaml", *overrides(skid), *exact, *WRITES) as process:
        engine = Reader(process)
        await engine.until(lambda values: SAFE.items() <= values.items())
        await skid.advance(0.1)
        truth = await read_independently(skid)
        await engine.until(lambda values: truth.items() <= values.items())
    assert [message["_type"] for message in engine.seen[:2]] == ["UodInfoMsg", "TagsUpdatedMsg"]
    assert all(message["_ns"] == "openpectus.protocol.engine_messages" for message in engine.seen)
    assert engine.values["PC01"] > 2**53, "a 64-bit counter, exact"
    assert engine.values["dP"] == pytest.approx(engine.values["PT01"] - engine.values["PT02"], abs=1e-6)


async def test_only_what_has_changed_is_sent(skid: SharedSkid) -> None:
    await skid.pause()
    async with skidlink("run", UODS / "filtration.yaml", *overrides(skid), *WRITES) as process:
        engine = Reader(process)
        await engine.until_known(["PT01", "FT01", "TT01", "dP"])
        everything = set(engine.values)
        await engine.until(lambda values: SAFE.items() <= values.items())
        await skid.set(PT01=1.5)
        first = len(engine.seen)
        await engine.until(lambda values: values["PT01"] == 1.5)
    changed = {tag["name"] for message in engine.seen[first:] for tag in message.get("tags", ())}
    assert len(everything) > 20
    assert changed <= {"PT01", "dP", "SW01", "ALARM", "MS01", "VFT01", "PU01 Status"} | {"Clock", "WD01"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_the_engine_soon_and_leaves_the_outputs_safe(
    skid: SharedSkid, number: signal.Signals
) -> None:
    arguments = ("run", UODS / "filtration.yaml", *overrides(skid), *WRITES)
    async with skidlink(*arguments, program=PATIENT_SKIDLINK) as process:
        await Reader(process).until_known(["PU01", "VA01", "VA02"])
        await skid.write(PU01=70.0, VA01=True, VA02=True)  # somebody at the panel; the engine is still responsible
        process.send_signal(number)
        _, log = await asyncio.wait_for(process.communicate(), 100)
        assert process.returncode == 0, log.decode()
        assert b"outputs at the end: safe value accepted: PU01 0 %, VA01 Closed, VA02 Closed" in log
    await skid.pause()
    truth = skid.truth().values
    assert (truth["PU01"], truth["VA01"], truth["VA02"]) == (0.0, False, False)


async def test_when_the_engine_is_killed_its_sign_of_life_stops_and_the_plc_makes_the_skid_safe(
    skid: SharedSkid,
) -> None:
    await skid.begin_anew(watchdog_s=WATCHDOG_S)
    # The engine is not to notice within the test that somebody has changed what it made safe.
    slow = [word for tag in SAFE for word in ("--set", f"tags.{tag}.feedback_after_ms=600000") if tag != "BA01"]
    async with skidlink("run", UODS / "filtration.yaml", *overrides(skid), *slow, *WRITES) as process:
        engine = Reader(process)
        await engine.until(lambda values: SAFE.items() <= values.items())
        await skid.write(PU01=70.0, VA01=True, VA02=True)
        await engine.until(lambda values: (values["WD01"] or 0) > 1 and values["PU01"] == 70)
        process.kill()
        await process.wait()
    assert skid.truth().values["PU01"] == 70.0, "nobody has told it to stop"
    await skid.set_watchdog(0.5)
    async with asyncio.timeout(200):
        while skid.truth().values["MS01"] != "Watchdog":
            await asyncio.sleep(0.1)
    truth = skid.truth().values
    assert (truth["PU01"], truth["VA01"], truth["VA02"]) == (0.0, False, False)


async def test_a_run_that_nobody_can_control_leaves_the_outputs_as_they_are(skid: SharedSkid) -> None:
    await skid.write(PU01=70.0, VA01=True, VA02=True)
    async with skidlink("run", UODS / "filtration.yaml", *overrides(skid), "--output", "-") as process:
        engine = Reader(process)
        await engine.until(lambda values: values.get("PU01") == 70 and values.get("VA01") == "Open")
        process.terminate()
        _, log = await asyncio.wait_for(process.communicate(), 100)
    words = " ".join(log.decode().split())
    assert "outputs are left as they are: this run only watches, as nobody can give commands" in words
    await skid.pause()
    truth = skid.truth().values
    assert (truth["PU01"], truth["VA01"], truth["VA02"]) == (70.0, True, True)


async def test_a_second_engine_on_the_same_skid_may_only_watch(skid: SharedSkid, tmp_path: Path) -> None:
    first = ("run", UODS / "filtration.yaml", *overrides(skid), *WRITES)
    # Another UOD and another folder for its state, but the same devices.
    second = ("run", UODS / "modbus_only.yaml", *overrides(skid, "modbus_only.yaml"))
    async with skidlink(*first) as process:
        await Reader(process).until(lambda values: values.items() >= SAFE.items())
        for options in (["--control"], ["--aggregator", "127.0.0.1:9", "--outbox", tmp_path]):
            async with skidlink(*second, *options) as other:
                _, log = await asyncio.wait_for(other.communicate(), 200)
            assert other.returncode == 1
            words = " ".join(log.decode().split())
            assert f"is controlled by another engine on this computer (process {process.pid}," in words
            assert "start this one with --watch-only" in words
        async with skidlink(*second, "--watch-only", "--output", "-") as watching:
            await Reader(watching).until(lambda values: values.get("PU01") == 0)
        process.kill()
        await process.wait()
    async with skidlink(*first) as process:
        await Reader(process).until(lambda values: values.items() >= SAFE.items())


async def test_one_dead_device_leaves_the_rest_of_the_skid_running(skid: SharedSkid) -> None:
    command = ("run", UODS / "filtration.yaml", *overrides(skid, patient=False), "--output", "-")
    async with skidlink(*command) as process:
        engine = Reader(process)
        await engine.until_known(["FT01", "PT01", "TT01", "dP"])
        await skid.black_hole_modbus()
        await engine.until(lambda values: all(values[name] is None for name in ("PT01", "dP", "TT01")))
        await skid.write(VA01=True)
        await engine.until(lambda values: values["VA01"] == "Open")
        await engine.until_known(["FT01", "LT01", "PC01"])
        assert all(engine.values[name] is None for name in ("PT01", "dP", "TT01"))
        await skid.restore_modbus()
        await engine.until_known(["PT01", "dP", "TT01"])


@pytest.mark.parametrize("uod", ["filtration.yaml", "modbus_only.yaml", "opcua_only.yaml", "python_uod.py"])
async def test_each_example_runs_without_a_fault(skid: SharedSkid, uod: str) -> None:
    _, out, log = await command_line.skidlink("check", UODS / uod, "--online", "--json", *overrides(skid, uod))
    answer = json.loads(out)
    assert answer["ok"], log
    own = [fault for fault in answer["faults"] if not fault["file"].startswith("--set")]
    assert own == [], "but for the patience of this test, which is longer than a reading can wait"
    assert [point for point in answer["points"] if point["quality"] != "good"] == []
    async with skidlink("run", UODS / uod, *overrides(skid, uod), "--output", "-") as process:
        names = [point["tag"] for point in answer["points"] if point["value"] != ""]
        await Reader(process).until_known(names)


async def test_the_demo_operates_the_skid_until_it_is_ended() -> None:
    async with skidlink("demo") as process:
        assert process.stdout is not None
        async with asyncio.timeout(200):
            async for line in process.stdout:
                if b"PU01 = 60" in line:
                    break
        process.terminate()
        _, log = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode == 0, log.decode()
    assert b"Traceback" not in log


async def test_an_engine_ends_by_itself_when_its_time_is_over(skid: SharedSkid) -> None:
    uod = "modbus_only.yaml"
    async with skidlink("run", UODS / uod, *overrides(skid, uod), "--duration", "0.5") as process:
        _, log = await asyncio.wait_for(process.communicate(), 200)
    assert process.returncode == 0, log.decode()


async def test_a_reader_that_goes_away_does_not_end_the_engine(skid: SharedSkid) -> None:
    reader, writer = os.pipe()
    command = [*SKIDLINK, "run", UODS / "modbus_only.yaml", *overrides(skid, "modbus_only.yaml")]
    process = await asyncio.create_subprocess_exec(*command, stdout=writer, stderr=asyncio.subprocess.PIPE, cwd=ROOT)
    try:
        os.close(writer)
        assert await asyncio.to_thread(os.read, reader, 1)
        os.close(reader)  # what `| head -1` does
        await skid.write(VA01=True, VA02=True, PU01=60.0)
        await asyncio.sleep(3)  # some more lines, which nobody reads: there is no event for that
        assert process.returncode is None
        process.terminate()
        _, log = await asyncio.wait_for(process.communicate(), 100)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    assert b"Traceback" not in log
