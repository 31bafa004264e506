"""The derived tags that users of Open Pectus know, through a run with a block."""

from __future__ import annotations

from drivers.contract import Kind
from engine.core import ready_made
from engine.core.core import Core
from engine.core.spec import Event, FromEngine, TagSpec

SPECS = [
    TagSpec("Totaliser 1", FromEngine(Kind.FLOAT), unit="L"),
    TagSpec("Column", FromEngine(Kind.FLOAT), unit="L"),
    ready_made.accumulated_volume("Totaliser 1", "L"),
    ready_made.accumulated_column_volumes("Totaliser 1", "Column"),
    ready_made.block_volume("Totaliser 1", "L"),
    ready_made.block_column_volumes("Totaliser 1", "Column"),
]


def test_a_run() -> None:
    core = Core(SPECS, [])
    core.set("Column", 4.0)

    def tick(now: float, litres: float) -> list[object]:
        core.set("Totaliser 1", litres)
        core.derive(now)
        return [core.table.value(core.table.row_of(spec.name)) for spec in SPECS[2:]]

    assert tick(0.0, 100.0) == [0, 0, 0, 0]
    assert tick(5.0, 110.0) == [10, 2.5, 10, 2.5]
    core.reset(event=Event.RUN_START)
    assert tick(10.0, 120.0) == [0, 0, 0, 0]
    assert tick(17.5, 124.0) == [4, 1, 4, 1]
    core.reset(event=Event.BLOCK_START)
    assert tick(18.0, 126.0) == [6, 1.5, 0, 0]
    assert tick(20.0, 128.0) == [8, 2, 2, 0.5]
    core.set("Column", 0.0)
    assert tick(31.0, 128.0) == [8, 0, 2, 0]
