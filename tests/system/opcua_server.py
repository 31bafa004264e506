"""An OPC UA server for tests, a connection that can be made to fail, and short ways to a driver."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
from collections.abc import AsyncGenerator, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncua.ua
from asyncua.crypto import cert_gen
from asyncua.server.server import Server
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from drivers.contract import Point, Quality
from drivers.opcua.driver import OpcUa
from drivers.opcua.options import DeviceOptions, PointOptions
from drivers.opcua.poll import Poll
from drivers.reasons import reason_text
from tests.ports import free_port

ua: Any = asyncua.ua
"""Untyped, as its annotations ask for number classes of its own, which its users never make."""
SKID = "urn:skid"
LONG_S = 60.0


@dataclass(slots=True)
class ServerSecurity:
    """What a server of these tests offers, and whom it lets in."""

    certificate: bytes
    key: bytes
    policies: list[Any]
    users: Any = None
    tokens: list[Any] = field(default_factory=lambda: [ua.AnonymousIdentityToken])
    validator: Any = None


def make_certificate(name: str, days: int = 99) -> tuple[bytes, bytes]:
    """A self-signed certificate, DER, and its key, PEM."""
    key = cert_gen.generate_private_key()
    names: list[x509.GeneralName] = [
        x509.UniformResourceIdentifier("urn:freeopcua:python:server"),
        x509.DNSName("localhost"),
    ]
    uses = [ExtendedKeyUsageOID.SERVER_AUTH]
    made = cert_gen.generate_self_signed_app_certificate(key, name, {}, names, uses, days)
    return made.public_bytes(Encoding.DER), cert_gen.dump_private_key_as_pem(key)


class SkidServer:
    """asyncua's server in a thread and an event loop of its own, as a PLC is no part of our process either."""

    def __init__(
        self, namespaces: Sequence[str], port: int | None = None, security: ServerSecurity | None = None
    ) -> None:
        self._security = security
        self.port = port or free_port()
        self.endpoint = f"opc.tcp://127.0.0.1:{self.port}"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.run(self._start(namespaces))

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(300)

    async def _stop(self) -> None:
        iserver: Any = self.server.iserver
        iserver.time_task, shown = None, iserver.time_task  # it sleeps for a second, and `stop` would wait for it
        shown.cancel()
        await self.server.stop()
        left = asyncio.all_tasks() - {asyncio.current_task()}  # asyncua forgets those of sessions that were cut off
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _start(self, namespaces: Sequence[str]) -> None:
        security = self._security
        self.server = Server(user_manager=None if security is None else security.users)
        gc.disable()  # it would walk the six thousand nodes of the standard again and again while they are made
        try:
            await self.server.init()
        finally:
            gc.enable()
        self.server.iserver.min_session_timeout_ms = 100  # so that a test need not wait ten seconds for its end
        self.server.set_endpoint(self.endpoint)
        self.server.set_match_discovery_endpoint_url(True)  # else clients would go round a proxy
        self.server.set_security_policy([ua.SecurityPolicyType.NoSecurity] if security is None else security.policies)
        if security is not None:
            await self.server.load_certificate(security.certificate)
            await self.server.load_private_key(security.key, format="pem")
            self.server.set_identity_tokens(security.tokens)
            if security.validator is not None:
                self.server.set_certificate_validator(security.validator)
        for uri in namespaces:
            await self.server.register_namespace(uri)
        self.index = await self.server.get_namespace_index(SKID)
        self.folder = await self.server.nodes.objects.add_object(
            ua.NodeId("System", self.index), ua.QualifiedName("System", self.index)
        )
        await self.server.start()

    def add(self, name: str, value: Any, variant_type: Any = None) -> None:
        async def work() -> None:
            if ua.NodeId(name, self.index) in self.server.iserver.aspace:
                await self.server.delete_nodes([self.server.get_node(ua.NodeId(name, self.index))])
            node = await self.folder.add_variable(
                ua.NodeId(name, self.index), ua.QualifiedName(name, self.index), value, variant_type
            )
            await node.set_writable()

        self.run(work())

    def set(self, name: str, value: Any) -> None:
        """Put a value there as the PLC program does, whatever its type; asyncua's own way in checks the type."""

        async def work() -> None:
            node = self.server.iserver.aspace[ua.NodeId(name, self.index)]
            node.attributes[ua.AttributeIds.Value].value = value

        self.run(work())

    def get(self, name: str) -> Any:
        return self.run(self.server.get_node(ua.NodeId(name, self.index)).read_data_value(False))

    def set_limit(self, node: int, limit: int) -> None:
        self.run(self.server.get_node(ua.NodeId(node)).write_value(ua.Variant(limit, ua.VariantType.UInt32)))

    def stop(self) -> None:
        if self._loop.is_closed():
            return
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(300)
        self._loop.close()


