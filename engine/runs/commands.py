"""What users do in a run: lines of P-code are carried out, and written into the run log.

Rules of this file:

* Nothing here waits. A line is checked and set going within its call, so that its answer is there at once; how it went
  is looked up in the ticks that follow.
* All lines are read before anything moves.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Protocol

from engine.core.core import Core
from engine.core.spec import Direction, TagSpec
from engine.outputs import OutputRefusedError, Outputs
from engine.runs.journal import Journal
from engine.runs.pcode import CommandError, CommandReader, Wish, lines_of
from engine.runs.runlog import RunRecord
from engine.system import SYSTEM_TAGS
from engine.uod.skid import Skid
from protocol.engine_messages import EngineMessage, RunLogMsg
from protocol.messages import ErrorMessage, SuccessMessage
from protocol.models import RunLog, TagDirection, TagValue

log = logging.getLogger("skidlink.engine.runs")

_DIRECTIONS = {
    Direction.INPUT: TagDirection.Input,
    Direction.OUTPUT: TagDirection.Output,
    Direction.BOTH: TagDirection.Output,
    Direction.NA: TagDirection.NA,
}


class RunControl(Protocol):
    """What lines can ask of the run itself."""

    def control(self, name: str) -> SuccessMessage | ErrorMessage:
        """Carry out one of the words of run control, as Start or Hold."""
        ...

    def mark(self, text: str) -> None:
        """Show a mark, and write it into the next row of the archive."""
        ...

    def name_batch(self, name: str) -> None:
        """Say which batch is made."""
        ...

    def count_run(self, number: int) -> None:
        """Set the counter that users keep of their runs."""
        ...


class Commands:
    """Carries out lines, and keeps the run log while there is a run."""

    def __init__(
        self,
        skid: Skid,
        core: Callable[[], Core],
        outputs: Outputs,
        send: Callable[[EngineMessage], None],
        journal: Journal,
        runs: RunControl,
    ) -> None:
        self._core = core
        self._outputs = outputs
        self._send = send
        self._journal = journal
        self._runs = runs
        self._reader = CommandReader(skid)
        self._shown = list(dict.fromkeys((*skid.tags, *SYSTEM_TAGS)[value.tag].name for value in skid.process_values))
        self._run = ""
        self._record: RunRecord | None = None
        self._open: dict[str, str] = {}
        """run log line -> the output whose device has not answered yet"""

    def begin_run(self, run_id: str, record: RunRecord | None = None) -> None:
        """Keep the log of a run from here on, or go on with it."""
        self._run = run_id
        self._record = record or RunRecord()
        self._open.clear()

    def end_run(self, unix: float) -> RunLog:
        """Cancel what is open and return the whole log; from here on none is kept."""
        record, self._record = self._record or RunRecord(), None
        self._open.clear()
        record.cancel_open(unix)
        return record.log

    def cancel_all(self, unix: float) -> None:
        """Cancel what has not been done yet."""
        self._open.clear()
        if self._record is not None:
            self._record.cancel_open(unix)

    def run_log(self) -> RunLogMsg | None:
        """The log of the run as it is now."""
        return None if self._record is None else RunLogMsg(id=self._run, run_id=self._run, runlog=self._record.log)

    def inject(self, pcode: str) -> SuccessMessage | ErrorMessage:
        """Carry out lines, or say why not."""
        wishes: list[Wish] = []
        for line in lines_of(pcode):
            try:
                wishes.append(self._reader.read(line))
            except CommandError as error:
                return self._failed(line, str(error))
        for wish in wishes:
            try:
                self._outputs.wish(wish.tag, wish.value)
            except OutputRefusedError as error:
                return self._failed(wish.line, str(error))
            if self._record is not None:
                line = self._record.begin(wish.line, time.time(), self._values())
                self._open[line] = wish.tag
        return SuccessMessage() if wishes else refusal("there is no command in it")

    def tick(self, core: Core, now: float, unix: float) -> None:  # noqa: ARG002
        """See how what is open has gone, and send and keep what has changed in the run log."""
        record = self._record
        if record is None:
            return
        for line, tag in list(self._open.items()):
            written = self._outputs.written(tag)
            if written is not None:
                del self._open[line]
                record.end(line, unix, self._values(), failed=not written)
        if (changed := record.take_changed()) and (message := self.run_log()) is not None:
            for line in changed:
                self._journal.line(self._run, line)
            self._send(message)

    def _failed(self, line: str, why: str) -> ErrorMessage:
        log.error("%s: %s", line, why)
        if (record := self._record) is not None:
            now = time.time()
            record.end(record.begin(line, now, self._values()), now, (), failed=True)
        return refusal(why)

    def _values(self) -> list[TagValue]:
        """The process values as they are now."""
        table = self._core().table
        now = time.time()
        return [_tag_value(table.specs[row], table.shown(row), now) for row in map(table.row_of, self._shown)]


def refusal(why: str) -> ErrorMessage:
    """The answer to what a user cannot have."""
    return ErrorMessage(message=why, caller_error=True)


def _tag_value(spec: TagSpec, value: bool | float | str | None, now: float) -> TagValue:
    direction = _DIRECTIONS[spec.direction]
    return TagValue(name=spec.name, tick_time=now, value=value, value_unit=spec.unit, direction=direction)
