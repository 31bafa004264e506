"""Functions of a UOD that would end the engine, or hold it up for ever."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.runs import function_call
from engine.runs.time_limit import TookTooLongError, described, limited
from engine.uod.function import CommandContext, CommandFunction, Value
from protocol.aggregator_messages import InjectCodeMsg
from protocol.messages import SuccessMessage
from tests.unit.runs_bench import Bench

UOD = """\
from engine.uod.function import CommandFunction
from engine.uod.model import Command, Device, Tag, Uod
from tests.unit.test_runs_function_limits import MADE


class Works(CommandFunction):
    def __new__(cls):
        return MADE[0]()


def create():
    return Uod(
        uod="Functions",
        devices={"box": Device(driver="simulated")},
        tags={"PU01": Tag(device="box", direction="both", min=0, max=100, safe_value=0)},
        commands={"Work": Command(runs=Works)},
    )
"""
MADE: list[Callable[[], CommandFunction]] = []
"""makes the function under test"""


def with_function(tmp_path: Path, work: Callable[[CommandContext], object]) -> Bench:
    """A bench whose command Work does this in its progress."""

    class Work(CommandFunction):
        def start(self, context: CommandContext, argument: Value | None) -> None:
            context.set("PU01", 60)

        def progress(self, context: CommandContext) -> float | None:
            work(context)
            return None

        def finish(self, context: CommandContext) -> None:
            context.set("PU01", 10)

    MADE[:] = [Work]
    bench = Bench(tmp_path, uod=UOD, name="functions.py")
    bench.tick()
    assert isinstance(bench.do(InjectCodeMsg(pcode="Work")), SuccessMessage)
    return bench


def ends(_: CommandContext) -> None:
    sys.exit("no liquid")


def deeper(context: CommandContext) -> None:
    deeper(context)


def sleeps(_: CommandContext) -> None:
    time.sleep(3600)


class UnspeakableError(Exception):
    def __str__(self) -> str:
        if self.args:
            sys.exit(3)
        return ""


def raises(error: BaseException) -> Callable[[CommandContext], object]:
    def work(_: CommandContext) -> None:
        raise error

    return work


@pytest.mark.parametrize(
    ("work", "why"),
    [
        (raises(SystemExit()), "SystemExit"),
        (ends, "SystemExit: no liquid"),
        (raises(KeyboardInterrupt()), "KeyboardInterrupt"),
        (raises(asyncio.CancelledError()), "CancelledError"),
        (raises(GeneratorExit()), "GeneratorExit"),
        (deeper, "RecursionError"),
        (raises(BaseExceptionGroup("both", [SystemExit(), ValueError()])), "BaseExceptionGroup"),
        (raises(UnspeakableError(1)), "UnspeakableError"),
        (raises(StopIteration()), "StopIteration"),
    ],
)
def test_what_a_function_raises_ends_its_command_alone(
    tmp_path: Path, work: Callable[[CommandContext], object], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    bench = with_function(tmp_path, work)
    bench.ticks(5)
    assert bench.values["PU01"] == 10, "its finish has been called, and the engine goes on"
    (line,) = [record.getMessage() for record in caplog.records if "failed" in record.getMessage()]
    assert line.startswith(f"Work: Work failed in its progress: {why}")
    assert bench.engine.runs.counted()["function_faults"] == 1


needs_timer = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timer")


def spins(_: CommandContext) -> None:
    while True:
        pass


def swallows(_: CommandContext) -> None:
    while True:
        try:
            time.sleep(3600)
        except Exception:  # noqa: BLE001, S112  as careless authors do
            continue


def sets(context: CommandContext) -> None:
    while True:
        context.set("PU01", 50)


@needs_timer
@pytest.mark.parametrize("work", [spins, sleeps, swallows, sets])
def test_a_function_that_does_not_come_back_is_interrupted(
    tmp_path: Path, work: Callable[[CommandContext], object],
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.setattr(function_call, "LIMIT_S", 0.2)
    bench = with_function(tmp_path, work)
    bench.ticks(5)
    assert bench.values["PU01"] == 10
    said = [record.getMessage() for record in caplog.records]
    assert any("failed in its progress: TookTooLongError: it took longer than 0.2 s" in line for line in said)
    assert any("Work: its progress took" in line and "held up the scan cycle" in line for line in said)


@needs_timer
def test_who_comes_back_in_time_is_left_alone_and_so_are_the_alarms_of_others() -> None:
    rung: list[int] = []
    before = signal.signal(signal.SIGALRM, lambda number, _: rung.append(number))
    try:
        signal.setitimer(signal.ITIMER_REAL, 3600.0)
        assert limited(lambda: None, 60.0, lambda: True) is None
        left, _ = signal.setitimer(signal.ITIMER_REAL, 0.0)
        assert 3000.0 < left <= 3600.0
        signal.raise_signal(signal.SIGALRM)
        assert rung == [signal.SIGALRM]
    finally:
        signal.signal(signal.SIGALRM, before)


@needs_timer
def test_a_call_of_the_engines_is_not_interrupted_half_done() -> None:
    in_engine, halves = [True], [0]

    def work() -> None:
        until = time.monotonic() + 0.5
        while time.monotonic() < until:
            halves[0] += 1
        halves[0] = -1
        in_engine[0] = False
        spins_for_ever()

    def spins_for_ever() -> None:
        while True:
            pass

    error = limited(work, 0.05, lambda: not in_engine[0])
    assert isinstance(error, TookTooLongError)
    assert halves == [-1], "the first part was finished"


def test_an_error_that_cannot_be_put_into_words_has_its_name() -> None:
    assert described(UnspeakableError(1)) == "UnspeakableError"
    assert described(ValueError("wrong")) == "ValueError: wrong"


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    bench = with_function(tmp_path, lambda context: context.set("PU01", np.int64(30)))  # type: ignore[arg-type]
    bench.ticks(3)
    assert bench.values["PU01"] == 30
    assert type(bench.values["PU01"]) is int
