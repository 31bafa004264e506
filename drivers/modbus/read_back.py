"""Values that were written, read again until the device shows them or their time is over.

Many devices take a write at once and show it a scan cycle later, some after seconds. So what is read first decides
nothing but success; the caller serves readings between the tries.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from drivers.contract import DeviceError, Image, Value
from drivers.modbus.codec import Decoder, Field
from drivers.modbus.device import Device
from drivers.modbus.link import Link
from drivers.modbus.pdu import Flaw, Refusal, read

FIRST_PAUSE_S = 0.05
"""Between the first two tries; each pause is twice the one before."""
LONGEST_PAUSE_S = 0.5


@dataclass(slots=True)
class _Open:
    """A value that its device does not show yet."""

    field: Field
    value: Value
    until: float
    due: float
    pause: float = FIRST_PAUSE_S


class ReadBack:
    """What was written to one device and is to be seen there."""

    def __init__(self, device: Device, link: Link) -> None:
        self._device = device
        self._link = link
        self._open: dict[int, _Open] = {}

    @property
    def rows(self) -> Collection[int]:
        """The rows that do not show their value yet."""
        return self._open.keys()

    @property
    def due(self) -> float:
        """When the next try is due, seconds of `time.monotonic`; infinite where nothing is open."""
        return min((each.due for each in self._open.values()), default=math.inf)

    def forget(self) -> None:
        """Wait for nothing any more."""
        self._open.clear()

    def drop(self, rows: Iterable[int]) -> None:
        """Wait no more for values that others take the place of."""
        for row in rows:
            self._open.pop(row, None)

    async def expect(self, written: Iterable[tuple[Field, Value]]) -> dict[int, str]:
        """Look for values that have just been written; return row -> why one counts as refused already."""
        now = time.monotonic()
        fresh: list[int] = []
        for field, value in written:
            if field.read_back is not None:
                self._open[field.row] = _Open(field, value, now + field.read_back_s, now)
                fresh.append(field.row)
        return {row: reason for row, reason in (await self._try(fresh)).items() if reason is not None}

    async def look(self) -> dict[int, str | None]:
        """Read what is due; return row -> None where it is as written, or what is wrong where its time is over.

        Raises `LinkError`.
        """
        now = time.monotonic()
        return await self._try([row for row, one in self._open.items() if one.due <= now])

    async def _try(self, rows: Sequence[int]) -> dict[int, str | None]:
        """Read these rows once; row -> None where it is as written, or what is wrong where its time is over."""
        decided: dict[int, str | None] = {}
        for row in rows:
            one = self._open[row]
            reason = await self._difference(one)
            if reason is None or time.monotonic() >= one.until:
                decided[row] = reason
                del self._open[row]
            else:
                one.due = min(time.monotonic() + one.pause, one.until)
                one.pause = min(2 * one.pause, LONGEST_PAUSE_S)
        return decided

    async def _difference(self, one: _Open) -> str | None:
        """Read a value once; why it does not count as written, or None."""
        field = one.field
        try:
            (reply,) = await self._link.exchange(
                self._device, [read(field.table, field.address, field.count)], doubtful=1
            )
        except DeviceError as error:
            return f"{field} was written, but cannot be read back: {error}"
        if isinstance(reply, Refusal | Flaw):
            return f"{field} was written, but cannot be read back: {reply}; leave out read_back if it is write-only"
        held = _decoded(field, reply)
        if held == one.value or (
            not isinstance(held, str)
            and not isinstance(one.value, str)
            and _is_close(held, one.value, field, field.read_back or 0.0)
        ):
            return None
        return (
            f"{field} was written, but still holds {held} and not {one.value} after {field.read_back_s * 1000:.0f} ms: "
            "where the device takes longer to show it, raise read_back_within_ms; where it limits or rounds, "
            "read_back_tolerance lets it differ"
        )


def _decoded(field: Field, reply: bytes) -> Value:
    """The raw value in the answer to a read of the field alone."""
    image = Image([field.data_type.kind])
    raw = np.frombuffer(bytes((reply[0] & 1,)) if field.table.is_bits else reply, np.uint8)
    Decoder([replace(field, row=0)], {0: 0}, image).decode(raw, image)
    return image.value(0)


def _is_close(held: float, written: float, field: Field, tolerance: float) -> bool:
    """Whether a number is what was written, as far as its type can hold that."""
    layout = field.data_type.layout
    wanted = float(np.array(written, layout)) if layout[1:2] == "f" else written
    return abs(held - wanted) <= tolerance
