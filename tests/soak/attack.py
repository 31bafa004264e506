"""The attack: `python -m tests.soak.attack --minutes 2 --seed 1`, or `make attack MINUTES=2 SEED=1`.

The engine reads slaves that misbehave on every transport (`hostile_slave`) and delivers to an aggregator that does what
none should (`hostile_aggregator`). Its wall clock leaps, its disk fills up, and it is killed and started again on a
damaged store (`damage`). Each published value proves where and when it was read; heartbeats to a sound unit show
whether the scan was ever held up. The report says what was done, judged and found; the exit code is 1 for any finding.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.soak.attack_judge import Judge
from tests.soak.attack_points import PUMP_AT, attack_tags, attack_uod
from tests.soak.damage import DAMAGES, damage
from tests.soak.engine_process import EngineProcess, engine_process, waited_s
from tests.soak.hostile_aggregator import HostileAggregator
from tests.soak.receiver import Receiver
from tests.soak.shown import Span
from tests.soak.wall_clock import WallClock

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
SAMPLE_S = 0.2
STRAINED_S = 0.05
"""Who waits so long for a processor within a sample, or is so late, has no time to spare."""
CALM_S = 3.0
"""Before its end a life is left alone, so that what waits can arrive."""
LEAP_S = 15 * 86_400.0
FULL_S = 2.0


class Attack:
    """One attack, and what it has found."""

    def __init__(self, seed: int, minutes: float, folder: Path) -> None:
        self.seed, self.minutes, self.folder = seed, minutes, folder
        self.chance = random.Random(seed)
        self.judge = Judge({tag.name: tag for tag in attack_tags()})
        self.receiver = Receiver(lambda _message, _received: None)
        self.aggregator = HostileAggregator(self.receiver, random.Random(f"{seed} aggregator"))
        self.clock = WallClock(folder)
        self.done: Counter[str] = Counter()
        self.lives: list[str] = []
        self.slave_counts: Mapping[str, int] = {}
        self.ticks = 0
        self._pump: int | None = None
        self._slave_pid: int | None = None

    async def run(self) -> None:
        """Let one life follow the other."""
        lives = max(2, round(2 * self.minutes))
        kinds = list(DAMAGES)
        self.chance.shuffle(kinds)
        async with self._slave() as ports, self.receiver.aggregator.running() as aggregator:
            uod = self.folder / "uod.yaml"
            uod.write_text(json.dumps(attack_uod(attack_tags(), ports), indent=1))
            for life in range(lives):
                await self._live(uod, aggregator.address, life, 60 * self.minutes / lives, is_last=life == lives - 1)
                if life < lives - 1:
                    done = damage(self.folder / "outbox", kinds[life % len(kinds)], self.chance)
                    self.lives.append(done)
                    self.receiver.forget()

    @asynccontextmanager
    async def _slave(self) -> AsyncGenerator[Mapping[str, int]]:
        """The hostile slave in a process of its own; gives its ports."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.soak.hostile_slave", str(self.seed),
            cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        self._slave_pid = process.pid
        ports = json.loads(await process.stdout.readline())
        following = asyncio.create_task(self._follow_slave(process.stdout))
        try:
            yield ports
            if following.done():
                following.result()
        finally:
            following.cancel()
            process.kill()
            await process.wait()

    async def _follow_slave(self, told: asyncio.StreamReader) -> None:
        async for line in told:
            said = json.loads(line)
            if "counts" in said:
                self.slave_counts = said["counts"]
            elif said["address"] == PUMP_AT:
                self._pump = said["value"]
            else:
                self.judge.beat(said["time"])

    async def _live(self, uod: Path, address: str, life: int, duration_s: float, *, is_last: bool) -> None:
        """Run the engine for a while, do to it what there is to do, and kill it, or end it if it is the last one."""
        self.judge.begin_life()
        log = self.folder / f"engine{life}.log"
        options = ("--aggregator", address, "--outbox", self.folder / "outbox")
        async with engine_process(uod, *options, environment=self.clock.environment, log=log) as engine:
            follow = [asyncio.create_task(engine.read_messages(self._take)), asyncio.create_task(engine.read_log())]
            watching = asyncio.create_task(self._watch(engine))
            acting = asyncio.create_task(self._act(engine, duration_s))
            try:
                await asyncio.wait((acting, *follow), return_when=asyncio.FIRST_COMPLETED)
                if not acting.done():
                    self.judge.find("the engine ended by itself", f"in life {life}; see {log}")
            finally:
                acting.cancel()
                watching.cancel()
            for task in (acting, watching):
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            if is_last and engine.process.returncode is None:
                await self._end(engine)
            if engine.process.returncode is None:
                engine.process.kill()
            await asyncio.wait(follow)
            for task in follow:
                task.result()
        if engine.tracebacks:
            self.judge.find("a traceback", f"{engine.tracebacks} in {log}")
        self.ticks += engine.told[-1].ticks if engine.told else 0

    async def _end(self, engine: EngineProcess) -> None:
        engine.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(PATIENCE_S):
                code = await engine.process.wait()
        except TimeoutError:
            self.judge.find("the engine does not end", f"within {PATIENCE_S:.0f} s of SIGTERM")
            return
        if code:
            self.judge.find("the engine ended badly", f"with {code}")
        if self._pump:
            self.judge.find("an output is not safe after the end", f"the pump has {self._pump}")

    async def _act(self, engine: EngineProcess, duration_s: float) -> None:
        ends = time.monotonic() + duration_s
        await self._until(lambda: self.judge.shown > len(self.judge.tags) / 2, "most tags show values")
        await self._until(lambda: bool(self.receiver.aggregator.connections), "the aggregator is connected")
        await self._until(lambda: self._pump == 0, "the outputs are safe after the start")
        if self.judge.value("System State") == "Stopped":
            await self.receiver.press("Start")
        hostile = asyncio.create_task(self.aggregator.work())
        own = asyncio.create_task(self._hurt(engine))
        try:
            await asyncio.sleep(max(0.0, ends - CALM_S - time.monotonic()))
        finally:
            for task in (hostile, own):
                task.cancel()
            await asyncio.gather(hostile, own, return_exceptions=True)
            self._calm(engine)
        for task in (hostile, own):
            if not task.cancelled() and (error := task.exception()):
                raise error
        await self._until(lambda: self.receiver.missing <= 3, "what was logged in the run has arrived")

    async def _hurt(self, engine: EngineProcess) -> None:
        """Move the clock and fill the disk of the engine, again and again."""
        while True:
            await asyncio.sleep(self.chance.uniform(1.0, 3.0))
            if self.chance.random() < 0.5:
                self.done["a full disk"] += 1
                _limit_files(engine, 0)
                await asyncio.sleep(FULL_S)
                _limit_files(engine, resource.RLIM_INFINITY)
            elif self.clock.can_move:
                leap = self.chance.choice((LEAP_S, -LEAP_S, 86_400.0 - time.time()))
                self.done["a leap of the clock"] += 1
                self.clock.set(leap)
                await asyncio.sleep(FULL_S)
                self.clock.set(0.0)

    def _calm(self, engine: EngineProcess) -> None:
        """Put an end to all that is done to the engine."""
        self.receiver.aggregator.deaf = False
        self.receiver.aggregator.version_stream = None
        self.clock.set(0.0)
        if engine.process.returncode is None:
            _limit_files(engine, resource.RLIM_INFINITY)

    def _take(self, message: dict[str, Any], _received: float) -> None:
        if message["_type"] != "TagsUpdatedMsg":
            return
        if message["run_id"] is not None and message["tags"]:
            self.receiver.log(message)
        self.judge.take((tag["name"], tag["value"]) for tag in message["tags"])

    async def _watch(self, engine: EngineProcess) -> None:
        """Note the strain on the computer, and judge what stands."""
        waited: list[float] = []
        told = len(engine.told)
        while True:
            due = time.monotonic() + SAMPLE_S
            await asyncio.sleep(SAMPLE_S)
            now = time.monotonic()
            before, waited = waited, [waited_s(pid) for pid in (engine.process.pid, self._slave_pid)]
            if now - due > STRAINED_S or any(y - x > STRAINED_S for x, y in zip(before, waited, strict=False)):
                self.judge.strain.append(Span(due - SAMPLE_S, now))
            self.judge.settle()
            self.receiver.settle(now)
            if len(engine.told) > max(told, 1):
                late = engine.told[-1].overruns - engine.told[-2].overruns
                self.judge.overrun(late, engine.told[-2].time)
            told = len(engine.told)

    async def _until(self, so: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not so():
                    await asyncio.sleep(0.1)  # what other processes do is seen as it comes
        except TimeoutError:
            missing = self.receiver.missing
            oldest = f"; {missing} are missing, the oldest is {self.receiver.oldest_missing()}" if missing else ""
            self.judge.find(f"not within {PATIENCE_S:.0f} s", f"{what}{oldest}")

    def report(self) -> dict[str, Any]:
        findings = dict(self.judge.findings)
        if self.receiver.faults:
            findings["of what was stored"] = self.receiver.faults[:8]
        return {
            "seed": self.seed,
            "minutes": self.minutes,
            "passed": not findings,
            "slaves": dict(self.slave_counts),
            "aggregator": dict(self.aggregator.done),
            "engine": dict(self.done),
            "damages": self.lives,
            "published": self.judge.published,
            "good": self.judge.good,
            "stored": self.receiver.stored,
            "ticks": self.ticks,
            "longest_gap_s": round(self.judge.longest_gap_s, 2),
            "strained_s": round(sum(span.end - span.start for span in self.judge.strain), 1),
            "findings": findings,
        }


def _limit_files(engine: EngineProcess, size: int) -> None:
    """Let no file of the engine grow beyond a size, as on a disk that is full."""
    resource.prlimit(engine.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _show(report: Mapping[str, Any]) -> None:
    print(f"attack of {report['minutes']:g} minutes, seed {report['seed']}")
    for key in ("slaves", "aggregator", "engine"):
        print(f"{key}: " + ", ".join(f"{count} {deed}" for deed, count in report[key].items()))
    for done in report["damages"]:
        print(f"between two lives: {done}")
    print(f"{report['published']} published values checked, {report['good']} of them good; {report['stored']} stored")
    print(f"{report['ticks']} ticks; the longest gap between two heartbeats {report['longest_gap_s']} s")
    print(f"the computer let a process wait within {report['strained_s']} s of it")
    for kind, texts in report["findings"].items():
        print(f"FOUND {kind}: {len(texts)} times")
        for text in filter(None, texts[:8]):
            print(f"    {text}")
    repeat = f"FAILED; repeat it by: make attack MINUTES={report['minutes']:g} SEED={report['seed']}"
    print("passed" if report["passed"] else repeat)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=None, help="else one by the clock, which is printed")
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--keep", type=Path, help="a folder for the engine's logs and files, which else are removed")
    options = parser.parse_args()
    seed = int(time.time()) % 100_000 if options.seed is None else options.seed
    print(f"seed {seed}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="skidlink-attack-") as temporary:
        folder = options.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        attack = Attack(seed, options.minutes, folder)
        asyncio.run(attack.run())
        report = attack.report()
    _show(report)
    if options.json:
        print(json.dumps(report))
    sys.exit(0 if report["passed"] else 1)


if __name__ == "__main__":
    main()
