"""The derived tags that users of Open Pectus know, through a run with a pause and a block."""

from __future__ import annotations

from drivers.contract import Kind
from engine.core import ready_made
from engine.core.core import Core
from engine.core.spec import Event, FromEngine, TagSpec

SPECS = [
    TagSpec("System State", FromEngine(Kind.TEXT)),
    TagSpec("Totaliser 1", FromEngine(Kind.FLOAT), unit="L"),
    TagSpec("Column", FromEngine(Kind.FLOAT), unit="L"),
    ready_made.run_time(),
    ready_made.process_time(),
    ready_made.accumulated_volume("Totaliser 1", "L"),
    ready_made.accumulated_column_volumes("Totaliser 1", "Column"),
    ready_made.block_volume("Totaliser 1", "L"),
    ready_made.block_column_volumes("Totaliser 1", "Column"),
]


def test_a_run() -> None:
    core = Core(SPECS, [])
    core.set("Column", 4.0)

    def tick(now: float, state: str, litres: float) -> dict[str, object]:
        core.set("System State", state)
        core.set("Totaliser 1", litres)
        core.derive(now)
        return {spec.name: core.table.value(core.table.row_of(spec.name)) for spec in SPECS[3:]}

    def shown(*values: float) -> dict[str, object]:
        return dict(zip([spec.name for spec in SPECS[3:]], values, strict=True))

    assert tick(0.0, "Stopped", 100.0) == shown(0, 0, 0, 0, 0, 0)
    assert tick(5.0, "Stopped", 110.0) == shown(0, 0, 10, 2.5, 10, 2.5)
    core.reset(event=Event.RUN_START)
    assert tick(10.0, "Running", 120.0) == shown(0, 0, 0, 0, 0, 0)
    assert tick(17.5, "Running", 124.0) == shown(7.5, 7.5, 4, 1, 4, 1)
    core.reset(event=Event.BLOCK_START)
    assert tick(18.0, "Paused", 126.0) == shown(8, 8, 6, 1.5, 0, 0)
    assert tick(20.0, "Paused", 128.0) == shown(10, 8, 8, 2, 2, 0.5)
    assert tick(21.0, "Stopped", 128.0) == shown(11, 8, 8, 2, 2, 0.5)
    assert tick(30.0, "Stopped", 128.0) == shown(11, 8, 8, 2, 2, 0.5)
    core.set("Column", 0.0)
    assert tick(31.0, "Stopped", 128.0) == shown(11, 8, 8, 0, 2, 0)
