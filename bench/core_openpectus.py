"""The stock engine's side of `bench.core`, run by an environment with the `openpectus` package and nothing of ours.

The registers are decoded by two calls of struct, which is the cheapest that a driver of the stock engine can do; the
rest is the engine's own: read the process image, notify, build the message, serialise.
"""

# Its types are known only in that environment, which pyright does not look into.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import json
import statistics
import struct
from collections.abc import Sequence
from time import process_time, time
from typing import Any

from openpectus.engine.engine import Engine
from openpectus.engine.engine_message_builder import EngineMessageBuilder
from openpectus.engine.hardware import HardwareLayerBase, Register, RegisterDirection
from openpectus.lang.exec.tags import Tag, TagDirection
from openpectus.lang.exec.uod import UodBuilder
from openpectus.protocol.serialization import serialize

from bench.register_image import SCALE, UNITS, RegisterImage
from bench.worker import serve


class Registers(HardwareLayerBase):
    """Hardware whose values are in a register image."""

    def __init__(self, image: RegisterImage) -> None:
        super().__init__()
        self._image = image
        self._layouts = (f">{image.narrow}H", f">{image.wide}f")
        self._is_connected = True

    def read_batch(self, registers: Sequence[Register]) -> list[Any]:  # noqa: ARG002
        narrow, wide = self._layouts
        data = self._image.data
        return [*struct.unpack_from(narrow, data), *struct.unpack_from(wide, data, 2 * self._image.narrow)]


def scaled(raw: int) -> float:
    return raw * SCALE


class Stock:
    """An engine of so many tags, idle, with its message builder."""

    def __init__(self, tags: int) -> None:
        self.registers = RegisterImage(tags)
        builder = (
            UodBuilder()
            .with_instrument("Bench")
            .with_author("bench", "bench@example.org")
            .with_filename(__file__)
            .with_location("bench")
            .with_hardware(Registers(self.registers))
        )
        for row in range(tags):
            narrow = row < self.registers.narrow
            place = row if narrow else row - self.registers.narrow
            name = f"{'N' if narrow else 'W'}{place}"
            options = {"to_tag": scaled} if narrow else {}
            builder.with_hardware_register(name, RegisterDirection.Read, **options)
            builder.with_tag(Tag(name, value=0.0, unit=UNITS[place % len(UNITS)], direction=TagDirection.Input))
        self._engine = Engine(builder.build())
        self._builder = EngineMessageBuilder(self._engine, "", ignore_version_error=False)

    def tick(self) -> str:
        """What a tick of the stock engine does for its inputs, and the message that goes out for it."""
        self._engine._tick_time = time()
        self._engine.read_process_image()
        self._engine.notify_tag_updates()
        message = self._builder.create_tag_updates_msg(None)
        return "" if message is None else json.dumps(serialize(message))


_stocks: dict[int, Stock] = {}


def measure(request: dict[str, int]) -> dict[str, float]:
    """Median seconds of a tick in which one tag in `every` changed."""
    tags = request["tags"]
    if tags not in _stocks:
        _stocks[tags] = Stock(tags)
        _stocks[tags].tick()
    stock = _stocks[tags]
    times: list[float] = []
    size = 0
    for _ in range(request["ticks"]):
        stock.registers.change(request["every"])
        start = process_time()
        frame = stock.tick()
        times.append(process_time() - start)
        size = len(frame)
    return {"seconds": statistics.median(times), "bytes": size}


if __name__ == "__main__":
    serve({"measure": measure})
