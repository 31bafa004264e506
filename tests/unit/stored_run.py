"""A run that is going on, in the file of a store."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from engine.runs.journal import Journal, Progress
from engine.runs.state import Clocks
from engine.store import Store
from engine.uplinks.contract import TagsFrame
from engine.uplinks.outbox import Outbox
from protocol.engine_messages import RunStartedMsg
from protocol.models import RunLogLine

NAME = "lab_Skid.sqlite3"


SAMPLES, LINES = 120, 8


Found = dict[str, object]


def line(number: int) -> RunLogLine:
    return RunLogLine(
        id=f"line {number}", command_name=f"PU01: {number}", start=float(number), end=None, progress=None,
        start_values=[], end_values=[], forcible=False, cancellable=False, forced=False, cancelled=False, failed=False,
    )  # fmt: skip


async def give(store: Store) -> None:
    """Let the store have a run that is going on, and wait until it has it."""
    journal, outbox = Journal(store), Outbox(store)
    with journal.together():
        journal.begin("run", 1.0, "archiver-1970-01-01_000001.txt", "Datetime (UTC),T\n")
        outbox.put(RunStartedMsg(run_id="run", started_tick=1.0))
    journal.keep("Run Counter", 7)
    journal.keep("Batch Name", "B7")
    for number in range(SAMPLES):
        outbox.put(TagsFrame(b'[{"name":"T","tick_time":%d,"value":"%s"}]' % (number, b"x" * 300), number, "run"))
        journal.archive("run", f"1970,{number}\n")
        if number % 15 == 0:
            journal.line("run", line(number))
            await store.ask(lambda _: None)
    journal.progress("run", Progress(9.0, Clocks(9.0, 8.0, 7.0), "mark", b"totals" * 100))
    await store.ask(lambda _: None)


async def found_in(path: Path) -> Found:
    """What an engine that starts on this file finds in it."""
    store = Store(path)
    journal, outbox = Journal(store), Outbox(store)
    found: Found = dict(journal.kept())
    for run in journal.dead_runs():
        found |= {f"row {number}": row for number, row in enumerate(run.rows)}
        found |= {each.id: each for each in run.lines}
        found[run.id] = (run.started, run.filename, run.header)
        found["progress"] = run.progress
    store.start()
    await outbox.rewind()
    while (entry := await outbox.next()) is not None:
        found[f"{entry.kind} {entry.tick}"] = entry.body
        outbox.acknowledge(entry)
    await store.close()
    return found


def is_said(caplog: pytest.LogCaptureFixture) -> bool:
    return any(record.levelno >= logging.ERROR for record in caplog.records)
