"""One body of tests over every transport, against the pymodbus server and a slave written with libmodbus."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import re
import shutil
import struct
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from drivers.contract import LinkError, Point, Quality
from drivers.modbus import serial_port, transactions
from drivers.modbus.driver import Modbus
from drivers.modbus.options import PointOptions
from drivers.reasons import reason_text
from drivers.registry import driver_class
from tests.clock import IN_FLIGHT_S, Clock
from tests.system.modbus_servers import PtyLine, libmodbus_slave, pymodbus_server, serving


@dataclass(frozen=True)
class Served:
    """A running server, and how to reach it."""

    driver: str
    options: dict[str, Any]
    mbpoll: tuple[str, ...] = ()
    """What an independent reader is told to reach it; nothing where it cannot."""
    ids: tuple[int, ...] = (1, 2)
    """The device ids that answer."""

    @asynccontextmanager
    async def driven(self, points: list[Point], **options: Any) -> AsyncGenerator[Modbus]:
        found: Any = driver_class(self.driver)
        devices = {
            name: found.DeviceOptions(**self.options | {"device_id": int(name[-1]), "timeout_ms": TIMEOUT_MS} | options)
            for name in dict.fromkeys(point.device for point in points)
        }
        driver: Modbus = found(devices, points)
        await driver.open()
        try:
            yield driver
        finally:
            await driver.close()


def port_options(line: PtyLine) -> dict[str, Any]:
    """How a driver opens its end of the line; pseudo terminals have no parity."""
    return {"port": str(line.ends[0]), "baudrate": 115_200, "parity": "none"}


def make_certificate(path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, path.stem)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + secret)
    return path


HOST = "127.0.0.1"
TIMEOUT_MS = 10_000
"""Longer than any machine needs for an answer: where none comes, the clock is put forward."""
SILENCE_S = TIMEOUT_MS / 1000 + 1
"""The time-out, and what a serial line takes for question and answer."""
TRANSPORTS = [
    "pymodbus tcp", "pymodbus udp", "pymodbus tls", "pymodbus rtu-over-tcp", "pymodbus ascii-over-tcp",
    "pymodbus rtu", "pymodbus ascii", "pymodbus rtu by threads", "libmodbus tcp", "libmodbus rtu",
]  # fmt: skip


@pytest.fixture(params=TRANSPORTS)
async def served(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Served]:
    maker, _, transport = request.param.partition(" ")
    async with AsyncExitStack() as stack:
        line = PtyLine(tmp_path)
        serial = port_options(line)
        if transport.startswith(("rtu", "ascii")) and "over" not in transport:
            await stack.enter_async_context(line.plugged())
        if transport.endswith("by threads"):
            monkeypatch.setattr(serial_port, "CAN_WATCH", False)
        if maker == "libmodbus":
            slave = libmodbus_slave()
            if transport == "tcp":
                port = await stack.enter_async_context(serving(slave, "tcp"))
                yield Served("modbus-tcp", {"host": HOST, "port": port}, ("-m", "tcp", "-p", str(port)))
            else:
                await stack.enter_async_context(serving(slave, "rtu", line.ends[1], "115200", "1"))
                yield Served("modbus-rtu", serial, ("-m", "rtu", "-b", "115200", "-P", "none"), ids=(1,))
            return
        framing = "ascii" if "ascii" in transport else "rtu" if "rtu" in transport else "socket"
        rest: tuple[str | Path, ...] = ()
        options: dict[str, Any] = {"host": HOST}
        server = transport if transport in {"udp", "tls"} else "tcp"
        if transport == "tls":
            certificate, ours = make_certificate(tmp_path / "server.pem"), make_certificate(tmp_path / "ours.pem")
            rest = (certificate, ours)
            options |= {"ca_file": certificate, "cert_file": ours}
        elif "over" not in transport and framing != "socket":
            server, rest, options = "serial", (line.ends[1],), dict(serial)
            if framing == "ascii":
                options["databits"] = 8
        port = await stack.enter_async_context(serving(*pymodbus_server(server, framing, *rest)))
        if server != "serial":
            options["port"] = port
        yield Served(f"modbus-{transport.removesuffix(' by threads')}", options)


def point(tag: str, device: str = "dev1", write: bool = False, **options: Any) -> Point:
    return Point(tag, device, PointOptions(**options), 100, write=write)


def bad(driver: Modbus) -> dict[int, str]:
    rows = np.flatnonzero(driver.image.quality == Quality.BAD)
    return {int(row): reason_text(int(driver.image.reason[row])) for row in rows}


async def test_every_table_and_type_is_read_and_holes_are_found(served: Served) -> None:
    points = [
        point("H", holding=7),
        point("L", holding=8, type="uint64", word_order="CDAB"),
        point("F", input=2, type="float32"),
        point("C0", coil=4),
        point("C1", coil=5),
        point("D", discrete=8),
        point("B", holding=3, bit=1),
        point("W", holding=300, type="uint32"),
        point("X", holding=20_000),
    ]
    if 2 in served.ids:
        points.append(point("T", device="dev2", modicon=40301))
    async with served.driven(points) as driver:
        for _ in range(2):
            for group in range(len(driver.groups)):
                await driver.read(group)
            (f,) = struct.unpack(">f", struct.pack(">HH", 1002, 1003))
            found = [driver.image.value(row) for row in range(len(points)) if row != 8]
            expected = [7, 11 << 48 | 10 << 32 | 9 << 16 | 8, f, False, True, True, True, 300 << 16 | 301, 300]
            assert found == expected[: len(found)]
            assert bad(driver) == {8: "the device refuses holding 20000: illegal data address (exception 02)"}
        counters = driver.devices["dev1"].counters
        assert (counters.timeouts, counters.late, counters.wrong, driver.link.counters.garbled) == (0, 0, 0, 0)
        assert (
            counters.bytes_received
            + sum(driver.devices[name].counters.bytes_received for name in driver.devices if name != "dev1")
            == driver.link.counters.bytes_received
        )


async def test_what_is_written_is_read_back(served: Served) -> None:
    points = [
        point("A", write=True, holding=100),
        point("B", write=True, holding=110, type="float32", word_order="CDAB"),
        point("C", write=True, coil=0),
        point("D", write=True, holding=120, bit=9),
        point("E", write=True, holding=20_000),
    ]
    async with served.driven(points) as driver:
        values = {0: 65_535, 1: 1.5, 2: True, 3: True}
        refused = await driver.write({**values, 4: 1})
        assert refused.keys() == {4}
        assert refused[4].startswith("the device refuses to write holding 20000 (functions 6 and 16: illegal data addr")
        await driver.read(0)
        assert [driver.image.value(row) for row in values] == list(values.values())


@pytest.mark.parametrize("served", ["libmodbus tcp", "libmodbus rtu"], indirect=True)
async def test_an_independent_reader_sees_what_was_written(served: Served) -> None:
    mbpoll = shutil.which("mbpoll")
    if mbpoll is None:
        pytest.skip("needs mbpoll (Debian: mbpoll)")
    async with served.driven([point("A", write=True, holding=100, type="int32")]) as driver:
        assert await driver.write({0: -2}) == {}
    where = served.options.get("host", served.options["port"])
    process = await asyncio.create_subprocess_exec(
        mbpoll, *served.mbpoll, "-a", "1", "-t", "4:int", "-B", "-r", "101", "-c", "1", "-1", where,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert re.search(rb"\[101\]:\s+-2\b", said), said


async def test_a_port_that_is_pulled_out_and_plugged_in_again(tmp_path: Path) -> None:
    line = PtyLine(tmp_path)
    for watch in (True, False):
        await _replug(line, watch=watch)


async def _replug(line: PtyLine, *, watch: bool) -> None:
    options = port_options(line)
    served = Served("modbus-rtu", options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(serial_port, "CAN_WATCH", watch)
        async with (
            line.plugged(),
            serving(*pymodbus_server("serial", "rtu", line.ends[1])),
            served.driven([point("A", holding=7)]) as driver,
        ):
            await driver.read(0)
            line.unplug()
            with pytest.raises(LinkError, match=r"ttyDriver: the connection"):
                await driver.read(0)
            assert driver.image.value(0) == 7
            with pytest.raises(LinkError, match=r"ttyDriver is not there: plug the adapter in"):
                await driver.open()
            line.plug()
            async with serving(*pymodbus_server("serial", "rtu", line.ends[1])):
                await driver.open()
                await driver.read(0)
            assert driver.link.counters.reconnects == 1


@pytest.mark.parametrize("rs485", ["kernel", "rts"])
async def test_a_port_without_direction_control_is_refused(tmp_path: Path, rs485: str) -> None:
    """Only the refusal can be seen here: a pseudo terminal has neither RTS nor a driver that turns RS-485 round."""
    line = PtyLine(tmp_path)
    async with line.plugged():
        served = Served("modbus-rtu", port_options(line) | {"rs485": rs485})
        with pytest.raises(LinkError, match="cannot turn RS-485 round by"):
            async with served.driven([point("A", holding=7)]):
                raise AssertionError("direction control where there is none")


async def test_the_echo_of_the_line_is_told_and_taken_away(tmp_path: Path) -> None:
    line = PtyLine(tmp_path)
    served = Served("modbus-rtu", port_options(line))
    line.echo = True
    line.to_device = lambda _: b""  # no answer that could still come when the next driver is there
    async with line.plugged(), serving(*pymodbus_server("serial", "rtu", line.ends[1])):
        async with served.driven([point("A", holding=7)]) as driver:
            with pytest.raises(LinkError, match="gives back what is sent to it: set local_echo: true"):
                await driver.read(0)
        line.to_device = lambda data: data
        async with served.driven([point("A", holding=7, write=True)], local_echo=True) as driver:
            assert await driver.write({0: 12}) == {}
            await driver.read(0)
            assert driver.image.value(0) == 12
            assert (driver.link.counters.unasked, driver.link.counters.garbled) == (0, 0)


async def test_noise_on_the_line_costs_no_value(tmp_path: Path) -> None:
    """Bytes before and after each answer, as transceivers make them when they turn round."""
    line = PtyLine(tmp_path)
    served = Served("modbus-rtu", port_options(line))
    line.to_driver = lambda data: b"\0" + data + b"\xff\0"
    async with (
        line.plugged(),
        serving(*pymodbus_server("serial", "rtu", line.ends[1])),
        served.driven([point("A", holding=7), point("B", holding=300)], retries=0) as driver,
    ):
        for _ in range(3):
            await driver.read(0)
            assert [driver.image.value(row) for row in (0, 1)] == [7, 300]
            assert not bad(driver)


async def test_a_spoilt_answer_is_asked_for_again(tmp_path: Path, clock: Clock) -> None:
    line = PtyLine(tmp_path)
    served = Served("modbus-rtu", port_options(line))
    first = [True]

    def spoil(data: bytes) -> bytes:
        if first:
            first.clear()
            clock.leap_soon(SILENCE_S)
            return data[:3] + bytes((data[3] ^ 1,)) + data[4:]
        return data

    line.to_driver = spoil
    async with (
        line.plugged(),
        serving(*pymodbus_server("serial", "rtu", line.ends[1])),
        served.driven([point("A", holding=7)]) as driver,
    ):
        await driver.read(0)
        assert driver.image.value(0) == 7
        assert driver.link.counters.garbled == 1
        assert driver.devices["dev1"].counters.timeouts == 1


@pytest.mark.parametrize("framing", ["rtu", "ascii"])
async def test_answers_late_by_one_request_reach_no_other_tag(tmp_path: Path, framing: str, clock: Clock) -> None:
    """Every fifth answer is held back until the next one comes: all blocks have the same length."""
    line = PtyLine(tmp_path)
    options: dict[str, Any] = port_options(line)
    if framing == "ascii":
        options["databits"] = 8
    served = Served(f"modbus-{framing}", options)
    held: list[bytes] = []
    passed = 0

    def late(data: bytes) -> bytes:
        nonlocal passed
        passed += 1
        if passed % 5 == 0:
            held.append(data)
            clock.leap_soon(SILENCE_S)
            return b""
        due = b"".join(held)
        held.clear()
        return due + data

    line.to_driver = late
    points = [point(f"T{address}", holding=address) for address in (10, 40, 70, 100)]
    async with (
        line.plugged(),
        serving(*pymodbus_server("serial", framing, line.ends[1])),
        served.driven(points, retries=2) as driver,
    ):
        for _ in range(6):
            await driver.read(0)
            assert [driver.image.value(row) for row in range(4)] == [10, 40, 70, 100]
        counters = driver.devices["dev1"].counters
        assert counters.late >= 3
        assert counters.timeouts >= 3


@pytest.mark.parametrize("framing", ["rtu", "ascii"])
async def test_duplicated_answers_reach_no_other_tag(
    tmp_path: Path, framing: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer comes twice: at once, or the second one only with the next answer. All blocks are of one length."""
    monkeypatch.setattr(transactions, "DEBT_LIFETIME_S", 1000 * SILENCE_S)
    line = PtyLine(tmp_path)
    served = Served(f"modbus-{framing}", port_options(line) | ({"databits": 8} if framing == "ascii" else {}))
    held: list[bytes] = []
    asked = passed = 0

    def ask(data: bytes) -> bytes:
        nonlocal asked
        asked += 1
        return data

    def give_up() -> None:
        """Let the time-out pass where the driver waits on, as what it has heard is in doubt."""
        if asked == passed:
            clock.leap(SILENCE_S)

    def twice(data: bytes) -> bytes:
        nonlocal passed
        passed += 1
        asyncio.get_running_loop().call_later(5 * IN_FLIGHT_S, give_up)
        due = b"".join(held)
        held.clear()
        if passed % 2:
            return due + data + data
        held.append(data)
        return due + data

    line.to_device = ask
    line.to_driver = twice
    points = [point(f"T{address}", holding=address) for address in (10, 40, 70, 100)]
    good = 0
    async with (
        line.plugged(),
        serving(*pymodbus_server("serial", framing, line.ends[1])),
        served.driven(points, retries=2) as driver,
    ):
        for _ in range(6):
            await driver.read(0)
            for row, address in enumerate((10, 40, 70, 100)):
                if driver.image.quality[row] == Quality.GOOD:
                    assert driver.image.value(row) == address
                    good += 1
    assert good >= 20, "and they cost next to nothing"


