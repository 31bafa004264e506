"""The physics of a filtration skid: a tank, a pump, a filter that fouls. Pure, and the same from run to run.

    feed --VA03--> tank (LT01, TT01, CT01) --VA01--> pump (PU01, ST01) --PT01--> filter --PT02--VA02--FT01--> collected
                    ^                                                                                     |
                    +----------------------------------- MO01 recirculate --------------------------------+

Pressures are gauge. The flow follows from pump head = losses: the head grows with the square of the speed, the losses
of filter and outlet with the flow, that of the pump itself with its square. What the skid's own PLC does (status word,
low-level trip) it does by what its sensors say, so a forced sensor has the consequences that a broken one has. It also
watches the sign of life of whoever controls it, WD01: once that has been written, it has to change again and again, or
else the PLC stops the pump and closes the valves by itself.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from enum import IntEnum, IntFlag

Value = bool | int | float | str

TANK_L = 200.0
FEED_L_H = 1500.0
PUMP_HEAD_BAR = 4.0
PUMP_LOSS = 2.0e-6
"""bar/(L/h)^2"""
CLEAN_FILTER = 1.2e-3
"""bar/(L/h)"""
OUTLET_LOSS = 0.8e-3
"""bar/(L/h)"""
FOULING_L = 100.0
"""Each such volume through the filter adds one clean filter's resistance."""
RAMP_PERCENT_S = 20.0
FLOW_LAG_S = 0.5
STILL_L_H = 0.01
"""Less than this, and falling, is none."""
BACKWASH_LAG_S = 5.0
HEATING_LAG_S = 900.0
AMBIENT_DEGC = 20.0
PUMP_HEATING_K = 10.0
FEED_MS_CM = 12.0
PASSAGE = 0.7
"""The share of the solute that passes the filter."""
FOULED_BAR = 2.0
HIGH_PRESSURE_BAR = 3.5
LOW_LEVEL_PERCENT = 5.0
TOTAL_START_ML = 2**32 - 500_000
"""Half a cubic metre before the totaliser wraps."""
PULSES_START = 2**53 + 1
"""The first integer that a float64 cannot hold."""
CLOCK_START_NS = 1_767_225_600_000_000_000
"""2026-01-01T00:00:00Z"""
WATCHDOG_S = 10.0
"""How long the PLC waits for the next sign of life."""
TEXT_LIMIT = 16
"""characters: what the eight registers of a text hold"""


class Mode(IntEnum):
    """Where the filtrate goes."""

    COLLECT = 0
    RECIRCULATE = 1
    BACKWASH = 2


class Status(IntFlag):
    """The bits of the status word SW01."""

    RUNNING = 1 << 0
    INLET_OPEN = 1 << 1
    OUTLET_OPEN = 1 << 2
    FILTER_FOULED = 1 << 3
    LOW_LEVEL = 1 << 4
    HIGH_PRESSURE = 1 << 5
    BACKWASHING = 1 << 6
    WATCHDOG = 1 << 7
    ALARM = 1 << 15


WRITABLE = frozenset({"PU01", "VA01", "VA02", "VA03", "MO01", "BA01", "WD01"})

_NOISE = {"LT01": 0.02, "FT01": 0.5, "PT01": 0.002, "PT02": 0.002, "TT01": 0.01, "CT01": 0.005}
"""standard deviation of each sensor, in its unit"""
_NEVER_NEGATIVE = frozenset({"LT01", "FT01", "PT01", "PT02", "CT01"})


