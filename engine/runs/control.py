"""Runs: they begin and end when a user says so, and what users do in them is written down.

Rules of this file:

* Nothing here waits. A command is checked and set going within its call, so that its answer is there at once.
* What happens between two ticks has the time of the earlier one, so that clocks, samples and records agree.
* The order in which things are sent is the order in which the aggregator needs them: a run's start before its first
  sample, its end after the last.
* What is told of a run and what is kept of it are durable together, so that a crash cannot come between.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from engine.core.core import Core
from engine.core.spec import Event
from engine.links import Link
from engine.outputs import Outputs
from engine.runs.answers import refusal
from engine.runs.archive import Archive, columns_of
from engine.runs.archive_files import ArchiveFiles
from engine.runs.commands import Commands
from engine.runs.errors import ErrorCollector
from engine.runs.followed import FollowedMethod
from engine.runs.instructions import InstructionSource, MethodFailedError
from engine.runs.journal import DeadRun, Journal, Progress
from engine.runs.marks import Marks
from engine.runs.method import KeptMethod, MethodError
from engine.runs.notices import Notices, Outages
from engine.runs.recovery import archive_of, recall_totals, record_of, what_ended, what_happened, what_vanished
from engine.runs.run import Run
from engine.runs.runlog import RunRecord
from engine.runs.shown import ShownState
from engine.runs.state import ControlWord, RefusedError, RunState
from engine.system import SYSTEM_TAGS, set_clock, set_method_status
from engine.uod.skid import Skid
from engine.visible import visible_cell
from protocol.aggregator_messages import (
    AggregatorMessage,
    CancelMsg,
    ExecuteControlCommandMsg,
    ForceMsg,
    InjectCodeMsg,
    MethodMsg,
)
from protocol.engine_messages import (
    ControlStateMsg,
    EngineMessage,
    ErrorLogMsg,
    MethodStateMsg,
    RunStartedMsg,
    RunStoppedMsg,
)
from protocol.messages import ErrorMessage, SuccessMessage
from protocol.models import ErrorLog, Method, MethodStatusEnum, RunLog

log = logging.getLogger("skidlink.engine.runs")

SHOW_EVERY_S: Final = 1.0
"""How often the clocks of a run are shown and written down, and errors are looked at, at most."""
KEPT_TAGS: Final = frozenset({"Batch Name", "Run Counter", "Base"})
"""The users' own tags that outlive the engine."""


