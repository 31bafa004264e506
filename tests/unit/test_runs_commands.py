"""What users ask for, in a whole engine whose time a test tells."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from engine.uplinks.contract import TagsFrame
from protocol.aggregator_messages import CancelMsg, ForceMsg, InjectCodeMsg
from protocol.engine_messages import ErrorLogMsg, QueuedRunLogMsg, RunLogMsg, RunStoppedMsg
from protocol.messages import ErrorMessage
from protocol.models import RunLogLine
from tests.unit.runs_bench import UNIX, Bench

UOD = """\
uod: Bench
tick_ms: 100
devices: {box: {driver: simulated}}
tags:
  PU01: {device: box, direction: both, unit: "%", min: 0, max: 100, safe_value: 0}
  PU02: {device: box, direction: both, unit: "%", min: 0, max: 50, safe_value: 0}
  VA01: {device: box, direction: both, choices: {Closed: 0, Open: 1}, safe_value: Closed}
  PT01: {device: box, unit: bar}
commands:
  Prime: {steps: [{set: VA01, to: Open}, {wait_s: 5}, {set: PU01, to: argument}, {wait_s: 5}, {set: PU01, to: 0}]}
  Rinse: {steps: [{set: PU02, to: 50}, {wait_s: argument}, {set: PU02, to: 0}], excludes: [Prime]}
  Fill: {steps: [{set: PU01, to: 60}, {wait_until: "PT01 > 1", timeout_s: 10}, {set: PU01, to: 0}]}
  Both: {steps: [{set: PU01, to: argument}, {set: PU02, to: argument}]}
process_values: [PT01, {entry: PU01}, {choice: VA01}, {entry: PU02}, Mark, Batch Name, Run Counter, Base]
"""


class User(Bench):
    """A bench, with the words of someone who sits at it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, uod=UOD)
        self.ticks(3)

    def say(self, *lines: str) -> str:
        """Inject lines; why that was refused, or ""."""
        return self._why(InjectCodeMsg(pcode="\n".join(lines)))

    def cancel(self, text: str) -> str:
        return self._why(CancelMsg(exec_id=self.line(text).id))

    def force(self, text: str) -> str:
        return self._why(ForceMsg(exec_id=self.line(text).id))

    def _why(self, message: Any) -> str:
        answer = self.do(message)
        if isinstance(answer, ErrorMessage):
            assert answer.caller_error, "the user is told, and the connection is kept"
            return answer.message or "refused"
        return ""

    @property
    def log(self) -> list[RunLogLine]:
        """The run log as the aggregator has it."""
        logs = [item for item in self.listener.items if isinstance(item, RunLogMsg | QueuedRunLogMsg)]
        return logs[-1].runlog.lines if logs else []

    @property
    def texts(self) -> list[str]:
        return [line.command_name for line in self.log]

    def line(self, text: str) -> RunLogLine:
        """The newest line with this text."""
        return [line for line in self.log if line.command_name == text][-1]

    def fate(self, text: str) -> str:
        """What has become of a line."""
        line = self.line(text)
        marks = [name for name in ("failed", "cancelled", "forced") if getattr(line, name)]
        return " ".join(["ended" if line.end is not None else "going on", *marks])

    def seen(self, tag: str) -> list[Any]:
        """The values of a tag that were sent."""
        frames = [json.loads(item.tags) for item in self.listener.items if isinstance(item, TagsFrame)]
        return [sample["value"] for frame in frames for sample in frame if sample["name"] == tag]

    def unplug(self) -> None:
        self.down.update(link.name for link in self.engine.links)
        self.tick()

    def errors(self) -> list[str]:
        self.ticks(11)
        return [entry.message for message in self.told(ErrorLogMsg) for entry in message.log.entries]


@pytest.fixture
def user(tmp_path: Path) -> Generator[User]:
    user = User(tmp_path)
    with user.engine.runs.errors:
        yield user


@pytest.fixture
def running(user: User) -> User:
    assert user.press("Start") == ""
    user.tick()
    return user


