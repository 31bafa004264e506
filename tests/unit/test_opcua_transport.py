"""The end of the socket under a server that sends too much, too little or nothing that ends."""

from __future__ import annotations

import asyncio
import struct
import tracemalloc
from collections.abc import Iterator, Sequence
from typing import Any

import asyncua.ua
import pytest
from asyncua.common.connection import MessageChunk, SecureConnection, TransportLimits
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.ua.ua_binary import struct_to_binary, uatcp_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.opcua import transport
from drivers.opcua.transport import MOST_BYTES, BoundedProtocol

ua: Any = asyncua.ua
BODY = struct_to_binary(ua.ReadResponse())
CHUNK = 8192


class Pipe(asyncio.Transport):
    """Stands for a socket: a real one would cut what is sent where it likes, and here each cut is tried."""

    def __init__(self) -> None:
        super().__init__()
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None: ...

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


class Peer:
    """A server's side, and the client's protocol with some requests under way."""

    def __init__(self, requests: int = 3) -> None:
        self.pipe = Pipe()
        self.protocol = BoundedProtocol(60.0, SecurityPolicyNone())
        self.protocol.connection_made(self.pipe)
        loop = asyncio.get_running_loop()
        self.answers: list[asyncio.Future[Any]] = [loop.create_future() for _ in range(requests)]
        self.protocol._callbackmap.update(enumerate(self.answers))
        self._server = SecureConnection(SecurityPolicyNone(), TransportLimits(65_535, CHUNK, 0, 0))

    def message(self, body: bytes, request: int) -> bytes:
        return self._server.message_to_binary(body, request_id=request)

    def chunks(self, request: int, sizes: Sequence[int], kinds: bytes) -> Iterator[bytes]:
        """Chunks of these sizes and kinds: C goes on, F is the last one, A aborts."""
        for size, kind in zip(sizes, kinds, strict=True):
            yield self.chunk(request, bytes(size), bytes((kind,)))

    def chunk(self, request: int, body: bytes, kind: Any) -> bytes:
        chunk: Any = MessageChunk(SecurityPolicyNone().symmetric_cryptography, body, ua.MessageType.SecureMessage, kind)
        self._server._sequence_number += 1
        chunk.SequenceHeader.SequenceNumber = self._server._sequence_number
        chunk.SequenceHeader.RequestId = request
        return chunk.to_binary()

    def receive(self, data: bytes) -> None:
        self.protocol.data_received(data)


@settings(deadline=None)
@given(st.lists(st.integers(1, 300), max_size=60), st.booleans())
async def test_messages_arrive_however_the_stream_is_cut(cuts: list[int], long: bool) -> None:
    peer = Peer()
    body = BODY + bytes(3 * CHUNK if long else 0)
    stream = b"".join(peer.message(body, request) for request in (1, 0, 2))
    for cut in cuts:
        peer.receive(stream[:cut])
        stream = stream[cut:]
    peer.receive(stream)
    assert [bytes(answer.result()) for answer in peer.answers] == [body] * 3
    assert not peer.pipe.closed


async def test_an_aborted_message_fails_its_request_with_its_status() -> None:
    peer = Peer()
    error = struct_to_binary(ua.ErrorMessage(ua.StatusCode(ua.UInt32(ua.StatusCodes.BadResponseTooLarge)), "too long"))
    peer.receive(peer.chunk(1, bytes(100), b"C") + peer.chunk(1, error, b"A"))
    with pytest.raises(ua.UaStatusCodeError, match="BadResponseTooLarge"):
        peer.answers[1].result()
    peer.receive(peer.message(BODY, 2))
    assert bytes(peer.answers[2].result()) == BODY
    assert not peer.answers[0].done()
    assert not peer.pipe.closed


async def test_a_message_that_is_too_large_costs_its_request_only() -> None:
    peer = Peer()
    part = 4 * 1024 * 1024
    tracemalloc.start()
    try:
        for data in peer.chunks(1, [part] * 9, b"CCCCCCCCF"):
            peer.receive(data)
        assert tracemalloc.get_traced_memory()[1] < 4 * MOST_BYTES
    finally:
        tracemalloc.stop()
    with pytest.raises(ua.UaStatusCodeError, match="BadResponseTooLarge"):
        peer.answers[1].result()
    peer.receive(peer.message(BODY, 2))
    assert bytes(peer.answers[2].result()) == BODY
    assert not peer.pipe.closed


async def test_too_many_chunks_cost_their_request_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MOST_CHUNKS", 5)
    peer = Peer()
    peer.receive(b"".join(peer.chunks(0, [1] * 5, b"CCCCF")))
    assert bytes(peer.answers[0].result()) == bytes(5)
    peer.receive(b"".join(peer.chunks(1, [1] * 6, b"CCCCCF")))
    with pytest.raises(ua.UaStatusCodeError, match="BadResponseTooLarge"):
        peer.answers[1].result()
    peer.receive(b"".join(peer.chunks(2, [1] * 5, b"CCCCF")))
    assert bytes(peer.answers[2].result()) == bytes(5)


async def test_a_message_without_an_end_closes_the_connection() -> None:
    peer = Peer()
    data = bytes(4 * 1024 * 1024)
    sent = 0
    tracemalloc.start()
    try:
        while not peer.pipe.closed and sent < 100 * MOST_BYTES:
            peer.receive(peer.chunk(1, data, b"C"))
            sent += len(data)
        assert tracemalloc.get_traced_memory()[1] < 4 * MOST_BYTES
    finally:
        tracemalloc.stop()
    assert peer.pipe.closed
    assert sent <= 6 * MOST_BYTES


@pytest.mark.parametrize("size", [0, 7, MOST_BYTES + 1, 2**32 - 1])
@pytest.mark.parametrize("before", [b"", b"whole"])
async def test_a_chunk_of_an_absurd_size_closes_the_connection_at_once(size: int, before: bytes) -> None:
    peer = Peer()
    peer.receive((peer.message(BODY, 0) if before else b"") + b"MSGF" + struct.pack("<I", size) + bytes(9))
    assert peer.pipe.closed
    for answer in peer.answers[1 if before else 0 :]:
        with pytest.raises(ua.UaError, match=f"a chunk of {size} bytes"):
            answer.result()


def acknowledge(**values: int) -> bytes:
    return uatcp_to_binary(ua.MessageType.Acknowledge, ua.Acknowledge(**values))


@pytest.mark.parametrize("announced", [0, 4096, 2**31])
async def test_a_server_that_takes_small_requests_may_send_large_answers(announced: int) -> None:
    """MaxMessageSize of an Acknowledge is about requests: OPC 10000-6 7.1.2.4."""
    peer = Peer()
    values = {"MaxMessageSize": announced, "MaxChunkCount": announced // 4096}
    peer.receive(acknowledge(ReceiveBufferSize=CHUNK, SendBufferSize=CHUNK, **values))
    assert peer.answers[0].done()
    peer.receive(peer.message(bytes(10 * CHUNK), 1))
    assert len(peer.answers[1].result()) == 10 * CHUNK


async def test_a_server_that_takes_next_to_nothing_is_refused() -> None:
    peer = Peer()
    peer.receive(acknowledge(ReceiveBufferSize=7, SendBufferSize=7))
    assert peer.pipe.closed
