"""The frames of Modbus as the hostile slave writes and reads them, apart from those of the driver that it judges.

Modbus Messaging on TCP/IP V1.0b, section 3.1.3; Modbus over Serial Line V1.02, sections 2.5.1 and 2.5.2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Found = tuple[int, int, bytes, int]
"""Transaction id (0 where there is none), unit, PDU, and how many bytes the frame takes."""


@dataclass(frozen=True, slots=True)
class Framing:
    """How one transport frames its messages."""

    frame: Callable[[int, int, bytes], bytes]
    """Transaction id, unit and PDU -> frame."""
    take: Callable[[bytes], Found | None]
    """The first request in a buffer; None where it is not whole."""
    numbered: bool = False
    checked: bool = False
    """A check sum tells a flipped bit."""


def _mbap(number: int, unit: int, pdu: bytes) -> bytes:
    return number.to_bytes(2) + b"\0\0" + (len(pdu) + 1).to_bytes(2) + bytes([unit]) + pdu


def _take_mbap(buffer: bytes) -> Found | None:
    if len(buffer) < 8 or len(buffer) < (size := 6 + int.from_bytes(buffer[4:6])):
        return None
    return int.from_bytes(buffer[:2]), buffer[6], buffer[7:size], size


def _crc(data: bytes) -> bytes:
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc.to_bytes(2, "little")


def _rtu(_: int, unit: int, pdu: bytes) -> bytes:
    return bytes([unit]) + pdu + _crc(bytes([unit]) + pdu)


def _take_rtu(buffer: bytes) -> Found | None:
    if len(buffer) < 8:
        return None
    size = 9 + buffer[6] if buffer[1] in {15, 16} else 8
    return (0, buffer[0], buffer[1 : size - 2], size) if len(buffer) >= size else None


def _ascii(_: int, unit: int, pdu: bytes) -> bytes:
    data = bytes([unit]) + pdu
    return b":" + (data + bytes([-sum(data) & 0xFF])).hex().upper().encode() + b"\r\n"


def _take_ascii(buffer: bytes) -> Found | None:
    line, end, _ = buffer.partition(b"\r\n")
    if not end:
        return None
    data = bytes.fromhex(line.lstrip(b":").decode())
    return 0, data[0], data[1:-1], len(line) + 2


FRAMINGS: Mapping[str, Framing] = {
    "tcp": Framing(_mbap, _take_mbap, numbered=True),
    "udp": Framing(_mbap, _take_mbap, numbered=True),
    "rtu": Framing(_rtu, _take_rtu, checked=True),
    "ascii": Framing(_ascii, _take_ascii, checked=True),
    "sound": Framing(_mbap, _take_mbap, numbered=True),
}
"""Transport -> its frames; "sound" is the port at which nothing bad happens."""
