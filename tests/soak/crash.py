"""The engine killed at random moments of a run: `python -m tests.soak.crash --times 50 --seed 1`, or `make crash`.

Life after life is ended by SIGKILL, as by a power cut, some with the aggregator out of reach. What an engine wrote to
a file beside, line by line, is the truth about what it had logged. In the end the aggregator must have of each run all
that was durable when its engine was killed, in order and once; the archive has a whole row for each durable tick.
The skid's PLC misses the sign of life of the dead engine: it has to make the outputs safe by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.interop.environment import OPEN_PECTUS, SCRIPTS
from tests.soak.lives import FOLLOWED, Lives, Run
from tests.soak.records import Records, records
from tests.soak.whole import faults_in, faults_in_archive
from uod_examples.skid import FaultProxy, Skid
from uod_examples.skid.model import Value

ROOT = Path(__file__).parents[2]
SKIDLINK = Path(sys.executable).with_name("skidlink")
DURABLE_WITHIN_S = 0.7
"""What is older than this when the engine is killed must not be lost: the store is flushed every 0.2 s, and a flush
takes its time on a busy disk."""
PATIENCE_S = 60.0
WATCHDOG_S = 3.0
SAFE: Mapping[str, Value] = {"PU01": 0.0, "VA01": False, "VA02": False}
# Every sample is to be stored. The aggregator stores what is newer by more than the log interval, and stamps that would
# be the same, as of a snapshot and the tick that follows it at once, are a millisecond apart.
UOD = """\
uod: Crash
tick_ms: 50
data_log_interval_s: 0.0001
devices:
  box: {driver: simulated}
  pump: {driver: modbus-tcp, host: 127.0.0.1, port: %d, max_gap: 0}
tags:
  T0: {device: box, signal: ramp, period_s: 100, unit: degC}
  PU01: {device: pump, holding: 0, scale: 0.1, direction: both, unit: "%%", min: 0, max: 100, safe_value: 0}
  VA01: {device: pump, coil: 0, direction: both, choices: {Closed: 0, Open: 1}, safe_value: Closed}
  VA02: {device: pump, coil: 1, direction: both, choices: {Closed: 0, Open: 1}, safe_value: Closed}
  WD01: {device: pump, holding: 8, direction: output, heartbeat: counter, heartbeat_every_ms: 200}
