"""A run of a small engine, and the truth about it: every sample that was logged, to hold against the aggregator."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from engine.uplinks.aggregator import AggregatorUplink
from tests.interop.aggregator import Aggregator
from tests.interop.exported import exported_column
from tests.interop.small_engine import SmallEngine

EVERY_S = 0.05


class LoggedRun:
    """Ticks through a run. The log interval of the small engine is 0: the aggregator is to store every tick."""

    def __init__(self, engine: SmallEngine, uplink: AggregatorUplink) -> None:
        self.id = str(uuid4())
        self.engine = engine
        self.uplink = uplink
        self.logged: dict[float, int] = {}
        """tick -> value of Counter"""
        self._held = False

    def start(self) -> None:
        self.uplink.put(self.engine.start(self.id))
        self.engine.tags["Counter"] = 0
        frame = self.engine.snapshot()
        self.logged[frame.tick_time] = 0
        self.uplink.put(frame)

    def tick(self) -> None:
        number = len(self.logged)
        frame = self.engine.change(Counter=number)
        self.logged[frame.tick_time] = number
        self.uplink.put(frame)

    def stop(self) -> None:
        self._held = True
        self.uplink.put(self.engine.stop())

    @asynccontextmanager
    async def ticking(self) -> AsyncGenerator[None]:
        """Tick on a cadence meanwhile."""

        async def tick_on() -> None:
            while True:
                if not self._held:
                    self.tick()
                await asyncio.sleep(EVERY_S)

        task = asyncio.create_task(tick_on())
        try:
            yield
        finally:
            task.cancel()

    async def delivered(self, within_s: float = 20.0) -> None:
        """Wait until nothing waits any more."""
        async with asyncio.timeout(within_s):
            while self.uplink.status.queued or not self.uplink.status.connected:
                await asyncio.sleep(0.02)  # a count is a plain field, written for a table that is drawn by time

    async def check_live(self, aggregator: Aggregator, engine_id: str) -> None:
        """The run that goes on, held for a moment: every sample once, and every tag shown."""
        self._held = True
        await self.delivered()
        await aggregator.values(engine_id, lambda values: values == self.engine.tags)
        path = f"/api/process_unit/{quote(engine_id, safe='')}/plot_log"
        self._check_plot_log(await aggregator.get(path))
        self._held = False

    async def check_recorded(self, aggregator: Aggregator) -> None:
        """The run that has ended: every sample once, in the plot log and in the CSV, and the archive."""
        await self.delivered()
        path = f"/api/recent_runs/{self.id}"
        await aggregator.until(path, lambda run: run["run_id"] == self.id)
        plot_log = await aggregator.get(f"{path}/plot_log")
        stored = self._check_plot_log(plot_log)
        archive = await aggregator.get(f"{path}/archive")
        assert archive == {"content": f"archive of {self.id}\n", "filename": f"{self.id}.txt"}
        exported = exported_column(await aggregator.get(f"{path}/csv_json"), "Counter")
        rows = sorted({value["tick_time"] for entry in plot_log["entries"].values() for value in entry["values"]})
        places = [max(0, bisect_right(list(stored), tick) - 1) for tick in rows]
        assert exported == [list(stored.values())[place] for place in places], "a row has the last value that there is"
        runs = [run for run in await aggregator.get("/api/recent_runs/") if run["run_id"] == self.id]
        assert len(runs) == 1, "one record of the run"

    def _check_plot_log(self, answer: Any) -> dict[float, int]:
        """All that is stored of Counter, by tick."""
        stored: dict[float, int] = {}
        for value in answer["entries"]["Counter"]["values"]:
            assert value["tick_time"] not in stored, "stored twice"
            stored[value["tick_time"]] = value["value"]
        missing = self.logged.keys() - stored.keys()
        assert not missing, f"{len(missing)} of {len(self.logged)} samples are not stored"
        # What is stored beside the samples is from snapshots, and as true as they are.
        stored = dict(sorted(stored.items()))
        assert {tick: stored[tick] for tick in self.logged} == self.logged
        assert list(stored.values()) == sorted(stored.values())
        return stored
