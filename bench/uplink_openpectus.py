"""The UOD of the stock engine's side of `bench.uplink`; run by an environment with the `openpectus` package."""

# Its types are known only in that environment, which pyright does not look into.
# pyright: basic, reportMissingImports=false

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from openpectus.engine.hardware import HardwareLayerBase, Register, RegisterDirection
from openpectus.lang.exec.tags import Tag, TagDirection
from openpectus.lang.exec.uod import UodBuilder

STEPS, FAST, TAGS = (int(os.environ[f"BENCH_{name}"]) for name in ("STEPS", "FAST", "TAGS"))


class Signals(HardwareLayerBase):
    """The same signals as those of our own simulated driver in `bench.uplink`."""

    def connect(self) -> None:
        self._is_connected = True

    def disconnect(self) -> None:
        self._is_connected = False

    def validate_offline(self) -> None: ...

    def validate_online(self) -> None: ...

    def read(self, r: Register) -> Any:
        number = int(r.name[1:])
        if number < STEPS:
            return int(time.monotonic() % 100)
        if number < STEPS + FAST:
            return time.monotonic() % 100
        return 7.0

    def read_batch(self, registers: Sequence[Register]) -> list[Any]:
        return [self.read(register) for register in registers]


def create() -> Any:
    """The UOD, as the stock engine asks for it."""
    builder = (
        UodBuilder()
        .with_instrument("Stock")
        .with_author("bench", "bench@example.org")
        .with_filename(__file__)
        .with_location("bench")
        .with_hardware(Signals())
        .with_data_log_interval_seconds(5.0)
    )
    for number in range(TAGS):
        name = f"T{number}"
        builder.with_hardware_register(name, RegisterDirection.Read)
        builder.with_tag(Tag(name, value=0.0, unit="L/h", direction=TagDirection.Input))
        builder.with_process_value(name)
    return builder.build()
