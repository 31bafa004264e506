"""The aggregator uplink over TLS, with a certificate of an authority of one's own."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from engine.uplinks.aggregator import AggregatorUplink
from tests.interop.small_engine import SmallEngine
from tests.system.small_aggregator import SmallAggregator


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1 and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Lab")])
    now = datetime.datetime.now(datetime.UTC)
    found = (
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
    path = tmp_path / "certificate.pem"
    path.write_bytes(
        found.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def served_with(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@pytest.mark.parametrize("scheme", ["https", "wss"])
async def test_both_transports_are_secured(certificate: Path, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with SmallAggregator().running(served_with(certificate)) as aggregator:
        uplink = AggregatorUplink(SmallEngine(FT01=0), f"{scheme}://{aggregator.address}")
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(uplink.run())
            assert await aggregator.next_types(3) == ["UodInfoMsg", "RunStoppedMsg", "TagsUpdatedMsg"]
            task.cancel()


async def test_an_unknown_authority_is_not_trusted(certificate: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with SmallAggregator().running(served_with(certificate)) as aggregator:
        uplink = AggregatorUplink(SmallEngine(FT01=0), f"https://{aggregator.address}")
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(uplink.run())
            async with asyncio.timeout(60):
                while "CERTIFICATE_VERIFY_FAILED" not in uplink.status.state:
                    await asyncio.sleep(0.01)  # the status is a plain field, written for a table that is drawn by time
            task.cancel()
    assert aggregator.registrations == []
    assert "name the file of its authority in SSL_CERT_FILE" in caplog.text


class TunnelProxy:
    """A proxy as companies have it: opens tunnels by CONNECT (RFC 9110, section 9.3.6), and remembers to where."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.address = ""
        self._tasks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._serve(reader, writer))
            self._tasks.add(task)

        async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
            self.address = "{}:{}".format(*server.sockets[0].getsockname())
            try:
                yield
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target, _ = (await reader.readuntil(b"\r\n\r\n")).decode().split(" ", 2)
        assert method == "CONNECT"
        self.asked.append(target)
        host, _, port = target.partition(":")
        far_reader, far_writer = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            try:
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            finally:
                sink.close()

        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer), return_exceptions=True)


async def test_the_proxy_of_the_environment_is_used_for_both_transports(
    certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = TunnelProxy()
    async with proxy.running(), SmallAggregator().running(served_with(certificate)) as aggregator:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        monkeypatch.setenv("https_proxy", f"http://{proxy.address}")
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        uplink = AggregatorUplink(SmallEngine(FT01=0), f"https://{aggregator.address}")
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(uplink.run())
            assert await aggregator.next_types(3) == ["UodInfoMsg", "RunStoppedMsg", "TagsUpdatedMsg"]
            task.cancel()
    assert proxy.asked == [aggregator.address] * 3, "version, registration, WebSocket"
