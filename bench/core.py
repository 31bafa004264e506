"""The tick without I/O: from one register image to the finished JSON of the TagsUpdatedMsg, against Open Pectus.

`python -m bench.core [--json] [--quick]`. Both sides run in a process and an environment of their own and take turns;
a ratio is the median of the ratios of the turns. Times are CPU time, of which a computation without I/O has as much as
wall time on an idle machine, and on a busy one it is still its own.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.environments import python_of
from bench.worker import Worker

CHANGED = {"all": 1, "tenth": 10, "none": 0}
"""case -> one tag in so many changes; 0: none"""
GOALS = {10_000: {"all": 30.0, "tenth": 50.0, "none": 80.0}, 100: {"all": 8.0, "tenth": 5.0, "none": 1.5}}
"""tags -> case -> how many times faster than the stock engine"""
SIZES = (100, 1_000, 10_000, 30_000, 100_000)
DERIVED = 1_000
DERIVED_GOAL = 0.5
"""The share by which the tick may grow for them where something changes; one without changes costs next to nothing, and
two of the five shapes go on whatever changes, so that its growth is shown in microseconds."""


def compare(ours: Worker, theirs: Worker, turns: int) -> list[dict[str, Any]]:
    """Each case of each size, both sides in turn."""
    rows: list[dict[str, Any]] = []
    for tags, goals in GOALS.items():
        ticks = max(3, min(200, 60_000 // tags))
        for case, every in CHANGED.items():
            pairs = [
                tuple(side.ask("measure", tags=tags, every=every, ticks=ticks)["seconds"] for side in (ours, theirs))
                for _ in range(turns)
            ]
            ratios = sorted(their / our for our, their in pairs)
            rows.append(
                {
                    "tags": tags,
                    "changed": case,
                    "skidlink_us": round(statistics.median(our for our, _ in pairs) * 1e6, 1),
                    "openpectus_us": round(statistics.median(their for _, their in pairs) * 1e6, 1),
                    "ratio": round(statistics.median(ratios), 1),
                    "ratio_low": round(ratios[0], 1),
                    "ratio_high": round(ratios[-1], 1),
                    "goal": goals[case],
                    "reached": statistics.median(ratios) >= goals[case],
                }
            )
    return rows


def growth(ours: Worker, turns: int) -> list[dict[str, Any]]:
    """The cost over the number of tags: a straight line fitted by least squares, and how well it fits."""
    rows: list[dict[str, Any]] = []
    for case, every in CHANGED.items():
        costs = [
            statistics.median(
                ours.ask("measure", tags=tags, every=every, ticks=max(5, 40_000 // tags))["seconds"]
                for _ in range(turns)
            )
            * 1e6
            for tags in SIZES
        ]
        slope, offset = statistics.linear_regression(SIZES, costs)
        rows.append(
            {
                "changed": case,
                "us": dict(zip(SIZES, (round(cost, 1) for cost in costs), strict=True)),
                "ns_per_tag": round(slope * 1e3, 2),
                "fixed_us": round(offset, 1),
                "r_squared": round(statistics.correlation(SIZES, costs) ** 2, 4),
            }
        )
    return rows


def idle_at_100_000(ours: Worker, theirs: Worker, turns: int) -> dict[str, Any]:
    """The tick in which nothing changes, where the skid is as large as it gets."""
    ratios = sorted(
        theirs.ask("measure", tags=100_000, every=0, ticks=3)["seconds"]
        / ours.ask("measure", tags=100_000, every=0, ticks=9)["seconds"]
        for _ in range(turns)
    )
    ratio = statistics.median(ratios)
    return {"ratio": round(ratio, 1), "goal": 50.0, "reached": ratio >= 50}


def derived(ours: Worker, turns: int) -> list[dict[str, Any]]:
    """What 1,000 derived readings of five shapes, two of them with a memory, add to the tick of 10,000 tags."""
    rows: list[dict[str, Any]] = []
    for case, every in CHANGED.items():
        request = {"tags": 10_000, "every": every, "ticks": 15}
        pairs = [
            (
                ours.ask("measure", **request)["seconds"],
                ours.ask("measure", **request, derived=DERIVED)["seconds"],
            )
            for _ in range(turns)
        ]
        more = statistics.median(after / before - 1 for before, after in pairs)
        cost = statistics.median(after - before for before, after in pairs)
        row = {"changed": case, "grows_by": round(more, 3), "costs_us": round(cost * 1e6, 1)}
        rows.append(row | ({"goal": DERIVED_GOAL, "reached": more < DERIVED_GOAL} if every else {}))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line")
    parser.add_argument("--quick", action="store_true", help="fewer turns")
    options = parser.parse_args()
    turns = 5 if options.quick else 15
    stock = python_of("openpectus")
    with Worker(Path(sys.executable), "bench.core_skidlink") as ours, Worker(stock, "bench.core_openpectus") as theirs:
        report: dict[str, Any] = {
            "compared": compare(ours, theirs, turns),
            "growth": growth(ours, max(3, turns // 3)),
            "idle_100000": idle_at_100_000(ours, theirs, max(3, turns // 3)),
            "derived": derived(ours, turns),
        }
    with Worker(Path(sys.executable), "bench.core_skidlink") as fresh:
        report["bytes_per_tag"] = round(fresh.ask("memory", tags=10_000)["bytes"])
    report["versions"] = {
        "python": platform.python_version(),
        **{name: version(name) for name in ("numpy", "orjson")},
        "openpectus": "0.1.1585",
    }
    show(report)
    if options.json:
        print(json.dumps(report))


def show(report: dict[str, Any]) -> None:
    """Print the report for a reader."""
    print(f"{'tags':>7} {'changed':>8} {'skidlink':>12} {'open pectus':>13} {'ratio':>8} {'goal':>6}")
    for row in report["compared"]:
        print(
            f"{row['tags']:7} {row['changed']:>8} {row['skidlink_us']:9.1f} us {row['openpectus_us']:10.1f} us "
            f"{row['ratio']:8.1f} {row['goal']:6.1f}  ({row['ratio_low']} to {row['ratio_high']})"
        )
    for row in report["growth"]:
        fit = f"{row['fixed_us']} us + {row['ns_per_tag']} ns a tag"
        print(f"growth, {row['changed']}: {fit}, r2 {row['r_squared']}: {row['us']}")
    print(f"idle at 100,000 tags: {report['idle_100000']['ratio']} times faster")
    for row in report["derived"]:
        print(f"{DERIVED} derived, {row['changed']} changed: {row['grows_by']:+.1%}, {row['costs_us']} us")
    print(f"memory: {report['bytes_per_tag']} bytes a tag")


if __name__ == "__main__":
    main()
