"""An engine that ends without a word in the middle of a run, and the next one, in a time that the test sets."""

from __future__ import annotations

import csv
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from engine.runs.journal import Journal
from engine.store import Store
from engine.uplinks.contract import TagsFrame
from engine.uplinks.outbox import Outbox
from protocol.aggregator_messages import InjectCodeMsg, MethodMsg
from protocol.engine_messages import (
    ControlStateMsg,
    ErrorLogMsg,
    RunLogMsg,
    RunStartedMsg,
    RunStoppedMsg,
    WebPushNotificationMsg,
)
from protocol.engine_messages import MethodMsg as KeptMethodMsg
from protocol.messages import SuccessMessage
from protocol.models import ControlState, Method, MethodState, RunLog
from tests.unit.runs_bench import UNIX, UOD, Bench

METHOD = Method.from_pcode("Mark: A")


@asynccontextmanager
async def life(folder: Path, *, at: float, uod: str = UOD, clock: float = UNIX) -> AsyncGenerator[Bench]:
    """An engine from its start to a sudden end; what it has given to its store is on the disk."""
    bench = Bench(folder, uod=uod, kept=True, at=at, clock=clock)
    with bench.engine.runs.errors:
        bench.engine.scan.stamp_after(bench.engine.runs.take_up(at, clock + at), at)
        bench.store.start()
        yield bench
        await bench.store.close()


async def a_life_that_ends_in_a_run(folder: Path, *, control: str = "") -> str:
    """Ten seconds of a run, and the id of it."""
    async with life(folder, at=0.0) as bench:
        bench.values["T0"] = 1.0
        bench.tick()
        bench.do(MethodMsg(method=METHOD))
        bench.engine.runs.note("Batch Name", "B7")
        bench.engine.runs.note("Run Counter", 3)
        bench.press("Start")
        bench.tick()
        assert bench.do(InjectCodeMsg(pcode="PU01: 60")) == SuccessMessage()
        bench.tick()
        bench.engine.runs.note("Mark", "lunch")
        if control:
            bench.press(control)
        bench.ticks(98)
        assert bench.values["PU01"] == (0 if control == "Pause" else 60)
        return str(bench.shown["Run Id"])


def errors(bench: Bench) -> list[str]:
    return [entry.message for message in bench.told(ErrorLogMsg) for entry in message.log.entries]


async def test_the_run_goes_on_held_with_its_outputs_safe(tmp_path: Path) -> None:
    run = await a_life_that_ends_in_a_run(tmp_path)
    async with life(tmp_path, at=135.1) as bench:
        bench.values |= {"T0": 1.0, "PU01": 60}
        assert bench.told(RunStartedMsg) == [RunStartedMsg(run_id=run, started_tick=UNIX + 0.1)], "the same run"
        bench.tick()
        assert bench.shown.items() >= {
            "System State": "Holding", "Run Id": run, "Batch Name": "B7", "Run Counter": 3, "Method Status": "OK",
            "PU01": 0,
        }.items()  # fmt: skip
        assert 9 <= bench.shown["Run Time"] <= 10.2, "the time away does not count"
        assert bench.shown["Process Time"] == pytest.approx(bench.shown["Run Time"] - 0.1), "held since it goes on"
        held = ControlState(is_running=True, is_holding=True, is_paused=False)
        assert bench.told(ControlStateMsg)[-1].control_state == held
        states = bench.engine.states()
        assert isinstance(states[0], KeptMethodMsg)
        assert isinstance(states[-1], RunLogMsg)
        assert states[0].method == METHOD
        assert [line.command_name for line in states[-1].runlog.lines] == ["PU01: 60"]
        (said,) = errors(bench)
        assert f"in the middle of run {run} and was away for 125 s" in said
        assert "press Unhold, or end the run with Stop" in said
        process = bench.shown["Process Time"]
        bench.ticks(50)
        assert bench.shown["Process Time"] == process
        assert bench.values["PU01"] == 0
        assert not bench.press("Unhold")
        bench.ticks(50)
        assert bench.shown["System State"] == "Running"
        assert bench.values["PU01"] == 0, "nothing is set again that nobody asks for"
        bench.press("Stop")
        stopped = bench.told(RunStoppedMsg)[0]
        assert stopped.run_id == run
        assert [line.command_name for line in stopped.runlog.lines] == ["PU01: 60"]
    async with life(tmp_path, at=200.0) as bench:
        bench.tick()
        assert (bench.shown["System State"], bench.told(RunStartedMsg)) == ("Stopped", [])
        assert bench.engine.states()[0] == KeptMethodMsg(method=METHOD)
        assert (bench.shown["Run Counter"], bench.shown["Batch Name"]) == (3, "")


