"""What a link's worker makes of writes: devices that are only written, and values that show late. In virtual time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from drivers import simulated
from drivers.contract import LinkError, Point, Value, WriteError
from drivers.simulated import Simulated, SimulatedDevice, SimulatedPoint
from engine import links, state_log
from engine.links import DeviceState, Link, LinkState
from tests.unit.virtual_time import VirtualTime, run_virtually


class Reticent(Simulated):
    """Devices that do not answer writes, or show values late, as the test says."""

    def __init__(self, devices: Mapping[str, SimulatedDevice], points: Sequence[Point]) -> None:
        super().__init__(devices, points)
        self.points = points
        self.silent: set[str] = set()
        self.written: list[tuple[int, Value]] = []
        self.reads = 0
        self.late: set[int] = set()
        """Rows that show their value only when the test has it so."""
        self.decided: dict[int, str | None] = {}
        self.waiting: set[int] = set()
        self.torn = False
        self.asked = 0.0

    async def read(self, group: int) -> None:
        await super().read(group)
        self.reads += 1

    async def write(self, values: Mapping[int, Value]) -> Mapping[int, str]:
        await asyncio.sleep(0.001)
        self.written += values.items()
        silent = {row: "no answer" for row in values if self.points[row].device in self.silent}
        self.waiting |= {row for row in values if row in self.late and row not in silent}
        if silent:
            raise WriteError("no answer", silent, {self.points[row].device for row in silent})
        return {}

    @property
    def unconfirmed(self) -> Collection[int]:
        return self.waiting

    @property
    def read_back_due(self) -> float:
        return self.asked + 0.05 if self.waiting else math.inf

    async def read_back(self) -> Mapping[int, str | None]:
        self.asked = asyncio.get_running_loop().time()
        if self.torn:
            raise LinkError("the line is cut")
        decided = {row: self.decided[row] for row in self.waiting & self.decided.keys()}
        self.waiting -= decided.keys()
        return decided


class Work:
    """A link with a device `meter` that is read, and `valve` that is only written, and what the link has told."""

    def __init__(self, *names: str) -> None:
        names = names or ("meter", "valve")
        points = [Point(name, name, SimulatedPoint(), 100, read=name != "valve", write=True) for name in names]
        self.driver = Reticent({name: SimulatedDevice() for name in names}, points)
        self.link = Link("line", self.driver, names, [point.device for point in points])
        self.told: list[tuple[int, Value, str | None]] = []
        self.link.on_written = lambda row, value, refusal: self.told.append((row, value, refusal))

    @asynccontextmanager
    async def going(self) -> AsyncGenerator[None]:
        task = asyncio.create_task(self.link.run())
        await asyncio.sleep(1.0)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def virtually(monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(main: Coroutine[Any, Any, None]) -> None:
        run_virtually(main, VirtualTime(), monkeypatch, links, state_log, simulated)

    return run


def test_a_device_that_is_only_written_is_known_by_its_answers_to_writes(virtually: Any) -> None:
    async def main() -> None:
        work = Work()
        link, valve = work.link, "valve"
        async with work.going():
            assert link.devices[valve] is DeviceState.CONNECTING
            assert link.reaches(valve)
            for _ in range(2):  # and once more: what it has answered before proves nothing
                link.wish(1, 1.0)
                await asyncio.sleep(0.1)
                assert link.devices[valve] is DeviceState.UP
                assert link.state is LinkState.UP
                assert work.told.pop() == (1, 1.0, None)

                work.driver.silent = {valve}
                link.wish(1, 2.0)
                link.wish(0, 3.0)
                await asyncio.sleep(0.05)
                assert work.told == [(1, 2.0, "no answer"), (0, 3.0, None)]
                assert link.devices[valve] is DeviceState.DEMOTED
                assert link.state is LinkState.DEGRADED
                assert not link.reaches(valve)
                assert link.reaches("meter")
                work.told.clear()
                await asyncio.sleep(0.5)
                assert link.reaches(valve), "it may be tried again"
                assert link.devices[valve] is DeviceState.DEMOTED, "but nothing better is known of it"
                work.driver.silent = set()
        assert work.driver.reads > 10

    virtually(main())


def test_a_device_that_is_only_written_and_silent_rests_for_longer_and_longer(virtually: Any) -> None:
    async def main() -> None:
        work = Work()
        work.driver.silent = {"valve"}
        async with work.going():
            rests: list[float] = []
            for _ in range(8):
                while not work.link.reaches("valve"):
                    await asyncio.sleep(0.01)
                work.link.wish(1, 1.0)
                start = asyncio.get_running_loop().time()
                await asyncio.sleep(0.01)
                while not work.link.reaches("valve"):
                    await asyncio.sleep(0.01)
                rests.append(asyncio.get_running_loop().time() - start)
            assert rests[-1] > 10
            assert rests[0] < 0.5

    virtually(main())


def test_a_link_of_which_all_is_only_written_comes_up_again_with_its_device(virtually: Any) -> None:
    async def main() -> None:
        work = Work("valve")
        async with work.going():
            work.driver.silent = {"valve"}
            work.link.wish(0, 1.0)
            await asyncio.sleep(1.0)
            assert work.link.state is LinkState.DEGRADED
            work.driver.silent = set()
            work.link.wish(0, 1.0)
            await asyncio.sleep(1.0)
            assert (work.link.state, work.link.devices["valve"]) == (LinkState.UP, DeviceState.UP)

    virtually(main())


@pytest.mark.parametrize("reason", [None, "it holds something else"])
def test_a_value_that_shows_late_is_told_when_it_is_decided_and_the_readings_go_on(
    virtually: Any, reason: str | None
) -> None:
    async def main() -> None:
        work = Work()
        work.driver.late = {0}
        async with work.going():
            work.link.wish(0, 5.0)
            work.link.wish(1, 6.0)
            before = work.driver.reads
            await asyncio.sleep(1.0)
            assert work.told == [(1, 6.0, None)]
            assert work.driver.reads >= before + 9
            work.driver.decided = {0: reason}
            await asyncio.sleep(0.2)
            assert work.told == [(1, 6.0, None), (0, 5.0, reason)]
            assert (work.link.counters.writes, work.link.counters.refused_writes) == ((2, 0) if not reason else (1, 1))

    virtually(main())


def test_of_two_values_for_one_place_the_newer_is_told(virtually: Any) -> None:
    async def main() -> None:
        work = Work()
        work.driver.late = {0}
        async with work.going():
            for value in (5.0, 6.0):
                work.link.wish(0, value)
                await asyncio.sleep(0.2)
            work.driver.decided = {0: None}
            await asyncio.sleep(0.2)
            assert work.told == [(0, 6.0, None)]

    virtually(main())


def test_a_value_that_nobody_waits_for_any_more_is_not_told(virtually: Any) -> None:
    async def main() -> None:
        work = Work()
        work.driver.late = {0}
        async with work.going():
            work.link.wish(0, 5.0)
            await asyncio.sleep(0.2)
            work.link.forget_wishes([0])
            work.driver.decided = {0: None}
            await asyncio.sleep(0.2)
            assert work.told == []
            work.link.wish(0, 6.0)
            await asyncio.sleep(0.2)
            assert work.told == [(0, 6.0, None)]

    virtually(main())


def test_a_line_that_breaks_while_a_value_is_read_back_is_opened_again(virtually: Any) -> None:
    async def main() -> None:
        work = Work()
        work.driver.late = {0}
        async with work.going():
            work.driver.torn = True
            work.link.wish(0, 5.0)
            await asyncio.sleep(0.01)
            assert work.link.state is LinkState.DOWN
            work.driver.torn = False
            work.driver.waiting.clear()
            await asyncio.sleep(5.0)
            assert work.link.state is LinkState.UP
            assert work.told == []

    virtually(main())
