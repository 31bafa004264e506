"""The tags of an attack: pairs of registers that prove where and when they were read, and what one published shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.soak.hostile_slave import CLOCK_HZ, SOUND, UNITS, clock, proof

TICK_S = 0.1
STALE_AFTER_S = 3.0
DRIVERS: Mapping[str, str] = {
    "tcp": "modbus-tcp",
    "udp": "modbus-udp",
    "rtu": "modbus-rtu-over-tcp",
    "ascii": "modbus-ascii-over-tcp",
    SOUND: "modbus-tcp",
}
PLACES = (
    *(("holding", 3, address) for address in (0, 2, 4, 100, 102, 104)),
    *(("input", 4, at) for at in (10, 12, 40)),
)
"""Table, function, address: two blocks of holding and one or two of input registers."""
BEAT_AT, PUMP_AT = 500, 510
BEAT_EVERY_S = 0.2


@dataclass(frozen=True, slots=True)
class AttackTag:
    """One tag, and the pair of registers that it stands for."""

    name: str
    device: str
    table: str
    function: int
    unit: int
    address: int

    def is_own(self, value: int) -> bool:
        """Whether a value comes from its own registers."""
        return value >> 16 == proof(self.function, self.unit, self.address)

    @staticmethod
    def age_s(value: int) -> float:
        """How long ago its registers were read, as far as 16 bits tell."""
        return ((clock() - value) & 0xFFFF) / CLOCK_HZ


def attack_tags() -> Iterator[AttackTag]:
    """All of them; the sound port has one unit only."""
    for transport in DRIVERS:
        for unit in UNITS if transport != SOUND else UNITS[:1]:
            for table, function, address in PLACES:
                device = f"{transport}{unit}"
                yield AttackTag(f"{device} {table}{address}", device, table, function, unit, address)


def attack_uod(tags: Iterator[AttackTag], ports: Mapping[str, int]) -> dict[str, Any]:
    """The UOD, for the ports at which the slave serves."""
    devices = {
        f"{transport}{unit}": {
            "driver": driver,
            "host": "127.0.0.1",
            "port": ports[transport],
            "device_id": unit,
            "timeout_ms": 400,
            "retries": 1,
            "stale_after_ms": round(1000 * STALE_AFTER_S),
        }
        for transport, driver in DRIVERS.items()
        for unit in (UNITS if transport != SOUND else UNITS[:1])
    }
    readings = {tag.name: {"device": tag.device, tag.table: tag.address, "type": "uint32"} for tag in tags}
    outputs = {
        "Beat": {
            "device": f"{SOUND}1", "holding": BEAT_AT, "direction": "output", "heartbeat": "counter",
            "heartbeat_every_ms": round(1000 * BEAT_EVERY_S),
        },
        "Pump": {
            "device": f"{SOUND}1", "holding": PUMP_AT, "direction": "output", "min": 0, "max": 100, "safe_value": 0,
        },
    }  # fmt: skip
    return {
        "uod": "Attack",
        "tick_ms": round(1000 * TICK_S),
        "data_log_interval_s": 1,
        "devices": devices,
        "tags": readings | outputs,
        "process_values": [f"{SOUND}1 holding0", {"entry": "Pump"}],
    }
