"""Time that is counted over restarts, and only as far as anybody can know."""

from __future__ import annotations

import pytest

from engine import elapsed
from engine.elapsed import Counted, PassedTime
from tests.unit.passing_time import Passing


def test_time_counts_while_the_engine_runs_and_while_its_computer_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    computer = Passing(monkeypatch)
    first = PassedTime()
    assert first.seconds == 0
    computer.now += 50
    assert first.seconds == 50
    kept = first.counted()
    computer.now += 7
    second = PassedTime(kept)
    assert second.seconds == 57, "it was on meanwhile"
    kept = second.counted()
    computer.reboot()
    third = PassedTime(kept)
    assert third.seconds == 57, "nobody knows for how long it was off"
    computer.now += 3
    assert third.seconds == 60
    third.be_at_least(100)
    assert third.seconds == 100
    third.be_at_least(50)
    assert third.seconds == 100


def test_a_boot_without_a_name_is_never_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    computer = Passing(monkeypatch)
    monkeypatch.setattr(elapsed, "boot_id", lambda: "")
    kept = PassedTime().counted()
    computer.now += 7
    assert PassedTime(kept).seconds == 0


def test_a_clock_that_has_begun_anew_takes_nothing_away(monkeypatch: pytest.MonkeyPatch) -> None:
    Passing(monkeypatch)
    assert PassedTime(Counted(5.0, "boot 1", 2000.0)).seconds == 5


def test_the_real_clock_goes_on() -> None:
    passed = PassedTime()
    before = passed.seconds
    assert passed.seconds >= before >= 0
    assert passed.counted().boot == elapsed.boot_id()
