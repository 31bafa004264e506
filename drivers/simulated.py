"""A bus without hardware: signals and memory cells in the process itself.

It is also the worked example for the author of a driver: options, a plan made once, an open that can fail, a read that
fills a group in one go, writes that refuse what does not fit.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from drivers.contract import DTYPES, Image, Kind, LinkError, Options, Point, Quality, Value, groups_of

KINDS: dict[str, Kind] = {
    "float32": Kind.FLOAT32,
    "float64": Kind.FLOAT,
    "int64": Kind.INT,
    "uint64": Kind.UINT,
    "bool": Kind.BOOL,
    "string": Kind.TEXT,
}


class SimulatedDevice(Options):
    """A device that exists in this process only."""

    bus: str = "bus"
    """Devices on one bus share one link, as real ones on one cable do."""
    answers: bool = True
    """False: the bus cannot be opened, as with a cable that is not plugged in."""
    delay_ms: float = Field(default=0, ge=0)
    """How long the device takes to answer a reading."""


class SimulatedPoint(Options):
    """A signal, or a memory cell that keeps what is written to it."""

    signal: Literal["memory", "sine", "ramp", "square"] = "memory"
    type: Literal["float32", "float64", "int64", "uint64", "bool", "string"] = "float64"
    low: float = 0
    """The least value of a signal."""
    high: float = 100
    """The greatest value of a signal."""
    period_s: float = Field(default=60, gt=0)
    start: Value | None = None
    """What a memory cell holds at first; zero, false or "" if not given."""

    @model_validator(mode="after")
    def _numbers_only(self) -> Self:
        if self.signal != "memory" and self.type in {"bool", "string"}:
            raise ValueError(f"a {self.signal} is a number: choose a number type or signal: memory")
        if self.start is not None:
            if self.signal != "memory":
                raise ValueError("start belongs to signal: memory")
            refusal = _refusal(self.start, KINDS[self.type])
            if refusal:
                raise ValueError(f"start {refusal}")
        return self


def _refusal(value: Value, kind: Kind) -> str | None:
    """Why a value does not fit a kind, or None."""
    if kind is Kind.TEXT:
        return None if isinstance(value, str) else f"{value!r} is not a text"
    if isinstance(value, str):
        return f"{value!r} is not a number"
    if kind is Kind.BOOL:
        return None if value in {0, 1} else f"{value!r} is neither 0 nor 1"
    if kind in {Kind.FLOAT, Kind.FLOAT32}:
        return None if math.isfinite(value) else f"{value!r} is not finite"
    limits = np.iinfo(DTYPES[kind])
    if not math.isfinite(value) or value != int(value):
        return f"{value!r} is not a whole number"
    return None if limits.min <= value <= limits.max else f"{value!r} does not fit {DTYPES[kind]}"


class Simulated:
    """Signals computed for all points of a kind at once, and memory cells that can be written."""

    DeviceOptions: ClassVar[type[Options]] = SimulatedDevice
    PointOptions: ClassVar[type[Options]] = SimulatedPoint

    def __init__(self, devices: Mapping[str, SimulatedDevice], points: Sequence[Point]) -> None:
        self._devices = devices
        options: list[SimulatedPoint] = [point.options for point in points if isinstance(point.options, SimulatedPoint)]
        self._kinds = [KINDS[option.type] for option in options]
        self.image = Image(self._kinds)
        self.groups = groups_of(points)
        self.plan = [
            f"{device}: {sum(point.device == device and point.read for point in points)} simulated points"
            for device in devices
        ]
        self._memory = Image(self._kinds)
        self._opened_at: float | None = None
        self._signal = np.array([option.signal for option in options], dtype=object)
        self._low = np.array([option.low for option in options])
        self._span = np.array([option.high - option.low for option in options])
        self._period = np.array([option.period_s for option in options])
        for row, option in enumerate(options):
            if option.start is not None:
                self._store(row, option.start)

    @staticmethod
    def link_name(options: SimulatedDevice, /) -> str:
        return f"simulated {options.bus}"

    @staticmethod
    def lock_name(_: SimulatedDevice, /) -> str:
        return ""

    async def open(self) -> None:
        await asyncio.sleep(0)  # a real driver connects here
        for name, device in self._devices.items():
            if not device.answers:
                raise LinkError(f"{name}: nothing answers on {self.link_name(device)}; set answers: true to plug it in")
        self._opened_at = time.monotonic()

    async def read(self, group: int) -> None:
        rows = self.groups[group].rows
        await asyncio.sleep(self._devices[self.groups[group].device].delay_ms / 1000)
        if self._opened_at is None:
            raise LinkError(f"{self.groups[group].device}: read before open")
        signals = self._signals(time.monotonic() - self._opened_at)
        for kind, column in self.image.columns.items():
            of_kind = rows[self.image.kinds[rows] == kind]
            cells = self.image.cells[of_kind]
            column[cells] = self._memory.columns[kind][cells]
            waving = self._signal[of_kind] != "memory"
            if waving.any():
                column[cells[waving]] = signals[of_kind[waving]].astype(column.dtype)
        self.image.quality[rows] = Quality.GOOD
        self.image.reason[rows] = 0

    async def close(self) -> None:
        self._opened_at = None

    async def write(self, values: Mapping[int, Value]) -> Mapping[int, str]:
        await asyncio.sleep(0)
        if self._opened_at is None:
            raise LinkError(f"{', '.join(self._devices)}: write before open")
        refused: dict[int, str] = {}
        for row, value in values.items():
            refusal = _refusal(value, self._kinds[row])
            if refusal is None and self._signal[row] != "memory":
                refusal = f"a {self._signal[row]} cannot be written; use signal: memory"
            if refusal is None:
                self._store(row, value)
            else:
                refused[row] = refusal
        return refused

    def _store(self, row: int, value: Value) -> None:
        self._memory.columns[self._kinds[row]][self._memory.cells[row]] = value

    def _signals(self, seconds: float) -> NDArray[np.float64]:
        """(points,) what every point's signal is now; zero for memory cells."""
        turn = (seconds / self._period) % 1.0
        share = np.select(
            [self._signal == "sine", self._signal == "ramp", self._signal == "square"],
            [0.5 - 0.5 * np.cos(2 * np.pi * turn), turn, (turn >= 0.5).astype(np.float64)],
        )
        return self._low + self._span * share
