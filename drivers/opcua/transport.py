"""asyncua's end of the socket, with bounds: no server can fill the memory, or fail a request without its being known.

Rules of this file:

* What asyncua 2.1 takes without a limit has one here: the size of a chunk, the chunks of a message, a message that has
  no end.
* A message that is too large costs the request that it answers, and not the connection.
* A message that the server aborts (OPC 10000-6 6.7.3) fails its request with the status that the server gives; asyncua
  would let it wait until it times out.
"""

from __future__ import annotations

import struct
from typing import Any

from asyncua import ua
from asyncua.client.client import Client
from asyncua.client.ua_client import UASocketProtocol
from asyncua.common.connection import MessageChunk, SecureConnection, TransportLimits
from asyncua.common.utils import Buffer
from asyncua.ua import ua_binary
from asyncua.ua.status_codes import StatusCodes

MOST_BYTES = 16 * 1024 * 1024
"""Of one message, as other clients have it too."""
MOST_CHUNKS = 4096
"""Of one message; they are of 8 KB at least (OPC 10000-6 7.1.2.3)."""
_MOST_SKIPPED = 4 * MOST_BYTES
"""So much of a message that is too large is passed over until its end; then it has none."""
_LEAST_BUFFER = 1024
"""Of a server; the specification asks for eight times as much, but not all keep to it."""
_HEADER_SIZE = 8
"""Message type, chunk type, size: OPC 10000-6 7.1.2.2."""
_PLAIN_LIMITS = (65_535, 65_535)
"""Bytes of a chunk before the server has said how long its own are."""
_binary: Any = ua_binary
"""Untyped, as it reads from streams of unknown kinds too."""


def bound(client: Client) -> None:
    """Have a client, not yet connected, make its end of the socket with the bounds of this file."""
    client.max_messagesize, client.max_chunkcount = MOST_BYTES, MOST_CHUNKS
    uaclient: Any = client.uaclient
    plain = uaclient._make_protocol

    def make() -> UASocketProtocol:
        made: UASocketProtocol = plain()
        protocol = BoundedProtocol(made.timeout, uaclient.security_policy)
        for hook in ("pre_request_hook", "on_connection_lost", "is_session_closing"):
            setattr(protocol, hook, getattr(made, hook))
        uaclient.protocol = protocol
        return protocol

    uaclient._make_protocol = make


class _Limits(TransportLimits):
    """Ours stay as they are, whatever the server announces: what it says is about requests."""

    def update_client_limits(self, msg: ua.Acknowledge) -> None:
        """Take over how long a chunk of a request may be. Raises `ua.UaError` where nothing would fit."""
        if msg.ReceiveBufferSize < _LEAST_BUFFER:
            raise ua.UaError(f"the server takes only {msg.ReceiveBufferSize} bytes at a time")
        self.max_send_buffer = min(msg.ReceiveBufferSize, MOST_BYTES)


class BoundedConnection(SecureConnection):
    """Puts the chunks of messages together, as long as they are sound."""

    def __init__(self, security_policy: Any) -> None:
        super().__init__(security_policy, _Limits(*_PLAIN_LIMITS, MOST_CHUNKS, MOST_BYTES))
        self._limits.max_recv_buffer = MOST_BYTES
        self.failed: list[tuple[int, int]] = []
        """Requests that have no answer, each with the status that says why; for our caller to take."""
        self._skipped: int | None = None
        """The request whose answer is passed over."""
        self._skipped_bytes = 0

    def _receive(self, msg: MessageChunk) -> ua.Message | None:
        """The message that this chunk completes. Raises `ua.UaError` where the connection cannot go on."""
        header: Any = msg.MessageHeader
        request, last = msg.SequenceHeader.RequestId, header.ChunkType
        if last == ua.ChunkType.Abort:
            self._skipped = None
            self._check_incoming_chunk(msg)
            self._drop_incoming_parts()
            error: Any = _binary.struct_from_binary(ua.ErrorMessage, Buffer(msg.Body))
            self.failed.append((request, error.Error.value))
            return None
        size, count = self._incoming_size + len(msg.Body), len(self._incoming_parts) + 1
        if self._skipped != request and size <= MOST_BYTES and count <= MOST_CHUNKS:
            return super()._receive(msg)
        self._check_incoming_chunk(msg)
        self._skipped_bytes = len(msg.Body) + (self._skipped_bytes if self._skipped == request else size)
        self._skipped = request
        self._drop_incoming_parts()
        if last == ua.ChunkType.Single:
            self._skipped = None
            self.failed.append((request, StatusCodes.BadResponseTooLarge))
        elif self._skipped_bytes > _MOST_SKIPPED:
            raise ua.UaError(f"the server sends a message of more than {_MOST_SKIPPED} bytes")
        return None


class BoundedProtocol(UASocketProtocol):
    """Cuts the stream into chunks."""

    def __init__(self, timeout: float, security_policy: Any) -> None:
        super().__init__(timeout, security_policy=security_policy)
        self._bounded = BoundedConnection(security_policy)
        self._connection = self._bounded
        self._pending = bytearray()

    def data_received(self, data: bytes) -> None:
        """Process the chunks that are whole, each by itself; the others wait in one buffer."""
        if not self._pending and _size(data, 0) == len(data):
            self._take(data)
            return
        self._pending += data
        begin = 0
        while (size := _size(self._pending, begin)) is not None:
            if not _HEADER_SIZE <= size <= MOST_BYTES:
                self._fail_all_pending(ua.UaError(f"the server sends a chunk of {size} bytes"))
                self.disconnect_socket()
                size = len(self._pending) - begin  # nothing behind it means anything
            if begin + size > len(self._pending):
                break
            if self.transport is not None and not self.transport.is_closing():
                self._take(bytes(memoryview(self._pending)[begin : begin + size]))
            begin += size
        del self._pending[:begin]

    def _take(self, chunk: bytes) -> None:
        self._process_received_data(chunk)
        failed, self._bounded.failed = self._bounded.failed, []
        for request, status in failed:
            answer = self._callbackmap.pop(request, None)
            if answer is not None and not answer.done():
                failure: Any = ua.UaStatusCodeError
                answer.set_exception(failure(status))


def _size(data: bytes | bytearray, begin: int) -> int | None:
    """Bytes of the chunk that begins there; None where its header is not whole."""
    return struct.unpack_from("<I", data, begin + 4)[0] if len(data) - begin >= _HEADER_SIZE else None
