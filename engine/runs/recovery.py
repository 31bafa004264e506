"""What there is of a run in which an earlier life of the engine died, and what users are told of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from engine.core.core import Core
from engine.runs.archive import Archive
from engine.runs.journal import DeadRun
from engine.runs.runlog import RunRecord

log = logging.getLogger("skidlink.engine.runs")


def record_of(dead: DeadRun) -> RunRecord:
    """Its run log; what was going on in it has ended with the engine, when that was last known to work."""
    record = RunRecord(dead.lines)
    record.cancel_open(max((dead.progress.at, *(line.end or line.start for line in dead.lines))))
    return record


def archive_of(dead: DeadRun, interval_s: float) -> Archive:
    """Its archive, to go on with."""
    archive = Archive(dead.started, interval_s, dead.header, dead.filename)
    archive.take_up(dead.rows, dead.progress.stride)
    return archive


def recall_totals(core: Core, totals: bytes) -> None:
    """Let functions with a memory go on from what they had come to; those that cannot begin anew, and it is said."""
    try:
        lost = core.remember(totals) if totals else []
    except ValueError as error:
        lost = [f"all totals begin anew: what was kept of them cannot be read ({error})"]
    for each in lost:
        log.warning("%s", each)


def what_happened(dead: DeadRun, unix: float) -> str:
    """The sentence for a run that goes on."""
    away_s = max(0.0, unix - dead.progress.at)
    return (
        f"the engine ended at {_moment(dead.progress.at)} in the middle of run {dead.id} and was away for "
        f"{away_s:.0f} s; the run is held with its outputs at their safe values: see that the skid is as it should be, "
        "set what is to be set, and press Unhold, or end the run with Stop"
    )


def what_ended(dead: DeadRun, gone: Sequence[str]) -> str:
    """The sentence for a run that cannot go on."""
    why = f"the UOD has no {', '.join(gone)} any more" if gone else "a later run goes on"
    return (
        f"the engine ended at {_moment(dead.progress.at)} in the middle of run {dead.id}, which cannot go on: {why}; "
        "it is closed with what there is of it"
    )


def what_vanished(run_id: str) -> str:
    """The sentence for a run of which only what waits for the aggregator is left."""
    return (
        f"run {run_id} was not ended when the engine ended, and cannot go on: what was kept of it is lost; it is "
        "closed with the samples that wait for the aggregator, and its archive is the file that has been written"
    )


def _moment(unix: float) -> str:
    return datetime.fromtimestamp(unix).astimezone().strftime("%Y-%m-%d %H:%M:%S")