async def test_totals_go_on_from_what_they_were_and_the_time_away_does_not_count(tmp_path: Path) -> None:
    await a_life_that_ends_in_a_run(tmp_path)
    async with life(tmp_path, at=135.1) as bench:
        bench.values["T0"] = 1.0
        bench.tick()
        before = bench.shown["Total"]
        assert 9.0 < before < 10.2, "a second counts one, but for what came after it was written down last"
        bench.ticks(10)
        assert 0.8 < bench.shown["Total"] - before < 1.1


async def test_a_mark_that_no_row_has_yet_is_shown_again_after_a_crash_and_goes_into_the_next_row(
    tmp_path: Path,
) -> None:
    async with life(tmp_path, at=0.0) as bench:
        bench.tick()
        bench.press("Start")
        bench.ticks(52)
        bench.engine.runs.note("Mark", "lunch")
        bench.tick()
        assert bench.shown["Mark"] == "lunch"
    async with life(tmp_path, at=20.0) as bench:
        bench.tick()
        assert bench.shown["Mark"] == "lunch"
        bench.ticks(60)
        assert not bench.shown["Mark"], "a row has it"
        bench.press("Stop")
        (stopped,) = bench.told(RunStoppedMsg)
        assert (stopped.archive or "").count("lunch") == 1


async def test_the_archive_goes_on_with_what_it_had_and_marks_are_not_lost(tmp_path: Path) -> None:
    run = await a_life_that_ends_in_a_run(tmp_path, control="Hold")
    new_tag = UOD.replace("  T1:", "  T9: {device: far}\n  T1:")
    async with life(tmp_path, at=135.0, uod=new_tag) as bench:
        bench.ticks(60)
        bench.press("Stop")
        stopped = bench.told(RunStoppedMsg)[0]
    head, *rows = csv.reader(StringIO(stopped.archive or ""))
    assert "T9" not in head, "a tag that has come since is not in it"
    assert {len(row) for row in rows} == {len(head)}
    assert [row[head.index("Mark")] for row in rows] == ["", "lunch", "", ""]
    assert [row[head.index("System State")] for row in rows] == ["Running", "Holding", "Holding", "Holding"]
    assert {row[head.index("Run Id")] for row in rows} == {run}
    assert stopped.archive_filename == "archiver-2027-01-15_080000.txt"


async def test_a_paused_run_is_held_too_and_nothing_is_resumed(tmp_path: Path) -> None:
    await a_life_that_ends_in_a_run(tmp_path, control="Pause")
    async with life(tmp_path, at=135.0) as bench:
        bench.tick()
        assert bench.shown["System State"] == "Holding"
        assert bench.press("Unpause") == "the run is not paused"
        bench.press("Unhold")
        bench.ticks(10)
        assert bench.values["PU01"] == 0


async def test_a_run_that_has_lost_a_tag_is_ended(tmp_path: Path) -> None:
    run = await a_life_that_ends_in_a_run(tmp_path)
    other = UOD.replace("  T1: {device: far}\n", "  T2: {device: far}\n").replace("T0, T1,", "T0, T2,")
    async with life(tmp_path, at=135.0, uod=other) as bench:
        (stopped,) = bench.told(RunStoppedMsg)
        assert stopped.run_id == run
        assert (stopped.archive or "").count(run) == 2
        assert [line.command_name for line in stopped.runlog.lines] == ["PU01: 60"]
        bench.tick()
        assert (bench.shown["System State"], bench.shown["Run Id"], bench.shown["Batch Name"]) == ("Stopped", None, "")
        (said,) = errors(bench)
        assert "which cannot go on: the UOD has no T1 any more" in said
        assert not bench.press("Start")
    async with life(tmp_path, at=200.0, uod=other) as bench:
        assert [message.run_id == run for message in bench.told(RunStartedMsg)] == [False]


async def test_samples_come_after_the_earlier_ones_whatever_was_done_to_the_clock(tmp_path: Path) -> None:
    await a_life_that_ends_in_a_run(tmp_path)
    async with life(tmp_path, at=20.0, clock=UNIX - 3600) as bench:
        bench.ticks(30)
        ticks = [item.tick_time for item in bench.listener.items if isinstance(item, TagsFrame)]
        assert len(ticks) > 2
        assert ticks == sorted(set(ticks))
        assert UNIX + 10.1 <= ticks[0] < ticks[-1] < UNIX + 15
        (said,) = errors(bench)
        assert "was away for 0 s" in said


