"""What an engine says to the aggregator a second, against Open Pectus, on the same changes: idle and in a run.

`python -m bench.uplink [--json] [--quick]`. Both engines run at once, each in a process and an environment of its own,
on one real aggregator, with a meter in front of each. The signals of both are the same: so many tags that take a new
whole number once a second, so many that change all the time, the rest constant.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from bench.environments import python_of
from bench.wire_meter import WireMeter

ROOT = Path(__file__).parents[1]
TAGS = 20
START_WITHIN_S = 60.0
FIGURES = ("messages", "samples", "json_bytes", "wire_bytes")


@dataclass(frozen=True, slots=True)
class Case:
    """How many of the tags change, and how."""

    name: str
    steps: int = 0
    """once a second"""
    fast: int = 0
    """all the time"""


CASES = (Case("nothing changes"), Case("5 tags step once a second", steps=5), Case("all tags change", fast=TAGS))


def our_uod(case: Case) -> str:
    """The UOD of our side."""
    signals = ["signal: ramp, type: int64, high: 100, period_s: 100"] * case.steps
    signals += ["signal: ramp, high: 100, period_s: 100"] * case.fast
    signals += ["start: 7"] * (TAGS - len(signals))
    tags = "".join(f"  T{number}: {{device: box, unit: L/h, {signal}}}\n" for number, signal in enumerate(signals))
    names = ", ".join(f"T{number}" for number in range(TAGS))
    return f"uod: Ours\ndevices: {{box: {{driver: simulated}}}}\ntags:\n{tags}process_values: [{names}]\n"


@asynccontextmanager
async def process(*command: str | Path, **environment: str) -> AsyncGenerator[None]:
    """A process that lives as long as the block, and says what it has to say if the block fails."""
    with tempfile.TemporaryFile() as log:
        running = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=os.environ | environment, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            yield
        except BaseException:
            log.seek(0)
            sys.stderr.write(f"{command[0]}:\n{log.read()[-3000:].decode(errors='replace')}\n")
            raise
        finally:
            running.terminate()
            await running.wait()


async def unit_of(http: httpx.AsyncClient, name: str) -> str:
    """The id of a unit, once the aggregator shows it with a value."""
    async with asyncio.timeout(START_WITHIN_S):
        while True:
            try:
                units = (await http.get("/api/process_units")).json()
                found = [unit["id"] for unit in units if unit["name"].endswith(f"({name})")]
                if found:
                    values = (await http.get(f"/api/process_unit/{found[0]}/all_process_values")).json()
                    if any(value.get("value") is not None for value in values):
                        return str(found[0])
            except httpx.HTTPError:
                pass  # it is still starting
            await asyncio.sleep(0.1)


async def measure(case: Case, seconds: float, folder: Path, scripts: Path) -> list[dict[str, Any]]:
    """Both engines on one case: a row for idle, a row for the run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    (folder / "ours.yaml").write_text(our_uod(case))
    ours, theirs = WireMeter(port), WireMeter(port)
    await ours.start()
    await theirs.start()
    signals = {"BENCH_STEPS": str(case.steps), "BENCH_FAST": str(case.fast), "BENCH_TAGS": str(TAGS)}
    rows: list[dict[str, Any]] = []
    try:
        async with (
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as http,
            process(
                *(scripts / "pectus-aggregator", "--host", "127.0.0.1", "-p", str(port)),
                *("-db", folder / f"{port}.sqlite3", "-wpk", folder),
            ),
            process(
                *(Path(sys.executable).with_name("skidlink"), "run", folder / "ours.yaml", "--plain"),
                *("--aggregator", f"127.0.0.1:{ours.port}", "--outbox", folder / str(port)),
            ),
            process(
                *(scripts / "pectus-engine", "-ahn", "127.0.0.1", "-ap", str(theirs.port)),
                *("-uod", ROOT / "bench" / "uplink_openpectus.py"),
                **signals,
            ),
        ):
            units = [await unit_of(http, name) for name in ("Ours", "Stock")]
            for phase in ("idle", "run"):
                if phase == "run":
                    for unit in units:
                        path = f"/api/process_unit/{unit}/execute_control_button_command"
                        (await http.post(path, json={"command": "Start", "source": "unit_button"})).raise_for_status()
                await asyncio.sleep(2.0)  # the first seconds say more than the rest
                before = ours.engine.copy(), theirs.engine.copy()
                await asyncio.sleep(seconds)
                ours_now, theirs_now = ours.engine.since(before[0]), theirs.engine.since(before[1])
                rows.append(row(case, phase, ours_now, theirs_now, seconds))
    finally:
        await ours.close()
        await theirs.close()
    return rows


def row(case: Case, phase: str, ours: Any, theirs: Any, seconds: float) -> dict[str, Any]:
    """Figures a second, and how many times less ours are."""
    found: dict[str, Any] = {"case": case.name, "phase": phase}
    for what in FIGURES:
        our, their = getattr(ours, what) / seconds, getattr(theirs, what) / seconds
        found[what] = {
            "skidlink": round(our, 1),
            "openpectus": round(their, 1),
            "ratio": round(their / our, 1) if our else None,
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="fewer seconds a case")
    options = parser.parse_args()
    scripts = python_of("openpectus").parent
    seconds = 4.0 if options.quick else 20.0
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="bench-uplink-") as folder:
        for case in CASES:
            rows += asyncio.run(measure(case, seconds, Path(folder), scripts))
    print(f"{'a second':<26} {'':<5} {'messages':>16} {'samples':>16} {'JSON bytes':>20} {'bytes on the wire':>20}")
    for each in rows:
        figures = [f"{each[w]['skidlink']:g} / {each[w]['openpectus']:g}" for w in FIGURES]
        print(
            f"{each['case']:<26} {each['phase']:<5} "
            + " ".join(f"{figure:>{width}}" for figure, width in zip(figures, (16, 16, 20, 20), strict=True))
        )
    print(
        "skidlink / Open Pectus, what the engine sends; Open Pectus samples every 0.3 s, Skidlink every tick of 0.1 s"
    )
    if options.json:
        versions = {"python": platform.python_version(), "websockets": version("websockets"), "openpectus": "0.1.1585"}
        print(json.dumps({"tags": TAGS, "seconds": seconds, "rows": rows, "versions": versions}))


if __name__ == "__main__":
    main()
