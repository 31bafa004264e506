"""Frames of serial lines, RTU and ASCII, which bear no transaction id. No I/O.

Source: MODBUS over Serial Line Specification and Implementation Guide V1.02, sections 2.5.1 (RTU) and 2.5.2 (ASCII).

Rules of this file:

* What is in the buffer when a request is sent belongs to something else, and is dropped.
* A frame is known by its checksum and by the length that its own function gives it. Where the buffer does not begin
  with a whole frame, the answer that is waited for is looked for behind: a line has noise on it, most often one byte
  where a transceiver turned round. Nothing but that answer is looked for, so that noise seldom looks like a frame.
"""

from __future__ import annotations

from binascii import unhexlify

from drivers.modbus.counters import LinkCounters
from drivers.modbus.frames import Frame, FramingError
from drivers.modbus.pdu import READ_FUNCTIONS, reply_size

_READS = frozenset(READ_FUNCTIONS.values())


def _crc_table() -> tuple[int, ...]:
    table: list[int] = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_CRC = _crc_table()


def crc16(data: bytes | bytearray) -> int:
    """The checksum of RTU (section 6.2.2), to be sent with its low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc


def lrc(data: bytes) -> int:
    """The checksum of ASCII (section 6.2.1)."""
    return -sum(data) & 0xFF


class _LineFrames:
    """What RTU and ASCII share: the buffer, the answer that is waited for, and the echo of what was sent."""

    __slots__ = ("_buffer", "_counters", "_expected", "_fresh", "_function", "_local_echo", "_scratch", "_sent")

    numbered = False
    is_amid_frame = False  # what is left is dropped with the next request

    def __init__(self, counters: LinkCounters, *, local_echo: bool = False) -> None:
        self._counters = counters
        self._local_echo = local_echo
        self._scratch = memoryview(bytearray(4096))
        self._buffer = bytearray()
        self._expected = (b"", b"")
        """How the answer begins, and how it begins when it is an exception: device id and function."""
        self._function = 0
        self._sent = b""
        """What was sent, as long as its echo may come."""
        self._fresh = True
        """Nothing was found garbled since the last request."""

    def _sends(self, device_id: int, pdu: bytes, data: bytes) -> bytes:
        self._buffer.clear()
        self._expected = bytes((device_id, pdu[0])), bytes((device_id, pdu[0] | 0x80))
        self._function = pdu[0]
        self._sent = data
        self._fresh = True
        return data

    def space(self) -> memoryview:
        """Where the next bytes go."""
        return self._scratch

    def _take(self, count: int) -> bool:
        """Add new bytes to the buffer, less the echo; whether there may be an answer in it. Raises `FramingError`."""
        self._buffer += self._scratch[:count]
        sent = self._sent
        if not sent:
            return True
        if len(self._buffer) < len(sent) and sent.startswith(self._buffer):
            return not self._local_echo
        if self._buffer.startswith(sent):
            if self._local_echo:
                del self._buffer[: len(sent)]
            elif self._function in _READS:  # the answer to a write may repeat it whole, that to a read never does
                raise FramingError("the line gives back what is sent to it: set local_echo: true for its devices")
        elif self._local_echo:
            self._garbled()  # another spoke at the same time, or the adapter gives no echo
        self._sent = b""
        return True

    def _garbled(self) -> None:
        if self._fresh:
            self._fresh = False
            self._counters.garbled += 1


class RtuFrames(_LineFrames):
    """Device id, PDU and CRC, on a serial line or a stream."""

    __slots__ = ()

    def size(self, pdu: int) -> int:
        """Device id, PDU, CRC."""
        return 3 + pdu

    def frame(self, number: int, device_id: int, pdu: bytes) -> bytes:  # noqa: ARG002 - RTU has no number
        """Put device id and CRC around a PDU."""
        data = bytes((device_id,)) + pdu
        return self._sends(device_id, pdu, data + crc16(data).to_bytes(2, "little"))

    def received(self, count: int) -> list[Frame]:
        """Take note of `count` new bytes and cut the whole frames off. Raises `FramingError`."""
        if not self._take(count):
            return []
        buffer = self._buffer
        frames: list[Frame] = []
        start = 0
        while len(buffer) - start >= 2:
            size = _rtu_size(buffer, start)
            if size is None or len(buffer) - start < size:
                if size is None or buffer[start : start + 2] not in self._expected:
                    found = self._found(start + 1)
                    if found is not None:
                        start = found
                        continue
                    if size is None:
                        self._garbled()
                break
            frame = bytes(buffer[start : start + size])
            if crc16(frame) != 0:
                self._garbled()
                found = self._found(start + 1)
                if found is None:
                    break
                start = found
                continue
            frames.append((0, frame[0], frame[1:-2]))
            start += size
        del buffer[:start]
        if len(buffer) > 4096:
            buffer.clear()  # a device that never stops talking
        return frames

    def _found(self, start: int) -> int | None:
        """Where the answer that is waited for stands whole behind `start`."""
        buffer = self._buffer
        for place in range(start, len(buffer) - 4):
            if buffer[place : place + 2] in self._expected:
                size = _rtu_size(buffer, place)
                if size is not None and place + size <= len(buffer) and crc16(buffer[place : place + size]) == 0:
                    return place
        return None


def _rtu_size(buffer: bytearray, start: int) -> int | None:
    """The bytes of the frame that begins at `start`; more than there are while that cannot be told; None: no frame."""
    size = reply_size(buffer[start + 1 : start + 256])
    return None if size is None else size + 3


class AsciiFrames(_LineFrames):
    """A colon, device id, PDU and LRC as hexadecimal digits, carriage return and line feed."""

    __slots__ = ()

    def size(self, pdu: int) -> int:
        """Two digits a byte of device id, PDU and LRC, and three characters around them."""
        return 2 * (pdu + 2) + 3

    def frame(self, number: int, device_id: int, pdu: bytes) -> bytes:  # noqa: ARG002 - ASCII has no number
        """Spell device id, PDU and LRC in digits."""
        data = bytes((device_id,)) + pdu
        return self._sends(device_id, pdu, b":%s%02X\r\n" % (data.hex().upper().encode(), lrc(data)))

    def received(self, count: int) -> list[Frame]:
        """Take note of `count` new bytes and cut the whole frames off. Raises `FramingError`."""
        if not self._take(count):
            return []
        frames: list[Frame] = []
        *lines, rest = bytes(self._buffer).split(b"\n")
        self._buffer[:] = rest[-4096:]
        for line in lines:
            data = _unspelt(line)
            if data is None:
                self._garbled()
            else:
                frames.append((0, data[0], data[1:-1]))
        return frames


def _unspelt(line: bytes) -> bytes | None:
    """The bytes behind the last colon of a line; None where they are none, or their checksum is wrong."""
    _, colon, digits = line.rpartition(b":")
    try:
        data = unhexlify(digits.rstrip(b"\r"))
    except ValueError:
        return None
    return data if colon and len(data) >= 3 and lrc(data) == 0 else None
