"""Modbus TCP frames: bytes of a stream to (transaction id, device id, PDU), and back. No I/O.

Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, section 3.1.3: the MBAP header is transaction id,
protocol id (0), length of what follows, unit id. A stream whose header is wrong has no place from which to go on: it
is given up.
"""

from __future__ import annotations

import struct

HEADER = struct.Struct(">HHHB")
MAX_PDU = 253
"""Application Protocol Specification V1.1b3, section 4.1."""

Frame = tuple[int, int, bytes]
"""transaction id, device id, PDU"""


class FramingError(Exception):
    """The bytes are not Modbus TCP."""


def frame(transaction: int, device_id: int, pdu: bytes) -> bytes:
    """Put the MBAP header before a PDU."""
    return HEADER.pack(transaction, 0, len(pdu) + 1, device_id) + pdu


class FrameBuffer:
    """The received end of a stream: a socket writes into `space()`, whole frames come out of `received()`."""

    __slots__ = ("_bytes", "_end", "_view")

    def __init__(self, size: int = 16_384) -> None:
        self._bytes = bytearray(size)
        self._view = memoryview(self._bytes)
        self._end = 0

    def space(self) -> memoryview:
        """Where the next bytes go; never empty, as what waits here is less than one frame."""
        return self._view[self._end :]

    def received(self, count: int) -> list[Frame]:
        """Take note of `count` new bytes and cut the whole frames off. Raises `FramingError`."""
        end = self._end + count
        start = 0
        frames: list[Frame] = []
        while end - start >= 7:
            transaction, protocol, length, device_id = HEADER.unpack_from(self._bytes, start)
            if protocol != 0 or not 3 <= length <= MAX_PDU + 1:
                header = self._bytes[start : start + 7].hex(" ")
                raise FramingError(
                    f"what came is not Modbus TCP (header {header}): check the port; does the other side speak RTU?"
                )
            stop = start + 6 + length
            if stop > end:
                break
            frames.append((transaction, device_id, bytes(self._view[start + 7 : stop])))
            start = stop
        if start:
            self._bytes[: end - start] = self._bytes[start:end]
        self._end = end - start
        return frames
