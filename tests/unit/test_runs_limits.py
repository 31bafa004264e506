"""What users send is bounded at the door, and no number of lines stops the scan."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from engine.runs import budget, pcode
from engine.runs.answers import MOST_LOGGED
from engine.runs.budget import Budget
from engine.runs.ongoing import MOST
from engine.runs.time_limit import limited
from protocol.aggregator_messages import CancelMsg, ForceMsg, InjectCodeMsg
from protocol.engine_messages import QueuedRunLogMsg, RunLogMsg, RunStoppedMsg
from protocol.messages import ErrorMessage
from tests.unit.runs_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    made.tick()
    return made


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A bench on which a tick has time for the least number of lines."""
    monkeypatch.setattr(budget, "SHARE", 0.0)
    made = Bench(tmp_path)
    made.tick()
    return made


def give(bench: Bench, pcode: str) -> str:
    """Inject lines; why they were refused, or ""."""
    answer = bench.do(InjectCodeMsg(pcode=pcode))
    return answer.message or "refused" if isinstance(answer, ErrorMessage) else ""


def infos(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.getMessage().startswith("line ")]


def test_the_time_of_a_tick_is_spent_by_what_takes_it_and_renewed_with_the_next() -> None:
    now = [0.0]
    share = Budget(0.1, lambda: now[0])
    for _ in range(2):
        done = 0
        while not share.is_spent and done < 100:
            with share:
                now[0] += 0.003
            now[0] += 5.0  # what is done beside it does not count
            done += 1
        assert done == 9, "nine lines of 3 ms are more than a quarter of 100 ms"
        share.renew()
    with share:
        now[0] += 60.0
    assert not share.is_spent, "some lines are carried out, however long they take"


def test_a_line_may_be_as_long_as_is_said(bench: Bench) -> None:
    assert give(bench, "Mark: " + "x" * 994) == ""


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("1" * 60_000, "this line has 60000 characters; a line has 1000 at most"),
        ("Mark: " + "x" * 995, "this line has 1001 characters"),
        ("Mark: x\n" * 1001, "more than 1000 lines or 100000 characters; save it as a method"),
        ("Mark: " + "x" * 2**20, "more than 1000 lines or 100000 characters"),
        ("1" * 999, "is no command of this skid"),
        ("Wait: " + "9" * 900 + " s", "Wait takes"),
        ("Simulate: T0 = T0 + " + "(" * 900, "T0 is a number in degC"),
        ("Simulate: T0 = 1 m**9**9**9", "'m**9**9**9'"),
        ("Simulate: T0 = 1 " + "m*" * 400 + "m", "40 characters of a unit"),
    ],
)
def test_what_is_too_long_or_too_deep_is_refused_in_a_sentence(bench: Bench, text: str, why: str) -> None:
    message = give(bench, text)
    assert why in message
    assert len(message) <= 2000
    bench.tick()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timer")
@pytest.mark.parametrize("text", ["1" * 200_000, "1" * 200_000 + ".", "1." + "1" * 200_000, "1" + " " * 200_000])
def test_a_threshold_is_looked_for_in_linear_time(text: str) -> None:
    def look() -> None:
        pcode._THRESHOLD.match(text)

    assert limited(look, 60.0, lambda: True) is None


def test_names_and_ids_from_outside_are_cut_in_answers(bench: Bench) -> None:
    long = "x" * 100_000
    assert len(bench.press(long)) < 300
    for message in (CancelMsg(exec_id=long), ForceMsg(exec_id=long)):
        answer = bench.do(message)
        assert isinstance(answer, ErrorMessage)
        assert len(answer.message or "") <= 2000


