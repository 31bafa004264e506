"""What a device says it is: function 43 / 14 (Application Protocol Specification V1.1b3, section 6.21)."""

from __future__ import annotations

from drivers.modbus.device import Device
from drivers.modbus.link import Link
from drivers.modbus.pdu import read_identification

OBJECTS = {
    0: "vendor", 1: "product code", 2: "revision", 3: "vendor url", 4: "product name", 5: "model", 6: "application",
}  # fmt: skip
_LONGEST = 16
"""No device needs more answers for its objects; one that always has more to follow is not followed for ever."""


async def identification(link: Link, device: Device) -> dict[str, str]:
    """What the device is, in words of the specification; empty where it does not say.

    Raises `LinkError` or `DeviceError` where it does not answer.
    """
    found: dict[str, str] = {}
    first = 0
    for level in (2, 1):  # regular, of which basic is a part; a device may only know the latter
        for _ in range(_LONGEST):
            (reply,) = await link.exchange(device, [read_identification(level, first)])
            if not isinstance(reply, bytes):
                break
            found |= _objects(reply)
            more, first = reply[1] == 0xFF, reply[2]
            if not more:
                return found
        if found:
            break
        first = 0
    return found


def _objects(data: bytes) -> dict[str, str]:
    """The objects of one answer, less its first three bytes: conformity, more follows, next id, count, objects."""
    found: dict[str, str] = {}
    place = 4
    for _ in range(data[3]):
        number, size = data[place], data[place + 1]
        text = data[place + 2 : place + 2 + size].decode("utf-8", errors="replace").strip("\0 ")
        if text:
            found[OBJECTS.get(number, f"object {number}")] = text
        place += 2 + size
    return found
