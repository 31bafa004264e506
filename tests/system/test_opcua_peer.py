"""The OPC UA driver against a server of another make, node-opcua, with security, users and small operation limits."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.contract import Kind, LinkError, Point, Quality
from drivers.opcua.certificates import own_certificate
from drivers.opcua.driver import OpcUa
from drivers.opcua.options import DeviceOptions, PointOptions
from tests.ports import free_port
from tests.system.opcua_server import SKID, opened, points, quality, skid_node

FOLDER = Path(__file__).parents[1] / "opcua_peer"
WORD = "wort-des-labors"
INITIAL: dict[str, tuple[Kind, Any]] = {
    "double": (Kind.FLOAT, 0.1),
    "float": (Kind.FLOAT32, 0.5),
    "int64": (Kind.INT, 2**63 - 1),
    "uint64": (Kind.UINT, 2**64 - 1),
    "int16": (Kind.INT, -32768),
    "bool": (Kind.BOOL, True),
    "text": (Kind.TEXT, "läuft"),
    "bytes": (Kind.TEXT, "00ff"),
    "time": (Kind.TEXT, "2026-11-22T12:00:00.250000Z"),
    "valve": (Kind.INT, 1),
}


class Peer:
    """node-opcua in a process of its own."""

    def __init__(self, data: Path) -> None:
        self.port = free_port()
        self.endpoint = f"opc.tcp://127.0.0.1:{self.port}"
        self._data = data
        self.start()

    def start(self, **options: Any) -> None:
        """Start it, also after `kill`."""
        wanted = {"port": self.port, "folder": str(self._data), "anonymous": True, "word": WORD, "sessions": 20}
        wanted |= {"namespaces": ["urn:other", SKID]} | options
        self._process = subprocess.Popen(
            ["node", str(FOLDER / "server.js"), json.dumps(wanted)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._answer("ready")

    def put(self, name: str, value: Any = None, status: str = "Good") -> None:
        """Give a node another value or status."""
        assert self._process.stdin is not None
        given = {"name": name, "status": status} | ({} if value is None else {"value": value})
        self._process.stdin.write(json.dumps(given) + "\n")
        self._process.stdin.flush()
        self._answer("done")

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _answer(self, key: str) -> None:
        assert self._process.stdout is not None
        said: list[str] = []
        for line in self._process.stdout:
            said.append(line)
            if line.startswith(f'{{"{key}"'):
                return
        pytest.fail(f"node-opcua ended: {''.join(said)}")


@pytest.fixture(scope="module")
def installed() -> None:
    """node-opcua in the versions of the lock file."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("node and npm are not installed")
    lock, stamp = FOLDER / "package-lock.json", FOLDER / "node_modules" / "installed-from.txt"
    if stamp.exists() and stamp.read_text() == lock.read_text():
        return
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=True, timeout=300)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm cannot install node-opcua: {error}: {str(error.stderr)[-300:]}")
    stamp.write_text(lock.read_text())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with our certificate, for all tests of this module."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SKIDLINK_DATA", str(folder))
        own_certificate()
        yield folder


@pytest.fixture(scope="module")
def peer(installed: None, data: Path) -> Iterator[Peer]:
    server = Peer(data / "peer")
    yield server
    server.kill()


