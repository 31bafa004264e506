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
from dataclasses import dataclass
from uuid import uuid4

from engine.core.core import Core
from engine.core.spec import Event
from engine.outputs import Outputs
from engine.runs.archive import Archive, ArchiveRows, header_row
from engine.runs.commands import Commands, refusal
from engine.runs.errors import ErrorCollector
from engine.runs.instructions import InstructionSource
from engine.runs.journal import DeadRun, Journal
from engine.runs.runlog import RunRecord
from engine.system import SYSTEM_TAGS, set_clock, set_run, set_run_clock, set_stopped
from engine.uod.skid import Skid
from protocol.aggregator_messages import AggregatorMessage, ExecuteControlCommandMsg, InjectCodeMsg
from protocol.engine_messages import (
    ControlStateMsg,
    EngineMessage,
    ErrorLogMsg,
    MethodStateMsg,
    RunStartedMsg,
    RunStoppedMsg,
)
from protocol.messages import ErrorMessage, SuccessMessage
from protocol.models import ControlState, ErrorLog, ErrorLogEntry, Method, MethodState, RunLog

log = logging.getLogger("skidlink.engine.runs")

NOT_YET = frozenset({"Pause", "Unpause", "Hold", "Unhold", "Restart"})
SHOW_EVERY_S = 1.0
"""How often the clock of a run is shown, and errors and the run log are looked at, at most."""
REMEMBERED_ERRORS = 100


@dataclass(slots=True)
class Run:
    """A run that is going on."""

    id: str
    started: float
    """unix seconds"""
    began: float
    """monotonic seconds"""
    archive: Archive


class Runs:
    """Takes the commands of users, and does each tick what belongs to a run."""

    def __init__(
        self,
        skid: Skid,
        core: Callable[[], Core],
        outputs: Outputs,
        send: Callable[[EngineMessage], None],
        journal: Journal,
        instructions: InstructionSource,
    ) -> None:
        self.errors = ErrorCollector()
        self._skid = skid
        self._core = core
        self._outputs = outputs
        self._send = send
        self._journal = journal
        self._instructions = instructions
        self._commands = Commands(skid, core, outputs, send, journal, self)
        self._specs = (*SYSTEM_TAGS, *skid.tags)
        self._clock_every_s = min(SHOW_EVERY_S, skid.data_log_interval_s)
        self._clock_due = 0.0
        self._told_due = 0.0
        self._second = 0
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
                return self.control(name)
            case InjectCodeMsg(pcode=pcode):
                return self._commands.inject(pcode)
            case _:
                return refusal(f"Skidlink does not take {type(message).__name__} yet")

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
        self._commands.begin_run(run.id)
        self._instructions.begin(Method.empty())
        self._journal.begin(run.id, started, run.archive.filename, run.archive.header)
        self._send(RunStartedMsg(run_id=run.id, started_tick=started))
        self._send(self._control_state())

    def stop(self) -> None:
        """End the run, if there is one, and drive the outputs to their safe values."""
        run = self._run
        if run is None:
            return
        self._outputs.make_safe()
        self._tell_errors(time.monotonic())
        self._run = None
        self._recent_errors.clear()
        self._instructions.end()
        set_stopped(self._core())
        log.info("run %s ends", run.id)
        self._send_end(run.id, self._commands.end_run(time.time()), run.archive)
        self._send(self._control_state())

    def end_dead_runs(self) -> None:
        """End the runs in which an earlier life of the engine died, with what is left of them."""
        for dead in self._journal.dead_runs():
            log.error("the engine ended in the middle of run %s; the run is closed, start a new one", dead.id)
            self._send_end(dead.id, *_remains(dead))

    def _send_end(self, run_id: str, runlog: RunLog, archive: Archive) -> None:
        """Hand over the end of a run; with that it is out of our hands."""
        self._send(
            RunStoppedMsg(
                run_id=run_id,
                runlog=runlog,
                method_state=MethodState.empty(),
                archive=archive.text(),
                archive_filename=archive.filename,
            )
        )
        self._journal.end(run_id)

    # What an uplink tells an aggregator that knows nothing

    def states(self) -> Sequence[EngineMessage]:
        """All states, and the run log; outside a run also the latest errors."""
        found: list[EngineMessage] = [MethodStateMsg(method_state=self._instructions.state()), self._control_state()]
        if (run_log := self._commands.run_log()) is not None:
            found.append(run_log)
        elif self._recent_errors:
            found.append(ErrorLogMsg(log=ErrorLog(entries=list(self._recent_errors))))
        return found

    # What happens each tick

    def begin_tick(self, core: Core, now: float, unix: float) -> bool:
        """Set the engine's own tags, before the derived ones; True when this tick shall send all tags."""
        if int(unix) != self._second:
            self._second = int(unix)
            set_clock(core, unix)
        run = self._run
        if run is not None and now >= self._clock_due:
            self._clock_due = now + self._clock_every_s
            set_run_clock(core, max(0.0, now - run.began))
        if run is not None:
            for line in self._instructions.next(now):
                self._commands.inject(line)
        new, self._new = self._new, False
        return new

    def end_tick(self, core: Core, now: float, unix: float) -> None:
        """See to the lines that are open, to the archive, and to what users want to know."""
        run = self._run
        if run is not None and run.archive.due(now):
            if self._rows is None or self._rows.table is not core.table:
                self._rows = ArchiveRows(self._specs, core.table)
            row = self._rows.row(unix)
            run.archive.append(row)
            self._journal.archive(run.id, row)
        self._commands.tick(core, now, unix)
        if now >= self._told_due:
            self._told_due = now + SHOW_EVERY_S
            self._tell_errors(now)

    # What lines ask of the run

    def control(self, name: str) -> SuccessMessage | ErrorMessage:
        """Carry out one of the words of run control."""
        if name == "Start":
            if self._run is not None:
                return refusal("a run is active already; stop it first")
            self.start()
        elif name == "Stop":
            if self._run is None:
                return refusal("no run is active")
            self.stop()
        elif name in NOT_YET:
            return refusal(f"this version of Skidlink has no {name}; it has Start and Stop")
        else:
            return refusal(f"{name!r} is no control command; there are Start and Stop")
        return SuccessMessage()

    def mark(self, text: str) -> None:
        """Show a mark."""
        self._core().set("Mark", text)

    def name_batch(self, name: str) -> None:
        """Say which batch is made."""
        self._core().set("Batch Name", name)

    def count_run(self, number: int) -> None:
        """Set the counter that users keep of their runs."""
        self._core().set("Run Counter", number)

    def _tell_errors(self, now: float) -> None:
        entries = self.errors.take(now)
        if entries:
            self._recent_errors = [*self._recent_errors, *entries][-REMEMBERED_ERRORS:]
            self._send(ErrorLogMsg(log=ErrorLog(entries=entries)))

    def _control_state(self) -> ControlStateMsg:
        running = self._run is not None
        return ControlStateMsg(control_state=ControlState(is_running=running, is_holding=False, is_paused=False))


def _remains(dead: DeadRun) -> tuple[RunLog, Archive]:
    record = RunRecord(dead.lines)
    record.cancel_open(max((line.end or line.start for line in dead.lines), default=dead.started))
    archive = Archive(dead.started, 0.0, dead.header, dead.filename)
    for row in dead.rows:
        archive.append(row)
    return record.log, archive
