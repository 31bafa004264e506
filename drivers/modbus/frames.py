"""Frames: bytes of the wire to (transaction id, device id, PDU), and back. No I/O.

Here is what all framings share, and that of Modbus TCP. Its source: MODBUS Messaging on TCP/IP Implementation Guide
V1.0b, section 3.1.3: the MBAP header is transaction id, protocol id (0), length of what follows, unit id. A stream
whose header is wrong has no place from which to go on: it is given up.
"""

from __future__ import annotations

import struct
from typing import Protocol

MAX_PDU = 253
"""Application Protocol Specification V1.1b3, section 4.1."""

Frame = tuple[int, int, bytes]
"""transaction id (0 where the framing has none), device id, PDU"""


class FramingError(Exception):
    """The bytes are not what the link was said to speak."""


class Frames(Protocol):
    """One framing at work on one connection: it puts requests into frames, and cuts answers out of what comes."""

    @property
    def numbered(self) -> bool:
        """Whether a frame bears a transaction id."""
        ...

    @property
    def is_amid_frame(self) -> bool:
        """Whether a part of a frame has come whose rest would take the next frame's place."""
        ...

    def size(self, pdu: int) -> int:
        """The bytes on the wire of a frame around a PDU of so many bytes."""
        ...

    def frame(self, number: int, device_id: int, pdu: bytes) -> bytes:
        """The frame of a request, which is sent at once."""
        ...

    def space(self) -> memoryview:
        """Where the next bytes go; never empty."""
        ...

    def received(self, count: int) -> list[Frame]:
        """Take note of `count` new bytes and cut the whole frames off. Raises `FramingError`."""
        ...


_HEADER = struct.Struct(">HHHB")


class MbapFrames:
    """Modbus TCP, on a stream."""

    __slots__ = ("_bytes", "_end", "_view")

    numbered = True

    def __init__(self, size: int = 65_536) -> None:
        self._bytes = bytearray(size)
        self._view = memoryview(self._bytes)
        self._end = 0

    @property
    def is_amid_frame(self) -> bool:
        """Whether a part of a frame has come, so that nothing behind it can be read before the rest."""
        return self._end > 0

    def size(self, pdu: int) -> int:
        """MBAP header and PDU."""
        return 7 + pdu

    def frame(self, number: int, device_id: int, pdu: bytes) -> bytes:
        """Put the MBAP header before a PDU."""
        return _HEADER.pack(number, 0, len(pdu) + 1, device_id) + pdu

    def space(self) -> memoryview:
        """Where the next bytes go; never empty, as what waits here is less than one frame."""
        return self._view[self._end :]

    def received(self, count: int) -> list[Frame]:
        """Take note of `count` new bytes and cut the whole frames off. Raises `FramingError`."""
        end = self._end + count
        data = self._view
        start = 0
        frames: list[Frame] = []
        unpack = _HEADER.unpack_from
        while end - start >= 7:
            number, protocol, length, device_id = unpack(data, start)
            if protocol != 0 or not 3 <= length <= MAX_PDU + 1:
                header = data[start : start + 7].hex(" ")
                raise FramingError(
                    f"what came is not Modbus TCP (header {header}): check the port; does the other side speak RTU?"
                )
            stop = start + 6 + length
            if stop > end:
                break
            frames.append((number, device_id, bytes(data[start + 7 : stop])))
            start = stop
        if start:
            self._bytes[: end - start] = self._bytes[start:end]
        self._end = end - start
        return frames


class DatagramFrames(MbapFrames):
    """Modbus over UDP: every datagram is one frame of Modbus TCP, and one that is not is dropped."""

    __slots__ = ()

    def received(self, count: int) -> list[Frame]:
        """The frame of one datagram; nothing of one that is no frame, as it may be anybody's."""
        try:
            frames = super().received(count)
        except FramingError:
            frames = []
        self._end = 0
        return frames if len(frames) == 1 else []