async def until(driver: OpcUa, true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await driver.read(0)
            await asyncio.sleep(0.05)


def tags(*names: str) -> list[Point]:
    return [Point(f"T{row}", "plc", skid_node(name), 50, True, True) for row, name in enumerate(names)]


@pytest.mark.parametrize("mode", ["poll", "subscribe"])
@pytest.mark.parametrize("fast_path", [True, False])
async def test_every_type_within_small_limits(peer: Peer, mode: str, fast_path: bool) -> None:
    many = [f"many{number}" for number in range(20)]
    on = [*tags(*INITIAL, *many), Point("element", "plc", skid_node("array", index=1), 50)]
    async with opened(peer.endpoint, on, mode=mode, fast_path=fast_path) as driver:
        link: Any = driver._link
        assert link._client.security_policy.URI.endswith("Aes256_Sha256_RsaPss")
        await driver.read(0)
        await driver.read(0)
        for row, (kind, value) in enumerate(INITIAL.values()):
            assert Kind(int(driver.image.kinds[row])) == kind
            assert driver.image.value(row) == value
        assert [driver.image.value(len(INITIAL) + number) for number in range(20)] == list(range(20))
        assert driver.image.value(len(on) - 1) == 2
        assert set(driver.image.quality.tolist()) == {Quality.GOOD}


@pytest.mark.parametrize("mode", ["poll", "subscribe"])
async def test_nodes_that_turn_bad_and_good_again(peer: Peer, mode: str) -> None:
    async with opened(peer.endpoint, tags("double", "float"), mode=mode) as driver:
        await driver.read(0)
        for status, expected in (
            ("UncertainLastUsableValue", Quality.STALE),
            ("UncertainSensorNotAccurate", Quality.UNCERTAIN),
            ("UncertainNoCommunicationLastUsableValue", Quality.STALE),
        ):
            peer.put("double", 7.5, "BadSensorFailure")
            peer.put("float", 1.5, status)
            await until(driver, lambda wanted=[Quality.BAD, expected]: driver.image.quality.tolist() == wanted)
            assert "BadSensorFailure" in quality(driver, 0)[1]
            assert status in quality(driver, 1)[1]
            assert [driver.image.value(row) for row in range(2)] == [0.1, 1.5]
            peer.put("double", 0.1)
            peer.put("float", 0.5)
            await until(driver, lambda: driver.image.quality.tolist() == [Quality.GOOD] * 2)
            assert [driver.image.value(row) for row in range(2)] == [0.1, 0.5]


@pytest.mark.parametrize("mode", ["poll", "subscribe"])
@pytest.mark.parametrize("fast_path", [True, False])
async def test_the_author_decides_what_becomes_of_uncertain_values(peer: Peer, mode: str, fast_path: bool) -> None:
    """The device says stale, one of its tags publish; a value's own status decides where nobody has said anything."""
    on = [
        Point("T0", "plc", skid_node("float"), 50),
        Point("T1", "plc", skid_node("float", on_uncertain="publish"), 50),
    ]
    async with opened(peer.endpoint, on, mode=mode, fast_path=fast_path, on_uncertain="stale") as driver:
        for status in ("UncertainSensorNotAccurate", "UncertainInitialValue") * 2:
            await driver.read(0)
            peer.put("float", 0.5, status)
            await until(driver, lambda: driver.image.quality.tolist() == [Quality.STALE, Quality.UNCERTAIN])
            assert all(status in quality(driver, row)[1] for row in range(2))
            peer.put("float", 0.5)
            await until(driver, lambda: driver.image.quality.tolist() == [Quality.GOOD] * 2)


async def test_writes_within_small_limits(peer: Peer) -> None:
    names = ["many1", "many2", "many3", "int16", "uint64"]
    before = [1.0, 2.0, 3.0, -32768, 2**64 - 1]
    async with opened(peer.endpoint, tags(*names)) as driver:
        assert await driver.write(dict(enumerate([9.5, 8.5, 7.5, 32767, 2**64 - 2]))) == {}
        await driver.read(0)
        assert [driver.image.value(row) for row in range(5)] == [9.5, 8.5, 7.5, 32767, 2**64 - 2]
        assert "takes -32768 to 32767" in (await driver.write({3: 32768}))[3]
        assert await driver.write(dict(enumerate(before))) == {}


@pytest.mark.parametrize("mode", ["poll", "subscribe"])
@pytest.mark.parametrize("fast_path", [True, False])
async def test_enumerations_have_the_texts_of_the_server(peer: Peer, mode: str, fast_path: bool) -> None:
    on = [
        Point("V", "plc", skid_node("valve", server_texts=True, read_back=True), 50, True, True),
        Point("N", "plc", skid_node("valve"), 50),
        Point("D", "plc", skid_node("double", server_texts=True), 50),
    ]
    async with opened(peer.endpoint, on, mode=mode, fast_path=fast_path) as driver:
        await driver.read(0)
        assert [driver.image.value(row) for row in range(2)] == ["Open", 1]
        assert quality(driver, 2)[1].startswith("the server has no texts")
        assert "takes one of 'Closed', 'Open', 'Fault', not 'open'" in (await driver.write({0: "open"}))[0]
        assert await driver.write({0: "Fault"}) == {}
        await until(driver, lambda: driver.image.value(1) == 2)
        assert driver.image.value(0) == "Fault"
        peer.put("valve", 9)
        await until(driver, lambda: driver.image.value(1) == 9)
        assert quality(driver, 0) == (
            Quality.BAD,
            "the server has no text for this number: delete server_texts to see the number",
        )
        peer.put("valve", 1)


async def test_users(peer: Peer, tmp_path: Path) -> None:
    file = tmp_path / "word"
    for word, right in ((WORD, True), ("wrong", False)):
        file.write_text(word)
        options: dict[str, Any] = {"user": "operator", "password_file": file, "timeout_ms": 60_000}
        driver = OpcUa({"plc": DeviceOptions(endpoint=peer.endpoint, **options)}, points(skid_node("double")))
        if right:
            await driver.open()
            await driver.read(0)
            assert driver.image.value(0) == 0.1
        else:
            with pytest.raises(LinkError, match="give user and its password") as refused:
                await driver.open()
            assert word not in str(refused.value)
        await driver.close()


async def test_a_restart_with_other_namespaces_and_one_session(peer: Peer) -> None:
    """The last of this module, as it leaves a peer that takes one session only."""
    path = f"Objects/nsu={SKID};System/nsu={SKID};float"
    on = [*tags("double"), Point("path", "plc", PointOptions(node=path, mode="subscribe"), 50)]
    async with opened(peer.endpoint, on) as driver:
        for group in range(2):
            await driver.read(group)
        assert [driver.image.value(row) for row in range(2)] == [0.1, 0.5]
        peer.kill()
        with pytest.raises(LinkError):
            await until(driver, lambda: False)
        await asyncio.to_thread(peer.start, namespaces=["urn:more", SKID, "urn:other"], sessions=1)
        peer.put("double", 5.5)
        await driver.open()
        for group in range(2):
            await driver.read(group)
        assert [driver.image.value(row) for row in range(2)] == [5.5, 0.5]
        with pytest.raises(LinkError, match="close other clients, or allow more sessions"):
            async with opened(peer.endpoint, tags("double")):
                pass
