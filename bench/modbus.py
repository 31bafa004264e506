"""Reading blocks of 125 holding registers by Modbus TCP, against pymodbus's asynchronous client and a C client.

`python -m bench.modbus [--json] [--quick]`. The slave and the C client are written with libmodbus and built here. All
sides run in processes of their own, first with the slave on the same core and then on another, and take turns; a ratio
is the median of the ratios of the turns. Wall time counts, as a scan is mostly waiting.

On two cores both sides sleep between request and answer, and most of a scan is the waking: how long that takes is the
machine's, the same for everybody who waits for each answer. So a bare event loop and a bare blocking socket that do
nothing with the same bytes run in the same turns. A goal that the bare loop itself misses is "out of reach here".
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.worker import ROOT, Worker

SLAVE = ROOT / "tests" / "system" / "modbus_slave.c"
CLIENT = ROOT / "bench" / "modbus_client.c"
BLOCKS = (1, 8, 40, 80)
IN_FLIGHT = 80
"""As many as the largest scan has blocks."""
GOALS = {"single": 2.0, "pipelined": 8.0}
"""How many times faster than pymodbus at 80 blocks, one request at a time and pipelined."""
DELAY_S = 0.005
DELAYED = {"blocks": 40, "in_flight": 8}
MOST_ROUND_TRIPS = 7.0


def build(source: Path, folder: Path) -> Path:
    """Compile a C program. Raises `SystemExit` where that cannot be done."""
    compiler = shutil.which("cc")
    if compiler is None:
        sys.exit("bench.modbus needs a C compiler and libmodbus (Debian: gcc, libmodbus-dev)")
    program = folder / source.stem
    built = subprocess.run([compiler, "-O2", "-o", program, source, "-lmodbus"], check=False)
    if built.returncode != 0:
        sys.exit(f"{source} cannot be built: is libmodbus there (Debian: libmodbus-dev)?")
    return program


@contextmanager
def serving(*command: str | Path) -> Generator[tuple[subprocess.Popen[str], int]]:
    """A server that says at which port it listens, until the block ends."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        if process.stdout is None:
            raise RuntimeError("the server has no output")
        yield process, int(process.stdout.readline().split()[1])
    finally:
        process.kill()
        process.communicate()


