"""Every place of the simulated skids as a tag: the UOD that the engine runs, and what each tag has to show."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from uod_examples.skid.model import Value
from uod_examples.skid.nodes import NODES, SkidNode
from uod_examples.skid.registers import REGISTERS, Register

Shown = int | float | str | None
"""As it stands in a message; None: null."""

TICK_S = 0.1
STALE_AFTER_S = 2.0
BUSES = ("plc", "box", "peer")
"""OPC UA, polled; Modbus TCP, two devices; OPC UA of a skid of its own, subscribed to."""
CANARY = "CK01"
"""The model's own clock, in nanoseconds: it is different in every step, and newer is greater."""
SLOW = {"TT01": 0.5, "FQ01": 1.0, "MS01": 0.5}
"""Quantity -> how often it is read, where that is not each tick."""
DEADBANDS = {"LT01": 0.05, "PT02": 0.004}
CHOICES: Mapping[str, Mapping[str, int]] = {
    "VA01": {"Closed": 0, "Open": 1},
    "VA02": {"Closed": 0, "Open": 1},
    "MO01": {"Collect": 0, "Recirculate": 1, "Backwash": 2},
}
OUTPUTS: Mapping[str, Mapping[str, Any]] = {
    "PU01": {"unit": "%", "min": 0, "max": 100, "safe_value": 0},
    "VA01": {"safe_value": "Closed"},
    "VA02": {"safe_value": "Closed"},
    "MO01": {"safe_value": "Collect"},
}
"""Those of the PLC; everything else is only read."""
DIFFERENCE = "difference"
"""A derived reading, of two tags that are published whenever they change."""
BEFORE, AFTER = "box PT01_input", "box FT01"


@dataclass(frozen=True, slots=True)
class SoakTag:
    """One tag, and the place that it stands for."""

    name: str
    bus: str
    place: SkidNode | Register
    every_s: float
    deadband: float
    words: Mapping[int, str] = field(default_factory=dict[int, str])
    """Raw value -> the author's word for it."""

    def shown(self, values: Mapping[str, Value]) -> Shown:
        """What a message has to say while the server holds these values."""
        raw = self.place.raw(values)
        if self.words:
            return self.words[int(raw)]
        if isinstance(raw, bool):
            return int(raw)
        if isinstance(raw, float) and not math.isfinite(raw):
            return None
        if isinstance(self.place, Register) and self.place.scale != 1.0 and not isinstance(raw, str):
            return raw * self.place.scale
        return raw

    def matches(self, shown: Shown, held: Shown, *, exactly: bool = False) -> bool:
        """Whether a tag that shows one value is right while its place holds the other; within its deadband, unless it
        has to be just that value."""
        if isinstance(held, float) and isinstance(shown, int | float):
            # 32 bits of a float are 7 digits; a scale is applied by us and by the engine in ways of their own.
            return math.isclose(shown, held, rel_tol=1.2e-7, abs_tol=1e-12 + (0.0 if exactly else self.deadband))
        return shown == held


def soak_tags() -> tuple[SoakTag, ...]:
    """All of them."""
    places: list[tuple[str, SkidNode | Register, str]] = [
        *(("plc", node, node.name) for node in NODES),
        *(("box", register, register.quantity) for register in REGISTERS),
        *(("peer", node, node.name) for node in NODES),
    ]
    return tuple(
        SoakTag(
            name=f"{bus} {place.name}",
            bus=bus,
            place=place,
            every_s=SLOW.get(quantity, TICK_S),
            deadband=DEADBANDS.get(quantity, 0.0) if place.type in {"Double", "Float", "float32"} else 0.0,
            words={raw: word for word, raw in CHOICES.get(place.name, {}).items()},
        )
        for bus, place, quantity in places
    )


def soak_uod(tags: Sequence[SoakTag], plc: str, peer: str, box_host: str, box_port: int) -> dict[str, Any]:
    """The UOD, for the endpoints at which the servers are."""
    box = {"driver": "modbus-tcp", "host": box_host, "port": box_port, "max_gap": 0, "timeout_ms": 500}
    return {
        "uod": "Soak",
        "tick_ms": round(TICK_S * 1000),
        "data_log_interval_s": 1,
        "devices": {
            "plc": {"driver": "opcua", "endpoint": plc, "timestamp": "tick"},
            "peer": {"driver": "opcua", "endpoint": peer, "mode": "subscribe"},
            "box1": box | {"device_id": 1, "word_order": "CDAB", "max_in_flight": 4},
            "box2": box | {"device_id": 2, "word_order": "ABCD"},
        },
        "tags": {tag.name: _keys(tag) for tag in tags}
        | {
            f"{bus} {counter}": {"device": device, "counter": counter}
            for bus, device in (("plc", "plc"), ("box", "box1"), ("peer", "peer"))
            for counter in ("reads", "late_reads", "broken")
        },
        "derived": {DIFFERENCE: {"expr": f"`{BEFORE}` - `{AFTER}`"}},
        "commands": {"Pump": {"sets": "plc PU01", "argument": "number", "units": ["%"]}},
        # Each line of the run log holds them twice: few, so that it does not hide what grows beside it.
        "process_values": [tags[0].name, DIFFERENCE, {"entry": "plc PU01", "command": "Pump"}],
    }


def _keys(tag: SoakTag) -> dict[str, Any]:
    """A tag as its author would write it."""
    place = tag.place
    keys: dict[str, Any] = {"every_ms": round(tag.every_s * 1000), "stale_after_ms": round(STALE_AFTER_S * 1000)}
    if tag.deadband:
        keys["deadband"] = tag.deadband
    if tag.words:
        keys["choices"] = {word: raw for raw, word in tag.words.items()}
    if isinstance(place, SkidNode):
        keys |= {"device": tag.bus, "node": place.node_id}
        if tag.bus == "plc" and place.name in OUTPUTS:
            keys |= {"direction": "both", **OUTPUTS[place.name]}
        return keys
    keys |= {"device": f"box{place.device_id}", str(place.table): place.address}
    if place.type != "bool":
        keys["type"] = place.type
    if place.type == "string":
        keys["length"] = place.length
    if place.words > 1 and place.type != "string":
        keys["word_order"] = place.order
    if place.scale != 1.0:
        keys["scale"] = place.scale
    return keys
