"""The guard of the outputs, on a memory device in this process: the device is real, only its cable is missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from drivers.contract import LinkError, Point, Value
from drivers.simulated import Simulated, SimulatedDevice, SimulatedPoint
from engine import backoff, links
from engine.core.spec import Direction, FromPoint, TagSpec
from engine.links import Link
from engine.outputs import OutputRefusedError, Outputs, guard
from engine.uod.model import Author
from engine.uod.skid import LinkSpec, OutputSpec, Skid


class Box(Simulated):
    """Counts what it is asked to write, and can lose its cable."""

    unplugged = False

    def __init__(self, devices: Mapping[str, SimulatedDevice], points: Sequence[Point]) -> None:
        super().__init__(devices, points)
        self.asked: list[dict[int, Value]] = []
        self.hold = asyncio.Event()
        self.hold.set()
        """While it is not set, a write does not end ..."""
        self.writing = asyncio.Event()
        """... and this says that one has begun."""

    async def open(self) -> None:
        self._check()
        await super().open()

    async def read(self, group: int) -> None:
        self._check()
        await super().read(group)

    async def write(self, values: Mapping[int, Value]) -> Mapping[int, str]:
        self._check()
        self.asked.append(dict(values))
        if not self.hold.is_set():
            self.writing.set()
            await self.hold.wait()
        return await super().write(values)

    def _check(self) -> None:
        if self.unplugged:
            raise LinkError("unplugged")


@dataclass
class Bench:
    """One link, its outputs, and what they showed."""

    driver: Box
    link: Link
    outputs: Outputs
    shown: list[tuple[str, Value | None, str]] = field(default_factory=list)

    def held(self, row: int) -> Value:
        return self.driver._memory.value(row)


TAGS: tuple[tuple[str, SimulatedPoint, dict[str, Any], Value | None], ...] = (
    ("PU01", SimulatedPoint(type="uint64"), {"unit": "%", "scale": 0.1, "minimum": 0.0, "maximum": 100.0}, 0.0),
    ("VA01", SimulatedPoint(type="bool"), {"choices": {"Closed": 0, "Open": 1}}, "Closed"),
    ("BA01", SimulatedPoint(type="string"), {}, None),
    ("SP01", SimulatedPoint(type="float64"), {"unit": "degC"}, None),
)


def bench() -> Bench:
    points = tuple(Point(name, "box", option, 5, write=True) for name, option, _, _ in TAGS)
    devices = {"box": SimulatedDevice()}
    driver = Box(devices, points)
    link = Link("bus", driver)
    skid = Skid(
        name="bench",
        author=Author(),
        location="",
        file="bench.yaml",
        tick_s=0.1,
        data_log_interval_s=1,
        links=(LinkSpec("bus", "simulated", devices, points),),
        tags=tuple(
            TagSpec(name, FromPoint(0, row), direction=Direction.OUTPUT, **keys)
            for row, (name, _, keys, _) in enumerate(TAGS)
        ),
        outputs=tuple(OutputSpec(row, 0, row, safe, read_back=row == 3) for row, (_, _, _, safe) in enumerate(TAGS)),
        commands=(),
        process_values=(),
    )
    shown: list[tuple[str, Value | None, str]] = []

    def show(tag: str, value: Value | None, reason: str) -> None:
        shown.append((tag, value, reason))

    return Bench(driver, link, Outputs(skid, [link], show), shown)


@asynccontextmanager
async def running(here: Bench) -> AsyncGenerator[None]:
    task = asyncio.create_task(here.link.run())
    try:
        await until(lambda: here.link.up)
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_WAIT_S", 0.002)
    monkeypatch.setattr(links, "LONGEST_WAIT_S", 0.02)


async def test_at_start_every_output_that_has_a_safe_value_takes_it() -> None:
    here = bench()
    async with running(here):
        assert await here.outputs.settled(60) == []
        assert here.driver.asked == [{0: 0, 1: False}]


async def test_a_wish_is_scaled_to_the_resolution_of_its_register() -> None:
    here = bench()
    async with running(here):
        here.outputs.wish("PU01", 60.04)
        here.outputs.wish("VA01", "Open")
        here.outputs.wish("BA01", "B-17")
        here.outputs.wish("SP01", 21.5)
        assert await here.outputs.settled(60) == []
        assert [here.held(row) for row in range(4)] == [600, True, "B-17", 21.5]
    assert ("PU01", 60.04, "") in here.shown
    assert all(tag != "SP01" for tag, _, _ in here.shown), "an output that is read shows what is read"


async def test_whatever_is_asked_for_is_written_each_time() -> None:
    here = bench()
    async with running(here):
        for _ in range(3):
            here.outputs.wish("PU01", 50)
            await here.outputs.settled(60)
        assert sum(asked.get(0) == 500 for asked in here.driver.asked) == 3


async def test_a_wish_that_comes_while_the_same_one_is_being_written_is_another_write() -> None:
    here = bench()
    async with running(here):
        await here.outputs.settled(60)
        here.driver.hold.clear()
        here.outputs.wish("PU01", 50)
        here.outputs.wish("PU01", 50)  # has not gone out: one write does for both
        await asyncio.wait_for(here.driver.writing.wait(), 60)
        here.outputs.wish("PU01", 50)
        assert here.outputs.written("PU01") is None
        here.driver.hold.set()
        assert await here.outputs.settled(60) == []
        assert sum(asked.get(0) == 500 for asked in here.driver.asked) == 2


@pytest.mark.parametrize(
    ("tag", "value", "why"),
    [
        ("PU01", 100.1, "above its max of 100.0 %"),
        ("PU01", -0.1, "below its min"),
        ("PU01", float("nan"), "finite"),
        ("PU01", "fast", "number"),
        ("VA01", "Ajar", "one of Closed, Open"),
        ("VA01", 2, "one of Closed, Open"),
        ("BA01", 5, "text"),
        ("PU02", 5, "no output"),
    ],
)
async def test_what_breaks_a_rule_is_refused_and_nothing_moves(tag: str, value: Value, why: str) -> None:
    here = bench()
    async with running(here):
        await here.outputs.settled(60)
        before = [here.held(row) for row in range(4)]
        with pytest.raises(OutputRefusedError, match=why):
            here.outputs.wish(tag, value)
        assert await here.outputs.settled(60) == []
        assert [here.held(row) for row in range(4)] == before


async def test_what_the_device_refuses_is_said_and_not_taken_for_written(caplog: pytest.LogCaptureFixture) -> None:
    here = bench()
    here.outputs._outputs["PU01"].tag = TagSpec("PU01", FromPoint(0, 0), direction=Direction.OUTPUT)
    async with running(here):
        here.outputs.wish("PU01", 0.5)  # no whole number, and there is no scale
        await until(lambda: here.shown and here.shown[-1][1] is None)
        assert await here.outputs.settled(0.05) == ["PU01"]
    assert "not a whole number" in caplog.text


async def test_a_wish_on_a_link_that_is_down_is_refused_and_not_kept() -> None:
    here = bench()
    async with running(here):
        await here.outputs.settled(60)
        here.driver.unplugged = True
        await until(lambda: not here.link.up)
        with pytest.raises(OutputRefusedError, match="is down: unplugged"):
            here.outputs.wish("PU01", 70)


@pytest.mark.parametrize(("keep_s", "held"), [(60.0, 700), (0.0, 0)])
async def test_after_a_blink_an_output_is_as_it_was_and_after_an_outage_safe(
    monkeypatch: pytest.MonkeyPatch, keep_s: float, held: int
) -> None:
    monkeypatch.setattr(guard, "KEEP_S", keep_s)
    here = bench()
    async with running(here):
        here.outputs.wish("PU01", 70)
        await here.outputs.settled(60)
        here.driver.unplugged = True
        await until(lambda: not here.link.up)
        here.driver._store(0, 123)  # the skid moves on without us
        here.driver.unplugged = False
        await until(lambda: here.link.up)
        assert await here.outputs.settled(60) == []
        assert here.held(0) == held


async def test_make_safe_writes_even_what_is_thought_to_be_there_already() -> None:
    here = bench()
    async with running(here):
        here.outputs.wish("SP01", 30.0)
        await here.outputs.settled(60)
        here.driver._store(0, 999)
        here.outputs.make_safe()
        assert await here.outputs.settled(60) == []
        assert here.held(0) == 0
        assert here.held(3) == 30.0, "an output without a safe value is left alone"
        here.driver.unplugged = True
        await until(lambda: not here.link.up)
        here.outputs.make_safe()
        assert await here.outputs.settled(0.05) == ["PU01", "VA01", "SP01"], "nobody can say that they are safe"


async def test_a_wish_taken_back_while_it_is_on_its_way_is_taken_back() -> None:
    here = bench()
    async with running(here):
        await here.outputs.settled(60)
        here.outputs.wish("PU01", 50)
        here.outputs.wish("PU01", 0)  # what the device holds now, but will not when the wish before has arrived
        assert await here.outputs.settled(60) == []
        assert here.held(0) == 0


async def test_what_is_made_safe_while_a_wish_is_being_written_is_not_settled_before_it_is_safe() -> None:
    here = bench()
    async with running(here):
        await here.outputs.settled(60)
        here.driver.hold.clear()
        here.outputs.wish("PU01", 50)
        await asyncio.wait_for(here.driver.writing.wait(), 60)
        here.outputs.make_safe()
        here.driver.hold.set()
        assert await here.outputs.settled(60) == []
        assert here.held(0) == 0


async def test_a_pause_makes_safe_and_its_end_asks_again_for_what_was_wanted() -> None:
    here = bench()
    async with running(here):
        here.outputs.wish("PU01", 50)
        here.outputs.wish("VA01", "Open")
        here.outputs.wish("SP01", 21.5)
        await here.outputs.settled(60)
        here.outputs.pause()
        here.outputs.pause()  # once more makes no difference
        assert await here.outputs.settled(60) == []
        assert [here.held(0), here.held(1), here.held(3)] == [0, False, 21.5]
        here.outputs.wish("VA01", "Closed")
        here.outputs.resume()
        assert await here.outputs.settled(60) == []
        assert [here.held(0), here.held(1), here.held(3)] == [500, False, 21.5], "the valve was asked for anew"


async def test_after_a_stop_in_a_pause_nothing_is_resumed() -> None:
    here = bench()
    async with running(here):
        here.outputs.wish("PU01", 50)
        here.outputs.pause()
        here.outputs.make_safe()
        here.outputs.resume()
        assert await here.outputs.settled(60) == []
        assert here.held(0) == 0


@pytest.mark.parametrize(("keep_s", "held"), [(60.0, 700), (0.0, 0)])
async def test_a_pause_outlasts_a_blink_of_the_link_but_no_outage(
    monkeypatch: pytest.MonkeyPatch, keep_s: float, held: int
) -> None:
    monkeypatch.setattr(guard, "KEEP_S", keep_s)
    here = bench()
    async with running(here):
        here.outputs.wish("PU01", 70)
        await here.outputs.settled(60)
        here.outputs.pause()
        here.driver.unplugged = True
        await until(lambda: not here.link.up)
        here.driver.unplugged = False
        await until(lambda: here.link.up)
        here.outputs.resume()
        assert await here.outputs.settled(60) == []
        assert here.held(0) == held
