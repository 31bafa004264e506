"""What a link costs: memory, sockets, threads and CPU of one engine, over the number of its links.

`python -m bench.scale [--json] [--quick]`. The engine is `skidlink run`, a process of its own; each link has a device
of its own with 20 tags that are read every 100 ms and sent as JSON lines to nowhere. All tags of Modbus devices are new
at every reading, those of OPC UA servers stand still. A figure a link is the slope of the line fitted by least squares.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.worker import ROOT
from uod_examples.skid.nodes import NODES

SKIDLINK = Path(sys.executable).with_name("skidlink")
LINKS = {"modbus": (1, 10, 25, 50), "opcua": (1, 5, 10, 20)}
QUICK = {"modbus": (1, 20), "opcua": (1, 5)}
TAGS = 20
SETTLE_S = 10.0
MEASURE_S = 10.0
_PAGE = os.sysconf("SC_PAGE_SIZE")
_CLOCK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Taken:
    """What the engine takes with so many links."""

    links: int
    rss_mib: float
    sockets: int
    threads: int
    cpu_percent: float
    """Of one core."""


@contextmanager
def devices(kind: str, number: int) -> Generator[list[int]]:
    """The ports of so many devices."""
    command = (sys.executable, "-m", "bench.scale_devices", kind, str(number))
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        line = process.stdout.readline() if process.stdout else ""
        if not line:
            raise RuntimeError("the devices do not start")
        yield json.loads(line)
    finally:
        process.communicate()  # closes its input


@contextmanager
def engine(file: Path) -> Generator[subprocess.Popen[bytes]]:
    """The engine on a UOD, until the block ends."""
    command = (SKIDLINK, "run", file, "--plain", "--output", "-")
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def uod(kind: str, ports: Sequence[int]) -> dict[str, Any]:
    """A UOD with a link for each port."""
    found: dict[str, Any] = {"uod": "Scale", "tick_ms": 100, "devices": {}, "tags": {}}
    for link, port in enumerate(ports):
        device = f"D{link}"
        if kind == "modbus":
            found["devices"][device] = {"driver": "modbus-tcp", "host": "127.0.0.1", "port": port}
        else:
            found["devices"][device] = {
                "driver": "opcua",
                "endpoint": f"opc.tcp://127.0.0.1:{port}",
                "security": "none",
            }
        for tag in range(TAGS):
            place = {"holding": tag} if kind == "modbus" else {"node": NODES[tag % len(NODES)].node_id}
            found["tags"][f"T{link} {tag}"] = {"device": device, **place}
    return found


def measured(kind: str, number: int) -> Taken:
    """Run an engine with so many links, and see what it takes."""
    with tempfile.TemporaryDirectory() as folder, devices(kind, number) as ports:
        file = Path(folder) / "uod.yaml"
        file.write_text(json.dumps(uod(kind, ports)))
        with engine(file) as process:
            proc = Path("/proc") / str(process.pid)
            time.sleep(SETTLE_S)
            before, began = cpu_s(proc), time.monotonic()
            time.sleep(MEASURE_S)
            used, lasted = cpu_s(proc) - before, time.monotonic() - began
            if process.poll() is not None:
                raise RuntimeError(f"the engine with {number} {kind} links has ended with {process.returncode}")
            return Taken(
                links=number,
                rss_mib=int((proc / "statm").read_text().split()[1]) * _PAGE / 2**20,
                sockets=sum(is_socket(entry) for entry in (proc / "fd").iterdir()),
                threads=sum(1 for _ in (proc / "task").iterdir()),
                cpu_percent=100 * used / lasted,
            )


def cpu_s(proc: Path) -> float:
    """The CPU time of a process so far (proc(5), utime and stime)."""
    fields = (proc / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _CLOCK


def is_socket(entry: Path) -> bool:
    """Whether a descriptor is a socket; one that has just been closed is none."""
    with suppress(OSError):
        return str(entry.readlink()).startswith("socket:")
    return False


def a_link(rows: Sequence[Taken], figure: str) -> float:
    """By how much a figure grows with each link."""
    return statistics.linear_regression([row.links for row in rows], [getattr(row, figure) for row in rows]).slope


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="fewer sizes")
    options = parser.parse_args()
    if not Path("/proc/self/statm").exists():
        sys.exit("bench.scale reads /proc: run it on Linux")
    report: dict[str, Any] = {"versions": {"python": platform.python_version(), "asyncua": version("asyncua")}}
    for kind, sizes in (QUICK if options.quick else LINKS).items():
        rows = [measured(kind, size) for size in sizes]
        slopes = {figure: round(a_link(rows, figure), 3) for figure in ("rss_mib", "sockets", "threads", "cpu_percent")}
        report[kind] = {"rows": [asdict(row) for row in rows], "a_link": slopes}
        print(f"{kind:>6} links   memory  sockets  threads  CPU of a core")
        for row in rows:
            print(f"{row.links:12} {row.rss_mib:5.1f} MiB {row.sockets:8} {row.threads:8} {row.cpu_percent:11.1f} %")
        print(
            f"      a link {slopes['rss_mib']:5.2f} MiB {slopes['sockets']:8.1f} {slopes['threads']:8.1f} "
            f"{slopes['cpu_percent']:11.2f} %"
        )
    if options.json:
        print(json.dumps(report))


if __name__ == "__main__":
    main()
