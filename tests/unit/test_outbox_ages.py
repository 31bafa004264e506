"""What an outbox gives up when it is too old or too much."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.uplinks import outbox as module
from engine.uplinks import thinning
from engine.uplinks.entries import Kind
from tests.unit.outbox_bench import ERROR, delivered, first, frame, outbox_of, started, stopped
from tests.unit.passing_time import Passing


def values(bodies: Sequence[bytes]) -> dict[str, Any]:
    """What an aggregator shows in the end, and nothing older on the way."""
    shown: dict[str, Any] = {}
    ticks: dict[str, float] = {}
    for body in bodies:
        for tag in json.loads(body)["tags"]:
            assert tag["tick_time"] > ticks.get(tag["name"], -1), "never back in time"
            ticks[tag["name"]] = tag["tick_time"]
            shown[tag["name"]] = tag["value"]
    return shown


async def test_the_oldest_samples_are_thinned_and_no_last_value_nor_event_is_lost(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thinning, "AT_A_TIME", 20)
    async with outbox_of(limit_bytes=200_000) as outbox:
        outbox.put(started("A"))
        for tick in range(2000):
            once = {f"Valve{tick}": "Open"} if tick % 100 == 0 else {}
            outbox.put(frame(tick, "A", T=tick, Text="x" * 100, **once))
        outbox.put(ERROR)
        outbox.put(stopped("A"))
        await outbox.maintain()
        assert outbox.fill > 1
        await outbox.maintain()
        assert outbox.fill < 1
        start, _ = await first(outbox)
        await outbox.rewind(start, -math.inf)
        bodies: list[bytes] = []
        kinds: list[Kind] = []
        while entry := await outbox.next():
            kinds.append(entry.kind)
            bodies += [entry.body] if entry.kind is Kind.SAMPLE else []
            outbox.acknowledge(entry)
    assert kinds[-2:] == [Kind.EVENT, Kind.STOP]
    shown = values(bodies)
    assert shown["T"] == 1999
    assert sum(name.startswith("Valve") for name in shown) == 20
    assert 250 < len(bodies) < 2000
    newest = [json.loads(body)["tags"][0]["tick_time"] for body in bodies[-100:]]
    assert newest == list(range(1900, 2000)), "the newer half is whole"
    assert "the oldest samples are thinned" in caplog.text


async def test_what_is_too_old_is_given_up_and_said(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    computer = Passing(monkeypatch)
    async with outbox_of(max_age_s=10.0) as outbox:
        outbox.put(started("A"))
        for tick in range(30):
            computer.now += 1
            outbox.put(frame(1000.0 - tick / 10 if tick > 20 else tick))  # whatever the clock on the wall says
        await outbox.maintain()
        assert outbox.lost == 19
        await outbox.maintain()
        assert outbox.lost == 19
        start, _ = await first(outbox)
        await outbox.rewind(start, -math.inf)
        assert len(await delivered(outbox)) == 11
    assert "19 samples waited" in caplog.text


@pytest.mark.parametrize("leap_s", [15 * 86_400.0, 56 * 365 * 86_400.0, -56 * 365 * 86_400.0])
async def test_what_waits_is_not_given_up_by_the_clock_on_the_wall(leap_s: float, tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    async with outbox_of(path) as outbox:
        outbox.put(started("A"))
        outbox.put(frame(1_800_000_000.0))
        outbox.put(frame(1_800_000_000.0 + leap_s))
        await outbox.maintain()
        assert outbox.lost == 0
    async with outbox_of(path) as outbox:
        outbox.put(frame(1_800_000_001.0 + leap_s))
        await outbox.maintain()
        assert outbox.lost == 0
        start, _ = await first(outbox)
        await outbox.rewind(start, -math.inf)
        assert len(await delivered(outbox)) == 3


async def test_days_count_over_restarts_as_far_as_they_are_known(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    computer = Passing(monkeypatch)
    path = tmp_path / "store.sqlite3"
    async with outbox_of(path, max_age_s=100.0) as outbox:
        outbox.put(started("A"))
        outbox.put(frame(1.0))
        computer.now += 60
        outbox.put(frame(2.0))
        await outbox.maintain()
    computer.reboot()
    async with outbox_of(path, max_age_s=100.0) as outbox:
        computer.now += 30
        outbox.put(frame(3.0))
        await outbox.maintain()
        assert outbox.lost == 0, "90 s are known of"
    computer.now += 20
    async with outbox_of(path, max_age_s=100.0) as outbox:
        await outbox.maintain()
        assert outbox.lost == 1, "and 20 more in which the computer was on"


async def test_of_errors_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVENTS", 3)
    async with outbox_of() as outbox:
        outbox.put(started("A"))
        for tick in range(5):
            outbox.put(frame(tick))
            outbox.put(ERROR)
        await outbox.maintain()
        start, _ = await first(outbox)
        await outbox.rewind(start, -math.inf)
        assert await delivered(outbox) == ["0", "1", "2", "event", "3", "event", "4", "event"]