def test_steps_are_gone_through_with_progress_and_process_values(running: User) -> None:
    user = running
    assert user.say("Prime: 60") == ""
    user.ticks(2)
    assert (user.values["VA01"], user.values["PU01"]) == (1, 0)
    line = user.line("Prime: 60")
    assert (line.end, line.cancellable, line.forcible) == (None, True, True)
    assert [value.name for value in line.start_values][:3] == ["PT01", "PU01", "VA01"]
    assert line.start_values[2].value == "Closed"
    user.ticks(30)
    assert user.line("Prime: 60").progress == pytest.approx(0.3, abs=0.06)
    user.ticks(22)
    assert user.values["PU01"] == 60
    user.ticks(55)
    assert user.values["PU01"] == 0
    line = user.line("Prime: 60")
    assert (line.progress, line.cancellable, line.forcible, line.failed) == (1.0, False, False, False)
    assert (line.end or 0.0) - line.start == pytest.approx(10.3, abs=0.4)
    assert line.end_values[2].value == "Open"


def test_only_what_has_changed_in_the_log_is_sent(running: User) -> None:
    running.say("Prime: 60")
    running.ticks(3)
    before = len(running.told(RunLogMsg))
    running.ticks(30)
    assert len(running.told(RunLogMsg)) - before == 3, "progress is shown once a second"
    running.cancel("Prime: 60")
    running.tick()
    before = len(running.told(RunLogMsg))
    running.ticks(30)
    assert len(running.told(RunLogMsg)) == before


def test_a_cancelled_command_stops_where_it_is_and_outputs_keep_their_values(running: User) -> None:
    user = running
    user.say("Prime: 60")
    user.ticks(60)
    assert user.cancel("Prime: 60") == ""
    user.ticks(100)
    assert (user.values["VA01"], user.values["PU01"]) == (1, 60)
    assert user.fate("Prime: 60") == "ended cancelled"
    assert 0 < (user.line("Prime: 60").progress or 0.0) < 1
    assert "cannot be cancelled: it is not going on" in user.cancel("Prime: 60")


def test_a_forced_command_goes_on_to_its_next_step(running: User) -> None:
    user = running
    user.say("Prime: 60")
    user.ticks(3)
    assert user.force("Prime: 60") == ""
    user.ticks(3)
    assert user.values["PU01"] == 60
    assert user.fate("Prime: 60") == "going on forced"
    user.force("Prime: 60")
    user.ticks(3)
    assert user.fate("Prime: 60") == "ended forced"
    assert "cannot be forced" in user.force("Prime: 60")


def test_a_new_invocation_takes_the_place_of_the_running_one(running: User) -> None:
    user = running
    user.say("Prime: 60")
    user.ticks(3)
    user.say("Prime: 20")
    user.ticks(55)
    assert user.values["PU01"] == 20
    assert (user.fate("Prime: 60"), user.fate("Prime: 20")) == ("ended cancelled", "going on")


@pytest.mark.parametrize(("first", "second"), [("Prime: 60", "Rinse: 10 s"), ("Rinse: 10 s", "Prime: 60")])
def test_commands_that_exclude_each_other_cancel_each_other(running: User, first: str, second: str) -> None:
    running.say(first)
    running.ticks(3)
    running.say(second)
    running.ticks(3)
    assert (running.fate(first), running.fate(second)) == ("ended cancelled", "going on")


def test_others_go_on_beside_each_other(running: User) -> None:
    running.say("Prime: 60", "PU02: 7")
    running.ticks(3)
    assert (running.fate("Prime: 60"), running.fate("PU02: 7")) == ("going on", "ended")


def test_a_step_waits_for_a_condition_which_users_can_see(running: User) -> None:
    running.say("Fill")
    running.ticks(50)
    assert running.line("Fill").forcible
    assert (running.values["PU01"], running.shown["Fill Step 2"]) == (60, False)
    running.values["PT01"] = 1.5
    running.ticks(3)
    assert (running.values["PU01"], running.shown["Fill Step 2"]) == (0, True)
    assert running.fate("Fill") == "ended"
    running.values["PT01"] = 0.5
    running.tick()
    running.say("Fill")
    running.ticks(105)
    assert running.fate("Fill") == "ended failed"
    assert running.values["PU01"] == 60, "outputs stay as they are"
    assert "Fill: PT01 > 1 has not come true within 10 s" in running.errors()


def test_an_argument_for_several_outputs_has_the_limits_of_all(running: User) -> None:
    assert "above its max of 50 %" in running.say("Both: 60")
    assert running.say("Both: 40 %") == ""
    running.ticks(3)
    assert (running.values["PU01"], running.values["PU02"]) == (40, 40)


