"""The run log as it is kept and sent: the lines of a run, or outside of runs what is going on and what waits for one.

What is over outside of a run is in no log: there is none that it could belong to.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Final
from uuid import uuid4

from drivers.contract import Value
from engine.core.core import Core
from engine.core.spec import Direction, TagSpec
from engine.core.table import Table
from engine.runs.journal import Journal
from engine.runs.runlog import RunRecord
from engine.system import SYSTEM_TAGS
from engine.uod.skid import Skid
from protocol.engine_messages import EngineMessage, QueuedRunLogMsg, RunLogMsg
from protocol.models import RunLog, TagDirection, TagValue

TOLD_PER_S: Final = 10_000
"""Process values of the log that are sent in a second, on average: the longest log at each change is too much."""
_DIRECTIONS = {
    Direction.INPUT: TagDirection.Input,
    Direction.OUTPUT: TagDirection.Output,
    Direction.BOTH: TagDirection.Output,
    Direction.NA: TagDirection.NA,
}


class Logbook:
    """Keeps the lines with the process values at their start and end, and tells what has changed."""

    def __init__(
        self, skid: Skid, core: Callable[[], Core], send: Callable[[EngineMessage], None], journal: Journal
    ) -> None:
        self._core = core
        self._send = send
        self._journal = journal
        self._shown = list(dict.fromkeys((*skid.tags, *SYSTEM_TAGS)[value.tag].name for value in skid.process_values))
        self.unix = time.time()
        """When everything happens that is told now: the time of the latest tick, in unix seconds."""
        self._run: str | None = None
        self._record = RunRecord()
        self._untold = False
        self._tell_due = -math.inf
        self._state: tuple[float, Table, list[Value | None]] | None = None
        self._same: list[TagValue] = []
        """The process values in that state."""

    @property
    def in_run(self) -> bool:
        return self._run is not None

    def begin_run(self, run_id: str, record: RunRecord | None = None) -> None:
        """Keep the log of a run from here on, or go on with it; what is going on now becomes part of it."""
        before, self._record = self._record, record or RunRecord()
        self._record.adopt(before.log.lines)
        self._run = run_id

    def end_run(self) -> RunLog:
        """Cancel what is open and return the whole log."""
        record, self._record = self._record, RunRecord()
        self._run, self._untold = None, False
        record.cancel_open(self.unix)
        return record.log

    def message(self) -> RunLogMsg | QueuedRunLogMsg | None:
        """The log as it is now; None outside of a run when there is nothing in it."""
        log = self._record.log
        if self._run is not None:
            return RunLogMsg(id=self._run, run_id=self._run, runlog=log)
        return QueuedRunLogMsg(runlog=log) if log.lines else None

    # Lines

    def queue(self, lines: Iterable[tuple[str, str]]) -> None:
        """Lines, each an id and a text, wait for a run together."""
        values = self._values()
        for line_id, text in lines:
            self._record.begin(text, self.unix, values, line_id=line_id, cancellable=True)

    def begin(self, text: str, *, line_id: str, forcible: bool = False, cancellable: bool = False) -> None:
        """Something begins."""
        self._record.begin(text, self.unix, self._values(), line_id=line_id, forcible=forcible, cancellable=cancellable)

    def update(self, line_id: str, **what: float | bool | None) -> None:
        """Something has changed in a line (`RunRecord.update`)."""
        self._record.update(line_id, **what)

    def end(self, line_id: str, *, failed: bool = False, cancelled: bool = False) -> None:
        """It is over."""
        if self.in_run:
            self._record.end(line_id, self.unix, self._values(), failed=failed, cancelled=cancelled)
        else:
            self._record.drop(line_id)

    def drop(self, line_id: str) -> None:
        """It has never begun, and will not."""
        self._record.drop(line_id)

    def note(self, text: str, *, line_id: str = "", failed: bool = False) -> None:
        """Something took no time, or was not possible."""
        if self.in_run:
            line_id = line_id or str(uuid4())
            self.begin(text, line_id=line_id)
            self.end(line_id, failed=failed)

    def text_of(self, line_id: str) -> str | None:
        """What a line says; None where there is no such line."""
        return self._record.name_of(line_id)

    def tell(self, now: float) -> None:
        """Keep what has changed, and send the log: a long one not at each change; `now` in monotonic seconds."""
        if self._record.is_changed:
            self._untold = True
            changed, gone = self._record.take_changed()
            if self._run is not None:
                for line in changed:
                    self._journal.line(self._run, line)
                if gone:
                    self._journal.drop_lines(gone)
        if self._untold and now >= self._tell_due:
            self._untold = False
            self._tell_due = now + self._record.values / TOLD_PER_S
            self._send(self.message() or QueuedRunLogMsg(runlog=RunLog.empty()))

    def _values(self) -> list[TagValue]:
        """The process values as they are now; those that many lines of a tick have in common are made once."""
        table = self._core().table
        rows = [table.row_of(name) for name in self._shown]
        state = self.unix, table, [table.shown(row) for row in rows]
        if state != self._state:
            self._state = state
            self._same = [
                _tag_value(table.specs[row], value, self.unix) for row, value in zip(rows, state[2], strict=True)
            ]
        return self._same


def _tag_value(spec: TagSpec, value: bool | float | str | None, unix: float) -> TagValue:
    direction = _DIRECTIONS[spec.direction]
    return TagValue(name=spec.name, tick_time=unix, value=value, value_unit=spec.unit, direction=direction)
