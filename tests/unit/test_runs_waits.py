"""What waits, and what stands still, in a pause, in a hold and without a run."""

from __future__ import annotations

import pytest

from protocol.engine_messages import QueuedRunLogMsg, RunLogMsg, RunStoppedMsg
from tests.unit.runs_bench import UNIX
from tests.unit.runs_user import User


def test_wait_delays_the_lines_after_it_and_can_be_forced(running: User) -> None:
    user = running
    user.say("Mark: A", "Wait: 5 s", "PU01: 60", "Wait: 5 s", "Mark: B")
    user.ticks(45)
    assert (user.values["PU01"], user.texts) == (0, ["Mark: A", "Wait: 5 s"])
    assert 0.6 < (user.line("Wait: 5 s").progress or 0.0) < 0.95
    user.ticks(8)
    assert user.values["PU01"] == 60
    assert user.force("Wait: 5 s") == ""
    user.tick()
    assert user.fate("Wait: 5 s") == "ended forced"
    assert user.line("Wait: 5 s").progress == 1.0
    assert user.texts[-1] == "Mark: B"


def test_a_cancelled_wait_takes_the_lines_after_it_along(running: User) -> None:
    running.say("Wait: 5 s", "PU01: 60")
    running.tick()
    running.cancel("Wait: 5 s")
    running.ticks(70)
    assert running.texts == ["Wait: 5 s"]
    assert running.values["PU01"] == 0


def test_injections_wait_each_for_themselves(running: User) -> None:
    running.say("Wait: 5 s", "PU01: 60")
    running.say("PU02: 7")
    running.ticks(3)
    assert (running.values["PU01"], running.values["PU02"]) == (0, 7)


def test_a_line_that_stops_the_run_ends_what_waits_beside_it(running: User) -> None:
    running.say("Wait: 1 s", "Stop", "PU01: 60")
    running.say("Wait: 1 s", "PU02: 7")
    running.ticks(15)
    assert running.shown["System State"] == "Stopped"
    assert (running.values["PU01"], running.values.get("PU02", 0)) == (60, 0)


def test_a_line_that_holds_the_run_lets_those_beside_it_wait(running: User) -> None:
    running.say("Wait: 1 s", "Hold: 2 s")
    running.say("Wait: 1 s", "PU02: 7")
    running.ticks(25)
    assert running.values.get("PU02", 0) == 0
    running.ticks(10)
    assert running.values["PU02"] == 7


@pytest.mark.parametrize(("word", "state"), [("Pause", "Paused"), ("Hold", "Holding")])
@pytest.mark.parametrize("how", ["time", "force", "cancel", "button"])
def test_a_pause_and_a_hold_can_end_by_themselves(running: User, word: str, state: str, how: str) -> None:
    user = running
    text = f"{word}: 5 s"
    user.say(text, "PU02: 7")
    user.ticks(30)
    assert user.shown["System State"] == state
    assert user.values.get("PU02", 0) == 0, "the lines after it wait"
    match how:
        case "time":
            user.ticks(22)
        case "force":
            assert user.force(text) == ""
        case "cancel":
            assert user.cancel(text) == ""
        case _:
            assert user.press(f"Un{word.lower()}") == ""
    user.ticks(3)
    assert user.shown["System State"] == "Running"
    assert user.values["PU02"] == 7
    marks = {"force": " forced", "cancel": " cancelled"}
    assert user.fate(text) == "ended" + marks.get(how, "")


@pytest.mark.parametrize("word", ["Pause", "Hold"])
def test_everything_that_takes_time_stands_still_in_a_pause_and_in_a_hold(running: User, word: str) -> None:
    user = running
    user.say("Prime: 60")
    user.say("Wait: 4 s", "PU02: 7")
    user.ticks(20)
    user.press(word)
    user.ticks(100)
    assert (user.values["PU01"], user.values.get("PU02", 0)) == (0, 0)
    assert user.say("PU02: 3") == "", "what takes no time is done"
    user.ticks(2)
    assert user.values["PU02"] == 3
    user.press(f"Un{word.lower()}")
    user.ticks(15)
    assert (user.values["PU01"], user.values["PU02"]) == (0, 3)
    user.ticks(20)
    assert (user.values["PU01"], user.values["PU02"]) == (60, 7)


def test_stop_cancels_everything(running: User) -> None:
    user = running
    user.say("Prime: 60", "Wait: 50 s", "PU02: 7")
    user.ticks(10)
    user.press("Stop")
    (stopped,) = user.told(RunStoppedMsg)
    assert [(line.command_name, line.cancelled) for line in stopped.runlog.lines] == [
        ("Prime: 60", True),
        ("Wait: 50 s", True),
    ]
    assert all(line.end is not None for line in stopped.runlog.lines)
    user.press("Start")
    user.ticks(600)
    assert (user.values["PU01"], user.values.get("PU02", 0)) == (0, 0)


def test_commands_need_no_run_and_what_takes_time_is_shown_and_can_be_cancelled(user: User) -> None:
    assert user.say("PU02: 7") == ""
    user.ticks(3)
    assert user.values["PU02"] == 7
    assert user.told(QueuedRunLogMsg) == [], "what is done at once is in no log"
    assert user.say("Prime: 60") == ""
    user.ticks(3)
    line = user.line("Prime: 60")
    assert (line.end, line.cancellable, line.start) == (None, True, pytest.approx(UNIX + user.now, abs=0.5))
    assert [type(message) for message in user.engine.states()][-1] is QueuedRunLogMsg
    assert user.cancel("Prime: 60") == ""
    user.tick()
    assert user.log == []
    assert QueuedRunLogMsg not in [type(message) for message in user.engine.states()]


def test_a_run_that_starts_takes_over_what_is_going_on(user: User) -> None:
    user.say("Prime: 60")
    user.ticks(3)
    line = user.line("Prime: 60")
    user.press("Start")
    user.ticks(2)
    assert isinstance(user.told(RunLogMsg)[-1], RunLogMsg)
    assert user.line("Prime: 60").id == line.id
    assert [value.name for value in user.line("Prime: 60").start_values][:2] == ["PT01", "PU01"]
    user.ticks(110)
    assert user.fate("Prime: 60") == "ended"


def test_lines_that_write_into_a_run_wait_for_one(user: User) -> None:
    assert user.say("Batch: B-17") == ""
    assert user.say("PU02: 7", "Mark: A", "Wait: 2 s", "PU02: 9") == ""
    assert user.say("Increment run counter") == ""
    user.ticks(30)
    assert user.values.get("PU02", 0) == 0, "an injection waits as a whole"
    assert user.texts == ["Batch: B-17", "PU02: 7", "Mark: A", "Wait: 2 s", "PU02: 9", "Increment run counter"]
    assert "not going on" in user.force("Batch: B-17")
    assert user.cancel("Increment run counter") == ""
    user.press("Start")
    user.ticks(3)
    assert (user.shown["Batch Name"], user.shown["Run Counter"]) == ("B-17", 0)
    assert "A" in user.seen("Mark")
    assert user.values["PU02"] == 7
    assert user.texts == ["Batch: B-17", "PU02: 7", "Mark: A", "Wait: 2 s"]
    user.ticks(20)
    assert user.values["PU02"] == 9


def test_what_is_set_by_hand_in_a_pause_is_done_in_it(running: User) -> None:
    running.press("Pause")
    running.tick()
    running.say("PU02: 3")
    running.ticks(2)
    assert running.fate("PU02: 3") == "ended"
