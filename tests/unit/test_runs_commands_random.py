"""Whatever users do in whatever order, commands do what a plain model of them does."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.aggregator_messages import CancelMsg, ForceMsg, InjectCodeMsg
from protocol.engine_messages import RunLogMsg
from protocol.messages import ErrorMessage
from protocol.models import RunLogLine
from tests.unit.runs_bench import Bench

# The outputs have no safe values, so that a pause does not move them.
UOD = """\
uod: Bench
tick_ms: 1000
devices: {box: {driver: simulated}}
tags:
  A: {device: box, direction: both}
  B: {device: box, direction: both}
  C: {device: box, direction: both}
commands:
  Alpha: {steps: [{set: A, to: 1}, {wait_s: 2}, {set: A, to: 2}, {wait_s: 3}, {set: A, to: 3}], excludes: [Beta]}
  Beta: {steps: [{set: B, to: 1}, {wait_s: 1}, {set: B, to: 2}]}
  Gamma: {steps: [{wait_s: 2}, {set: C, to: 1}, {set: C, to: 2}]}
process_values: [A, B, C]
"""
STEPS: dict[str, list[tuple[str, float]]] = {
    "Alpha": [("A", 1), ("wait", 2), ("A", 2), ("wait", 3), ("A", 3)],
    "Beta": [("B", 1), ("wait", 1), ("B", 2)],
    "Gamma": [("wait", 2), ("C", 1), ("C", 2)],
}
EXCLUDED = {"Alpha": {"Alpha", "Beta"}, "Beta": {"Alpha", "Beta"}, "Gamma": {"Gamma"}}
WORDS = ("Pause", "Unpause", "Hold", "Unhold")
TICK = ("tick", "")
ACTION = st.sampled_from([
    TICK, TICK, TICK, TICK,
    *(("give", name) for name in STEPS), *(("cancel", name) for name in STEPS), *(("force", name) for name in STEPS),
    *(("press", word) for word in WORDS),
])  # fmt: skip


@dataclass
class Going:
    at: int = 0
    """the step that it is in"""
    asked: bool = False
    since: float | None = None
    """process time when the wait began"""
    forced: bool = False


@dataclass
class Model:
    """Commands as the documentation tells of them, one step of one command at a time."""

    process_s: float = 0.0
    paused: bool = False
    held: bool = False
    going: dict[str, Going] = field(default_factory=dict[str, Going])
    device: dict[str, float] = field(default_factory=dict[str, float])
    coming: dict[str, float] = field(default_factory=dict[str, float])
    """values on their way to the device"""
    fates: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def give(self, name: str) -> bool:
        for other in [other for other in self.going if other in EXCLUDED[name]]:
            self.end(other, "cancelled")
        self.going[name] = Going()
        self.go_on(name)
        return True

    def cancel(self, name: str) -> bool:
        return name in self.going and self.end(name, "cancelled")

    def force(self, name: str) -> bool:
        one = self.going.get(name)
        if one is None or STEPS[name][one.at][0] != "wait":
            return False
        one.forced = True
        return True

    def press(self, word: str) -> bool:
        before = (self.paused, self.held)
        match word:
            case "Pause":
                self.paused = True
            case "Unpause":
                self.paused = False
            case "Hold":
                self.held = True
            case _:
                self.held = False
        return before != (self.paused, self.held)

    def tick(self, _: str) -> bool:
        self.device |= self.coming
        self.coming.clear()
        if not self.paused and not self.held:
            self.process_s += 1
            for name in list(self.going):
                self.go_on(name)
        return True

    def go_on(self, name: str) -> None:
        one = self.going[name]
        while one.at < len(STEPS[name]):
            what, value = STEPS[name][one.at]
            if what == "wait":
                one.since = self.process_s if one.since is None else one.since
                over = one.forced or self.process_s - one.since >= value
            else:
                if not one.asked and what not in self.coming:
                    self.coming[what] = value
                    one.asked = True
                over = one.asked and what not in self.coming
            if not over:
                return
            self.going[name] = one = Going(one.at + 1)
        self.end(name, "ended")

    def end(self, name: str, how: str) -> bool:
        del self.going[name]
        self.fates.append((name, how))
        return True


@given(actions=st.lists(ACTION, min_size=30, max_size=30))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_commands_do_what_the_model_does(tmp_path: Path, actions: list[tuple[str, str]]) -> None:
    bench, model = Bench(tmp_path, uod=UOD), Model()
    bench.tick(1.0)
    model.device = {"A": 0, "B": 0, "C": 0}
    assert bench.press("Start") == ""
    for action, name in [TICK, *actions, TICK, TICK]:
        accepted = getattr(model, action)(name)
        match action:
            case "tick":
                bench.tick(1.0)
            case "give":
                assert not isinstance(bench.do(InjectCodeMsg(pcode=name)), ErrorMessage)
            case "press":
                assert (bench.press(name) == "") is accepted
            case _:
                line = next((line.id for line in lines(bench) if line.command_name == name and line.end is None), "x")
                message = CancelMsg(exec_id=line) if action == "cancel" else ForceMsg(exec_id=line)
                assert (not isinstance(bench.do(message), ErrorMessage)) is accepted
        assert {name: bench.values.get(name, 0.0) for name in "ABC"} == model.device
        log = [(line.command_name, line) for line in lines(bench) if line.command_name in STEPS]
        assert {name for name, line in log if line.end is None} == model.going.keys()
        ended = sorted((name, "cancelled" if line.cancelled else "ended") for name, line in log if line.end is not None)
        assert ended == sorted(model.fates)
        assert all(line.end is None or line.end >= line.start for _, line in log)
        assert not any(line.failed for _, line in log)


def lines(bench: Bench) -> list[RunLogLine]:
    """The run log as it is now."""
    logs = [message for message in bench.engine.states() if isinstance(message, RunLogMsg)]
    return logs[-1].runlog.lines
