"""Waits, settings, steps and functions, each by itself and in a time that the test tells."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from drivers.contract import Kind, Quality, Value
from engine.core.core import Core
from engine.core.spec import FromEngine, TagSpec
from engine.outputs import OutputRefusedError
from engine.runs.activities import Halt, Setting, Steps, Until, Waiting
from engine.runs.arguments import CommandError, ToldError
from engine.runs.function_call import FunctionCall, FunctionCounters
from engine.uod.function import CommandContext, CommandFunction


class Valves:
    """Outputs whose devices answer when the test lets them: no link is needed to see what is asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Value]] = []
        self.answers: dict[str, bool] = {}
        self.busy: set[str] = set()
        self.moving: set[str] = set()
        self.refused: set[str] = set()

    def wish(self, tag: str, value: Value) -> None:
        if tag == "LOCKED":
            raise OutputRefusedError("LOCKED cannot be written: its interlock is open")
        self.asked.append((tag, value))
        self.answers.pop(tag, None)

    def check(self, tag: str, value: Value) -> None:
        if value == "wrong":
            raise OutputRefusedError(f"{tag} takes one of Open, Closed, not {value!r}")

    def is_busy(self, tag: str) -> bool:
        return tag in self.busy

    def is_moving(self, tag: str) -> bool:
        return tag in self.moving

    def written(self, tag: str) -> bool | None:
        return self.answers.get(tag)

    def is_refused(self, tag: str) -> bool:
        return tag in self.refused


def test_a_wait_is_over_when_its_time_has_passed() -> None:
    wait = Waiting(5.0)
    assert [wait.go_on(now) for now in (100.0, 101.0, 104.9)] == [False, False, False]
    assert wait.progress == pytest.approx(0.98)
    assert wait.go_on(105.0)
    assert wait.progress == 1.0
    assert Waiting(0.0).go_on(7.0)
    assert Waiting(0.0).progress == 1.0


def test_a_forced_wait_is_over_at_once() -> None:
    wait = Waiting(5.0)
    assert not wait.go_on(100.0)
    wait.force()
    assert wait.go_on(100.0)


def test_a_condition_is_waited_for_until_it_is_true_forced_or_too_late() -> None:
    true = [False]
    until = Until(lambda: true[0], "LT01 > 80", 60.0)
    assert [until.go_on(now) for now in (100.0, 159.0)] == [False, False]
    true[0] = True
    assert until.go_on(200.0), "late, but true"
    true[0] = False
    until.force()
    assert until.go_on(0.0)
    late = Until(lambda: False, "LT01 > 80", 60.0)
    assert not late.go_on(100.0)
    with pytest.raises(CommandError, match="LT01 > 80 has not come true within 60 s"):
        late.go_on(160.0)
    patient = Until(lambda: False, "LT01 > 80", None)
    assert [patient.go_on(now) for now in (0.0, 1e9)] == [False, False]


def test_a_setting_is_over_when_the_device_has_taken_the_value() -> None:
    valves = Valves()
    setting = Setting(valves, "VA01", "Open")
    assert [setting.go_on(0.0), setting.go_on(1.0)] == [False, False]
    assert valves.asked == [("VA01", "Open")], "asked for once"
    valves.answers["VA01"] = True
    assert setting.go_on(2.0)


def test_a_setting_waits_while_an_earlier_value_has_not_gone_out() -> None:
    valves = Valves()
    valves.busy.add("VA01")
    setting = Setting(valves, "VA01", "Open")
    assert not setting.go_on(100.0)
    assert valves.asked == []
    with pytest.raises(OutputRefusedError, match="takes one of"):
        Setting(valves, "VA01", "wrong").go_on(100.0)
    valves.busy.clear()
    assert not setting.go_on(100.1)
    assert valves.asked == [("VA01", "Open")]
    assert not setting.gives_way, "it is written, whatever is asked for next"
    valves.moving.add("VA01")
    assert setting.gives_way, "a ramp has one target"


def test_a_setting_fails_when_the_device_refuses() -> None:
    valves = Valves()
    setting = Setting(valves, "VA01", "Open")
    assert not setting.go_on(0.0)
    valves.answers["VA01"] = False
    with pytest.raises(CommandError, match="VA01 was not set to 'Open': its device was lost, or the engine"):
        setting.go_on(1.0)
    valves.refused.add("VA01")
    with pytest.raises(ToldError):
        setting.go_on(1.0)


