"""Where the sessions of a server are: at the URL that it names, unless it names one that is of no use here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.contract import LinkError
from drivers.opcua.certificates import own_certificate
from drivers.opcua.reach import Address
from tests.ports import free_port
from tests.system.opcua_server import (
    SKID,
    Proxy,
    ServerSecurity,
    SkidServer,
    make_certificate,
    opened,
    points,
    skid_node,
    ua,
)

P = ua.SecurityPolicyType
REJECTED = 0x80550000
"""BadSecurityPolicyRejected"""


@pytest.fixture(scope="module", autouse=True)
def data(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SKIDLINK_DATA", str(folder))
        own_certificate()
        yield folder


@pytest.fixture(scope="module")
def plc() -> Iterator[SkidServer]:
    server = SkidServer([SKID])
    server.add("FT01", 1.5)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def other() -> Iterator[SkidServer]:
    """Another machine, whose application has another name."""
    server = SkidServer([SKID])
    for endpoint in server.server.iserver.endpoints:
        endpoint.Server.ApplicationUri = "urn:another:machine"
    server.add("FT01", 99.0)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def guarded() -> Iterator[SkidServer]:
    certificate, key = make_certificate("A PLC")
    server = SkidServer([SKID], security=ServerSecurity(certificate, key, [P.Basic256Sha256_SignAndEncrypt]))
    server.add("FT01", 1.5)
    yield server
    server.stop()


@contextlib.contextmanager
def naming(server: SkidServer, url: str) -> Generator[None]:
    """Let a server say that its sessions are at a URL."""

    def name(*_: Any, **__: Any) -> str:
        return url

    iserver: Any = server.server.iserver
    iserver._mangle_endpoint_url = name  # it has a setting for its own URL, not for a wrong one
    try:
        yield
    finally:
        del iserver._mangle_endpoint_url


async def look(endpoint: str, **options: Any) -> tuple[float, Address]:
    """What a node says, and where the session was."""
    async with opened(endpoint, points(skid_node("FT01")), **options) as driver:
        await driver.read(0)
        link: Any = driver._link
        return driver.image.value(0), link._reached  # pyright: ignore[reportReturnType]


async def test_the_session_is_at_the_url_that_the_server_names(plc: SkidServer) -> None:
    async with Proxy(plc.port) as proxy:
        assert await look(proxy.endpoint) == (1.5, Address("127.0.0.1", port_of(proxy.endpoint)))
        with naming(plc, plc.endpoint):
            assert await look(proxy.endpoint) == (1.5, Address("127.0.0.1", plc.port))


@pytest.mark.parametrize("named", ["opc.tcp://plc.invalid:{free}", "opc.tcp://127.0.0.1:{free}", "opc.tcp://[:4840"])
async def test_where_the_server_cannot_be_reached_by_its_own_name_the_one_that_was_typed_is_used(
    plc: SkidServer, named: str, caplog: pytest.LogCaptureFixture
) -> None:
    url = named.replace("{free}", str(free_port()))
    with naming(plc, url):
        async with opened(plc.endpoint, points(skid_node("FT01"))) as driver:
            for _ in range(3):
                await driver.close()
                await driver.open()
            await driver.read(0)
            assert driver.image.value(0) == 1.5
    told = [record.message for record in caplog.records if "keep_host: true" in record.message]
    assert len(told) == ("[" not in named), "once, and not of what is no address at all"
    assert all(url in message for message in told)
    assert not any("correct endpoint" in message or "port in endpoint" in message for message in told), "it is right"


async def test_the_host_that_was_typed_is_kept(plc: SkidServer, caplog: pytest.LogCaptureFixture) -> None:
    async with Proxy(plc.port) as proxy:
        with naming(plc, plc.endpoint):
            kept = await look(proxy.endpoint, keep_host=True)
    assert kept == (1.5, Address("127.0.0.1", port_of(proxy.endpoint)))
    assert "keep_host" not in caplog.text


async def test_another_server_at_the_name_is_not_taken_for_this_one(
    plc: SkidServer, other: SkidServer, caplog: pytest.LogCaptureFixture
) -> None:
    with naming(plc, other.endpoint):
        assert await look(plc.endpoint) == (1.5, Address("127.0.0.1", plc.port))
    assert "another server answers there, urn:another:machine" in caplog.text


class Gate(Proxy):
    """Lets connections without security through at /discovery alone, and no others there, as Milo's servers do."""

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = await message(reader)
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, far_writer]
        far_writer.write(hello)
        writer.write(await message(far_reader))
        opening = await message(reader)
        size = struct.unpack_from("<i", opening, 12)[0]
        in_clear = opening[16 : 16 + size].endswith(b"#None")
        if in_clear is not hello.endswith(b"/discovery"):
            reason = b"security policy rejected"
            body = struct.pack("<II", REJECTED, len(reason)) + reason
            writer.write(b"ERRF" + struct.pack("<I", 8 + len(body)) + body)
            writer.close()
            far_writer.close()
            return
        far_writer.write(opening)
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))


async def message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(8)
    return head + await reader.readexactly(struct.unpack_from("<I", head, 4)[0] - 8)


def port_of(endpoint: str) -> int:
    return int(endpoint.rpartition(":")[2])


@pytest.mark.parametrize("security", ["auto", "Basic256Sha256"])
@pytest.mark.parametrize("path", ["", "/discovery"])
async def test_a_server_that_tells_of_its_endpoints_at_discovery_alone(
    guarded: SkidServer, path: str, security: str
) -> None:
    async with Gate(guarded.port) as gate:
        with naming(guarded, gate.endpoint):
            value, reached = await look(gate.endpoint + path, security=security)
    assert (value, reached) == (1.5, Address("127.0.0.1", port_of(gate.endpoint)))


async def test_where_discovery_is_refused_everywhere_no_advice_leads_back(
    guarded: SkidServer, caplog: pytest.LogCaptureFixture
) -> None:
    class Closed(Gate):
        async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.close()

    caplog.set_level(logging.INFO)
    async with Closed(guarded.port) as gate:
        with pytest.raises(LinkError) as failed:
            await look(gate.endpoint)
    assert "BadSecurityPolicyRejected" in str(failed.value)
    assert "neither here nor at /discovery" in str(failed.value)
    assert "security: none" not in str(failed.value)


async def test_a_server_that_hangs_up_on_a_client_that_it_does_not_trust(guarded: SkidServer) -> None:
    class Silent(Proxy):
        async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            hello = await message(reader)
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
            self._writers += [writer, far_writer]
            far_writer.write(hello)
            writer.write(await message(far_reader))
            opening = await message(reader)
            if b"#None" not in opening[:100]:
                writer.close()
                far_writer.close()
                return
            far_writer.write(opening)
            await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async with Silent(guarded.port) as proxy:
        with pytest.raises(LinkError) as failed:
            await look(proxy.endpoint)
    assert "the connection was lost while opening a session" in str(failed.value)
    assert "Or the server does not trust this client: trust this client's certificate on the server" in str(
        failed.value
    )
