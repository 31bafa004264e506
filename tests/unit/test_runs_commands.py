"""What users ask for, in a whole engine whose time a test tells."""

from __future__ import annotations

import pytest

from protocol.aggregator_messages import CancelMsg, ForceMsg
from protocol.engine_messages import RunLogMsg
from protocol.messages import ErrorMessage
from tests.unit.runs_user import User


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


# Without a run


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