def test_nothing_moves_when_one_of_several_lines_cannot_be_read(running: User) -> None:
    assert "PU01: bar (pressure) does not convert to %" in running.say("PU01: 60", "PU01: 1 bar")
    running.ticks(5)
    assert running.values["PU01"] == 0
    assert [(line.command_name, line.failed) for line in running.log] == [("PU01: 1 bar", True)]


def test_after_a_line_that_fails_nothing_comes(running: User) -> None:
    running.unplug()
    assert "is down" in (why := running.say("PU01: 60", "Info: done"))
    assert why.endswith("the lines after it are left out")
    running.tick()
    assert running.texts == ["PU01: 60"]
    assert running.fate("PU01: 60") == "ended failed"
    assert sum("is down" in error for error in running.errors()) >= 1


def test_a_command_whose_step_is_refused_later_has_failed(running: User) -> None:
    running.say("Prime: 60")
    running.ticks(3)
    running.unplug()
    running.ticks(60)
    assert running.fate("Prime: 60") == "ended failed"
    assert any(error.startswith("Prime: 60: PU01 cannot be written") for error in running.errors())


# Lines


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


def test_what_is_noted_of_a_run_is_shown(running: User) -> None:
    user = running
    assert user.say("Mark: A", "Batch: B-17", "Run counter: 41", "Increment run counter", "Base: h") == ""
    user.tick()
    user.tick()
    assert [user.seen(name)[-1] for name in ("Batch Name", "Run Counter", "Base")] == ["B-17", 42, "h"]
    assert "A" in user.seen("Mark")
    assert [user.fate(text) for text in user.texts] == ["ended"] * 5


def test_users_can_write_into_the_error_log(running: User) -> None:
    running.say("Info: just so", "Warning: look here", "Error: stop it")
    assert running.errors() == ["look here", "stop it"]
    assert running.texts == ["Info: just so", "Warning: look here", "Error: stop it"]


def test_a_tag_is_simulated_and_released(running: User) -> None:
    user = running
    assert user.say("Simulate: PT01 = 1500 mbar") == ""
    user.tick()
    user.tick()
    assert user.shown["PT01"] == pytest.approx(1.5)
    assert user.say("Simulate off: PT01") == ""
    user.tick()
    user.tick()
    assert user.shown["PT01"] == 0
    assert user.say("Simulate: PT01 = PT01 + 2") == ""
    user.tick()
    user.tick()
    assert user.shown["PT01"] >= 2
    assert "no tag is named PT09" in user.say("Simulate: PT01 = PT01 + PT09")
    user.press("Stop")
    user.tick()
    user.tick()
    assert user.shown["PT01"] == 0, "the end of a run ends it"


def test_the_words_of_run_control_do_what_the_buttons_do(user: User) -> None:
    assert "no run is active" in user.say("Hold")
    assert user.say("Start") == ""
    user.tick()
    assert user.shown["System State"] == "Running"
    assert user.say("Hold") == ""
    user.tick()
    assert user.shown["System State"] == "Holding"
    assert user.say("Unhold", "Pause") == ""
    user.tick()
    assert user.shown["System State"] == "Paused"
    assert user.texts == ["Hold", "Unhold", "Pause"]
    assert user.say("Stop") == ""
    user.tick()
    assert user.shown["System State"] == "Stopped"


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


# Without a run


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


def test_what_cannot_be_found_cannot_be_cancelled_or_forced(running: User) -> None:
    for message in (CancelMsg(exec_id="x"), ForceMsg(exec_id="x")):
        answer = running.do(message)
        assert isinstance(answer, ErrorMessage)
        assert answer.caller_error
        assert "no line 'x'" in (answer.message or "")
    running.say("Info: A")
    running.tick()
    assert "Info: A cannot be cancelled" in running.cancel("Info: A")


def test_an_empty_injection_is_refused(user: User) -> None:
    assert user.say("", "# nothing") == "there is no command in what was sent: it has only blanks and comments"


def test_what_is_set_by_hand_in_a_pause_is_done_in_it(running: User) -> None:
    running.press("Pause")
    running.tick()
    running.say("PU02: 3")
    running.ticks(2)
    assert running.fate("PU02: 3") == "ended"
