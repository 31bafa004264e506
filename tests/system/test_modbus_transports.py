"""One body of tests over every transport, against the pymodbus server and a slave written with libmodbus."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import re
import shutil
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from drivers.contract import LinkError
from drivers.modbus import serial_port
from tests.clock import Clock
from tests.system.modbus_served import HOST, Served, bad, point, port_options
from tests.system.modbus_servers import PtyLine, libmodbus_slave, pymodbus_server, serving


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