class Runs:
    """Takes the commands of users, and does each tick what belongs to a run."""

    def __init__(
        self,
        skid: Skid,
        core: Callable[[], Core],
        outputs: Outputs,
        links: Sequence[Link],
        send: Callable[[EngineMessage], None],
        journal: Journal,
        instructions: InstructionSource,
        files: ArchiveFiles | None = None,
    ) -> None:
        self.errors = ErrorCollector()
        self.state = RunState()
        self._core = core
        self._outputs = outputs
        self._send = send
        self._journal = journal
        self._files = files
        self._commands = Commands(skid, core, outputs, send, journal, self)
        self._method = KeptMethod(journal, send)
        self._followed = FollowedMethod(instructions, self._commands.inject, self.state, send)
        self._notices = Notices(skid.name, send)
        self._outages = Outages(links)
        self._specs = (*SYSTEM_TAGS, *skid.tags)
        self._interval_s = skid.data_log_interval_s
        self._clock_every_s = min(SHOW_EVERY_S, self._interval_s)
        self._now, self._unix = time.monotonic(), time.time()
        """Of the latest tick."""
        self._clock_due = self._look_due = 0.0
        self._second = 0
        self._run: Run | None = None
        self._new = False
        self._marks = Marks()
        self._shown = ShownState(self.state, core, send)

    @property
    def run_id(self) -> str | None:
        """The run that is active."""
        return None if self._run is None else self._run.id

    @property
    def paused(self) -> bool:
        """Whether the run has its outputs safe, and does nothing."""
        return self.state.paused

    @property
    def held(self) -> bool:
        """Whether the run does nothing, and keeps its outputs."""
        return self.state.held

    # What users ask

    def handle(self, message: AggregatorMessage) -> SuccessMessage | ErrorMessage:
        """Carry out a command, or say why not."""
        match message:
            case ExecuteControlCommandMsg(name=name):
                return self._press(name)
            case InjectCodeMsg(pcode=pcode):
                return self._commands.inject(pcode)
            case CancelMsg(exec_id=line_id):
                return self._commands.cancel(line_id)
            case ForceMsg(exec_id=line_id):
                return self._commands.force(line_id)
            case MethodMsg(method=method):
                return self._save(method)
            case _:
                return refusal(f"Skidlink does not take {type(message).__name__} yet")

    def _press(self, name: str) -> SuccessMessage | ErrorMessage:
        """Do what a button asks for. When it cannot be had, send the states again: the page shows it pressed by now."""
        answer = self.control(name)
        if isinstance(answer, ErrorMessage):
            self._commands.refusals.told(answer)
            self._send(ControlStateMsg(control_state=self.state.switches))
        return answer

    def control(self, name: str) -> SuccessMessage | ErrorMessage:
        """Carry out one of the words of run control."""
        try:
            word = ControlWord(name)
        except ValueError:
            return refusal(f"{visible_cell(name, 100)!r} is not a control command; there are {', '.join(ControlWord)}")
        try:
            self.state.tell(word, self._now)
        except RefusedError as refused:
            return refusal(str(refused))
        match word:
            case ControlWord.START:
                self._begin()
            case ControlWord.STOP:
                self._end()
                self.note("Batch Name", "")
            case ControlWord.RESTART:
                self._end()
            case ControlWord.PAUSE:
                self._outputs.pause()
                self._notices.run_paused(self._unix)
            case ControlWord.UNPAUSE:
                self._outputs.resume()
                set_method_status(self._core(), MethodStatusEnum.OK)
            case ControlWord.HOLD | ControlWord.UNHOLD:
                pass  # outputs stay as they are
        log.info("%s: the run is %s now", word, self.state.word.lower())
        self._shown.show(self.run_id)
        return SuccessMessage()

    def counted(self) -> dict[str, float]:
        """How the functions of the UOD have behaved, by name."""
        return self._commands.counted()

    def cancel_all(self) -> None:
        """Cancel what users have set going, in a run or not; functions may set outputs when they are cancelled."""
        self._commands.cancel_all()

    def stop(self) -> None:
        """End the run, if there is one: the engine ends."""
        if self.state.active:
            self.control(ControlWord.STOP)

    def note(self, tag: str, value: str | int) -> None:
        """Write into one of the tags that are the users' own; marks of a run add up until its archive has them.

        Raises `CommandError` for a mark that is too long.
        """
        if tag == "Mark":
            if self.state.active:
                self._marks.add(str(value))
            else:
                self._marks.replace(str(value))
            self._show_mark()
        else:
            self._core().set(tag, value)
            self._journal.keep(tag, value)

    def _save(self, method: Method) -> SuccessMessage | ErrorMessage:
        try:
            self._method.save(method)
        except MethodError as error:
            return self._commands.refusals.told(refusal(str(error)))
        return SuccessMessage()

    def states(self) -> Sequence[EngineMessage]:
        """The method, all states, and the run log, for an aggregator that knows nothing; outside a run also errors."""
        found: list[EngineMessage] = [
            MethodStateMsg(method_state=self._followed.told),
            ControlStateMsg(control_state=self.state.switches),
        ]
        if method := self._method.message():
            found.insert(0, method)
        if (run_log := self._commands.run_log()) is not None:
            found.append(run_log)
        if not self.state.active and self.errors.recent:
            found.append(ErrorLogMsg(log=ErrorLog(entries=list(self.errors.recent))))
        return found

    # What happens each tick

    def begin_tick(self, core: Core, now: float, unix: float) -> bool:
        """Set the engine's own tags, before the derived ones; True when this tick shall send all tags."""
        self._now, self._unix = now, unix
        self.state.count(now)
        if int(unix) != self._second:
            self._second = int(unix)
            set_clock(core, unix)
        if self.state.active and now >= self._clock_due:
            self._clock_due = now + self._clock_every_s
            self._shown.show_clocks()
        self._follow_method()
        new, self._new = self._new, False
        return new

    def end_tick(self, now: float, unix: float) -> None:
        """See to the archive, to the lines that are open, and to what users want to know."""
        run = self._run
        if run is not None and run.archive.due(now):
            self._write_row(run)
        # After the archive: a mark that is set here shall be seen before it is archived.
        self._commands.tick(now, unix)
        self._followed.tell()
        if now >= self._look_due:
            self._look_due = now + SHOW_EVERY_S
            self._tell_errors()
            self._look_after_run()
        if self.state.restarting:
            self.state.begin(now)
            self._begin()

    def _follow_method(self) -> None:
        """Carry out what the method wants now. Where that cannot be done, the run is paused."""
        try:
            self._followed.follow(self._now)
        except MethodFailedError as error:
            log.error("the run is paused, its method has failed: %s", error)  # noqa: TRY400  # a sentence for users
            self.state.tell(ControlWord.PAUSE, self._now)
            self._outputs.pause()
            set_method_status(self._core(), MethodStatusEnum.ERROR)
            self._notices.method_failed(str(error), self._unix)
            self._shown.show(self.run_id)

    def _look_after_run(self) -> None:
        """Write down what the run has come to, and tell of links that are lost."""
        if self._run is None:
            return
        for link in self._outages.lost(self._now):
            self._notices.link_lost(link, self._unix)
        clocks, stride = replace(self.state.clocks), self._run.archive.stride
        progress = Progress(self._unix, clocks, self._marks.text, self._core().memory(), stride)
        self._journal.progress(self._run.id, progress)

    # How runs begin and end

    def _begin(self) -> None:
        """Begin a run; the state says so already."""
        with self._journal.together():
            run = self._run = Run.begin(self._unix, self._specs, self._interval_s, self._journal, self._files)
            self._send(RunStartedMsg(run_id=run.id, started_tick=run.started))
        log.info("run %s begins", run.id)
        self._new = True
        self._clock_due = self._look_due = 0.0
        self._marks.replace("")
        self.errors.recent.clear()
        self._outages.begin()
        core = self._core()
        core.reset(event=Event.RUN_START)
        self._show_mark()
        core.set(
            "Mark", None, reason="nothing is marked yet"
        )  # the plot draws marks along a value that was there first
        set_method_status(core, MethodStatusEnum.OK)
        self._followed.begin(self._method.method)
        self._notices.run_started(run.started)
        self._shown.show(self.run_id)
        self._commands.begin_run(run.id)  # last, as what has waited for the run may well be Pause, or Stop

    def _end(self) -> None:
        """End the run, and drive the outputs to their safe values; the state says so already."""
        if (run := self._run) is None:
            return
        self.cancel_all()
        self._outputs.make_safe()
        if self._marks.text:
            self._write_row(run)
        self._core().simulate_as_authored()
        self._tell_errors()
        self.errors.recent.clear()
        self._run = None
        run.end()
        log.info("run %s ends", run.id)
        self._send_end(run.id, self._commands.end_run(), run.archive)
        self._followed.end()
        set_method_status(self._core(), MethodStatusEnum.OK)
        self._notices.run_stopped(run.started, self._unix)

    def _send_end(self, run_id: str, runlog: RunLog, archive: Archive | None) -> None:
        """Hand over the end of a run; with that it is out of our hands."""
        with self._journal.together():
            self._send(
                RunStoppedMsg(
                    run_id=run_id,
                    runlog=runlog,
                    method_state=self._followed.state,
                    archive=None if archive is None else archive.text(),
                    archive_filename=None if archive is None else archive.filename,
                )
            )
            self._journal.end(run_id)

    # How runs of an earlier life go on

    def take_up(self, now: float, unix: float) -> float:
        """Recall what an earlier life of the engine has kept; the run in which it died goes on, held.

        A run that has lost one of its tags cannot go on: it is ended. Returns when all samples of the run that goes on
        had been taken, in unix seconds; 0 where there is none.
        """
        self._now, self._unix = now, unix
        kept = self._journal.kept()
        core = self._core()
        for tag in KEPT_TAGS & kept.keys():
            core.set(tag, kept[tag])
        self._method.recall(kept)
        for run_id in self._journal.headless_runs():
            log.error("%s", what_vanished(run_id))
            self._send_end(run_id, RunLog.empty(), None)
        newest = 0.0
        for dead in reversed(self._journal.dead_runs()):
            columns, gone = columns_of(dead.header, self._specs)
            archive, record = archive_of(dead, self._interval_s), record_of(dead)
            if gone or self._run is not None:
                log.error("%s", what_ended(dead, gone))
                if self._files is not None:
                    self._files.close_dead(dead.id, dead.filename, dead.header)
                self._send_end(dead.id, record.log, archive)
                if self._run is None:
                    self.note("Batch Name", "")
            else:
                self._run = Run(dead.id, dead.started, archive, columns, self._journal, self._files)
                self._go_on(dead, record)
                newest = dead.progress.at + SHOW_EVERY_S
        return newest

    def _go_on(self, dead: DeadRun, record: RunRecord) -> None:
        log.error("%s", what_happened(dead, self._unix))
        progress = dead.progress
        self.state.take_up(progress.clocks, self._now)
        self._marks.replace(progress.mark)
        self._show_mark()
        recall_totals(self._core(), progress.totals)
        self._commands.begin_run(dead.id, record)
        self._followed.begin(Method.empty())  # it goes on by hand
        self._send(RunStartedMsg(run_id=dead.id, started_tick=dead.started))
        self._shown.show(self.run_id)

    def _show_mark(self) -> None:
        self._core().set("Mark", self._marks.text)
        self._look_due = 0.0  # so that a crash neither loses a mark nor brings one back

    def _write_row(self, run: Run) -> None:
        """Write the tags as they are into the archive, and with them the marks that have been set."""
        run.write_row(self._core().table, self._unix)
        if self._marks.text:
            self._marks.replace("")
            self._show_mark()

    def _tell_errors(self) -> None:
        if entries := self.errors.take(self._now):
            self._send(ErrorLogMsg(log=ErrorLog(entries=entries)))
