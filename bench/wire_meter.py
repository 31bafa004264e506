"""A TCP relay that counts what an engine and an aggregator say to each other over their WebSocket."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

_CHUNK = 65_536
_END_OF_BLOCK = b"\x00\x00\xff\xff"
"""What permessage-deflate leaves out at the end of each message (RFC 7692, section 7.2.1)."""


@dataclass(slots=True)
class Count:
    """What one side has sent."""

    messages: int = 0
    samples: int = 0
    """values of tags in the messages"""
    json_bytes: int = 0
    wire_bytes: int = 0
    """All of the WebSocket, compressed and with its frame headers; without those of TCP."""

    def since(self, earlier: Count) -> Count:
        return Count(
            self.messages - earlier.messages,
            self.samples - earlier.samples,
            self.json_bytes - earlier.json_bytes,
            self.wire_bytes - earlier.wire_bytes,
        )

    def copy(self) -> Count:
        return Count(self.messages, self.samples, self.json_bytes, self.wire_bytes)


class WireMeter:
    """Stands between one engine and an aggregator."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.engine = Count()
        """What the engine has sent."""

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        if self._server:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.close()  # the aggregator is not there yet; engines try again
            return
        frames: _Frames | None = None

        async def up() -> None:
            nonlocal frames
            while data := await reader.read(_CHUNK):
                if frames is not None:
                    frames.feed(data)
                elif data.startswith(b"GET /engine-rpc"):
                    frames = _Frames(self.engine)
                to_writer.write(data)
                await to_writer.drain()
            to_writer.close()

        async def down() -> None:
            while data := await to_reader.read(_CHUNK):
                if frames is not None and b"client_no_context_takeover" in data[:1024]:
                    frames.keeps_context = False
                writer.write(data)
                await writer.drain()
            writer.close()

        try:
            await asyncio.gather(up(), down())
        except OSError:
            pass  # one side has hung up, as sides do
        finally:
            writer.close()
            to_writer.close()


class _Frames:
    """Reads the frames that a client sends (RFC 6455, section 5.2) and counts its messages."""

    def __init__(self, count: Count) -> None:
        self.keeps_context = True
        self._count = count
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(wbits=-15)
        self._compressed = False

    def feed(self, data: bytes) -> None:
        self._count.wire_bytes += len(data)
        self._buffer += data
        for first, payload in self._frames():
            opcode = first & 0x0F
            if opcode >= 8:
                continue  # ping, pong, close
            if opcode:
                self._compressed = bool(first & 0x40)
            last = bool(first & 0x80)
            text = payload
            if self._compressed:
                text = self._inflate.decompress(payload + (_END_OF_BLOCK if last else b""))
                if last and not self.keeps_context:
                    self._inflate = zlib.decompressobj(wbits=-15)
            self._count.json_bytes += len(text)
            self._count.samples += text.count(b'"tick_time"')
            self._count.messages += last

    def _frames(self) -> Iterator[tuple[int, bytes]]:
        buffer = self._buffer
        while len(buffer) >= 2:
            size, at = buffer[1] & 0x7F, 2
            if size >= 126:
                wide = 2 if size == 126 else 8
                if len(buffer) < at + wide:
                    return
                size, at = int.from_bytes(buffer[at : at + wide], "big"), at + wide
            end = at + 4 + size
            if len(buffer) < end:
                return
            mask = bytes(buffer[at : at + 4]) * (size // 4 + 1)
            masked = int.from_bytes(buffer[at + 4 : end], "big") ^ int.from_bytes(mask[:size], "big")
            yield buffer[0], masked.to_bytes(size, "big")
            del buffer[:end]
