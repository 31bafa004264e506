"""Runs tick by tick, in a time that the test sets: the engine's own tags, and each message that a run causes."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pytest

from engine.runs.instructions import MethodFailedError
from engine.runs.notices import LOST_AFTER_S
from engine.uplinks.contract import TagsFrame
from protocol.aggregator_messages import InjectCodeMsg, MethodMsg
from protocol.engine_messages import (
    ControlStateMsg,
    ErrorLogMsg,
    MethodStateMsg,
    RunStartedMsg,
    RunStoppedMsg,
    WebPushNotificationMsg,
)
from protocol.engine_messages import MethodMsg as KeptMethodMsg
from protocol.messages import ErrorMessage, SuccessMessage
from protocol.models import ControlState, Method, MethodLine, MethodState
from tests.unit.runs_bench import UNIX, Bench

METHOD = Method.from_pcode("Mark: A\n# and then\nPU01: 50 %")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    found = Bench(tmp_path)
    found.tick()
    return found


def names(messages: Sequence[object]) -> list[str]:
    return [type(message).__name__ for message in messages]


def test_before_the_first_run_the_tags_say_so(bench: Bench) -> None:
    assert bench.shown.items() >= {
        "System State": "Stopped", "Run Id": None, "Run Time": 0.0, "Process Time": 0.0, "Block Time": 0.0,
        "Mark": "", "Base": "min", "Run Counter": 0, "Batch Name": "", "Method Status": "OK",
        "Connection Status": "Connected", "Outbox Status": "Normal",
    }.items()  # fmt: skip


def test_while_nothing_happens_the_clock_is_sent_once_a_second_and_nothing_else(bench: Bench) -> None:
    sent = [bench.tick() for _ in range(50)]
    assert [each for each in sent if each] == [{"Clock": UNIX + second} for second in range(1, 6)]


def test_the_states_and_what_is_told_of_each(bench: Bench) -> None:
    told: list[tuple[str, ControlState]] = []
    for word in ("Start", "Hold", "Pause", "Unhold", "Unpause", "Stop"):
        assert not bench.press(word)
        bench.tick()
        told.append((bench.shown["System State"], bench.told(ControlStateMsg)[-1].control_state))
    assert told == [
        ("Running", ControlState(is_running=True, is_holding=False, is_paused=False)),
        ("Holding", ControlState(is_running=True, is_holding=True, is_paused=False)),
        ("Paused", ControlState(is_running=True, is_holding=True, is_paused=True)),
        ("Paused", ControlState(is_running=True, is_holding=False, is_paused=True)),
        ("Running", ControlState(is_running=True, is_holding=False, is_paused=False)),
        ("Stopped", ControlState(is_running=False, is_holding=False, is_paused=False)),
    ]
    assert len(bench.told(ControlStateMsg)) == 6, "one for each change"
    assert bench.engine.states()[-1] == bench.told(ControlStateMsg)[-1], "whoever connects now is told the same"


def test_the_clocks_of_a_run(bench: Bench) -> None:
    def shown() -> list[float]:
        return [bench.shown[f"{name} Time"] for name in ("Run", "Process", "Block")]

    bench.press("Start")
    bench.ticks(20)
    bench.press("Hold")
    bench.tick()
    assert shown() == [2.1, 2.0, 2.1], "the process stood still from the moment of the change"
    bench.ticks(29)
    bench.press("Pause")
    bench.ticks(40)
    bench.press("Unhold")
    bench.press("Unpause")
    bench.ticks(10)
    bench.press("Stop")
    bench.tick()
    assert shown() == [10.0, 3.0, 6.0]
    bench.ticks(20)
    assert shown() == [10.0, 3.0, 6.0], "what the run has come to stays"
    bench.press("Start")
    bench.tick()
    assert shown() == [0.1, 0.1, 0.1]


def test_times_are_said_as_open_pectus_says_them(bench: Bench) -> None:
    bench.press("Start")
    bench.tick(100_000.0)
    frame = next(item for item in reversed(bench.listener.items) if isinstance(item, TagsFrame))
    said = {tag["name"]: tag["value_formatted"] for tag in json.loads(frame.tags)}
    assert {name: text for name, text in said.items() if text is not None} == {
        "Run Time": "27:46:40",
        "Process Time": "27:46:40",
        "Block Time": "27:46:40",
        "Clock": "11:46:40",
    }


def test_pause_makes_outputs_safe_and_hold_keeps_them(bench: Bench) -> None:
    bench.press("Start")
    assert bench.do(InjectCodeMsg(pcode="PU01: 60")) == SuccessMessage()
    bench.tick()
    held: list[float] = []
    for word in ("Hold", "Unhold", "Pause", "Unpause", "Stop"):
        bench.press(word)
        bench.tick()
        held.append(bench.values["PU01"])
    assert held == [60, 60, 0, 60, 0]


def test_what_has_waited_for_the_run_may_end_it_again(bench: Bench) -> None:
    assert bench.do(InjectCodeMsg(pcode="Mark: A\nStop")) == SuccessMessage()
    bench.tick()
    bench.new()
    assert not bench.press("Start")
    assert names(bench.new()) == [
        "RunStartedMsg", "WebPushNotificationMsg", "ControlStateMsg",
        "UodInfoMsg", "RunStoppedMsg", "UodInfoMsg", "WebPushNotificationMsg", "ControlStateMsg",
    ]  # fmt: skip
    bench.tick()
    assert (bench.shown["System State"], bench.shown["Run Id"]) == ("Stopped", None)
    assert "A" in (bench.told(RunStoppedMsg)[0].archive or "").splitlines()[1].split(",")


def test_restart_ends_the_run_and_begins_another(bench: Bench) -> None:
    bench.press("Start")
    bench.engine.runs.note("Batch Name", "B7")
    bench.do(InjectCodeMsg(pcode="PU01: 60"))
    bench.ticks(10)
    bench.new()
    first = bench.shown["Run Id"]
    assert not bench.press("Restart")
    assert bench.press("Stop") == "the run is being restarted; try Stop again in a moment"
    assert bench.tick().items() >= {"System State": "Restarting", "Run Id": None, "PU01": 0.0}.items()
    assert names(bench.new()) == [
        "UodInfoMsg", "RunStoppedMsg", "UodInfoMsg", "WebPushNotificationMsg", "ControlStateMsg",
        "ControlStateMsg",  # after Stop was refused
        "RunStartedMsg", "WebPushNotificationMsg", "ControlStateMsg",
    ]  # fmt: skip
    bench.tick()
    assert bench.shown["System State"] == "Running"
    assert bench.shown["Run Id"] not in {None, first}
    assert bench.shown["Run Time"] == 0.1
    assert bench.shown["Batch Name"] == "B7", "it is the same batch"
    assert [message.run_id for message in bench.told(RunStartedMsg)] == [first, bench.shown["Run Id"]]


def test_marks_are_joined_until_they_are_in_the_archive(bench: Bench) -> None:
    runs = bench.engine.runs
    runs.note("Mark", "before")
    runs.note("Mark", "still before")
    assert bench.tick() == {"Mark": "still before"}
    bench.press("Start")
    assert bench.tick()["Mark"] is None, "a run begins without"
    runs.note("Mark", "A")
    assert bench.tick()["Mark"] == "A"
    runs.note("Mark", "B")
    bench.tick()
    assert bench.shown["Mark"] == "A; B"
    bench.ticks(55)
    assert bench.shown["Mark"] == "", "the archive has taken them"
    runs.note("Mark", "C")
    bench.tick()
    bench.press("Stop")
    head, *rows = csv.reader(StringIO(bench.told(RunStoppedMsg)[0].archive or ""))
    assert [row[head.index("Mark")] for row in rows] == ["", "A; B", "C"], "none is lost with the end of the run"


def test_the_batch_is_named_for_one_run_and_the_counter_is_the_users(bench: Bench) -> None:
    bench.engine.runs.note("Batch Name", "B7")
    bench.engine.runs.note("Run Counter", 3)
    bench.press("Start")
    bench.tick()
    assert (bench.shown["Batch Name"], bench.shown["Run Counter"]) == ("B7", 3)
    bench.press("Stop")
    bench.tick()
    assert (bench.shown["Batch Name"], bench.shown["Run Counter"]) == ("", 3)


def test_browsers_are_told_of_start_pause_and_stop(bench: Bench) -> None:
    bench.now = 0.0
    for word in ("Start", "Hold", "Unhold", "Pause", "Unpause", "Stop"):
        bench.press(word)
        bench.tick(60.0)
    told = bench.told(WebPushNotificationMsg)
    assert [message.topic for message in told] == ["run_start", "run_pause", "run_stop"]
    assert all(message.notification.title == "Bench" for message in told)
    assert told[2].notification.timestamp == (UNIX + 300) * 1000
    assert told[1].notification.body == "The run is paused, its outputs are safe."


def lost(bench: Bench) -> list[str]:
    return [
        str(each.notification.body) for each in bench.told(WebPushNotificationMsg) if each.topic == "network_errors"
    ]


def test_a_link_that_is_lost_in_a_run_is_told_of_once_an_outage(bench: Bench) -> None:
    bench.press("Start")
    bench.ticks(10, 1.0)
    bench.down = {"simulated far"}
    bench.ticks(int(LOST_AFTER_S), 1.0)
    assert lost(bench) == []
    bench.tick(2.0)
    assert lost(bench) == ["Equipment is lost: simulated far does not answer"]
    bench.ticks(100, 1.0)
    assert len(lost(bench)) == 1
    bench.down = set()
    bench.ticks(2, 1.0)
    bench.down = {"simulated far"}
    bench.ticks(20, 1.0)
    assert len(lost(bench)) == 2


def test_nobody_is_told_of_what_was_down_before_the_run_or_goes_down_without_one(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.down = {"simulated far"}
    bench.ticks(100, 1.0)
    bench.press("Start")
    bench.ticks(100, 1.0)
    bench.press("Stop")
    bench.down = {"simulated bus"}
    bench.ticks(100, 1.0)
    assert lost(bench) == []


def test_a_method_is_kept_and_echoed_and_told_to_whoever_connects(bench: Bench) -> None:
    assert names(bench.engine.states()) == ["MethodStateMsg", "ControlStateMsg"]
    method = METHOD.model_copy(update={"version": 7})
    assert bench.do(MethodMsg(method=method)) == SuccessMessage()
    assert bench.new() == [KeptMethodMsg(method=method)]
    assert bench.engine.states()[0] == KeptMethodMsg(method=method)
    assert bench.do(MethodMsg(method=Method.empty())) == SuccessMessage()
    assert bench.new() == [], "the aggregator takes no method without lines"


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([("a", "Mark: A"), ("a", "Mark: B")], "lines 1 and 2 of the method have the same id 'a'"),
        ([("a", "Mark: A"), ("", "Mark: B")], "line 2 of the method has no id"),
        ([(str(each), "x" * 1000) for each in range(4195)], "more than 4 million characters"),
        ([("a", "Mark: A"), ("b", "x" * 1001)], "line 2 of the method has more than 1000 characters"),
        ([(str(each), "") for each in range(20_001)], "more than 20000 lines"),
    ],
)
def test_a_method_that_cannot_be_right_is_refused(bench: Bench, lines: list[tuple[str, str]], why: str) -> None:
    method = Method(version=1, lines=[MethodLine(id=name, content=content) for name, content in lines])
    answer = bench.do(MethodMsg(method=method))
    assert isinstance(answer, ErrorMessage)
    assert answer.caller_error
    assert why in (answer.message or "")
    assert names(bench.engine.states()) == ["MethodStateMsg", "ControlStateMsg"]


@pytest.mark.parametrize(("pcode", "count"), [("Mark: A", 1), ("", 0), ("# only a comment\n", 0)])
def test_a_run_with_a_method_goes_without_it_and_says_so_once(bench: Bench, pcode: str, count: int) -> None:
    with bench.engine.runs.errors:
        bench.do(MethodMsg(method=Method.from_pcode(pcode)))
        bench.press("Start")
        bench.ticks(100)
    entries = [entry for message in bench.told(ErrorLogMsg) for entry in message.log.entries]
    assert ["does not carry out methods" in entry.message for entry in entries] == [True] * count
    assert bench.shown["Method Status"] == "OK"
    assert bench.shown["Mark"] is None, "no line of it was carried out"


class Script:
    """An instruction source that gives what a test has put into it."""

    def __init__(self) -> None:
        self.begun: list[Method] = []
        self.ended = 0
        self.asked = 0
        self.lines: list[str] = []
        self.fault = ""
        self.states = MethodState.empty()

    def begin(self, method: Method) -> None:
        self.begun.append(method)

    def next(self, now: float) -> Sequence[str]:
        self.asked += 1
        if self.fault:
            raise MethodFailedError(self.fault)
        lines, self.lines = self.lines, []
        return lines

    def state(self) -> MethodState:
        return self.states

    def end(self) -> None:
        self.ended += 1


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def scripted(tmp_path: Path, script: Script) -> Bench:
    found = Bench(tmp_path, instructions=script)
    found.tick()
    return found


def test_an_instruction_source_is_asked_once_a_tick_while_the_run_is_running(scripted: Bench, script: Script) -> None:
    bench = scripted
    bench.ticks(10)
    assert script.asked == 0
    bench.do(MethodMsg(method=METHOD))
    bench.press("Start")
    bench.ticks(10)
    assert (script.begun, script.asked) == ([METHOD], 10)
    bench.press("Hold")
    bench.ticks(10)
    bench.press("Pause")
    bench.press("Unhold")
    bench.ticks(10)
    assert script.asked == 10
    bench.press("Unpause")
    script.lines = ["PU01: 30", "PU01: 40 %"]
    seen = [bench.tick() and bench.values["PU01"] for _ in range(3)]
    assert (script.asked, seen) == (13, [0, 30, 40]), "each of them is written"
    bench.press("Stop")
    bench.ticks(10)
    assert (script.asked, script.ended) == (13, 1)


@pytest.mark.parametrize("word", ["Pause", "Hold", "Stop"])
def test_a_method_does_not_go_on_in_the_tick_in_which_it_halts_its_run(
    scripted: Bench, script: Script, word: str
) -> None:
    bench = scripted
    bench.press("Start")
    script.lines = ["PU01: 30", word, "PU01: 40", "Mark: too late"]
    bench.tick()
    bench.tick()
    assert bench.values["PU01"] == (30 if word == "Hold" else 0)
    assert not bench.shown["Mark"]
    for release in {"Pause": ["Unpause"], "Hold": ["Unhold"], "Stop": []}[word]:
        bench.press(release)
    bench.ticks(5)
    assert bench.values["PU01"] == (0 if word == "Stop" else 30)
    assert not bench.shown["Mark"]


def test_the_state_of_a_method_is_told_when_it_changes(scripted: Bench, script: Script) -> None:
    bench = scripted
    bench.press("Start")
    bench.ticks(5)
    assert bench.told(MethodStateMsg) == []
    script.states = MethodState(
        started_line_ids=["a"], executed_line_ids=["b"], injected_line_ids=["c"], content_locked_line_ids=["d"],
        locked_line_ids=["e"], failed_line_ids=["f"],
    )  # fmt: skip
    bench.ticks(5)
    assert [message.method_state for message in bench.told(MethodStateMsg)] == [script.states]
    assert MethodStateMsg(method_state=script.states) in bench.engine.states()


@pytest.mark.parametrize("how", ["fault", "line"])
def test_a_method_that_fails_pauses_the_run_and_unpause_clears_it(scripted: Bench, script: Script, how: str) -> None:
    bench = scripted
    bench.press("Start")
    bench.do(InjectCodeMsg(pcode="PU01: 60"))
    bench.tick()
    if how == "fault":
        script.fault = "line 3 cannot be understood"
    else:
        script.lines = ["PU01: 500", "PU01: 20"]
    bench.ticks(2)
    script.fault = ""
    assert (bench.shown["System State"], bench.shown["Method Status"]) == ("Paused", "Error")
    assert bench.values["PU01"] == 0
    told = bench.told(WebPushNotificationMsg)[-1]
    assert told.topic == "method_error"
    assert ("line 3" if how == "fault" else "above its max") in str(told.notification.body)
    bench.press("Unpause")
    bench.ticks(2)
    assert (bench.shown["System State"], bench.shown["Method Status"]) == ("Running", "OK")
    assert bench.values["PU01"] == 60