def test_steps_come_one_after_the_other() -> None:
    valves = Valves()
    steps = Steps([Setting(valves, "VA01", "Open"), Waiting(4.0), Waiting(1.0), Setting(valves, "PU01", 60)])
    assert not steps.go_on(0.0)
    assert (steps.progress, steps.forcible) == (0.0, False)
    assert not steps.go_on(10.0), "the valve has not moved yet"
    valves.answers["VA01"] = True
    assert not steps.go_on(11.0)
    assert steps.forcible
    assert not steps.go_on(13.0)
    assert steps.progress == pytest.approx(0.4)
    steps.force()
    assert not steps.go_on(13.0), "one wait is cut short, not all of them"
    assert steps.progress == pytest.approx(0.8)
    assert valves.asked == [("VA01", "Open")]
    assert not steps.go_on(14.0)
    assert valves.asked == [("VA01", "Open"), ("PU01", 60)]
    valves.answers["PU01"] = True
    assert steps.go_on(14.1)
    assert steps.progress == 1.0


def test_steps_without_a_wait_say_nothing_of_their_progress() -> None:
    valves = Valves()
    steps = Steps([Setting(valves, "VA01", "Open")])
    assert not steps.go_on(0.0)
    steps.force()
    assert (steps.progress, steps.forcible) == (None, False)


def test_a_refused_step_ends_the_steps() -> None:
    valves = Valves()
    steps = Steps([Setting(valves, "LOCKED", 1), Setting(valves, "PU01", 60)])
    with pytest.raises(OutputRefusedError, match="interlock"):
        steps.go_on(0.0)
    assert valves.asked == []


@pytest.mark.parametrize("how", ["time", "force", "cancel", "another"])
def test_a_halt_ends_by_itself_by_force_by_cancelling_or_by_another(how: str) -> None:
    halted, ended = [True], list[str]()
    halt = Halt(5.0, lambda: halted[0], lambda: ended.append("end"))
    assert not halt.go_on(0.0)
    match how:
        case "time":
            assert not halt.go_on(4.9)
            assert halt.progress == pytest.approx(0.98)
            assert halt.go_on(5.0)
        case "force":
            halt.force()
            assert halt.go_on(1.0)
        case "cancel":
            halt.cancel()
        case _:
            halted[0] = False
            assert halt.go_on(1.0)
            halt.cancel()
    assert ended == ([] if how == "another" else ["end"]), "never twice, and not when it is over already"


# Functions


class Recorded(CommandFunction):
    """Writes down what happens to it."""

    def __init__(self, events: list[str], *, fails_in: str = "", values: list[float | None] | None = None) -> None:
        self.events = events
        self.fails_in = fails_in
        self.values = [0.5, 1.0] if values is None else values

    def happens(self, what: str) -> None:
        self.events.append(what)
        if what.startswith(self.fails_in) and self.fails_in:
            raise RuntimeError(f"no {what}")

    def start(self, context: CommandContext, argument: Value | None) -> None:
        self.happens(f"start {argument}")

    def progress(self, context: CommandContext) -> float | None:
        self.happens(f"progress {context.elapsed_s:g}")
        return self.values.pop(0)

    def cancel(self, context: CommandContext) -> None:
        self.happens("cancel")

    def finish(self, context: CommandContext) -> None:
        self.happens("finish")


class Bench:
    """One invocation of a function, with a table of three tags."""

    def __init__(
        self, make: Callable[[], CommandFunction], argument: Value | None = None, took_s: float = 0.001
    ) -> None:
        specs = [TagSpec("LT01", FromEngine(Kind.FLOAT), unit="%"), TagSpec("MS01", FromEngine(Kind.TEXT))]
        self.core = Core(specs, [])
        self.core.set("LT01", 12.5)
        self.core.set("MS01", None, reason="not read")
        self.valves = Valves()
        self.counters = FunctionCounters()
        self.watch = 0.0
        self.took_s = took_s
        self.call = FunctionCall(
            "Fill", make, argument,
            table=lambda: self.core.table, outputs=self.valves, tick_s=0.1, counters=self.counters, clock=self.clock,
        )  # fmt: skip

    def clock(self) -> float:
        self.watch += self.took_s / 2
        return self.watch * 2


