"""The engine's own tags, by the names that Open Pectus gives them."""

from __future__ import annotations

from drivers.contract import Kind
from engine.core.core import Core
from engine.core.spec import Direction, FromEngine, TagSpec

NEARLY_FULL = 0.8
"""Of the bound of a queue."""


def _tag(name: str, kind: Kind, unit: str | None = None) -> TagSpec:
    return TagSpec(name=name, source=FromEngine(kind), unit=unit, direction=Direction.NA)


SYSTEM_TAGS: tuple[TagSpec, ...] = (
    _tag("System State", Kind.TEXT),
    _tag("Run Id", Kind.TEXT),
    _tag("Run Time", Kind.FLOAT, "s"),
    _tag("Process Time", Kind.FLOAT, "s"),
    _tag("Block Time", Kind.FLOAT, "s"),
    _tag("Clock", Kind.FLOAT, "s"),
    _tag("Mark", Kind.TEXT),
    _tag("Base", Kind.TEXT),
    _tag("Run Counter", Kind.INT),
    _tag("Batch Name", Kind.TEXT),
    _tag("Method Status", Kind.TEXT),
    _tag("Connection Status", Kind.TEXT),
    _tag("Outbox Status", Kind.TEXT),
)
X_AXES = ("Run Time", "Process Time", "Block Time")
"""The tags that a plot can run along."""


def set_idle(core: Core) -> None:
    """Say that there was no run yet. `Run Time` is a number: the aggregator's list of units fails on anything else."""
    set_stopped(core)
    set_run_clock(core, 0.0)
    core.set("Mark", "")
    core.set("Base", "min")
    core.set("Run Counter", 0)
    core.set("Batch Name", "")
    core.set("Method Status", "OK")


def set_clock(core: Core, unix: float) -> None:
    """Show the time of day, in whole seconds since 1970."""
    core.set("Clock", float(int(unix)))


def set_run(core: Core, run_id: str) -> None:
    """Say that a run has begun."""
    core.set("System State", "Running")
    core.set("Run Id", run_id)
    set_run_clock(core, 0.0)


def set_run_clock(core: Core, seconds: float) -> None:
    """Say how long the run has gone on; without pauses and blocks, the process has gone on for as long."""
    core.set("Run Time", seconds)
    core.set("Process Time", seconds)
    core.set("Block Time", seconds)


def set_stopped(core: Core) -> None:
    """Say that no run is active; the clocks keep what the last run has come to."""
    core.set("System State", "Stopped")
    core.set("Run Id", None, reason="no run is active")


def set_connection(core: Core, *, connected: bool) -> None:
    """Say whether all of the skid's hardware is connected: "Disconnected" as soon as one link is down."""
    core.set("Connection Status", "Connected" if connected else "Disconnected")


def outbox_status(fill: float) -> str:
    """How the fullest of the queues of what waits for delivery is doing: an alarm comes before samples are thinned."""
    return "Normal" if fill < NEARLY_FULL else "Nearly full" if fill < 1.0 else "Full"