class SkidModel:
    """The state of the skid, moved on by `step` and acted upon by `write`."""

    def __init__(
        self, seed: int = 1, *, noise: bool = True, running: bool = False, watchdog_s: float = WATCHDOG_S
    ) -> None:
        """Fill the tank to 80 %; `running` opens the valves and starts the pump at 60 %, which takes it 3 s."""
        self.setpoint: float = 60.0 if running else 0.0
        self.inlet_open = running
        self.outlet_open = running
        self.feed_open = True
        self.mode = Mode.COLLECT
        self.batch = "B-0001"
        self.sign_of_life: int = 0
        self.tripped = False
        """Nobody has given a sign of life for too long."""
        self._watchdog_s = watchdog_s
        self._silent_s: float | None = None
        """since the last sign of life; None: nobody has given one yet"""
        self.speed: float = 0.0
        self.flow: float = 0.0
        self.pressure_before: float = 0.0
        self.pressure_after: float = 0.0
        self.volume: float = 0.8 * TANK_L
        self.solute: float = self.volume * FEED_MS_CM
        """mS/cm x L: what makes the conductivity is conserved like a mass"""
        self.temperature: float = AMBIENT_DEGC
        self.fouling: float = 0.0
        self.fed: float = 0.0
        self.filtered: float = 0.0
        """L through the filter since the start"""
        self.collected: float = 0.0
        self.elapsed_ns = 0
        self._random = random.Random(seed) if noise else None  # noqa: S311
        self._readings: dict[str, Value] = {}
        self._forced: dict[str, Value] = {}
        self._values: dict[str, Value] = {}
        self._measure()

    def values(self) -> dict[str, Value]:
        """Every quantity by its tag name, as the instruments showed it after the last step or write."""
        return dict(self._values)

    def write(self, values: Mapping[str, Value]) -> None:
        """Set setpoints, all or none. Raises `ValueError` that says which value is impossible."""
        for name, value in values.items():
            self._check(name, value)
        for name, value in values.items():
            match name:
                case "PU01":
                    self.setpoint = float(value)
                case "VA01":
                    self.inlet_open = bool(value)
                case "VA02":
                    self.outlet_open = bool(value)
                case "VA03":
                    self.feed_open = bool(value)
                case "MO01":
                    self.mode = Mode(int(value))
                case "WD01":
                    self._hear(int(value))
                case _:
                    self.batch = str(value)
        self._refresh()

    def force(self, values: Mapping[str, Value]) -> None:
        """Hold readings at these values, whatever the process does, until `release`; NaN is a broken sensor.

        The physics goes on underneath. Raises `ValueError` for a name that the skid does not have.
        """
        for name in values:
            if name not in self._values:
                raise ValueError(f"the skid has no quantity {name!r}; it has {', '.join(sorted(self._values))}")
            if name in WRITABLE:
                raise ValueError(f"{name} is a setpoint: write it, it cannot be forced")
        self._forced.update(values)
        self._refresh()

    def release(self) -> None:
        """Let all forced readings follow the process again."""
        self._forced.clear()
        self._refresh()

    def step(self, dt: float) -> None:
        """Move on by `dt` seconds."""
        self._turn_pump(dt)
        self._move_liquid(dt)
        self._foul_and_heat(dt)
        self.elapsed_ns += round(dt * 1e9)
        self._measure()

    def watch(self, seconds: float) -> None:
        """Let the PLC wait so much longer for a sign of life.

        This is not part of `step`: a process can be moved on by minutes at once, and nobody could live up to that.
        """
        if self._silent_s is not None:
            self._silent_s += seconds
            self.tripped = self._silent_s > self._watchdog_s
        if self.tripped:
            self.setpoint, self.inlet_open, self.outlet_open = 0.0, False, False

    def _hear(self, sign_of_life: int) -> None:
        """Only a change is a sign of life, but for the first: what hangs may write the same value for ever."""
        if sign_of_life != self.sign_of_life or self._silent_s is None:
            self.sign_of_life, self._silent_s, self.tripped = sign_of_life, 0.0, False

    def _turn_pump(self, dt: float) -> None:
        tripped = bool(self._status() & Status.LOW_LEVEL) or self.mode is Mode.BACKWASH
        target = 0.0 if tripped else self.setpoint
        most = RAMP_PERCENT_S * dt
        self.speed += max(-most, min(most, target - self.speed))

    def _move_liquid(self, dt: float) -> None:
        suction = self.inlet_open and self.volume > 0.0
        head = PUMP_HEAD_BAR * (self.speed / 100.0) ** 2 if suction else 0.0
        filter_loss = CLEAN_FILTER * (1.0 + self.fouling)
        if suction and self.outlet_open and self.mode is not Mode.BACKWASH:
            linear = filter_loss + OUTLET_LOSS
            steady = (math.sqrt(linear**2 + 4.0 * PUMP_LOSS * head) - linear) / (2.0 * PUMP_LOSS)
            self.flow += (steady - self.flow) * -math.expm1(-dt / FLOW_LAG_S)
            if steady == 0.0 and self.flow < STILL_L_H:
                self.flow = 0.0
        else:
            self.flow = 0.0
        self.pressure_before = max(0.0, head - PUMP_LOSS * self.flow**2)
        self.pressure_after = max(0.0, self.pressure_before - filter_loss * self.flow)

        moved = min(self.flow * dt / 3600.0, self.volume)
        if self.mode is Mode.COLLECT and moved > 0.0:
            self.solute -= moved * PASSAGE * self.solute / self.volume
            self.volume -= moved
            self.collected += moved
        self.filtered += moved
        # A float valve: fully open below 75 %, closed at 85 %.
        gap = min(1.0, max(0.0, (85.0 - 100.0 * self.volume / TANK_L) / 10.0))
        added = FEED_L_H * gap * dt / 3600.0 if self.feed_open else 0.0
        self.volume += added
        self.solute += added * FEED_MS_CM
        self.fed += added
        self.fouling += moved / FOULING_L

    def _foul_and_heat(self, dt: float) -> None:
        if self.mode is Mode.BACKWASH:
            self.fouling *= math.exp(-dt / BACKWASH_LAG_S)
        warm = AMBIENT_DEGC + PUMP_HEATING_K * self.speed / 100.0
        self.temperature += (warm - self.temperature) * -math.expm1(-dt / HEATING_LAG_S)

    def _measure(self) -> None:
        """Take new readings, each with noise of its own."""
        strength = self.solute / self.volume if self.volume > 0.0 else 0.0
        readings = {
            "LT01": 100.0 * self.volume / TANK_L,
            "FT01": self.flow,
            "PT01": self.pressure_before,
            "PT02": self.pressure_after,
            "TT01": self.temperature,
            "CT01": strength * (1.0 + 0.02 * (self.temperature - 25.0)),
        }
        if self._random is not None:
            for name, deviation in _NOISE.items():
                readings[name] += self._random.gauss(0.0, deviation)
        for name, reading in readings.items():
            self._readings[name] = max(0.0, reading) if name in _NEVER_NEGATIVE else reading
        self._readings["ST01"] = self.speed
        self._readings["FQ01"] = (TOTAL_START_ML + int(self.filtered * 1e3)) % 2**32
        self._readings["PC01"] = PULSES_START + int(self.filtered * 1e4)
        self._readings["CK01"] = CLOCK_START_NS + self.elapsed_ns
        self._refresh()

    def _refresh(self) -> None:
        """Bring setpoints, forced readings and what the PLC makes of them up to date, without new readings."""
        setpoints: dict[str, Value] = {
            "PU01": self.setpoint,
            "VA01": self.inlet_open,
            "VA02": self.outlet_open,
            "VA03": self.feed_open,
            "MO01": int(self.mode),
            "BA01": self.batch,
            "WD01": self.sign_of_life,
        }
        self._values = self._readings | setpoints | self._forced
        status = self._status()
        verdict: dict[str, Value] = {"SW01": int(status), "MS01": self._message(status)}
        self._values |= verdict | self._forced

    def _status(self) -> Status:
        reading = {name: float(self._values[name]) for name in ("LT01", "PT01", "PT02")}
        status = Status(0)
        if self.speed > 0.0:
            status |= Status.RUNNING
        if self.inlet_open:
            status |= Status.INLET_OPEN
        if self.outlet_open:
            status |= Status.OUTLET_OPEN
        if reading["PT01"] - reading["PT02"] > FOULED_BAR:
            status |= Status.FILTER_FOULED
        if reading["LT01"] < LOW_LEVEL_PERCENT:
            status |= Status.LOW_LEVEL
        if reading["PT01"] > HIGH_PRESSURE_BAR:
            status |= Status.HIGH_PRESSURE
        if self.mode is Mode.BACKWASH:
            status |= Status.BACKWASHING
        if self.tripped:
            status |= Status.WATCHDOG
        if status & (Status.FILTER_FOULED | Status.LOW_LEVEL | Status.HIGH_PRESSURE | Status.WATCHDOG):
            status |= Status.ALARM
        return status

    def _message(self, status: Status) -> str:
        if status & Status.WATCHDOG:
            return "Watchdog"
        if status & Status.LOW_LEVEL:
            return "Low level"
        if status & Status.HIGH_PRESSURE:
            return "High pressure"
        if status & Status.BACKWASHING:
            return "Backwash"
        if not status & Status.RUNNING:
            return "Standby"
        if not self.inlet_open:
            return "No suction"
        if not self.outlet_open:
            return "Outlet closed"
        return "Collecting" if self.mode is Mode.COLLECT else "Recirculating"

    @staticmethod
    def _check(name: str, value: Value) -> None:
        match name:
            case "PU01":
                number = isinstance(value, int | float) and not isinstance(value, bool)
                if not number or not 0.0 <= float(value) <= 100.0:  # NaN fails this too
                    raise ValueError(f"PU01 takes 0 to 100 %, not {value!r}")
            case "VA01" | "VA02" | "VA03":
                if value not in (0, 1):
                    raise ValueError(f"{name} takes true (open) or false (closed), not {value!r}")
            case "MO01":
                if value not in list(Mode):
                    raise ValueError(f"MO01 takes {', '.join(f'{m.value} ({m.name})' for m in Mode)}, not {value!r}")
            case "WD01":
                if not isinstance(value, int) or not 0 <= value <= 0xFFFF:
                    raise ValueError(f"WD01 takes a whole number of 16 bits, not {value!r}")
            case "BA01":
                if not isinstance(value, str) or not value.isascii() or len(value) > TEXT_LIMIT:
                    raise ValueError(f"BA01 takes up to {TEXT_LIMIT} ASCII characters, not {value!r}")
            case _:
                raise ValueError(f"{name} is not a setpoint of the skid; setpoints are {', '.join(sorted(WRITABLE))}")
