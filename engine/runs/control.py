"""Runs: they begin and end when a user says so, and what users do in them is written down.

Rules of this file:

* Nothing here waits. A command is checked and set going within its call, so that its answer is there at once; how it
  went is looked up in the ticks that follow.
* The order in which things are sent is the order in which the aggregator needs them: a run's start before its first
  sample, its end after the last.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from uuid import uuid4

from engine.core.core import Core
from engine.core.spec import Direction, Event, TagSpec
from engine.outputs import OutputRefusedError, Outputs
from engine.runs.archive import Archive, ArchiveRows, header_row
from engine.runs.errors import ErrorCollector
from engine.runs.journal import DeadRun, Journal
from engine.runs.pcode import CommandError, CommandReader, Wish, lines_of
from engine.runs.runlog import RunRecord
from engine.system import SYSTEM_TAGS, set_run, set_run_clock, set_stopped
from engine.uod.skid import Skid
from protocol.aggregator_messages import AggregatorMessage, ExecuteControlCommandMsg, InjectCodeMsg
from protocol.engine_messages import (
    ControlStateMsg,
    EngineMessage,
    ErrorLogMsg,
    MethodStateMsg,
    RunLogMsg,
    RunStartedMsg,
    RunStoppedMsg,
)
from protocol.messages import ErrorMessage, SuccessMessage
from protocol.models import ControlState, ErrorLog, ErrorLogEntry, MethodState, TagDirection, TagValue

log = logging.getLogger("skidlink.engine.runs")

NOT_YET = frozenset({"Pause", "Unpause", "Hold", "Unhold", "Restart"})
SHOW_EVERY_S = 1.0
"""How often the clock of a run is shown, and errors and the run log are looked at, at most."""
REMEMBERED_ERRORS = 100
_DIRECTIONS = {
    Direction.INPUT: TagDirection.Input,
    Direction.OUTPUT: TagDirection.Output,
    Direction.BOTH: TagDirection.Output,
    Direction.NA: TagDirection.NA,
}


@dataclass(slots=True)
class Run:
    """A run that is going on."""

    id: str
    started: float
    """unix seconds"""
    began: float
    """monotonic seconds"""
    archive: Archive
    record: RunRecord = field(default_factory=RunRecord)
    open: dict[str, str] = field(default_factory=dict[str, str])
    """run log line -> the output whose device has not answered yet"""


class Runs:
    """Takes the commands of users, and does each tick what belongs to a run."""

    def __init__(
        self,
        skid: Skid,
        core: Callable[[], Core],
        outputs: Outputs,
        send: Callable[[EngineMessage], None],
        journal: Journal,
    ) -> None:
        self.errors = ErrorCollector()
        self._skid = skid
        self._core = core
        self._outputs = outputs
        self._send = send
        self._journal = journal
        self._reader = CommandReader(skid)
        self._specs = (*SYSTEM_TAGS, *skid.tags)
        self._shown = list(dict.fromkeys((*skid.tags, *SYSTEM_TAGS)[value.tag].name for value in skid.process_values))
        self._clock_every_s = min(SHOW_EVERY_S, skid.data_log_interval_s)
        self._clock_due = 0.0
        self._told_due = 0.0
        self._run: Run | None = None
        self._new = False
        self._rows: ArchiveRows | None = None
        self._recent_errors: list[ErrorLogEntry] = []

    @property
    def run_id(self) -> str | None:
        """The run that is active."""
        return None if self._run is None else self._run.id

    # What users ask

    def handle(self, message: AggregatorMessage) -> SuccessMessage | ErrorMessage:
        """Carry out a command, or say why not."""
        match message:
            case ExecuteControlCommandMsg(name=name):
                return self._control(name)
            case InjectCodeMsg(pcode=pcode):
                return self._inject(pcode)
            case _:
                return _refusal(f"Skidlink does not take {type(message).__name__} yet")

    def start(self) -> None:
        """Begin a run."""
        started = time.time()
        run = Run(
            id=str(uuid4()),
            started=started,
            began=time.monotonic(),
            archive=Archive(started, self._skid.data_log_interval_s, header_row(self._specs)),
        )
        self._run = run
        self._new = True
        self._clock_due = 0.0
        self._recent_errors.clear()
        core = self._core()
        core.reset(event=Event.RUN_START)
        set_run(core, run.id)
        log.info("run %s begins", run.id)
        self._journal.begin(run.id, started, run.archive.filename, run.archive.header)
        self._send(RunStartedMsg(run_id=run.id, started_tick=started))
        self._send(self._control_state())

    def stop(self) -> None:
        """End the run, if there is one, and drive the outputs to their safe values."""
        run = self._run
        if run is None:
            return
        self._outputs.make_safe()
        run.record.cancel_open(time.time())
        self._tell_errors(time.monotonic())
        self._run = None
        self._recent_errors.clear()
        set_stopped(self._core())
        log.info("run %s ends", run.id)
        self._send_end(run.id, run.record, run.archive)
        self._send(self._control_state())

    def end_dead_runs(self) -> None:
        """End the runs in which an earlier life of the engine died, with what is left of them."""
        for dead in self._journal.dead_runs():
            log.error("the engine ended in the middle of run %s; the run is closed, start a new one", dead.id)
            self._send_end(dead.id, *_remains(dead))

    def _send_end(self, run_id: str, record: RunRecord, archive: Archive) -> None:
        """Hand over the end of a run; with that it is out of our hands."""
        self._send(
            RunStoppedMsg(
                run_id=run_id,
                runlog=record.log,
                method_state=MethodState.empty(),
                archive=archive.text(),
                archive_filename=archive.filename,
            )
        )
        self._journal.end(run_id)

    # What an uplink tells an aggregator that knows nothing

    def states(self) -> Sequence[EngineMessage]:
        """All states, and the run log; outside a run also the latest errors."""
        found: list[EngineMessage] = [MethodStateMsg(method_state=MethodState.empty()), self._control_state()]
        if self._run is not None:
            found.append(self._run_log(self._run))
        elif self._recent_errors:
            found.append(ErrorLogMsg(log=ErrorLog(entries=list(self._recent_errors))))
        return found

    # What happens each tick

    def begin_tick(self, core: Core, now: float) -> bool:
        """Set the engine's own tags, before the derived ones; True when this tick shall send all tags."""
        run = self._run
        if run is not None and now >= self._clock_due:
            self._clock_due = now + self._clock_every_s
            set_run_clock(core, max(0.0, now - run.began))
        new, self._new = self._new, False
        return new

    def end_tick(self, core: Core, now: float, unix: float) -> None:
        """See to the lines that are open, to the archive, and to what users want to know."""
        run = self._run
        if run is not None:
            self._see_to_open_lines(run, unix)
            if run.archive.due(now):
                if self._rows is None or self._rows.table is not core.table:
                    self._rows = ArchiveRows(self._specs, core.table)
                row = self._rows.row(unix)
                run.archive.append(row)
                self._journal.archive(run.id, row)
            if changed := run.record.take_changed():
                for line in changed:
                    self._journal.line(run.id, line)
                self._send(self._run_log(run))
        if now >= self._told_due:
            self._told_due = now + SHOW_EVERY_S
            self._tell_errors(now)

    def _control(self, name: str) -> SuccessMessage | ErrorMessage:
        if name == "Start":
            if self._run is not None:
                return _refusal("a run is active already; stop it first")
            self.start()
        elif name == "Stop":
            if self._run is None:
                return _refusal("no run is active")
            self.stop()
        elif name in NOT_YET:
            return _refusal(f"this version of Skidlink has no {name}; it has Start and Stop")
        else:
            return _refusal(f"{name!r} is no control command; there are Start and Stop")
        return SuccessMessage()

    def _inject(self, pcode: str) -> SuccessMessage | ErrorMessage:
        """Read all lines before anything moves."""
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
            if (run := self._run) is not None:
                line = run.record.begin(wish.line, time.time(), self._values())
                run.open[line] = wish.tag
        return SuccessMessage() if wishes else _refusal("there is no command in it")

    def _failed(self, line: str, why: str) -> ErrorMessage:
        log.error("%s: %s", line, why)
        if (run := self._run) is not None:
            now = time.time()
            run.record.end(run.record.begin(line, now, self._values()), now, (), failed=True)
        return _refusal(why)

    def _see_to_open_lines(self, run: Run, unix: float) -> None:
        for line, tag in list(run.open.items()):
            written = self._outputs.written(tag)
            if written is not None:
                del run.open[line]
                run.record.end(line, unix, self._values(), failed=not written)

    def _tell_errors(self, now: float) -> None:
        entries = self.errors.take(now)
        if entries:
            self._recent_errors = [*self._recent_errors, *entries][-REMEMBERED_ERRORS:]
            self._send(ErrorLogMsg(log=ErrorLog(entries=entries)))

    def _control_state(self) -> ControlStateMsg:
        running = self._run is not None
        return ControlStateMsg(control_state=ControlState(is_running=running, is_holding=False, is_paused=False))

    @staticmethod
    def _run_log(run: Run) -> RunLogMsg:
        return RunLogMsg(id=run.id, run_id=run.id, runlog=run.record.log)

    def _values(self) -> list[TagValue]:
        """The process values as they are now."""
        table = self._core().table
        now = time.time()
        return [_tag_value(table.specs[row], table.value(row), now) for row in map(table.row_of, self._shown)]


def _remains(dead: DeadRun) -> tuple[RunRecord, Archive]:
    record = RunRecord(dead.lines)
    record.cancel_open(max((line.end or line.start for line in dead.lines), default=dead.started))
    archive = Archive(dead.started, 0.0, dead.header, dead.filename)
    for row in dead.rows:
        archive.append(row)
    return record, archive


def _tag_value(spec: TagSpec, value: bool | float | str | None, now: float) -> TagValue:
    direction = _DIRECTIONS[spec.direction]
    return TagValue(name=spec.name, tick_time=now, value=value, value_unit=spec.unit, direction=direction)


def _refusal(why: str) -> ErrorMessage:
    return ErrorMessage(message=why, caller_error=True)
