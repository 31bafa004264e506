"""The engine's own tags, by the names that Open Pectus gives them."""

from __future__ import annotations

from drivers.contract import Kind
from engine.core.core import Core
from engine.core.spec import Direction, FromEngine, TagSpec


def _tag(name: str, kind: Kind, unit: str | None = None) -> TagSpec:
    return TagSpec(name=name, source=FromEngine(kind), unit=unit, direction=Direction.NA)


SYSTEM_TAGS: tuple[TagSpec, ...] = (
    _tag("System State", Kind.TEXT),
    _tag("Run Id", Kind.TEXT),
    _tag("Run Time", Kind.FLOAT, "s"),
    _tag("Process Time", Kind.FLOAT, "s"),
    _tag("Connection Status", Kind.TEXT),
)


def set_idle(core: Core) -> None:
    """Say that no run is active. `Run Time` stays a number: the aggregator's list of units fails on anything else."""
    core.set("System State", "Stopped")
    core.set("Run Id", None, reason="no run is active")
    core.set("Run Time", 0.0)
    core.set("Process Time", 0.0)


def set_connection(core: Core, *, connected: bool) -> None:
    """Say whether all of the skid's hardware is connected: "Disconnected" as soon as one link is down."""
    core.set("Connection Status", "Connected" if connected else "Disconnected")
