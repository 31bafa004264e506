"""The engine's own tags, by the names that Open Pectus gives them."""

from __future__ import annotations

from collections.abc import Callable

from drivers.contract import Kind
from engine.core.core import Core
from engine.core.spec import Direction, FromEngine, TagSpec
from protocol.models import MethodStatusEnum, SystemStateEnum

NEARLY_FULL = 0.8
"""Of the bound of a queue."""


def duration(seconds: float) -> str:
    """Hours, minutes and whole seconds."""
    minutes, whole = divmod(int(seconds), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{whole:02}"


def time_of_day(unix: float) -> str:
    """The same of a moment, in UTC, as in Open Pectus."""
    return duration(unix % 86_400)


def _tag(name: str, kind: Kind, unit: str | None = None, said: Callable[[float], str] | None = None) -> TagSpec:
    return TagSpec(name=name, source=FromEngine(kind), unit=unit, direction=Direction.NA, said=said)


SYSTEM_TAGS: tuple[TagSpec, ...] = (
    _tag("System State", Kind.TEXT),
    _tag("Run Id", Kind.TEXT),
    _tag("Run Time", Kind.FLOAT, "s", duration),
    _tag("Process Time", Kind.FLOAT, "s", duration),
    _tag("Block Time", Kind.FLOAT, "s", duration),
    _tag("Clock", Kind.FLOAT, "s", time_of_day),
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
    set_state(core, SystemStateEnum.Stopped, None)
    set_run_clocks(core, 0.0, 0.0, 0.0)
    set_method_status(core, MethodStatusEnum.OK)
    core.set("Mark", "")
    core.set("Base", "min")
    core.set("Run Counter", 0)
    core.set("Batch Name", "")


def set_state(core: Core, state: SystemStateEnum, run_id: str | None) -> None:
    """Say what the run is doing, and which one it is; None: there is none."""
    core.set("System State", state)
    core.set("Run Id", run_id, reason="no run is active" if run_id is None else "")


def set_run_clocks(core: Core, run_s: float, process_s: float, block_s: float) -> None:
    """Say how long the run has gone on, to the millisecond."""
    core.set("Run Time", round(run_s, 3))
    core.set("Process Time", round(process_s, 3))
    core.set("Block Time", round(block_s, 3))


def set_clock(core: Core, unix: float) -> None:
    """Say what time it is, in whole seconds since 1970."""
    core.set("Clock", float(int(unix)))


def set_method_status(core: Core, status: MethodStatusEnum) -> None:
    core.set("Method Status", status)


def set_connection(core: Core, *, connected: bool) -> None:
    """Say whether all of the skid's hardware is connected: "Disconnected" as soon as one link is down."""
    core.set("Connection Status", "Connected" if connected else "Disconnected")


def outbox_status(fill: float, *, is_kept: bool) -> str:
    """How the fullest of the queues of what waits for delivery is doing: an alarm comes before samples are thinned,
    and another one where what waits, and with it the run, would not outlive the engine."""
    if not is_kept:
        return "Not kept"
    return "Normal" if fill < NEARLY_FULL else "Nearly full" if fill < 1.0 else "Full"
