"""How the scan cycle keeps time: what its own timing costs, and whether a tick of 5 ms holds.

`python -m bench.tick [--json] [--quick]`, on a machine that has nothing else to do: the second half is real time. Where
uvloop is installed (`skidlink[fast]`), both event loops are measured.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.worker import Worker

CASES = ((100, 10), (100, 0), (10_000, 10), (10_000, 0))
"""tags, and of how many one changes in a tick; 0: none"""
GOAL_SHARE = 0.02
"""Of a tick in which a tenth of the tags changes."""
TICK_MS = 5
TAGS = 100
"""All of them change in each tick."""


def shares(ours: Worker, turns: int) -> list[dict[str, Any]]:
    """The share of timing in a tick, both taken in turn."""
    rows: list[dict[str, Any]] = []
    for tags, every in CASES:
        pairs = [
            (ours.ask("marks")["us"], ours.ask("tick", tags=tags, every=every, ticks=100)["us"]) for _ in range(turns)
        ]
        share = statistics.median(marks / tick for marks, tick in pairs)
        row = {
            "tags": tags,
            "changed": "tenth" if every else "none",
            "timing_us": round(statistics.median(marks for marks, _ in pairs), 2),
            "tick_us": round(statistics.median(tick for _, tick in pairs), 1),
            "share": round(share, 4),
        }
        rows.append(row | ({"goal": GOAL_SHARE, "reached": share < GOAL_SHARE} if every else {}))
    return rows


def kept(ours: Worker, seconds: int) -> list[dict[str, Any]]:
    """How each event loop keeps the cadence, with and without a heap that garbage collection leaves alone."""
    loops = ["asyncio", *(["uvloop"] if find_spec("uvloop") else [])]
    return [
        {"loop": loop, "frozen": frozen, "seconds": seconds}
        | ours.ask("keep", loop=loop, frozen=frozen, tick_ms=TICK_MS, tags=TAGS, seconds=seconds)
        for loop in loops
        for frozen in (False, True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="fewer turns, fewer seconds")
    options = parser.parse_args()
    with Worker(Path(sys.executable), "bench.tick_skidlink") as ours:
        report: dict[str, Any] = {
            "shares": shares(ours, 3 if options.quick else 9),
            "kept": kept(ours, 3 if options.quick else 10),
            "versions": {"python": platform.python_version()},
        }
    show(report)
    if options.json:
        print(json.dumps(report))


def show(report: dict[str, Any]) -> None:
    """Print the report for a reader."""
    for row in report["shares"]:
        print(
            f"{row['tags']:6} tags, {row['changed']:>5} changed: timing {row['timing_us']} us of a tick of "
            f"{row['tick_us']} us, {row['share']:.2%}"
        )
    for row in report["kept"]:
        heap = "frozen" if row["frozen"] else "as it is"
        late, tick = ("/".join(map(str, row[name])) for name in ("late", "tick"))
        print(
            f"{row['loop']}, heap {heap}: {row['overruns']} overruns in {row['ticks']} ticks of {TICK_MS} ms, "
            f"p50/p99/max late {late} ms, tick {tick} ms, CPU {row['cpu']:.0%}"
        )


if __name__ == "__main__":
    main()
