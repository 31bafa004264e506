"""Whether the record of a run is whole: all that was durable, in order and once. Pure."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.soak.lives import Run
from tests.soak.records import Record

AHEAD_S = 0.5
"""A stamp is not further ahead of its row, on a computer whose clock is left alone."""
ROUNDING_S = 1e-5


def faults_in(record: Record, run: Run) -> list[str]:
    """What is wrong with a record, in words; `run` is what the engines have logged of it."""
    return [*_faults_in_samples(record, run), *_faults_in_run_log(record, run), *faults_in_archive(record.archive, run)]


def _faults_in_samples(record: Record, run: Run) -> list[str]:
    faults: list[str] = []
    ticks = [tick for tick, _ in record.samples]
    stored = dict(record.samples)
    if record.count != 1:
        faults.append(f"there are {record.count} records of it")
    if len(stored) != len(ticks):
        faults.append(f"{len(ticks) - len(stored)} samples are stored twice")
    if ticks != sorted(ticks):
        faults.append("its samples are not in order")
    durable = run.durable & run.logged.keys()
    if lost := sorted(durable - stored.keys()):
        faults.append(f"{len(lost)} of {len(durable)} durable samples are lost, first {lost[0]}")
    wrong = [tick for tick, value in run.logged.items() if tick in stored and stored[tick] != value]
    if wrong:
        faults.append(f"{len(wrong)} samples are stored with another value, first {wrong[0]}")
    return faults


def _faults_in_run_log(record: Record, run: Run) -> list[str]:
    faults: list[str] = []
    if lost := run.lines - set(record.run_log):
        faults.append(f"{len(lost)} lines of the run log are lost")
    if len(set(record.run_log)) != len(record.run_log):
        faults.append("lines of the run log are there twice")
    return faults


def faults_in_archive(text: str, run: Run) -> list[str]:
    """What is wrong with the archive of a run, as the aggregator has it or as it lies in a file."""
    faults: list[str] = []
    header, *rows = text.split("\n")
    if not rows or rows.pop():
        faults.append("the last row of the archive is torn")
    torn = [row for row in rows if row.count(",") != header.count(",")]
    if torn:
        faults.append(f"{len(torn)} rows of the archive are torn, as {torn[0]!r}")
    times = [row.split(",")[0] for row in rows]
    if len(set(times)) != len(times):
        faults.append(f"{len(times) - len(set(times))} rows of the archive are there twice")
    if times != sorted(times):
        faults.append("the rows of the archive are not in order")
    if lost := _without_row(sorted(map(_unix, times)), sorted(run.durable)):
        faults.append(f"{len(lost)} durable ticks have no row in the archive, first {archive_time(lost[0])}")
    return faults


def archive_time(tick: float) -> str:
    """A tick as the archive writes it."""
    return str(datetime.fromtimestamp(tick, UTC))


def _unix(written: str) -> float:
    try:
        return datetime.fromisoformat(written).timestamp()
    except ValueError:
        return -math.inf  # of a torn row


def _without_row(rows: Sequence[float], ticks: Sequence[float]) -> list[float]:
    """The ticks for which there is no row of their own.

    A stamp may be somewhat above the time of its row, as those of a run never fall back, but never below it.
    """
    lost: list[float] = []
    used: set[int] = set()
    for tick in ticks:
        place = bisect_right(rows, tick + ROUNDING_S) - 1
        while place in used:
            place -= 1
        if place >= 0 and rows[place] >= tick - AHEAD_S:
            used.add(place)
        else:
            lost.append(tick)
    return lost
