"""What outputs may do, whatever happens in whatever order: random sequences against a plain model of the rules.

The links have no worker and the clock stands still until it is moved: only so can every order of wishes, answers,
faults and ticks be tried. The table, the expressions and the guard are the real ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.contract import Quality
from engine.links import DeviceState, LinkState
from engine.outputs import OutputRefusedError
from engine.outputs.guard import KEEP_S
from tests.unit.unmanned_links import Desk, Value

TICK_S = 0.1
CONTROL_S = 5.0
PUMP = {"device": "act", "type": "uint64", "scale": 0.1, "unit": "%", "min": 0, "max": 100, "safe_value": 0}
UOD: dict[str, Any] = {
    "uod": "Rules",
    "tick_ms": 100,
    "safe_after_ms": 5000,
    "devices": {"sense": {"driver": "simulated", "bus": "one"}, "act": {"driver": "simulated", "bus": "two"}},
    "tags": {
        "LT": {"device": "sense", "unit": "%"},
        "PU": PUMP | {"direction": "both", "max_rate": 5, "allow_if": "LT > 10"},
        "HE": {"device": "act", "direction": "output", "min": 5, "max": 95, "safe_value": 20, "max_rate": 2},
        "VA": {"device": "act", "type": "bool", "direction": "output", "choices": {"Closed": 0, "Open": 1},
               "safe_value": "Closed", "allow_if": "LT > 10"},
        "DO": PUMP | {"direction": "output"},
        "SP": {"device": "act", "direction": "output", "min": -5, "max": 5},
    },
}  # fmt: skip
RATES = {"PU": 5.0, "HE": 2.0}
LIMITS = {"PU": (0, 100), "HE": (5, 95), "DO": (0, 100), "SP": (-5, 5)}
SAFE: dict[str, Value] = {"PU": 0, "HE": 20, "VA": "Closed", "DO": 0}
GUARDED = {"PU", "VA"}
STEP = 0.1
"""of the register of PU and DO"""


def near(value: Value) -> Any:
    """What a value is on a register."""
    return value if isinstance(value, str) else pytest.approx(value, abs=STEP / 2 + 1e-6)


@dataclass
class Rules:
    """What is allowed, in words that a lab technician would use; nothing of it is shared with the engine."""

    wanted: dict[str, Value] = field(default_factory=dict[str, Value])
    """what somebody has asked for, and is in force; all others are to be safe"""
    before_pause: dict[str, Value] = field(default_factory=dict[str, Value])
    untaken: set[str] = field(default_factory=set[str])
    """asked for, but the device has refused it: nobody knows what it does now"""
    at_once: set[str] = field(default_factory=lambda: set(SAFE))
    """goes to its safe value by no ramp, and has not done so yet"""
    allowed: bool = False
    up: bool = False
    down_at: float = -math.inf
    lost: bool = False
    alone_since: float = 0.0

    def refuses(self, tag: str, value: Value, *, connected: bool) -> bool:
        low, high = LIMITS.get(tag, (-math.inf, math.inf))
        return (
            (not isinstance(value, str) and not low <= value <= high)
            or not self.up
            or (tag in GUARDED and not self.allowed and value != SAFE[tag])
            or (tag in SAFE and self.lost and not connected)
        )

    def ask(self, tag: str, value: Value) -> None:
        self.wanted[tag] = value
        self.before_pause.pop(tag, None)
        self.untaken.discard(tag)

    def make_safe(self, *tags: str) -> None:
        for tag in tags:
            self.wanted.pop(tag, None)
            self.untaken.discard(tag)
            self.at_once.add(tag)

    def stop(self) -> None:
        self.make_safe(*SAFE)
        self.before_pause.clear()

    def pause(self) -> None:
        self.before_pause |= {tag: value for tag, value in self.wanted.items() if tag in SAFE}
        self.make_safe(*SAFE)

    def resume(self) -> None:
        for tag, value in list(self.before_pause.items()):
            if self.allowed or tag not in GUARDED or value == SAFE[tag]:
                self.ask(tag, value)
        self.before_pause.clear()

    def back(self, now: float, *, was_cut_off: bool) -> None:
        self.up = True
        if now - self.down_at > KEEP_S:
            self.make_safe(*SAFE, "SP")
            self.before_pause.clear()
        self.at_once |= SAFE.keys() - self.wanted.keys()
        if was_cut_off:
            self.at_once.add("HE")  # it may have been switched off, and nobody can read what it holds

    def look(self, now: float, *, allowed: bool, connected: bool) -> None:
        self.allowed = allowed
        if not allowed:
            self.make_safe(*(tag for tag in GUARDED if self.wanted.get(tag) != SAFE[tag]))
        if connected:
            self.lost, self.alone_since = False, now
        elif not self.lost and now - self.alone_since >= CONTROL_S:
            self.lost = True
            self.stop()


class Bench(Desk):
    """A device that keeps what it is given, and the rules for it."""

    def __init__(self) -> None:
        super().__init__(UOD)
        self.rules = Rules(alone_since=self.now)
        self.level = 50.0
        self.level_quality = Quality.GOOD
        self.sense, self.act = self.lines
        self.names = {row: tag for tag, (line, row) in self.places.items() if line is self.act}
        self.held: dict[str, Value] = {"PU": 0.0, "HE": 20.0, "VA": "Closed", "DO": 0.0, "SP": 0.0}
        self.traces: dict[str, list[tuple[float, float]]] = {tag: [] for tag in RATES}
        """the moments and values of a ramp since it was last interrupted by going safe or by the link"""
        self.leaps: set[str] = set()
        """whose value in the air is the safe one, which needs no ramp"""
        self.sense.turn(LinkState.UP)
        self.back(moved=False)

    # What happens

    def wish(self, tag: str, value: Value) -> None:
        refuses = self.rules.refuses(tag, value, connected=self.connected)
        if refuses:
            with pytest.raises(OutputRefusedError):
                self.outputs.wish(tag, value)
        else:
            self.outputs.wish(tag, value)
            self.rules.ask(tag, value)

    def tick(self, seconds: float = TICK_S) -> None:
        self.now += seconds
        self.read("LT", self.level, self.level_quality)
        self._read_pump()
        super().tick(0.0)
        allowed = self.level_quality is Quality.GOOD and self.level > 10
        self.rules.look(self.now, allowed=allowed, connected=self.connected)

    def take_off(self) -> None:
        """The link begins to write: what it takes must be right at this moment."""
        for row, raw in self.act.take_off().items():
            tag, value = self._value(row, raw)
            low, high = LIMITS.get(tag, (-math.inf, math.inf))
            assert isinstance(value, str) or low - 1e-9 <= value <= high + 1e-9
            if tag not in self.rules.wanted:
                assert value == SAFE[tag], f"{tag} is {value}, and nobody wants it so"
            elif tag not in RATES:
                assert value == near(self.rules.wanted[tag]), (
                    f"{tag} is {value}, and {self.rules.wanted[tag]} is wanted"
                )
            if value == SAFE.get(tag) and (tag in self.rules.at_once or (tag in GUARDED and not self.rules.allowed)):
                self.leaps.add(tag)
            self.rules.at_once.discard(tag)

    def land(self, *, refused: bool = False) -> None:
        for row, raw in self.act.land("it does not want to" if refused else None).items():
            tag, value = self._value(row, raw)
            if refused:
                if tag in self.rules.wanted:
                    self.rules.untaken.add(tag)
                elif tag in self.leaps:
                    self.rules.at_once.add(tag)  # it has to be tried again
                self.leaps.discard(tag)
                continue
            self._hold(tag, value)

    def _hold(self, tag: str, value: Value) -> None:
        self.held[tag] = value
        if tag not in RATES or isinstance(value, str):
            return
        if tag in self.leaps:
            self.leaps.discard(tag)
            self.traces[tag] = []
        if self.traces[tag]:
            step = abs(value - self.traces[tag][-1][1])
            assert step <= RATES[tag] * 2 * TICK_S + (STEP if tag == "PU" else 0.0) + 1e-6, f"{tag} leapt by {step}"
        self.traces[tag].append((self.now, value))
        for moment, before in self.traces[tag]:
            most = RATES[tag] * (self.now - moment + TICK_S) + (STEP if tag == "PU" else 0.0)
            assert abs(value - before) <= most + 1e-6, f"{tag} went from {before} to {value} in {self.now - moment} s"

    def drop(self, *, arrived: bool) -> None:
        """The link breaks; what was in the air may have arrived all the same."""
        if not self.act.up:
            return
        for row, raw in self.act.flying.items() if arrived else ():
            tag, value = self._value(row, raw)
            self.held[tag] = value
        self.leaps.clear()
        self.traces = {tag: [] for tag in RATES}
        if self.rules.up:
            self.rules.up, self.rules.down_at = False, self.now
        self.act.turn(LinkState.DOWN)

    def fall_silent(self) -> None:
        """The device does not answer any more, on a link that lives."""
        if self.rules.up:
            self.land(refused=True)
            self.act.devices["act"] = DeviceState.DEMOTED
            self.rules.up, self.rules.down_at = False, self.now + TICK_S
            self.tick()

    def answer(self) -> None:
        if self.act.up and not self.rules.up:
            self.act.devices["act"] = DeviceState.UP
            self.rules.back(self.now + TICK_S, was_cut_off=False)
            self.traces["PU"] = [(self.now + TICK_S, self._read_pump())]
            self.tick()

    def back(self, *, moved: bool) -> None:
        """The link is there again; meanwhile somebody may have turned the knob at the device."""
        if self.act.up:
            return
        self.act.devices["act"] = DeviceState.UP
        if moved:
            self.held["PU"] = 77.0
        self.traces["PU"] = [(self.now, self._read_pump())]
        self.rules.back(self.now, was_cut_off=True)
        self.act.turn(LinkState.UP)

    def settle(self) -> None:
        """All faults are over; give everything the time that it needs."""
        self.back(moved=False)
        self.answer()
        self.land()
        for _ in range(600):
            self.tick()
            self.take_off()
            self.land()
        for tag, value in self.held.items():
            wanted = self.rules.wanted.get(tag, SAFE.get(tag))
            if tag not in self.rules.untaken and wanted is not None:
                assert value == near(wanted), f"{tag} came to rest at {value}, not at {wanted}"

    def _value(self, row: int, raw: Value) -> tuple[str, Value]:
        tag = self.names[row]
        match tag:
            case "VA":
                return tag, "Open" if raw else "Closed"
            case "PU" | "DO":
                assert isinstance(raw, int)
                return tag, raw * STEP
            case _:
                return tag, raw

    def _read_pump(self) -> float:
        held = self.held["PU"]
        assert isinstance(held, float)
        self.read("PU", round(held / STEP))
        return held


EVENTS: list[tuple[Any, ...]] = [
    *(("tick", seconds) for seconds in (0.1, 0.7, 3.0) for _ in range(7)),
    *(("write",) for _ in range(16)),
    *(("wish", tag, value) for tag in ("PU", "PU", "HE", "DO", "SP") for value in (0, 5, 20, 33.33, 80, 100, -1, 120)),
    *(("wish", "VA", value) for value in ("Open", "Closed") for _ in range(4)),
    *((name,) for name in ("take_off", "land", "refuse") for _ in range(4)),
    *((name,) for name in ("stop", "pause", "pause", "resume", "resume") for _ in range(3)),
    *((name,) for name in ("drop", "drop_late", "back", "back_moved") for _ in range(2)),
    *((name,) for name in ("fall_silent", "answer", "answer", "answer")),
    *((name,) for name in ("low", "bad", "good", "good", "good", "leave", "connect", "connect", "connect")),
]
"""Each as often as it is to be expected: with faults all the time nothing would ever move."""


def happen(bench: Bench, name: str, *arguments: Any) -> None:
    match name:
        case "wish":
            bench.wish(*arguments)
        case "tick":
            bench.tick(*arguments)
        case "write":
            bench.take_off()
            bench.land()
        case "take_off":
            bench.take_off()
        case "land" | "refuse":
            bench.land(refused=name == "refuse")
        case "drop" | "drop_late":
            bench.drop(arrived=name == "drop_late")
        case "back" | "back_moved":
            bench.back(moved=name == "back_moved")
        case "fall_silent":
            bench.fall_silent()
        case "answer":
            bench.answer()
        case "stop":
            bench.outputs.make_safe()
            bench.rules.stop()
        case "pause":
            bench.outputs.pause()
            bench.rules.pause()
        case "resume":
            bench.outputs.resume()
            bench.rules.resume()
        case "low" | "bad" | "good":
            bench.level = 5.0 if name == "low" else 50.0
            bench.level_quality = Quality.BAD if name == "bad" else Quality.GOOD
        case _:
            bench.connected = name == "connect"


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(EVENTS), min_size=30, max_size=80))
def test_no_sequence_of_events_leads_beyond_the_rules(events: list[tuple[Any, ...]]) -> None:
    bench = Bench()
    bench.tick()
    for name, *arguments in events:
        happen(bench, name, *arguments)
    bench.settle()
