"""Whether the record of a run is whole: all that was durable, in order and once. Pure."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from datetime import UTC, datetime

from tests.soak.lives import Run
from tests.soak.records import Record

NEAR_S = 0.01


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
    if lost := sorted(run.durable - stored.keys()):
        faults.append(f"{len(lost)} of {len(run.durable)} durable samples are lost, first {lost[0]}")
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
    written = sorted(map(_unix, times))
    lost = [tick for tick in sorted(run.durable) if not _is_near(written, tick)]
    if lost:
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


def _is_near(written: Sequence[float], tick: float) -> bool:
    """Whether a row was written at a tick. A stamp may be a little above it: those of a run never fall back."""
    place = bisect_left(written, tick - NEAR_S)
    return place < len(written) and written[place] <= tick + NEAR_S