process_values: [T0, {entry: PU01}, {choice: VA01}, {choice: VA02}]
"""


class Crash:
    """Life after life of one engine, and what is left in the end."""

    def __init__(self, times: int, seed: int, folder: Path, aggregator: Records, proxy: FaultProxy, skid: Skid) -> None:
        self.times, self.seed, self.folder = times, seed, folder
        self.aggregator, self.proxy, self.skid = aggregator, proxy, skid
        self.chance = random.Random(f"{seed} crash")
        self.log = Lives(folder / "messages.jsonl")
        self.findings: list[str] = []
        self.moments: list[str] = []
        self.stored = 0
        self.trips = 0
        """Times that the skid was watched until it had made its outputs safe."""
        (folder / "uod.yaml").write_text(UOD % skid.modbus_port)

    async def run(self) -> None:
        for life in range(self.times):
            await self._live(life)
        await self.proxy.restore()
        async with self._engine() as engine:
            await self._until(engine, self._is_known, "the state of the engine is published")
            await self._go_on(engine)
            await self._until(engine, lambda: self.log.ticks > 20, "the last life publishes")
            await self.aggregator.command("Stop")
            await self._until(engine, lambda: self.log.state.get("System State") == "Stopped", "the last run is over")
            self.log.end_life(float("inf"))
            for name, run in self.log.runs.items():
                if run.durable:
                    try:
                        record = await self.aggregator.record(name, FOLLOWED)
                    except (TimeoutError, AssertionError) as error:
                        self.findings.append(f"run {name}: the aggregator has no record of it {error}")
                        continue
                    self.stored += len(record.samples)
                    self.findings += [f"run {name}: {fault}" for fault in faults_in(record, run)]
                    self._check_files(name, run)
            engine.terminate()
            if code := await asyncio.wait_for(engine.wait(), PATIENCE_S):
                self.findings.append(f"the engine ended with {code} at last")
        if unsafe := {name: value for name, value in self._outputs().items() if value != SAFE[name]}:
            self.findings.append(f"outputs are not safe at the end: {unsafe}")

    async def _live(self, life: int) -> None:
        """One life, and its end."""
        chance = self.chance
        early = chance.random() < 0.2
        lasts = chance.uniform(0.05, 2.0) if early else chance.uniform(0.3, 3.0)
        alone = chance.random() < 0.3
        self.moments.append(f"{lasts:.2f} s {'after the start' if early else 'in a run'}{', alone' * alone}")
        async with self._engine() as engine:
            try:
                if early:
                    await asyncio.sleep(lasts)
                else:
                    await self._until(engine, self._is_known, "the state of the engine is published")
                    await self._go_on(engine)
                    if alone:  # what waits is on the disk alone
                        await self.proxy.refuse()
                    await asyncio.sleep(lasts / 2)
                    if not alone:
                        await self.aggregator.inject(f"PU01: {1 + life % 99} %\nVA01: Open\nVA02: Open")
                    await asyncio.sleep(lasts / 2)
            finally:
                killed = time.time()
                if engine.returncode is not None:
                    self.findings.append(f"life {life} ended by itself with {engine.returncode}")
                else:
                    engine.kill()
                await engine.wait()
                await self.proxy.restore()
                self.log.end_life(killed - DURABLE_WITHIN_S)
        if chance.random() < 0.6 and self._outputs() != SAFE:
            await self._check_trip(life)

    async def _check_trip(self, life: int) -> None:
        """Wait for the skid to miss its engine, and see that it is safe then."""
        try:
            async with asyncio.timeout(WATCHDOG_S + PATIENCE_S):
                while not self.skid.model.tripped:
                    await asyncio.sleep(0.1)  # the model steps by itself
        except TimeoutError:
            self.findings.append(f"life {life}: the skid does not miss its engine")
            return
        self.trips += 1
        if unsafe := {name: value for name, value in self._outputs().items() if value != SAFE[name]}:
            self.findings.append(f"life {life}: outputs are not safe after the skid has missed its engine: {unsafe}")

    def _check_files(self, name: str, run: Run) -> None:
        """The archive of a run that lies beside the outbox."""
        texts = [file.read_text() for file in self.folder.glob("outbox/archives/*/archiver-*.txt")]
        mine = [text for text in texts if f",{name}," in text]
        if len(mine) != 1:
            self.findings.append(f"run {name}: {len(mine)} of {len(texts)} archive files are its own")
        self.findings += [f"run {name}, its file: {fault}" for text in mine for fault in faults_in_archive(text, run)]

    def _outputs(self) -> dict[str, Value]:
        values = self.skid.model.values()
        return {name: values[name] for name in SAFE}

    def _is_known(self) -> bool:
        return self.log.state.get("System State") is not None

    async def _go_on(self, engine: asyncio.subprocess.Process) -> None:
        """Bring the engine into a run that goes on: a new one, or the one in which it was killed."""
        button = "Start" if self.log.state["System State"] == "Stopped" else "Unhold"
        async with asyncio.timeout(PATIENCE_S):
            while self.log.state["System State"] != "Running":
                if self.proxy.connections:
                    await self.aggregator.command(button)
                await asyncio.sleep(0.3)  # a command is lost where the engine is not connected yet
                self.log.read()
                if engine.returncode is not None:
                    raise CrashError(f"the engine has ended with {engine.returncode}")

    async def _until(self, engine: asyncio.subprocess.Process, so: Callable[[], bool], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not so():
                    if engine.returncode is not None:
                        raise CrashError(f"the engine has ended with {engine.returncode}, before {what}")
                    await asyncio.sleep(0.05)  # a file that grows can only be looked at
                    self.log.read()
        except TimeoutError:
            raise CrashError(f"not within {PATIENCE_S:.0f} s: {what}") from None

    @asynccontextmanager
    async def _engine(self) -> AsyncGenerator[asyncio.subprocess.Process]:
        self.log.begin_life()
        with (self.folder / "engine.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(SKIDLINK, "run", self.folder / "uod.yaml", "--plain"),
                *("--aggregator", f"{self.proxy.host}:{self.proxy.port}", "--outbox", self.folder / "outbox"),
                *("--output", self.folder / "messages.jsonl"),
                cwd=ROOT, stdout=asyncio.subprocess.DEVNULL, stderr=log,
            )  # fmt: skip
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    def report(self) -> dict[str, Any]:
        return {
            "seed": self.seed,
            "times": self.times,
            "aggregator": self.aggregator.name,
            "passed": not self.findings,
            "runs": len(self.log.runs),
            "longest_run_lives": max((run.lives for run in self.log.runs.values()), default=0),
            "logged": sum(len(run.logged) for run in self.log.runs.values()),
            "durable": sum(len(run.durable) for run in self.log.runs.values()),
            "stored": self.stored,
            "trips": self.trips,
            "moments": self.moments,
            "findings": self.findings,
        }


class CrashError(Exception):
    """The engine does not do what the test needs to go on."""


def show(report: Mapping[str, Any]) -> None:
    """Print the report for a reader."""
    print(f"killed {report['times']} times, seed {report['seed']}, against {report['aggregator']}")
    print(f"{report['runs']} runs, the longest over {report['longest_run_lives']} lives")
    print(f"{report['logged']} samples logged, {report['durable']} durable when killed, {report['stored']} stored")
    print(f"{report['trips']} times the skid was seen to make its outputs safe by itself")
    for line in report["findings"]:
        print(f"FOUND {line}")
    again = f"FAILED; repeat it by: make crash TIMES={report['times']} SEED={report['seed']}"
    print("passed" if report["passed"] else again)


def real_scripts() -> Path | None:
    """Where the real aggregator is, if its environment has been made."""
    if given := os.environ.get("SKIDLINK_INTEROP_VENV"):
        return Path(given) / SCRIPTS
    folder = ROOT / ".venv-interop"
    return folder / SCRIPTS if (folder / f".openpectus-{OPEN_PECTUS}").exists() else None


async def _crash(times: int, seed: int, folder: Path, scripts: Path | None) -> dict[str, Any]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    async with records(scripts, folder, port, FOLLOWED) as aggregator:
        host, port_text = aggregator.address.split(":")
        async with FaultProxy(host, int(port_text)) as proxy, Skid(opcua=False, watchdog_s=WATCHDOG_S) as skid:
            crash = Crash(times, seed, folder, aggregator, proxy, skid)
            try:
                await crash.run()
            except CrashError as error:
                crash.findings.append(str(error))
            return crash.report()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=None, help="else one by the clock, which is printed")
    parser.add_argument("--small", action="store_true", help="the small aggregator, even where the real one is there")
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--keep", type=Path, help="a folder for all files, which else are removed")
    options = parser.parse_args()
    seed = int(time.time()) % 100_000 if options.seed is None else options.seed
    print(f"seed {seed}", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(prefix="skidlink-crash-") as temporary:
        folder = options.keep or Path(temporary)
        if any(folder.iterdir() if folder.exists() else ()):
            parser.error(f"{folder} is not empty: what an earlier test has left would be taken for its own")
        folder.mkdir(parents=True, exist_ok=True)
        scripts = None if options.small else real_scripts()
        report = asyncio.run(_crash(options.times, seed, folder, scripts))
        show(report)
        if options.json:
            print(json.dumps(report))
    sys.exit(0 if report["passed"] else 1)


if __name__ == "__main__":
    main()
