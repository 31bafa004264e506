"""Lets faults happen to the simulated skids, and the skids be worked meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.soak.faults import Fault
from tests.soak.points import CANARY, OUTPUTS
from tests.soak.referee import Referee
from tests.soak.shown import Shown, Span
from tests.soak.wall_clock import WallClock
from uod_examples.skid import Bus, FaultProxy, ModbusBus, OpcUaBus
from uod_examples.skid.nodes import NODES
from uod_examples.skid.registers import REGISTERS

BACK_WITHIN_S = 30.0
"""A link is back so long after its fault is over: the longest wait between two tries, a try that ends in a time-out,
and the rest of a busy machine."""
TRIES = 4
"""However busy the computer is, a link is back after so many times as long."""
PLACE_BACK_WITHIN_S = 75.0
"""What a Modbus device refuses is asked for again once a minute."""
SETTLED_S = 1.5
"""After the first value of a link that is back its slowest group is read, too."""


class Conductor:
    """Plays the faults of one soak."""

    def __init__(
        self,
        buses: Mapping[str, Bus],
        servers: Mapping[str, Shown],
        referee: Referee,
        uplink: FaultProxy,
        clock: WallClock,
    ) -> None:
        self._buses, self._servers, self._referee = buses, servers, referee
        self._uplink, self._clock = uplink, clock
        self._awaited: list[tuple[str, Callable[[Any], None]]] = []
        """Tag, and who waits for a value of it."""
        self.returns: list[float] = []
        """How long links took to be back, seconds."""

    def see(self, published: Mapping[str, Any]) -> None:
        """Look for the values by which a link, or a place, is known to be back."""
        for tag, wake in self._awaited:
            if (value := published.get(tag)) is not None:
                wake(value)

    async def play(self, faults: list[Fault], began: float) -> None:
        """Let them all happen, each place by itself; returns when all links are back."""
        places = {fault.where for fault in faults}
        async with asyncio.TaskGroup() as tasks:
            for place in places:
                tasks.create_task(self._play([fault for fault in faults if fault.where == place], began))

    async def _play(self, faults: list[Fault], began: float) -> None:
        async with asyncio.TaskGroup() as tasks:
            back: asyncio.Task[None] | None = None
            for fault in faults:
                await asyncio.sleep(began + fault.at - time.monotonic())
                if fault.where == "clock":
                    await self._move_clock(fault)
                elif fault.where == "uplink":
                    await self._break_uplink(fault)
                else:
                    span = Span(time.monotonic())
                    self._referee.sick[fault.where].append(span)
                    if back:
                        back.cancel()
                    await self._break_link(fault, tasks)
                    back = tasks.create_task(self._be_back(fault, span))

    async def _break_link(self, fault: Fault, tasks: asyncio.TaskGroup) -> None:
        bus = self._buses[fault.where]
        match fault.kind:
            case "drop":
                await bus.drop()
            case "late":
                await bus.answer_late(0.02 * 150**fault.amount)  # 20 ms to 3 s
                await asyncio.sleep(fault.lasts)
                await bus.restore()
            case "refuse":
                await self._dark(fault, bus.refuse(), bus)
            case "silent":
                await self._dark(fault, bus.black_hole(), bus)
            case "frozen":
                await self._freeze(fault, bus)
            case "frozen values":
                bus.freeze_values()
                await asyncio.sleep(fault.lasts)
                await bus.restore()
            case "restart":
                await bus.restart()  # clients may read again before we hear that it is ready: it counts as never dark
            case "half-open":
                await bus.half_open()
            case "point":
                await self._refuse_point(fault, bus, tasks)
            case _:
                raise AssertionError(fault)

    async def _dark(self, fault: Fault, begin: Coroutine[Any, Any, None], bus: Bus) -> None:
        await begin
        with self._no_answers(fault.where):
            await asyncio.sleep(fault.lasts)
        await bus.restore()

    async def _freeze(self, fault: Fault, bus: Bus) -> None:
        pid = bus.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            with self._no_answers(fault.where):
                await asyncio.sleep(fault.lasts)
        finally:
            os.kill(pid, signal.SIGCONT)

    async def _refuse_point(self, fault: Fault, bus: Bus, tasks: asyncio.TaskGroup) -> None:
        places = [node.name for node in NODES] if isinstance(bus, OpcUaBus) else [each.name for each in REGISTERS]
        places = [place for place in places if place != CANARY and place not in OUTPUTS]
        place = places[int(fault.amount * len(places))]
        assert isinstance(bus, OpcUaBus | ModbusBus)
        tag = f"{fault.where} {place}"
        sick = Span(time.monotonic())
        self._referee.sick_tags.setdefault(tag, []).append(sick)
        await bus.fail(place)
        dark = Span(time.monotonic())
        self._servers[fault.where].dark_places.setdefault(place, []).append(dark)
        await asyncio.sleep(fault.lasts)
        dark.end = time.monotonic()
        await bus.restore()
        tasks.create_task(self._place_be_back(tag, sick))

    @contextmanager
    def _no_answers(self, where: str) -> Generator[None]:
        """Note that no client gets an answer meanwhile."""
        span = Span(time.monotonic())
        self._servers[where].dark.append(span)
        try:
            yield
        finally:
            span.end = time.monotonic()

    async def _break_uplink(self, fault: Fault) -> None:
        match fault.kind:
            case "drop":
                await self._uplink.drop()
            case "late":
                self._uplink.delay = 0.02 * 50**fault.amount
            case "refuse":
                await self._uplink.refuse()
            case "silent":
                self._uplink.black_hole()
            case _:
                await self._uplink.half_open()
        await asyncio.sleep(fault.lasts)
        await self._uplink.restore()

    async def _move_clock(self, fault: Fault) -> None:
        if self._clock.can_move:
            far = 6.0 + 6.0 * fault.amount
            self._clock.set(far if fault.kind == "forward" else -far)
            await asyncio.sleep(fault.lasts)
            self._clock.set(0.0)

    async def _be_back(self, fault: Fault, span: Span) -> None:
        """Wait until a link shows what has come after its fault; say so when it does not."""
        over = time.monotonic()
        newest = int(self._servers[fault.where].newest()[CANARY])
        try:
            if await self._seen(f"{fault.where} {CANARY}", lambda value: int(value) > newest, BACK_WITHIN_S):
                self.returns.append(time.monotonic() - over)
                await asyncio.sleep(SETTLED_S)
            else:
                took = time.monotonic() - over
                text = f"{fault.where} is not back {took:.0f} s after the fault was over: {fault}"
                self._referee.verdict.found("not back", text)
        finally:
            span.end = time.monotonic()

    async def _place_be_back(self, tag: str, span: Span) -> None:
        """Wait until a place that was refused shows a value again."""
        if not await self._seen(tag, lambda _: True, PLACE_BACK_WITHIN_S):
            self._referee.verdict.found("not back", f"{tag} is refused no more, and still shows nothing")
        await asyncio.sleep(SETTLED_S)
        span.end = time.monotonic()

    async def _seen(self, tag: str, wanted: Callable[[Any], bool], within_s: float) -> bool:
        """Wait for a value of a tag; a time in which the computer was busy does not count."""
        seen = asyncio.Event()

        def see(value: Any) -> None:
            if wanted(value):
                seen.set()

        awaited = tag, see
        self._awaited.append(awaited)
        try:
            for _ in range(TRIES):
                tried = time.monotonic()
                try:
                    async with asyncio.timeout(within_s):
                        await seen.wait()
                        return True
                except TimeoutError:
                    if not self._referee.strained(tried, time.monotonic()):
                        break
            return False
        finally:
            self._awaited.remove(awaited)
