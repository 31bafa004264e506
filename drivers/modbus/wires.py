"""What carries the frames over a network: TCP, UDP and TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, cast

from drivers.contract import LinkError
from drivers.modbus.connection import Connection, Pace
from drivers.modbus.counters import LinkCounters
from drivers.modbus.frames import DatagramFrames, Frames, MbapFrames
from drivers.modbus.options import HostOptions, TlsDeviceOptions


class Wire(Protocol):
    """A way to the devices of one link."""

    @property
    def name(self) -> str:
        """The link's name in messages."""
        ...

    @property
    def settings(self) -> str:
        """How a serial line is set, for example 19200 8E1; empty for networks."""
        ...

    @property
    def pace(self) -> Pace: ...

    @property
    def is_redialled(self) -> bool:
        """Whether the other side may end a connection and take a new one at once, as TCP servers do."""
        ...

    def frames(self, counters: LinkCounters, /) -> Frames:
        """The framing for a new connection."""
        ...

    async def connect(self, make: Callable[[], Connection]) -> Connection:
        """Open the way and give it to the connection that is made. Raises `OSError` or `LinkError`."""
        ...


_ANY_TIME = Pace()


def _mbap(_: LinkCounters) -> Frames:
    return MbapFrames()


@dataclass(frozen=True, slots=True)
class TcpWire:
    """A TCP connection, by default with the frames of Modbus TCP."""

    host: str
    port: int
    frames: Callable[[LinkCounters], Frames] = field(default=_mbap)
    pace: Pace = _ANY_TIME
    settings: str = ""
    is_redialled: bool = True

    @property
    def name(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    async def connect(self, make: Callable[[], Connection]) -> Connection:
        """Connect. Raises `OSError`."""
        _, connection = await asyncio.get_running_loop().create_connection(make, self.host, self.port)
        return connection


@dataclass(frozen=True, slots=True)
class TlsWire:
    """A TLS connection: the server's certificate and name are checked, and ours is shown where there is one.

    Source: MODBUS/TCP Security Protocol Specification V3.6, section 5: TLS 1.2 or newer.
    """

    options: TlsDeviceOptions
    pace: Pace = _ANY_TIME
    settings: str = ""
    is_redialled: bool = True

    @property
    def name(self) -> str:
        """Host and port."""
        return f"{self.options.host}:{self.options.port}"

    def frames(self, counters: LinkCounters, /) -> Frames:
        """Those of Modbus TCP."""
        return _mbap(counters)

    async def connect(self, make: Callable[[], Connection]) -> Connection:
        """Connect. Raises `OSError`, or `LinkError` where a certificate is at fault."""
        options = self.options
        context = await asyncio.to_thread(self._context)
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                make, options.host, options.port, ssl=context, server_hostname=options.server_name or options.host
            )
        except ssl.SSLCertVerificationError as error:
            raise LinkError(
                f"{self.name}: the server's certificate is refused: {error.verify_message}; set ca_file to the "
                "certificate that signed it, and server_name where it is issued for another name"
            ) from error
        except ssl.SSLError as error:
            raise LinkError(
                f"{self.name}: no TLS connection ({error.reason or error}): check the port, and that the server "
                "accepts our cert_file"
            ) from error
        return connection

    def _context(self) -> ssl.SSLContext:
        """Read the certificates. Raises `LinkError` naming the file at fault."""
        options = self.options
        try:
            context = ssl.create_default_context(cafile=options.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise LinkError(f"{self.name}: ca_file {options.ca_file} cannot be read: {error}") from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if options.cert_file is not None:
            try:
                # A key with a password would ask for it on the terminal: it is refused instead.
                context.load_cert_chain(options.cert_file, options.key_file, password=lambda: "")
            except (OSError, ssl.SSLError) as error:
                files = " and ".join(str(file) for file in (options.cert_file, options.key_file) if file)
                raise LinkError(f"{self.name}: {files} cannot be used as certificate and key: {error}") from error
        return context


class _Datagrams(asyncio.DatagramProtocol):
    """Hands datagrams to a connection as if they were a stream, and its frames to the socket, one a datagram."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.connection.connection_made(cast("asyncio.BaseTransport", self))

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - asyncio's signature
        space = self.connection.get_buffer(len(data))
        if len(data) <= len(space):
            space[: len(data)] = data
            self.connection.buffer_updated(len(data))

    def error_received(self, exc: Exception) -> None:
        # ICMP says that nobody listens: what was asked is lost, and told sooner than by silence.
        self.connection.connection_lost(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self.connection.connection_lost(exc)

    def write(self, data: bytes) -> None:
        start = 0
        while self._transport is not None and start < len(data):
            end = start + 6 + int.from_bytes(data[start + 4 : start + 6], "big")
            self._transport.sendto(data[start:end])
            start = end

    def is_closing(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


@dataclass(frozen=True, slots=True)
class UdpWire:
    """Datagrams, each with one frame of Modbus TCP."""

    options: HostOptions
    pace: Pace = _ANY_TIME
    settings: str = ""
    is_redialled: bool = False

    @property
    def name(self) -> str:
        """Host and port."""
        return f"{self.options.host}:{self.options.port}"

    def frames(self, counters: LinkCounters, /) -> Frames:  # noqa: ARG002 - the same for all wires
        """Those of Modbus TCP, one a datagram."""
        return DatagramFrames()

    async def connect(self, make: Callable[[], Connection]) -> Connection:
        """Bind a socket to the other side, which does not hear of it. Raises `OSError`."""
        _, datagrams = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Datagrams(make()), remote_addr=(self.options.host, self.options.port)
        )
        return datagrams.connection
