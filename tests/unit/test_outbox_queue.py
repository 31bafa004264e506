"""The outbox: what goes in, in what order it comes out, and what stays for another connection."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest

from engine.store import Store
from engine.uplinks import entries
from engine.uplinks import outbox as module
from engine.uplinks.contract import TagsFrame
from engine.uplinks.outbox import Outbox
from protocol.engine_messages import ControlStateMsg
from protocol.frames import tags_updated_body
from protocol.models import ControlState
from tests.unit.outbox_bench import ERROR, delivered, first, frame, outbox_of, started, stopped

STATE = ControlStateMsg(control_state=ControlState(is_running=False, is_holding=False, is_paused=False))


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
