"""The soak: `python -m tests.soak.soak --minutes 3 --seed 1`, or `make soak MINUTES=3 SEED=1`.

The engine runs as `skidlink run` on two simulated skids, over OPC UA (polled and subscribed to) and Modbus TCP, and
delivers to an aggregator. Faults drawn from the seed break its links, its uplink and its clock. Every value that it
publishes is held against what the skids' servers have shown (`referee`); its readings, memory, tasks and descriptors
are counted. The report says what was injected, what was judged and what was found; the exit code is 1 for any fault.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.soak.cadence import cadences
from tests.soak.conductor import Conductor
from tests.soak.engine_process import Vitals, engine_process, waited_s
from tests.soak.faults import CALM_S, WARM_UP_S, Fault, counted, drawn
from tests.soak.growth import Growth, growth
from tests.soak.people import work
from tests.soak.points import TICK_S, soak_tags, soak_uod
from tests.soak.receiver import Receiver
from tests.soak.referee import Referee
from tests.soak.report import show
from tests.soak.shown import Shown, Span
from tests.soak.wall_clock import WallClock
from uod_examples.skid import Bus, FaultProxy, Skid

KEPT_TICKS = 0.99
SAMPLE_S = 0.25
STRAINED_S = 0.1
"""Who is late by so much within a sample, or waits so long for a processor, has no time to spare."""
HISTORY_S = 60.0
CLOCK_SETTLED_S = 120.0
"""After a step back stamps of a run go on by rule until the clock has caught up, a tenth faster than they."""
LAG_S = 3.0
"""No longer is a message on its way from the engine to here."""
QUIET_S = 1.5
"""No message for so long: what stands is judged all the same."""
HUNG_S = 5.0
"""An engine that had no processor at some time since then may still have to say what it knows."""
AGREE_WITHIN_S = 90.0
"""Longer than the minute after which what a device has refused is asked for again."""
WARM_S = 45.0
"""Memory that is taken at first is no leak: caches fill, each kind of fault comes for the first time."""
RSS_ALLOWED_MIB = 4.0
RSS_ALLOWED_MIB_PER_H = 2.0
FEW = 4.0
"""Tasks and descriptors that the fit may rise by: links that are down have fewer. What faults have left behind is seen
when they are all over."""


class Soak:
    """One soak, and what it has found."""

    def __init__(self, seed: int, minutes: float, folder: Path) -> None:
        self.seed, self.duration_s, self.folder = seed, 60 * minutes, folder
        self.tags = soak_tags()
        self.faults: list[Fault] = drawn(seed, self.duration_s)
        self.findings: list[str] = []
        self.growths: list[Growth] = []
        self.clock = WallClock(folder)
        self.cadences = cadences(self.tags)
        self._vitals: list[Vitals] = []
        self._chance = random.Random(f"{seed} operator")
        self._last_message = 0.0
        self._last_tick = 0.0

    async def run(self) -> None:
        """Run it from beginning to end."""
        async with (
            Skid(seed=self.seed, running=True, record=True) as skid,
            Skid(seed=self.seed + 1, running=True, record=True, modbus=False) as other,
        ):
            self.skids = (skid, other)
            self.buses: Mapping[str, Bus] = {"plc": skid.opcua, "box": skid.modbus, "peer": other.opcua}
            self.servers = {name: Shown(bus.showings or []) for name, bus in self.buses.items()}
            self.referee = Referee(self.tags, self.servers)
            for spans in self.referee.sick.values():
                spans.append(Span(time.monotonic()))
            self.receiver = Receiver(self._take_snapshot)
            uod = soak_uod(self.tags, skid.opcua_endpoint, other.opcua_endpoint, skid.modbus_host, skid.modbus_port)
            file = self.folder / "uod.yaml"
            file.write_text(json.dumps(uod, indent=1))
            async with self.receiver.aggregator.running() as aggregator:
                host, port = aggregator.address.split(":")
                async with FaultProxy(host, int(port)) as uplink:
                    self.uplink = uplink
                    await self._run_engine(file, f"{uplink.host}:{uplink.port}")

    async def _run_engine(self, uod: Path, address: str) -> None:
        options = ("--aggregator", address, "--outbox", self.folder / "outbox")
        log = self.folder / "engine.log"
        async with engine_process(uod, *options, environment=self.clock.environment, log=log) as engine:
            self.engine = engine
            self.conductor = Conductor(self.buses, self.servers, self.referee, self.uplink, self.clock)
            async with asyncio.TaskGroup() as tasks:
                followers = [tasks.create_task(self._read_messages()), tasks.create_task(engine.read_log())]
                helpers: list[asyncio.Task[Any]] = [tasks.create_task(self._watch())]
                acting = tasks.create_task(self._act(helpers, tasks))
                ended = asyncio.create_task(engine.process.wait())
                try:
                    await asyncio.wait((acting, ended), return_when=asyncio.FIRST_COMPLETED)
                    if not acting.done():
                        self.findings.append(f"the engine has ended by itself, with {ended.result()}; see {log}")
                finally:
                    acting.cancel()
                    for helper in helpers:
                        helper.cancel()
                    if engine.process.returncode is None:
                        engine.process.send_signal(signal.SIGTERM)
                    try:
                        async with asyncio.timeout(30):
                            await asyncio.wait(followers)
                    except TimeoutError:
                        self.findings.append("the engine does not end within 30 s of SIGTERM")
                        engine.process.kill()
            self._check_end(await ended)

    async def _act(self, helpers: list[asyncio.Task[Any]], tasks: asyncio.TaskGroup) -> None:
        began = time.monotonic()
        await self._until(lambda: all(tag.name in self.referee.standing for tag in self.tags), "all tags are published")
        await self._until(self._agrees, "all tags show what the skid shows")
        for spans in self.referee.sick.values():
            spans[-1].end = time.monotonic()
        await self._until(lambda: bool(self.receiver.aggregator.connections), "the aggregator is connected")
        await self._press("Start", lambda: self.receiver.stored > 0)
        helpers.append(tasks.create_task(work(self.skids, self.receiver, self._chance)))
        await self._quiet()
        first = self._vitals[-1].descriptors, self.engine.told[-1].tasks
        await self.conductor.play(self.faults, began)
        await asyncio.sleep(max(0.0, began + self.duration_s - time.monotonic()))
        helpers.pop().cancel()
        await self._rest(*first)

    async def _quiet(self) -> None:
        """Let the engine come to rest, and tell how it is."""
        before = len(self.engine.told)
        await self._until(lambda: len(self.engine.told) > before, "the engine tells its vitals")
        if not self.engine.told:
            raise SoakError("the engine says nothing of its vitals: is it the one of this folder?")

    async def _rest(self, descriptors: int, tasks: int) -> None:
        """All faults are over: the last state agrees, what was logged has arrived, nothing is left over."""
        await self._until(lambda: self.receiver.missing <= 3, "what was logged in the run has arrived")
        for skid in self.skids:
            await skid.release()
            await skid.pause()
        await self._until(self._agrees, "at the end all tags show what the skid shows")
        await self._quiet()
        for name, before, after in (
            ("descriptors", descriptors, self._vitals[-1].descriptors),
            ("tasks", tasks, self.engine.told[-1].tasks),
        ):
            if after > before + 1:
                self.findings.append(f"{name}: {before} before the faults, {after} after them")
        await self._press("Stop", lambda: self.referee.standing.get("System State") == "Stopped")

    # What goes on meanwhile

    async def _read_messages(self) -> None:
        await self.engine.read_messages(self._take)

    def _take(self, message: dict[str, Any], received: float) -> None:
        if message["_type"] != "TagsUpdatedMsg" or not message["tags"]:
            return
        if message["run_id"] is not None:
            self.receiver.log(message)
        self._last_message = received
        low, high = self._tick_of(message, received)
        published = {tag["name"]: tag["value"] for tag in message["tags"]}
        self.referee.take(published, low, high)
        self.conductor.see(published)
        for cadence in self.cadences:
            cadence.take(published, received, self._vitals[-1].waited_s if self._vitals else 0.0)

    def _take_snapshot(self, message: Mapping[str, Any], received: float) -> None:
        """Judge a snapshot: it comes by a way of its own, beside the order of the ticks."""
        if self.clock.moved_after(received - CLOCK_SETTLED_S):
            return  # its stamp says nothing of when it was made
        stamp = max(tag["tick_time"] for tag in message["tags"])
        made = self.clock.monotonic(stamp, received)
        if made is None:
            return  # it was long on its way
        for tag in message["tags"]:
            if tag["name"] in self.referee.standing:
                self.referee.check(tag["name"], tag["value"], made, received)

    def _tick_of(self, message: Mapping[str, Any], received: float) -> tuple[float, float]:
        """Between which two moments the tick of a message was."""
        stamp = max(tag["tick_time"] for tag in message["tags"])
        found = self.clock.monotonic(stamp, received)
        if found is None:  # after a step back within a run stamps go on above those before, until the clock is there
            return max(self._last_tick, received - LAG_S), received
        self._last_tick = max(self._last_tick, found)
        # A stamp may be that of a device, which is up to a tick before that of the engine.
        return found, min(received, found + 3 * TICK_S)

    async def _watch(self) -> None:
        """Sample the process and the strain on the computer; judge what stands while nothing is said."""
        waited: list[float] = []
        while True:
            due = time.monotonic() + SAMPLE_S
            await asyncio.sleep(SAMPLE_S)
            now = time.monotonic()
            try:
                vitals = self.engine.vitals()
            except (OSError, IndexError):
                return  # the process has ended
            self._vitals.append(vitals)
            before, waited = waited, [vitals.waited_s, *(waited_s(bus.pid) for bus in self.buses.values())]
            if now - due > STRAINED_S or any(y - x > STRAINED_S for x, y in zip(before, waited, strict=False)):
                self.referee.strain.append(Span(due - SAMPLE_S, now))
            quiet = now - self._last_message > QUIET_S and not self.referee.strained(now - HUNG_S, now)
            if quiet and self.referee.standing:
                self.referee.judge(now - 0.5, now - 0.5)
            self.referee.settle(now)
            self.receiver.settle(now)
            for cadence in self.cadences:
                cadence.settle(now, self._sound)
            self._forget(now - HISTORY_S)

    def _sound(self, bus: str, start: float, end: float) -> bool:
        return self.referee.well(bus, start - 1.0, end) and not self.referee.strained(start - 1.0, end + 1.0)

    def _forget(self, before: float) -> None:
        for bus in self.buses.values():
            showings = bus.showings or []
            old = sum(showing.held < before for showing in showings[:200])
            if old == 200:
                del showings[:100]
        for skid in self.skids:
            skid.history.clear()
        for server in self.servers.values():
            server.forget(before)
        self.referee.forget(before)

    # What has to be so

    def _agrees(self) -> bool:
        """Whether every tag shows what its server shows now, or did a moment ago."""
        now = time.monotonic()
        return all(
            self.referee.was_shown(tag, self.referee.standing[tag.name], now - 1.5 - tag.every_s, now)
            for tag in self.tags
        )

    async def _press(self, button: str, done: Callable[[], bool]) -> None:
        """Press a button of run control, until it has done what it is for."""

        async def press() -> None:
            while True:
                await self.receiver.press(button)
                await asyncio.sleep(3.0)  # a connection may break under a command

        pressing = asyncio.create_task(press())
        await self._until(done, f"{button} has done its work")
        pressing.cancel()

    async def _until(self, so: Callable[[], bool], what: str) -> None:
        """Wait until something is so; that it never is, is a finding."""
        try:
            async with asyncio.timeout(AGREE_WITHIN_S):
                while not so():
                    await asyncio.sleep(0.1)  # what another process publishes is seen as it comes
        except TimeoutError:
            self.findings.append(f"not within {AGREE_WITHIN_S:.0f} s: {what}{self._differences()}")

    def _differences(self) -> str:
        now = time.monotonic()
        standing = self.referee.standing
        wrong = [
            f"{tag.name} = {standing.get(tag.name, 'nothing')}"
            for tag in self.tags
            if not self.referee.was_shown(tag, standing.get(tag.name), now - 1.5 - tag.every_s, now)
        ]
        return f"; these differ: {', '.join(wrong[:8])}" if wrong else ""

    def _check_end(self, code: int) -> None:
        if code:
            self.findings.append(f"the engine ended with {code}")
        if self.engine.tracebacks:
            self.findings.append(f"{self.engine.tracebacks} tracebacks in its log, {self.engine.log}")
        if self.receiver.missing:
            oldest = self.receiver.oldest_missing()
            self.findings.append(
                f"{self.receiver.missing} messages of the run have not arrived, the oldest is {oldest}"
            )
        self.findings += self.receiver.faults[:20]
        for kind, count in self.referee.verdict.counts.items():
            self.findings.append(f"{kind}: {count} times")
            self.findings += [f"    {text}" for text in self.referee.verdict.faults[kind][:8]]
        for cadence in self.cadences:
            if cadence.judged and cadence.share < KEPT_TICKS:
                self.findings.append(f"{cadence.bus} has kept only {100 * cadence.share:.2f} % of its readings")
        truth = self.skids[0].model.values()
        unsafe = {name: truth[name] for name in ("PU01", "VA01", "VA02", "MO01") if truth[name]}
        if unsafe:
            self.findings.append(f"outputs are not safe after the end: {unsafe}")
        self._check_growth()

    def _check_growth(self) -> None:
        began = self._vitals[0].time if self._vitals else 0.0
        start = began + min(WARM_S, self.duration_s / 3)
        warm = [vitals for vitals in self._vitals if vitals.time >= start]
        told = [told for told in self.engine.told if told.time >= start]
        if len(warm) < 2 or len(told) < 2:
            self.findings.append("too short to see whether anything grows")
            return
        hours = (warm[-1].time - warm[0].time) / 3600
        rss = [(vitals.time, vitals.rss / 2**20) for vitals in warm]
        self.growths = [
            growth("memory, MiB", rss, RSS_ALLOWED_MIB + RSS_ALLOWED_MIB_PER_H * hours),
            growth("descriptors", [(vitals.time, vitals.descriptors) for vitals in warm], FEW),
            growth("tasks", [(each.time, each.tasks) for each in told], FEW),
        ]
        self.findings += [f"grows: {each}" for each in self.growths if not each.passed]

    # The report

    def report(self) -> dict[str, Any]:
        verdict = self.referee.verdict
        told = self.engine.told
        return {
            "seed": self.seed,
            "minutes": self.duration_s / 60,
            "passed": not self.findings,
            "injected": counted(self.faults) | ({} if self.clock.can_move else {"the clock could not be moved": 1}),
            "published": verdict.published,
            "standing": verdict.standing,
            "prompt": verdict.prompt,
            "strained": verdict.strained,
            "nulls": verdict.nulls,
            "stored": self.receiver.stored,
            "kept": {cadence.bus: round(cadence.share, 5) if cadence.judged else None for cadence in self.cadences},
            "due": {cadence.bus: round(cadence.due) for cadence in self.cadences},
            "ticks": told[-1].ticks if told else 0,
            "overruns": told[-1].overruns if told else 0,
            "waited_s": round(max((vitals.waited_s for vitals in self._vitals), default=0.0), 2),
            "longest_return_s": round(max(self.conductor.returns, default=0.0), 1),
            "growth": [str(each) for each in self.growths],
            "rss_mib": [round(vitals.rss / 2**20, 1) for vitals in self._vitals[:: max(1, len(self._vitals) // 40)]],
            "findings": self.findings,
        }


class SoakError(Exception):
    """The soak cannot go on."""


async def _soak(seed: int, minutes: float, folder: Path) -> Soak:
    soak = Soak(seed, minutes, folder)
    await soak.run()
    return soak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=None, help="else one by the clock, which is printed")
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--keep", type=Path, help="a folder for the engine's log and files, which else are removed")
    options = parser.parse_args()
    least = (WARM_UP_S + CALM_S + 15.0) / 60
    if options.minutes < least:
        parser.error(f"--minutes must be {least:g} at least: it begins and ends calm")
    seed = int(time.time()) % 100_000 if options.seed is None else options.seed
    print(f"seed {seed}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="skidlink-soak-") as temporary:
        folder = options.keep or Path(temporary)
        shutil.rmtree(folder / "outbox", ignore_errors=True)  # nothing of an earlier soak
        folder.mkdir(parents=True, exist_ok=True)
        soak = asyncio.run(_soak(seed, options.minutes, folder))
        report = soak.report()
        show(report, soak.faults)
        if options.json:
            print(json.dumps(report))
    sys.exit(0 if report["passed"] else 1)


if __name__ == "__main__":
    main()
