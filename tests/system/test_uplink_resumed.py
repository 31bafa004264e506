"""What an aggregator is told again after a connection has ended in a run: what it has not stored, each time."""

from __future__ import annotations

from typing import Any

import pytest

from engine.uplinks.aggregator import AggregatorUplink
from engine.uplinks.contract import TagsFrame
from tests.interop.small_engine import SmallEngine
from tests.system.small_aggregator import SmallAggregator, running

PLOT_LOG = "/api/process_unit/lab-pc_SmallUod/plot_log"


async def told(aggregator: SmallAggregator, last: str) -> list[dict[str, Any]]:
    """The messages of a connection up to the first of a type."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["_type"] != last:
        found.append(await aggregator.messages.get())
    return found


def ticks_of(messages: list[dict[str, Any]]) -> list[float]:
    return [message["tags"][0]["tick_time"] for message in messages if message["_type"] == "TagsUpdatedMsg"]


@pytest.mark.parametrize("says", [True, False])
async def test_each_connection_goes_on_after_what_is_stored(says: bool) -> None:
    async with SmallAggregator().running() as aggregator:
        engine = SmallEngine(T=0)
        engine.interval_s = 3600.0
        uplink = AggregatorUplink(engine, aggregator.address)
        async with running(uplink):
            await told(aggregator, "ControlStateMsg")
            uplink.put(engine.start("run"))
            frames: list[TagsFrame] = []
            for value in range(6):
                frames.append(engine.change(T=value))
                uplink.put(frames[-1])
            ticks = [frame.tick_time for frame in frames]
            while ticks_of([await aggregator.messages.get()]) != ticks[-1:]:
                pass
            for stored in (1, 3):
                if says:
                    values = [{"value": value, "tick_time": ticks[value]} for value in range(stored + 1)]
                    aggregator.rest[PLOT_LOG] = {"entries": {"T": {"values": values}}}
                await aggregator.connection.close(1000)
                messages = await told(aggregator, "ControlStateMsg")
                assert [message["_type"] for message in messages[:2]] == ["UodInfoMsg", "RunStartedMsg"]
                again = ticks_of(messages)[:-1]  # the last one is the snapshot
                assert again == ticks[stored + 1 :] if says else again in ([], ticks[-1:])
            uplink.put(engine.stop())
            await told(aggregator, "RunStoppedMsg")
            await aggregator.connection.close(1000)
            messages = await told(aggregator, "ControlStateMsg")
        assert [message["_type"] for message in messages[:2]] == ["UodInfoMsg", "RunStoppedMsg"], "there is no run"
        assert messages[1]["run_id"] == ""


async def test_a_run_that_is_recorded_is_not_told_again() -> None:
    async with SmallAggregator().running() as aggregator:
        engine = SmallEngine(T=0)
        uplink = AggregatorUplink(engine, aggregator.address)
        for run in ("one", "two"):
            uplink.put(engine.start(run))
            uplink.put(engine.change(T=1))
            uplink.put(engine.stop())
        aggregator.rest["/api/recent_runs/one"] = {"run_id": "one"}
        async with running(uplink):
            messages = await told(aggregator, "ControlStateMsg")
    runs = [(message["_type"], message["run_id"]) for message in messages if message.get("run_id")]
    assert runs == [("RunStartedMsg", "two"), ("TagsUpdatedMsg", "two"), ("RunStoppedMsg", "two")]