async def test_a_certificate_that_nobody_trusts_is_refused(tmp_path: Path) -> None:
    certificate, other = make_certificate(tmp_path / "server.pem"), make_certificate(tmp_path / "other.pem")
    async with serving(*pymodbus_server("tls", "socket", certificate)) as port:
        served = Served("modbus-tls", {"host": HOST, "port": port, "ca_file": other})
        with pytest.raises(LinkError, match=r"the server's certificate is refused: .*; set ca_file"):
            async with served.driven([point("A", holding=7)]):
                pass
        named = replace(served, options=served.options | {"ca_file": certificate, "server_name": "plc"})
        with pytest.raises(LinkError, match=r"is refused: Hostname mismatch.*server_name"):
            async with named.driven([point("A", holding=7)]):
                pass
        trusted = replace(served, options=served.options | {"ca_file": certificate})
        async with trusted.driven([point("A", holding=7)]) as driver:
            await driver.read(0)
            assert driver.image.value(0) == 7


async def test_a_server_that_wants_a_certificate_gets_none(tmp_path: Path) -> None:
    certificate, other = make_certificate(tmp_path / "server.pem"), make_certificate(tmp_path / "other.pem")
    async with serving(*pymodbus_server("tls", "socket", certificate, other)) as port:
        served = Served("modbus-tls", {"host": HOST, "port": port, "ca_file": certificate})
        with pytest.raises(LinkError):
            async with served.driven([point("A", holding=7)]) as driver:
                await driver.read(0)
        missing = replace(served, options=served.options | {"cert_file": tmp_path / "none.pem"})
        with pytest.raises(LinkError, match=r"none.pem cannot be used as certificate and key: .*No such file"):
            async with missing.driven([point("A", holding=7)]):
                pass


async def test_nobody_at_a_udp_port(clock: Clock) -> None:
    async with serving(*pymodbus_server("udp", "socket")) as port:
        pass
    served = Served("modbus-udp", {"host": HOST, "port": port})
    async with served.driven([point("A", holding=7)], retries=0) as driver, clock.racing():
        with pytest.raises(LinkError):
            await driver.read(0)
