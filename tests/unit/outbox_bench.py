"""Outboxes, what goes into them and what comes out."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from engine.store import Store
from engine.uplinks.contract import TagsFrame
from engine.uplinks.entries import Kind
from engine.uplinks.outbox import Outbox
from protocol.engine_messages import ErrorLogMsg, RunStartedMsg, RunStoppedMsg
from protocol.models import ErrorLog, ErrorLogEntry, MethodState, RunLog

ERROR = ErrorLogMsg(log=ErrorLog(entries=[ErrorLogEntry(message="m", created_time=1, severity=40)]))


def started(run: str) -> RunStartedMsg:
    return RunStartedMsg(run_id=run, started_tick=1.0)


def stopped(run: str) -> RunStoppedMsg:
    empty = MethodState.empty()
    return RunStoppedMsg(run_id=run, runlog=RunLog.empty(), method_state=empty, archive=None, archive_filename=None)


def frame(tick: float, run: str | None = "A", **tags: Any) -> TagsFrame:
    values = [{"name": name, "tick_time": tick, "value": value} for name, value in (tags or {"T": tick}).items()]
    return TagsFrame(json.dumps(values).encode(), tick, run)


@asynccontextmanager
async def outbox_of(path: Path | None = None, **options: Any) -> AsyncGenerator[Outbox]:
    store = Store(path)
    found = Outbox(store, **options)
    store.start()
    try:
        yield found
    finally:
        await store.close()


async def delivered(outbox: Outbox, count: int = 1_000_000) -> list[str]:
    """Deliver what there is, or so many, and name it: samples by their ticks."""
    names: list[str] = []
    while len(names) < count and (entry := await outbox.next()):
        names.append(f"{entry.tick:g}" if entry.kind is Kind.SAMPLE else entry.kind)
        outbox.acknowledge(entry)
    return names


async def first(outbox: Outbox) -> Any:
    found = await outbox.first_run()
    assert found is not None
    return found