def test_a_function_is_started_asked_for_progress_and_finished() -> None:
    events: list[str] = []
    bench = Bench(lambda: Recorded(events, values=[None, 0.5, 7.0]), 60)
    assert [bench.call.go_on(now) for now in (100.0, 101.0)] == [False, False]
    assert bench.call.progress is None
    assert not bench.call.go_on(102.5)
    assert bench.call.progress == 0.5
    assert bench.call.go_on(103.0)
    assert bench.call.progress == 1.0
    assert events == ["start 60", "progress 1", "progress 2.5", "progress 3", "finish"]
    assert bench.counters == FunctionCounters(function_calls=5)
    bench.call.cancel()
    assert events[-1] == "finish", "what is over cannot be cancelled"


def test_a_cancelled_function_leaves_off_and_cleans_up() -> None:
    events: list[str] = []
    bench = Bench(lambda: Recorded(events))
    bench.call.go_on(0.0)
    bench.call.cancel()
    bench.call.cancel()
    assert events == ["start None", "cancel", "finish"]


@pytest.mark.parametrize("fails_in", ["start", "progress"])
def test_a_function_that_raises_fails_its_command_and_cleans_up(fails_in: str) -> None:
    events: list[str] = []
    bench = Bench(lambda: Recorded(events, fails_in=fails_in))
    if fails_in == "progress":
        bench.call.go_on(0.0)
    with pytest.raises(CommandError, match=f"Fill failed in its {fails_in}: RuntimeError: no {fails_in}") as raised:
        bench.call.go_on(1.0)
    assert isinstance(raised.value.__cause__, RuntimeError), "the traceback is logged by whoever catches it"
    assert events[-2:] == ["cancel", "finish"]
    assert bench.counters.function_faults == 1


@pytest.mark.parametrize("value", [float("nan"), "much"])
def test_what_is_no_progress_fails_the_command(value: float) -> None:
    bench = Bench(lambda: Recorded([], values=[value]))
    bench.call.go_on(0.0)
    with pytest.raises(CommandError, match="ValueError"):
        bench.call.go_on(1.0)


def test_a_class_that_cannot_be_made_fails_its_command() -> None:
    def make() -> CommandFunction:
        raise OSError("no such file")

    with pytest.raises(CommandError, match="failed in its start: OSError: no such file"):
        Bench(make).call.go_on(0.0)


def test_what_cleaning_up_raises_is_logged_and_the_rest_is_done(caplog: pytest.LogCaptureFixture) -> None:
    events: list[str] = []
    bench = Bench(lambda: Recorded(events, fails_in="cancel"))
    bench.call.go_on(0.0)
    bench.call.cancel()
    assert events[-2:] == ["cancel", "finish"]
    (record,) = caplog.records
    assert (record.levelno, record.exc_info is not None) == (logging.ERROR, True)
    assert "Fill: its cancel has failed: RuntimeError: no cancel" in record.getMessage()


def test_a_function_reads_tags_sets_outputs_and_writes_into_the_log(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[object] = []

    class Fill(CommandFunction):
        def start(self, context: CommandContext, argument: Value | None) -> None:
            level = context.read("LT01")
            seen.extend((level.value, level.unit, level.quality, level.simulated, context.read("MS01").value))
            context.set("PU01", 60)
            context.log("it fills")
            context.warn("it leaks")
            with pytest.raises(OutputRefusedError):
                context.set("LOCKED", 1)
            with pytest.raises(LookupError, match="did you mean 'LT01'"):
                context.read("LT1")

        def progress(self, context: CommandContext) -> float | None:
            return 1.0

    caplog.set_level(logging.INFO)
    bench = Bench(Fill)
    assert [bench.call.go_on(0.0), bench.call.go_on(0.1)] == [False, True]
    assert seen == [12.5, "%", Quality.GOOD, False, None]
    assert bench.valves.asked == [("PU01", 60)]
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("INFO", "Fill: it fills"),
        ("WARNING", "Fill: it leaks"),
    ]


def test_a_function_that_takes_longer_than_a_tick_is_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(lambda: Recorded([], values=[0.1, 0.2, 1.0]), took_s=0.25)
    while not bench.call.go_on(0.0):
        pass
    assert bench.counters.slow_functions == 5
    (record,) = caplog.records
    assert "took 0.25 s and held up the scan cycle, which ticks every 0.1 s" in record.getMessage()