def test_lines_that_do_not_fit_into_a_tick_go_on_in_the_next_in_their_order(
    slow: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    assert give(slow, "\n".join(f"Info: line {each}" for each in range(12))) == ""
    assert give(slow, "Info: line 12\nInfo: line 13") == ""
    seen = [len(infos(caplog))]
    for _ in range(3):
        slow.tick()
        seen.append(len(infos(caplog)))
    assert seen == [4, 9, 14, 14], "reading them counts as one of the first five"
    assert infos(caplog) == [f"line {each}" for each in range(14)]
    assert give(slow, "Info: line 14") == ""
    assert infos(caplog)[-1] == "line 14", "nothing waits any more"


def test_a_line_that_fails_later_is_told_and_the_rest_is_left_out(
    slow: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    slow.press("Start")
    slow.tick()
    lines = [f"Info: line {each}" for each in range(9)]
    assert give(slow, "\n".join([*lines[:7], "PU01: 50", "Unpause", *lines[7:]])) == ""
    slow.ticks(4)
    assert len(infos(caplog)) == 7
    assert slow.values["PU01"] == 50
    failed = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert failed == ["Unpause: the run is not paused; the lines after it are left out"]
    (log,) = [message for message in slow.engine.states() if isinstance(message, RunLogMsg)]
    assert [line.command_name for line in log.runlog.lines if line.failed] == ["Unpause"]


def test_a_pause_holds_up_the_lines_after_it_but_no_others(slow: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    slow.press("Start")
    slow.tick()
    give(slow, "Hold\n" + "\n".join(f"Info: line held {each}" for each in range(9)))
    give(slow, "\n".join(f"Info: line {each}" for each in range(9)))
    slow.ticks(5)
    assert infos(caplog) == [f"line {each}" for each in range(9)]
    slow.press("Unhold")
    slow.ticks(5)
    assert infos(caplog)[9:] == [f"line held {each}" for each in range(9)]


def test_lines_whose_wait_is_over_but_not_their_turn_wait_with_the_run(
    slow: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    slow.press("Start")
    slow.tick()
    give(slow, "Wait: 0.3 s\n" + "\n".join(f"Info: line {each}" for each in range(12)))
    slow.tick()
    give(slow, "Wait: 0.2 s\nInfo: line that waits")
    while not infos(caplog):
        slow.tick()
    slow.press("Hold")
    slow.ticks(20)
    assert infos(caplog)[-1] == "line 11", "what only had to wait for its turn goes on in a hold"
    slow.press("Unhold")
    slow.ticks(5)
    assert infos(caplog)[-1] == "line that waits"


def test_each_of_many_values_in_one_injection_is_written_and_none_is_cancelled(bench: Bench) -> None:
    bench.press("Start")
    bench.tick()
    give(bench, "\n".join(f"PU01: {value}" for value in (30, 40, 50, 30)))
    seen: list[float] = []
    for _ in range(6):
        bench.tick()
        seen.append(bench.values["PU01"])
    assert seen == [30, 40, 50, 30, 30, 30]
    (log,) = [message for message in bench.engine.states() if isinstance(message, RunLogMsg)]
    lines = [(line.command_name, line.end is not None, line.cancelled) for line in log.runlog.lines]
    assert lines == [(f"PU01: {value}", True, False) for value in (30, 40, 50, 30)]


def test_lines_that_the_end_of_a_run_leaves_out_are_told(slow: Bench, caplog: pytest.LogCaptureFixture) -> None:
    slow.press("Start")
    slow.tick()
    give(slow, "Mark: A\n" * 30)
    slow.press("Stop")
    assert "left out, as the run ends: 26" in caplog.text


def test_no_more_waits_than_can_be_looked_through(bench: Bench) -> None:
    assert give(bench, "Mark: A\n" * 1000) == ""
    assert give(bench, "Mark: A\n" * 1000) == ""
    assert "2000 lines wait to be carried out already" in give(bench, "Mark: A")
    assert "2000 lines wait" in give(bench, "Wait: 1 s\nMark: A")


def test_no_more_goes_on_than_can_be_looked_at_in_a_tick(bench: Bench) -> None:
    for _ in range(MOST):
        assert give(bench, "Wait: 60 s") == ""
        bench.tick()
    assert f"{MOST} commands and waits are going on already" in give(bench, "Wait: 60 s")
    assert f"{MOST} commands" in give(bench, "PU01: 5")
    bench.ticks(601 - MOST)
    assert give(bench, "PU01: 5") == "", "it works again when some are over"


def test_the_marks_of_a_row_have_an_end(bench: Bench) -> None:
    bench.press("Start")
    bench.tick()
    for _ in range(4):
        assert give(bench, "Mark: " + "x" * 990) == ""
    assert "marks of one row of the archive have 4000 characters at most" in give(bench, "Mark: " + "x" * 990)
    bench.ticks(60)  # a row is written
    assert give(bench, "Mark: " + "x" * 990) == ""


def test_of_many_refusals_in_a_tick_the_log_has_some_and_their_number(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(MOST_LOGGED + 30):
        assert "is no command of this skid" in give(bench, "Nonsense")
    bench.tick()
    bench.tick()
    assert sum("Nonsense" in record.getMessage() for record in caplog.records) == MOST_LOGGED
    assert [record.getMessage() for record in caplog.records if "more lines" in record.getMessage()] == [
        "30 more lines and buttons were refused within a tick"
    ]


def test_a_long_run_log_is_not_sent_at_each_change_but_always_in_the_end(tmp_path: Path) -> None:
    tags = "".join(f"  T{each}: {{device: box}}\n" for each in range(100))
    values = ", ".join(f"T{each}" for each in range(100))
    uod = f"uod: Long\ntick_ms: 100\ndevices: {{box: {{driver: simulated}}}}\ntags:\n{tags}process_values: [{values}]\n"
    bench = Bench(tmp_path, uod=uod)
    bench.tick()
    bench.press("Start")
    bench.tick()
    for each in range(100):
        assert give(bench, f"Info: {each}") == ""
        bench.tick()
    assert len(bench.told(RunLogMsg)) < 40
    bench.ticks(100)
    assert [line.command_name for line in bench.told(RunLogMsg)[-1].runlog.lines] == [f"Info: {n}" for n in range(100)]
    assert give(bench, "Info: a short while later") == ""
    bench.tick()
    assert bench.told(RunLogMsg)[-1].runlog.lines[-1].command_name == "Info: a short while later"
    assert give(bench, "Info: and at the end") == ""
    bench.tick()
    bench.press("Stop")
    bench.ticks(100)
    assert bench.told(RunStoppedMsg)[0].runlog.lines[-1].command_name == "Info: and at the end"
    assert bench.told(QueuedRunLogMsg) == [], "there is no log outside of the run"