async def test_what_cannot_be_read_any_more_keeps_no_engine_from_starting(tmp_path: Path) -> None:
    run = await a_life_that_ends_in_a_run(tmp_path)
    store = Store(tmp_path / "kept.sqlite3")
    journal = Journal(store)
    (dead,) = journal.dead_runs()
    journal.progress(run, replace(dead.progress, totals=b"\x00\xff"))
    journal.keep("method", {"lines": 7})
    store.start()
    await store.close()
    async with life(tmp_path, at=135.1) as bench:
        bench.tick()
        assert (bench.shown["System State"], bench.shown["Run Id"]) == ("Holding", run)
        assert bench.shown["Total"] < 1
        said = " ".join(errors(bench))
        assert "all totals begin anew" in said
        assert "the method that was kept cannot be read, save it again" in said


async def test_a_link_that_does_not_come_back_after_a_crash_is_told_of(tmp_path: Path) -> None:
    await a_life_that_ends_in_a_run(tmp_path)
    async with life(tmp_path, at=135.1) as bench:
        bench.down = {"simulated far"}
        bench.ticks(9, 1.0)
        assert bench.told(WebPushNotificationMsg) == [], "all links are down at the start of an engine"
        bench.ticks(100, 1.0)
        (told,) = bench.told(WebPushNotificationMsg)
        assert (told.topic, told.notification.body) == ("network_errors", "Equipment is lost: simulated far")


async def test_an_engine_that_dies_within_the_first_second_of_a_run(tmp_path: Path) -> None:
    async with life(tmp_path, at=0.0) as bench:
        bench.tick()
        bench.press("Start")
    async with life(tmp_path, at=60.0) as bench:
        bench.tick()
        assert bench.shown["System State"] == "Holding"
        assert bench.shown["Run Time"] < 1
        bench.press("Restart")
        bench.ticks(3)
        assert bench.shown["System State"] == "Running"
        assert len({message.run_id for message in bench.told(RunStartedMsg)}) == 2


async def test_a_run_of_which_only_what_waits_is_left_is_closed(tmp_path: Path) -> None:
    run = await a_life_that_ends_in_a_run(tmp_path)
    store = Store(tmp_path / "kept.sqlite3")
    outbox = Outbox(store)
    outbox.put(RunStartedMsg(run_id=run, started_tick=UNIX))
    outbox.put(RunStartedMsg(run_id="ended", started_tick=UNIX))
    outbox.put(
        RunStoppedMsg(
            run_id="ended", runlog=RunLog.empty(), method_state=MethodState.empty(), archive=None, archive_filename=None
        )
    )
    Journal(store).end(run)
    store.start()
    await store.close()
    async with life(tmp_path, at=135.0) as bench:
        (stopped,) = bench.told(RunStoppedMsg)
        assert (stopped.run_id, stopped.archive, stopped.runlog.lines) == (run, None, [])
        bench.tick()
        assert bench.shown["System State"] == "Stopped"
        (said,) = errors(bench)
        assert f"run {run} was not ended when the engine ended, and cannot go on" in said


async def test_a_record_that_cannot_be_kept_is_an_alarm_and_no_end(tmp_path: Path) -> None:
    (tmp_path / "kept.sqlite3" / "in the way").mkdir(parents=True)
    async with life(tmp_path, at=0.0) as bench:
        bench.tick()
        assert bench.shown["Outbox Status"] == "Normal"
        (said,) = errors(bench)
        assert (
            "kept.sqlite3 cannot be used: Is a directory; it is kept as kept.broken-1, and a new one is begun" in said
        )
    (tmp_path / "other").write_text("in the way")
    (tmp_path / "kept.sqlite3").unlink()
    (tmp_path / "kept.sqlite3").symlink_to(tmp_path / "other" / "away")
    async with life(tmp_path, at=0.0) as bench:
        bench.tick()
        assert bench.shown["Outbox Status"] == "Not kept"
        assert bench.values["PU01"] == 0, "outputs are made safe"
        assert not bench.press("Start")
        bench.ticks(20)
        assert bench.shown["System State"] == "Running"
        (said,) = errors(bench)
        assert "nothing is kept of a run: cannot use" in said
