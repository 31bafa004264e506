"""The report of a soak, for a reader."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.soak.faults import Fault


def show(report: Mapping[str, Any], faults: Sequence[Fault]) -> None:
    """Print the report for a reader."""
    print(f"soak of {report['minutes']:g} minutes, seed {report['seed']}")
    print("injected: " + ", ".join(f"{count} {kind}" for kind, count in report["injected"].items()))
    for fault in faults:
        print(f"  {fault}")
    print(f"{report['published']} published values checked, {report['nulls']} of them null")
    print(f"{report['standing']} times a standing value, {report['prompt']} times by the time of a sound link")
    print(f"{report['stored']} messages of the run stored by the aggregator")
    for bus, share in report["kept"].items():
        judged = "" if share is not None else ", too few to judge: the computer was busy"
        kept = "" if share is None else f"{100 * share:.2f} % of "
        print(f"{bus}: {kept}{report['due'][bus]} readings kept while it was sound{judged}")
    print(f"{report['ticks']} ticks, {report['overruns']} overrun; {report['waited_s']} s without a processor")
    print(f"the slowest link was back {report['longest_return_s']} s after its fault")
    for line in report["growth"]:
        print(line)
    for line in report["findings"]:
        print(f"FOUND {line}")
    verdict = "passed" if report["passed"] else f"FAILED; repeat it by: make soak MINUTES={report['minutes']:g}"
    print(f"{verdict} SEED={report['seed']}" if not report["passed"] else verdict)