class Proxy:
    """Between driver and server; once silent, it swallows what either says but closes nothing: a black hole."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.silent = False
        self._writers: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.endpoint = f"opc.tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.drop()
        await self._server.wait_closed()
        await asyncio.gather(*(writer.wait_closed() for writer in self._writers), return_exceptions=True)

    def drop(self) -> None:
        for writer in self._writers:
            writer.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, far_writer]
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                if not self.silent:
                    writer.write(data)
        writer.close()


def points(*nodes: str | PointOptions, write: bool = False) -> list[Point]:
    options = [PointOptions(node=node) if isinstance(node, str) else node for node in nodes]
    return [Point(f"T{row}", "plc", option, 1000, True, write) for row, option in enumerate(options)]


def skid_node(name: str, **options: Any) -> PointOptions:
    return PointOptions(node=f"nsu={SKID};s={name}", **options)


@contextlib.asynccontextmanager
async def opened(endpoint: str, on: Sequence[Point], **options: Any) -> AsyncGenerator[OpcUa]:
    """A driver with a session. Where the options have no time-out, its default is one that no slow machine reaches."""
    device = DeviceOptions(endpoint=endpoint, **options)
    if "timeout_ms" not in device.model_fields_set:
        object.__setattr__(device, "timeout_ms", int(LONG_S * 1000))  # by the front door it would count as given
    driver = OpcUa({"plc": device}, on)
    try:
        await driver.open()
        yield driver
    finally:
        await driver.close()


@contextlib.contextmanager
def impatient(driver: OpcUa, timeout_s: float) -> Generator[None]:
    """Let an open driver wait so long only, and as long as before again afterwards.

    Connecting takes a dozen answers, and a slow machine seconds: no test connects under the time-out that its fault is
    to reach soon.
    """
    waiting: list[tuple[Any, str]] = [(driver._link, "timeout_s")]
    waiting += [(reading, "_timeout_s") for reading in driver._readings if isinstance(reading, Poll)]
    before = [getattr(holder, name) for holder, name in waiting]
    for holder, name in waiting:
        setattr(holder, name, timeout_s)
    try:
        yield
    finally:
        for (holder, name), was in zip(waiting, before, strict=True):
            setattr(holder, name, was)


def quality(driver: OpcUa, row: int) -> tuple[Quality, str]:
    return Quality(int(driver.image.quality[row])), reason_text(int(driver.image.reason[row]))


def is_sign_of_life(params: Any) -> bool:
    """Whether a read is that by which the driver looks now and then whether the server lives."""
    return [node.NodeId.Identifier for node in params.NodesToRead] == [ua.ObjectIds.Server_ServerStatus_State]


async def value_of(endpoint: str, **options: Any) -> Any:
    """Read one node twice, so that the second answer goes through a layout that is known."""
    async with opened(endpoint, points(skid_node("FT01")), **options) as driver:
        await driver.read(0)
        await driver.read(0)
        return driver.image.value(0)
