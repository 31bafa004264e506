"""Reading OPC UA: the client's CPU for one poll of Doubles, against asyncua's `read_values` on the same server.

`python -m bench.opcua [--json] [--quick]`. Both sides and the server run in processes of their own; the sides take
turns, and a ratio is the median of the ratios of the turns. CPU counts, not wall time: the server is far slower than
its client.
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
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.opcua_server import RISE
from bench.worker import ROOT, Worker

SIZES = (1_000, 5_000)
GOALS = {"None": 12.0, "Basic256Sha256, SignAndEncrypt": 6.0}
"""security -> how many times less CPU than asyncua"""
FOLLOWED = 1_000
MOST_OF_THEIRS = 0.5
"""The part of asyncua's CPU that a subscription may cost."""


def compare(ours: Worker, theirs: Worker, port: int, turns: int, polls: int) -> list[dict[str, Any]]:
    """Each size with each security: both sides in turn, ours also with a layout that never holds."""
    rows: list[dict[str, Any]] = []
    for secured, (security, goal) in enumerate(GOALS.items()):
        for nodes in SIZES:
            case = {"port": port, "secured": secured, "nodes": nodes, "polls": polls}
            found = [
                (
                    ours.ask("measure", **case, kept=1)["cpu"],
                    ours.ask("measure", **case, kept=0)["cpu"],
                    theirs.ask("measure", **case)["cpu"],
                )
                for _ in range(turns)
            ]
            ratios = sorted(their / our for our, _, their in found)
            rows.append(
                {
                    "security": security,
                    "nodes": nodes,
                    "skidlink_ms": round(statistics.median(row[0] for row in found) * 1e3, 3),
                    "skidlink_one_pass_ms": round(statistics.median(row[1] for row in found) * 1e3, 3),
                    "asyncua_ms": round(statistics.median(row[2] for row in found) * 1e3, 3),
                    "ratio": round(statistics.median(ratios), 1),
                    "ratio_low": round(ratios[0], 1),
                    "ratio_high": round(ratios[-1], 1),
                    "ratio_one_pass": round(statistics.median(their / our for _, our, their in found), 1),
                    "goal": goal,
                    "reached": statistics.median(ratios) >= goal,
                }
            )
    return rows


def follow(ours: Worker, theirs: Worker, server: Server, turns: int) -> dict[str, Any]:
    """The CPU of 1,000 changes that come by subscription, the same for both sides."""
    for side in (ours, theirs):
        side.ask("follow", port=server.port, nodes=FOLLOWED)
    pairs: list[tuple[float, float]] = []
    for _ in range(turns + 1):
        floor = server.raise_all(FOLLOWED)
        our, their = (side.ask("changes", floor=floor)["cpu"] for side in (ours, theirs))
        pairs.append((our, their))
    pairs = pairs[1:]  # the first brings the initial values too
    parts = sorted(our / their for our, their in pairs)
    part = statistics.median(parts)
    return {
        "changes": FOLLOWED,
        "skidlink_ms": round(statistics.median(our for our, _ in pairs) * 1e3, 3),
        "asyncua_ms": round(statistics.median(their for _, their in pairs) * 1e3, 3),
        "part": round(part, 3),
        "part_low": round(parts[0], 3),
        "part_high": round(parts[-1], 3),
        "goal": MOST_OF_THEIRS,
        "reached": part <= MOST_OF_THEIRS,
    }


class Server:
    """The server's process."""

    def __init__(self) -> None:
        self._turn = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.opcua_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        self.port: int = self._answer()["port"]

    def raise_all(self, nodes: int) -> int:
        """Give so many nodes a higher value, all above the number that is returned."""
        if self._process.stdin is None:
            raise RuntimeError("the server has no input")
        self._process.stdin.write(f"{nodes}\n")
        self._process.stdin.flush()
        return self._answer()["turn"] * RISE

    def stop(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.communicate()

    def _answer(self) -> dict[str, Any]:
        if self._process.stdout is None:
            raise RuntimeError("the server has no output")
        return json.loads(self._process.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="fewer turns")
    options = parser.parse_args()
    turns, polls = (3, 5) if options.quick else (7, 10)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SKIDLINK_DATA"] = folder  # certificates and pins of the bench are nobody's
        python = Path(sys.executable)
        server = Server()
        try:
            with Worker(python, "bench.opcua_skidlink") as ours, Worker(python, "bench.opcua_asyncua") as theirs:
                rows = compare(ours, theirs, server.port, turns, polls)
                followed = follow(ours, theirs, server, turns)
        finally:
            server.stop()
    report: dict[str, Any] = {
        "polled": rows,
        "followed": followed,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in ("asyncua", "numpy")}},
    }
    show(report)
    if options.json:
        print(json.dumps(report))


def show(report: dict[str, Any]) -> None:
    """Print the report for a reader."""
    print(f"{'security':32} {'nodes':>6} {'skidlink':>11} {'one pass':>11} {'asyncua':>11} {'ratio':>6} {'goal':>5}")
    for row in report["polled"]:
        print(
            f"{row['security']:32} {row['nodes']:6} {row['skidlink_ms']:8.2f} ms {row['skidlink_one_pass_ms']:8.2f} ms "
            f"{row['asyncua_ms']:8.2f} ms {row['ratio']:6.1f} {row['goal']:5.1f}  "
            f"({row['ratio_low']} to {row['ratio_high']}; one pass {row['ratio_one_pass']})"
        )
    row = report["followed"]
    print(
        f"{row['changes']} changes by subscription: {row['skidlink_ms']:.2f} ms, asyncua {row['asyncua_ms']:.2f} ms; "
        f"{row['part']:.0%} of it, goal {row['goal']:.0%} ({row['part_low']:.0%} to {row['part_high']:.0%})"
    )


if __name__ == "__main__":
    main()
