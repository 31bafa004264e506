"""Skidlink's side of `bench.core`: from the registers of one device to the finished JSON of the TagsUpdatedMsg.

The registers are decoded by the Modbus driver's own decoder, as they are once their answers have come.
"""

from __future__ import annotations

import tracemalloc
from time import process_time

import numpy as np

from bench.register_image import SCALE, UNITS, RegisterImage
from bench.worker import serve
from drivers.contract import Image, Kind, Quality
from drivers.modbus.codec import Decoder, field_of
from drivers.modbus.options import PointOptions
from engine.core.core import Core
from engine.core.publish import Publisher
from engine.core.spec import Direction, FromExpression, FromPoint, TagSpec
from protocol.frames import addressed, tags_updated_body

SHAPES = (
    "N{0} - N{1}",
    "integral(N{0})",
    "where(N{0} > 300, N{0} * 2, N{1})",
    "sqrt(abs(N{0}))",
    "ema(W{0}, 10)",
)
"""Two of them have a memory, so that they change and are published in every tick; a deadband, which an author would
give them, would be another bench."""


class Skid:
    """The whole way of the values in one process, without I/O."""

    def __init__(self, tags: int, derived: int = 0) -> None:
        self.registers = RegisterImage(tags)
        narrow, wide = self.registers.narrow, self.registers.wide
        self._image = Image([Kind.UINT] * narrow + [Kind.FLOAT32] * wide)
        self._raw = np.frombuffer(self.registers.data, np.uint8)
        self._decoder = _decoder(narrow, wide, self._image)
        self._core = Core(_specs(narrow, wide, derived), [self._image])
        self._publisher = Publisher(self._core.table)
        self._image.quality[:] = Quality.GOOD
        self._image.reason[:] = 0
        self._now = 1000.0

    def tick(self) -> bytes:
        """One tick, as the scan cycle does it."""
        core, image = self._core, self._image
        self._now = now = self._now + 0.1
        self._decoder.decode(self._raw, image)
        image.received[:] = now
        core.take(0)
        core.derive(now)
        rows = core.changed(now)
        if not rows.size:
            return b""
        return addressed(tags_updated_body(self._publisher.pack(rows, 1.8e9 + now), None), "engine", 1)


def _decoder(narrow: int, wide: int, image: Image) -> Decoder:
    """A decoder of registers that lie side by side; there are more of them than one device has addresses."""
    types = [PointOptions(holding=0, type="uint16")] * narrow + [PointOptions(holding=0, type="float32")] * wide
    fields = [field_of(row, f"T{row}", options, "ABCD") for row, options in enumerate(types)]
    starts: list[int] = np.cumsum([0, *(2 * field.count for field in fields)]).tolist()
    return Decoder(fields, dict(enumerate(starts)), image)


def _specs(narrow: int, wide: int, derived: int) -> list[TagSpec]:
    specs = [
        TagSpec(f"N{row}", FromPoint(0, row), unit=UNITS[row % len(UNITS)], scale=SCALE, stale_after_s=5.0)
        for row in range(narrow)
    ]
    specs += [
        TagSpec(f"W{row}", FromPoint(0, narrow + row), unit=UNITS[row % len(UNITS)], stale_after_s=5.0)
        for row in range(wide)
    ]
    for place in range(derived):
        row = len(UNITS) * (place // len(SHAPES))  # tags of one unit
        text = SHAPES[place % len(SHAPES)].format(row % narrow, (row + len(UNITS)) % narrow)
        specs.append(TagSpec(f"D{place}", FromExpression(text), direction=Direction.NA))
    return specs


def measure(request: dict[str, int]) -> dict[str, float]:
    """Median seconds of a tick in which one tag in `every` changed."""
    skid = _skid(request["tags"], request.get("derived", 0))
    times: list[float] = []
    size = 0
    for _ in range(request["ticks"]):
        skid.registers.change(request["every"])
        start = process_time()
        frame = skid.tick()
        times.append(process_time() - start)
        size = len(frame)
    return {"seconds": float(np.median(times)), "bytes": float(size)}


_skids: dict[tuple[int, int], Skid] = {}


def _skid(tags: int, derived: int) -> Skid:
    """Kept from request to request; the first tick, which publishes everything, is not measured."""
    if (tags, derived) not in _skids:
        _skids[tags, derived] = skid = Skid(tags, derived)
        for every in (0, 1, 10, 0):
            skid.registers.change(every)
            skid.tick()
    return _skids[tags, derived]


def memory_per_tag(request: dict[str, int]) -> dict[str, float]:
    """Bytes that a running core takes a tag, specs and packer included, after ticks of every sort."""
    tracemalloc.start()
    registers = RegisterImage(request["tags"])
    del registers
    before, _ = tracemalloc.get_traced_memory()
    skid = Skid(request["tags"])
    for every in (1, 10, 0):
        skid.registers.change(every)
        skid.tick()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"bytes": (after - before) / request["tags"]}


if __name__ == "__main__":
    serve({"measure": measure, "memory": memory_per_tag})