class Bench:
    """All sides, and the slave that they read."""

    def __init__(self, slave: int, port: int, client: Path, ours: Worker, theirs: Worker, floor: Worker) -> None:
        self._slave = slave
        self._port = port
        self._client = client
        self._ours = ours
        self._theirs = theirs
        self._floor = floor

    def _c(self, blocks: int, core: int, scans: int) -> float:
        words = [str(word) for word in (self._client, self._port, blocks, core, scans)]
        return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)

    def ours(self, blocks: int, in_flight: int, core: int, scans: int, port: int | None = None) -> float:
        """Seconds of one scan by Skidlink."""
        return self._ours.ask(
            "measure", port=port or self._port, blocks=blocks, in_flight=in_flight, core=core, scans=scans
        )["seconds"]

    def compare(self, blocks: int, slave_core: int, turns: int) -> dict[str, Any]:
        """One size, every side in turn."""
        os.sched_setaffinity(self._slave, {slave_core})
        scans = max(10, 400 // blocks)
        found: list[tuple[float, ...]] = []
        for _ in range(turns):
            theirs = self._theirs.ask("measure", port=self._port, blocks=blocks, core=0, scans=max(5, scans // 4))
            floor = self._floor.ask("measure", port=self._port, blocks=blocks, core=0, scans=scans)
            found.append(
                (
                    self.ours(blocks, 1, 0, scans),
                    self.ours(blocks, IN_FLIGHT, 0, scans),
                    theirs["seconds"],
                    self._c(blocks, 0, scans),
                    floor["loop"],
                    floor["socket"],
                )
            )
        single, pipelined, pymodbus, c, loop, socket = (
            statistics.median(row[side] for row in found) for side in range(6)
        )
        return {
            "blocks": blocks,
            "cores": 1 if slave_core == 0 else 2,
            "single_ms": round(single * 1e3, 3),
            "pipelined_ms": round(pipelined * 1e3, 3),
            "pymodbus_ms": round(pymodbus * 1e3, 3),
            "c_ms": round(c * 1e3, 3),
            "bare_loop_ms": round(loop * 1e3, 3),
            "bare_socket_ms": round(socket * 1e3, 3),
            "single_ratio": _ratio([row[2] / row[0] for row in found]),
            "pipelined_ratio": _ratio([row[2] / row[1] for row in found]),
            "c_ratio": _ratio([row[3] / row[1] for row in found]),
            "bare_loop_ratio": _ratio([row[2] / row[4] for row in found]),
        }

    def delayed(self, port: int, turns: int) -> dict[str, Any]:
        """How many round trips a scan takes where each takes 5 ms, pipelined and not."""
        trips: list[float] = []
        single: list[float] = []
        for _ in range(turns):
            one = self.ours(1, 1, 0, 10, port)
            trips.append(self.ours(**DELAYED, core=0, scans=5, port=port) / one)
            single.append(self.ours(DELAYED["blocks"], 1, 0, 2, port) / one)
        found = statistics.median(trips)
        return DELAYED | {
            "delay_ms": DELAY_S * 1e3,
            "round_trips": round(found, 2),
            "round_trips_single": round(statistics.median(single), 2),
            "goal": MOST_ROUND_TRIPS,
            "reached": found <= MOST_ROUND_TRIPS,
        }


def _ratio(ratios: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(ratios), 2), "low": round(min(ratios), 2), "high": round(max(ratios), 2)}


def judge(rows: list[dict[str, Any]]) -> dict[str, bool | None]:
    """Whether the goals at 80 blocks are reached; None where a bare event loop would miss them too."""
    found: dict[str, bool | None] = {}
    for row in rows:
        if row["blocks"] == max(BLOCKS):
            cores = f"on {row['cores']} core{'s' if row['cores'] > 1 else ''}"
            single = row["single_ratio"]["median"] >= GOALS["single"]
            in_reach = row["bare_loop_ratio"]["median"] >= GOALS["single"]
            found[f"one by one {cores}"] = single if single or in_reach else None
            found[f"pipelined {cores}"] = row["pipelined_ratio"]["median"] >= GOALS["pipelined"]
            found[f"ahead of C {cores}"] = row["c_ratio"]["median"] > 1.0
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="fewer turns")
    options = parser.parse_args()
    turns = 3 if options.quick else 9
    cores = sorted(os.sched_getaffinity(0))
    python = Path(sys.executable)
    with tempfile.TemporaryDirectory() as folder:
        slave, client = (build(source, Path(folder)) for source in (SLAVE, CLIENT))
        with (
            serving(slave, "tcp") as (process, port),
            serving(python, "-m", "bench.modbus_delay", str(port), str(DELAY_S)) as (_, delayed_port),
            Worker(python, "bench.modbus_skidlink") as ours,
            Worker(python, "bench.modbus_pymodbus") as theirs,
            Worker(python, "bench.modbus_floor") as floor,
        ):
            bench = Bench(process.pid, port, client, ours, theirs, floor)
            rows = [bench.compare(blocks, core, turns) for core in cores[:2] for blocks in BLOCKS]
            delayed = bench.delayed(delayed_port, turns)
    report = {
        "scans": rows,
        "delayed": delayed,
        "reached": judge(rows) | {"delayed": delayed["reached"]},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("pymodbus", "numpy")}},
    }
    show(report)
    if options.json:
        print(json.dumps(report))


def show(report: dict[str, Any]) -> None:
    """Print the report for a reader."""
    sides = ("one by one", "pipelined", "pymodbus", "C client", "bare loop", "bare socket")
    print(f"{'cores':>5} {'blocks':>6}", *(f"{side:>11}" for side in sides))
    for row in report["scans"]:
        single, pipelined, c = row["single_ratio"], row["pipelined_ratio"], row["c_ratio"]
        print(
            f"{row['cores']:5} {row['blocks']:6} {row['single_ms']:8.3f} ms {row['pipelined_ms']:8.3f} ms "
            f"{row['pymodbus_ms']:8.3f} ms {row['c_ms']:8.3f} ms "
            f"{row['bare_loop_ms']:8.3f} ms {row['bare_socket_ms']:8.3f} ms   "
            f"pymodbus / one by one {single['median']} ({single['low']} to {single['high']}), "
            f"/ pipelined {pipelined['median']} ({pipelined['low']} to {pipelined['high']}), "
            f"C / pipelined {c['median']} ({c['low']} to {c['high']}), "
            f"pymodbus / bare loop {row['bare_loop_ratio']['median']}"
        )
    found = report["delayed"]
    print(
        f"{found['blocks']} blocks over {found['delay_ms']:g} ms, {found['in_flight']} in flight: "
        f"{found['round_trips']} round trips; one by one {found['round_trips_single']}"
    )
    words = {True: "yes", False: "NO", None: "out of reach here, for a bare loop too"}
    print("reached:", ", ".join(f"{goal} {words[reached]}" for goal, reached in report["reached"].items()))


if __name__ == "__main__":
    main()
