"""An endpoint with the port of something else."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import logging
import ssl
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from drivers.contract import LinkError
from drivers.opcua.driver import OpcUa
from drivers.opcua.options import DeviceOptions
from tests.system.modbus_servers import pymodbus_server, serving
from tests.system.opcua_server import make_certificate, points

LONG_S = 60.0
SHORT_MS = 300
"""The first connection ends by its time-out where a stranger waits for more; a look at it takes as long as it needs."""


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_s(timeout_s: float) -> float:
        del timeout_s
        return LONG_S

    monkeypatch.setattr("drivers.opcua.session.look_s", look_s)


@contextlib.asynccontextmanager
async def web() -> AsyncGenerator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_port
    finally:
        await asyncio.to_thread(server.shutdown)
        thread.join()
        server.server_close()


@contextlib.asynccontextmanager
async def tls(folder: Path) -> AsyncGenerator[int]:
    certificate, key = make_certificate("A web server")
    (folder / "key.pem").write_bytes(key)
    (folder / "certificate.pem").write_text(ssl.DER_cert_to_PEM_cert(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@contextlib.asynccontextmanager
async def saying(words: bytes) -> AsyncGenerator[int]:
    """No server of this kind runs here: it says what its standard wants first, and nothing after it."""
    handled: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handled.add(asyncio.current_task())
        writer.write(words)
        with contextlib.suppress(ConnectionError):
            while await reader.read(1000):
                pass
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*(task for task in handled if task))


async def why(stranger: AbstractAsyncContextManager[int]) -> str:
    """What is said of an endpoint at which a stranger answers."""
    async with stranger as port:
        driver = OpcUa({"plc": DeviceOptions(endpoint=f"opc.tcp://127.0.0.1:{port}", timeout_ms=SHORT_MS)}, points())
        with pytest.raises(LinkError) as failed:
            await driver.open()
        await driver.close()
    text = str(failed.value)
    assert text.startswith(f"opc.tcp://127.0.0.1:{port}: ")
    assert "correct the port in endpoint" in text
    assert "Error" not in text, "the name of an exception is no word for its reader"
    return text


async def test_a_web_server(caplog: pytest.LogCaptureFixture) -> None:
    assert "a web server (HTTP) answers at this port" in await why(web())
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_server_that_speaks_tls(tmp_path: Path) -> None:
    assert "a server that speaks TLS (HTTPS, for example) answers at this port" in await why(tls(tmp_path))


async def test_a_modbus_server() -> None:
    assert "a Modbus TCP server answers at this port" in await why(serving(*pymodbus_server("tcp", "socket")))


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "an SSH server"),
        (b"220 plc FTP server ready\r\n", "a mail or FTP server"),
        (b"\xff\xfd\x18\xff\xfd\x20", "a Telnet server"),
    ],
)
async def test_servers_that_speak_first(words: bytes, kind: str) -> None:
    assert f"{kind} answers at this port" in await why(saying(words))


@contextlib.asynccontextmanager
async def answering(answer: Callable[[bytes], bytes]) -> AsyncGenerator[int]:
    """A program of a protocol that nobody foresaw."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while words := await reader.read(1000):
                writer.write(answer(words))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def echo(words: bytes) -> bytes:
    return words


def zeros(words: bytes) -> bytes:
    return bytes(len(words))


def ethernet_ip(words: bytes) -> bytes:
    """The encapsulation header of EtherNet/IP with the command as it came, and that it is not known."""
    return words[:2] + bytes(6) + b"\x01\x00\x00\x00" + bytes(12)


@pytest.mark.parametrize("answer", [echo, zeros, ethernet_ip])
async def test_a_program_that_nobody_knows(answer: Callable[[bytes], bytes]) -> None:
    assert "another program answers at this port, not OPC UA over opc.tcp" in await why(answering(answer))


async def test_a_port_at_which_nobody_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.opcua.session.look_s", float)
    text = await why(saying(b""))
    assert "no answer within 0.3 s while connecting" in text
