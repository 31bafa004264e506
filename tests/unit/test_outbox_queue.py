"""The outbox: what goes in, in what order it comes out, and what stays for another connection."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from engine.store import Store
from engine.uplinks import entries, thinning
from engine.uplinks import outbox as module
from engine.uplinks.contract import TagsFrame
from engine.uplinks.entries import Kind
from engine.uplinks.outbox import Outbox
from protocol.engine_messages import ControlStateMsg, ErrorLogMsg, RunStartedMsg, RunStoppedMsg
from protocol.frames import tags_updated_body
from protocol.models import ControlState, ErrorLog, ErrorLogEntry, MethodState, RunLog
from tests.unit.passing_time import Passing

STATE = ControlStateMsg(control_state=ControlState(is_running=False, is_holding=False, is_paused=False))
ERROR = ErrorLogMsg(log=ErrorLog(entries=[ErrorLogEntry(message="m", created_time=1, severity=40)]))


def started(run: str) -> RunStartedMsg:
    return RunStartedMsg(run_id=run, started_tick=1.0)


def stopped(run: str) -> RunStoppedMsg:
    empty = MethodState.empty()
    return RunStoppedMsg(run_id=run, runlog=RunLog.empty(), method_state=empty, archive=None, archive_filename=None)


def frame(tick: float, run: str | None = "A", **tags: Any) -> TagsFrame:
    values = [{"name": name, "tick_time": tick, "value": value} for name, value in (tags or {"T": tick}).items()]
    return TagsFrame(json.dumps(values).encode(), tick, run)


@asynccontextmanager
async def outbox_of(path: Path | None = None, **options: Any) -> AsyncGenerator[Outbox]:
    store = Store(path)
    found = Outbox(store, **options)
    store.start()
    try:
        yield found
    finally:
        await store.close()


async def delivered(outbox: Outbox, count: int = 1_000_000) -> list[str]:
    """Deliver what there is, or so many, and name it: samples by their ticks."""
    names: list[str] = []
    while len(names) < count and (entry := await outbox.next()):
        names.append(f"{entry.tick:g}" if entry.kind is Kind.SAMPLE else entry.kind)
        outbox.acknowledge(entry)
    return names


async def test_what_holds_only_now_is_taken_only_while_live() -> None:
    async with outbox_of() as outbox:
        outbox.put(frame(1, None))
        outbox.put(STATE)
        outbox.put(ERROR)
        assert await delivered(outbox) == []
        outbox.go_live()
        outbox.put(frame(2, None))
        outbox.put(STATE)
        outbox.put(ERROR)
        assert outbox.waiting == 3
        assert await delivered(outbox, 1) == ["now"]
        outbox.go_offline()
        assert (outbox.waiting, await outbox.next()) == (0, None)


async def test_a_run_is_told_again_until_its_end_has_arrived() -> None:
    async with outbox_of() as outbox:
        outbox.retain_s = 2.0
        outbox.go_live()
        for item in (started("A"), ERROR, *map(frame, range(5))):
            outbox.put(item)
        assert await delivered(outbox) == ["start", "event", "0", "1", "2", "3", "4"]
        start, ended = await first(outbox)
        assert (start.run, ended, outbox.waiting) == ("A", False, 0)
        await outbox.rewind(start, 2.0)
        assert outbox.waiting == 3
        assert await delivered(outbox) == ["event", "3", "4"], "stored is what is not newer than 2"
        await outbox.rewind(start, 0.5)
        assert await delivered(outbox) == ["event", "3", "4"], "1 is surely stored since 3 was acknowledged"
        outbox.put(stopped("A"))
        assert (await first(outbox))[1]
        assert await delivered(outbox) == ["stop"]
        assert await outbox.first_run() is None
        await outbox.rewind()
        assert await delivered(outbox) == []


async def test_a_run_that_goes_on_after_a_crash_is_one_run_with_its_later_errors(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    async with outbox_of(path) as outbox:
        for item in (started("A"), stopped("A"), started("B"), frame(1, "B")):
            outbox.put(item)
    async with outbox_of(path) as outbox:
        for item in (started("B"), frame(2, "B"), ERROR, stopped("B"), started("C"), ERROR):
            outbox.put(item)
        await outbox.rewind()
        told = ["start", "stop", "start", "1", "2", "event", "stop", "start", "event"]
        assert await delivered(outbox) == told
    async with outbox_of(path) as outbox:
        assert (await first(outbox))[0].run == "C"


async def first(outbox: Outbox) -> Any:
    found = await outbox.first_run()
    assert found is not None
    return found


async def test_an_aggregator_that_does_not_say_what_it_has_is_told_what_it_did_not_acknowledge() -> None:
    async with outbox_of() as outbox:
        outbox.retain_s = 10.0
        for item in (started("A"), *map(frame, range(5))):
            outbox.put(item)
        assert await delivered(outbox, 4) == ["start", "0", "1", "2"]
        start, _ = await first(outbox)
        await outbox.rewind(start, None)
        assert await delivered(outbox) == ["3", "4"]


async def test_a_sample_whose_device_stamps_it_is_not_told_twice() -> None:
    async with outbox_of() as outbox:
        outbox.put(started("A"))
        early = TagsFrame(b'[{"name":"T","tick_time":0.95,"value":1}]', 1.0, "A")
        for item in (early, frame(2), frame(3)):
            outbox.put(item)
        start, _ = await first(outbox)
        await outbox.rewind(start, 0.95)
        assert await delivered(outbox) == ["2", "3"]


async def test_several_runs_wait_in_order_and_a_recorded_one_is_forgotten() -> None:
    async with outbox_of() as outbox:
        for item in (started("A"), frame(1, "A"), stopped("A"), frame(2, None), started("B"), frame(3, "B")):
            outbox.put(item)
        start, ended = await first(outbox)
        assert (start.run, ended) == ("A", True)
        await outbox.forget("A")
        start, ended = await first(outbox)
        assert (start.run, ended) == ("B", False)
        await outbox.rewind(start, -math.inf)
        assert await delivered(outbox) == ["3"]


async def test_it_goes_on_where_an_earlier_life_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite3"
    async with outbox_of(path) as outbox:
        outbox.retain_s = 1.0
        for item in (started("A"), *map(frame, range(4))):
            outbox.put(item)
        assert await delivered(outbox, 3) == ["start", "0", "1"]
    async with outbox_of(path) as outbox:
        outbox.put(stopped("A"))
        start, ended = await first(outbox)
        assert ended
        await outbox.rewind(start, 1.0)
        assert await delivered(outbox) == ["2", "3", "stop"]


@pytest.mark.parametrize("chunk", [1, 7, 200])
async def test_what_does_not_fit_into_the_window_comes_in_its_turn(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(module, "WINDOW_BYTES", 1000)
    monkeypatch.setattr(entries, "CHUNK", chunk)
    async with outbox_of() as outbox:
        outbox.put(started("A"))
        names: list[str] = []
        for tick in range(100):
            outbox.put(frame(tick))
            if tick % 3 == 0:
                names += await delivered(outbox, 1)
        names += await delivered(outbox)
    assert names == ["start", *(f"{tick}" for tick in range(100))]


async def test_a_connection_that_falls_behind_gets_a_snapshot_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WINDOW_BYTES", 1000)
    async with outbox_of() as outbox:
        assert await outbox.next() is None
        outbox.go_live()
        for tick in range(100):
            outbox.put(frame(tick, None))
        assert not outbox.live
        assert await outbox.next() is None


async def test_what_is_put_while_the_store_is_asked_comes_in_its_turn() -> None:
    async with outbox_of() as outbox:
        asked = asyncio.ensure_future(outbox.next())
        await asyncio.sleep(0)
        outbox.put(started("A"))
        outbox.put(frame(2.0))
        await asked
        assert await delivered(outbox) == ["start", "2"]


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


async def test_an_aggregator_that_says_nothing_is_told_all_of_a_run_of_the_previous_process(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite3"
    async with outbox_of(path) as outbox:
        outbox.retain_s = 10.0
        for item in (
            started("A"),
            *map(frame, range(3)),
            stopped("A"),
            started("B"),
            *(frame(n, "B") for n in (0.1, 0.2)),
        ):
            outbox.put(item)
    async with outbox_of(path) as outbox:
        outbox.retain_s = 10.0
        start, _ = await first(outbox)
        await outbox.rewind(start, None)
        assert await delivered(outbox, 2) == ["0", "1"]
        await outbox.forget("A")
        start, _ = await first(outbox)
        await outbox.rewind(start, None)
        assert await delivered(outbox) == ["0.1", "0.2"], (
            "what was acknowledged of another run says nothing of this one"
        )


async def test_the_window_counts_what_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    body = len(tags_updated_body(frame(10, None).tags, None))
    monkeypatch.setattr(module, "WINDOW_BYTES", 3 * body)
    async with outbox_of() as outbox:
        assert await outbox.next() is None
        outbox.go_live()
        for tick in range(10, 50):
            outbox.put(frame(tick, None))
            assert await delivered(outbox, 1) == ["now"]
        assert outbox.live, "there was never more than one in it"
        for tick in range(50, 53):
            outbox.put(frame(tick, None))
        assert outbox.live
        outbox.put(frame(53, None))
        assert not outbox.live
        outbox.go_live()
        for tick in range(60, 63):
            outbox.put(frame(tick, None))
        assert outbox.live, "what was dropped takes no room"


async def test_nobody_is_woken_for_nothing() -> None:
    """Who waits for something to deliver would otherwise turn in circles, and let nobody else have a turn."""
    async with outbox_of() as outbox:
        for item in (started("A"), frame(1), frame(2), stopped("A")):
            outbox.put(item)
        assert await delivered(outbox) == ["start", "1", "2", "stop"]
        await outbox.rewind()
        assert await outbox.next() is None
        assert outbox.waiting == 0
        async with asyncio.timeout(60):
            await outbox.emptied()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await outbox.filled()


async def test_a_run_is_undelivered_until_its_end_has_arrived() -> None:
    store = Store()
    outbox = Outbox(store)
    store.start()
    outbox.put(started("A"))
    outbox.put(frame(1.0))
    assert await store.ask(entries.undelivered_runs) == {"A"}
    outbox.put(stopped("A"))
    while (entry := await outbox.next()) is not None:
        assert await store.ask(entries.undelivered_runs) == {"A"}
        outbox.acknowledge(entry)
    assert await store.ask(entries.undelivered_runs) == set()
    await store.close()
