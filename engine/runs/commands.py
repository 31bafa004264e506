"""What users ask for, carried out: lines of P-code, and what they set going.

Rules of this file:

* Nothing here waits. A line is checked and set going within its call, so that its answer is there at once; how it goes
  on is looked up in the ticks that follow.
* All lines of an injection are read before anything moves; then they are carried out in their order, within a share
  of the tick (`engine.runs.injections`).
* What users send is bounded at this door: the length of a line, the lines of an injection, and all that waits.
* Process time stands still while the run is paused or held, and with it everything that takes time. What needs none is
  done at once all the same: it is by hand that users work on a skid that is held.
* Lines that write into a run wait for one, with all lines of their injection. Everything else needs no run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Final, Protocol
from uuid import uuid4

from drivers.contract import Value
from engine.core.core import Core
from engine.outputs import Outputs
from engine.runs.activities import Activity, Halt, Setting, Steps, Until, Waiting
from engine.runs.answers import Refusals, refusal
from engine.runs.arguments import CommandError
from engine.runs.budget import Budget
from engine.runs.function_call import FunctionCall, FunctionCounters
from engine.runs.injections import Injection, Injections
from engine.runs.journal import Journal
from engine.runs.logbook import Logbook
from engine.runs.ongoing import AllOngoing, Ongoing
from engine.runs.pcode import Control, CountRun, Invoke, Line, LineReader, Note, Say, Simulate, Wait, lines_of
from engine.runs.runlog import RunRecord
from engine.uod.skid import CommandSpec, SetStep, Skid, Step, UntilStep, WaitStep
from engine.visible import visible_cell
from protocol.engine_messages import EngineMessage, QueuedRunLogMsg, RunLogMsg
from protocol.messages import ErrorMessage, SuccessMessage
from protocol.models import RunLog

log = logging.getLogger("skidlink.engine.runs")

MOST_CHARS: Final = 100_000
MOST_LINES: Final = 1_000
"""of one injection; what is longer is a method"""
MOST_WAITING: Final = 2_000
"""Lines that have been given and not been carried out, in a run and for the next one."""
_SEVERITIES = {"Info": logging.INFO, "Warning": logging.WARNING, "Error": logging.ERROR}
_ENDS = {"Pause": "Unpause", "Hold": "Unhold"}
"""A word that halts the run -> the one that lets it go on."""


class RunControl(Protocol):
    """What lines can ask of the run itself."""

    @property
    def paused(self) -> bool: ...

    @property
    def held(self) -> bool: ...

    def control(self, name: str) -> SuccessMessage | ErrorMessage:
        """Carry out one of the words of run control, as Start or Hold."""
        ...

    def note(self, tag: str, value: str | int) -> None:
        """Write into one of the tags that are the users' own: Mark, Batch Name, Run Counter, Base."""
        ...


class Commands:
    """Carries out what users ask for, and keeps the run log of it."""

    def __init__(
        self,
        skid: Skid,
        core: Callable[[], Core],
        outputs: Outputs,
        send: Callable[[EngineMessage], None],
        journal: Journal,
        runs: RunControl,
    ) -> None:
        self._functions = FunctionCounters()
        self._skid = skid
        self._core = core
        self._outputs = outputs
        self._runs = runs
        self._reader = LineReader(skid)
        self._logbook = Logbook(skid, core, send, journal)
        self._ongoing = AllOngoing(self._logbook, self._is_halted)
        self._budget = Budget(skid.tick_s)
        self._injections = Injections(self._carry_out, self._failed, self._is_halted, self._budget)
        self._queue: list[Injection] = []
        """that wait for a run"""
        self.refusals = Refusals()

    # Runs

    def begin_run(self, run_id: str, record: RunRecord | None = None) -> None:
        """Keep the log of a run from here on, or go on with it, and begin with what has waited for it."""
        queue, self._queue = self._queue, []
        for injection in queue:
            for line_id, _ in injection.lines:
                self._logbook.drop(line_id)
        self._logbook.begin_run(run_id, record)
        for injection in queue:
            self._injections.add(injection)

    def end_run(self) -> RunLog:
        """Return the whole log; from here on none is kept."""
        return self._logbook.end_run()

    def cancel_all(self) -> None:
        """Cancel what is going on, with the lines that it delays; what waits for the next run stays."""
        if left_out := self._injections.clear():
            log.warning("lines that were left to carry out are left out, as the run ends: %d", left_out)
        self._ongoing.cancel_all("the run ends")

    def run_log(self) -> RunLogMsg | QueuedRunLogMsg | None:
        """The log of the run as it is now; outside of a run what is going on and what waits for one, if anything."""
        return self._logbook.message()

    # What users ask

    def inject(self, pcode: str) -> SuccessMessage | ErrorMessage:
        """Carry out lines, or say why not."""
        if len(pcode) > MOST_CHARS or len(texts := lines_of(pcode)) > MOST_LINES:
            return self._told(f"this is more than {MOST_LINES} lines or {MOST_CHARS} characters; save it as a method")
        if not texts:
            return self._told("there is no command in what was sent: it has only blanks and comments")
        waiting = self._injections.lines_left + sum(len(injection.lines) for injection in self._queue)
        if waiting + len(texts) > MOST_WAITING:
            return self._told(f"{waiting} lines wait to be carried out already; give this again when they are done")
        injection = Injection()
        with self._budget:
            for text in texts:
                try:
                    injection.lines.append((str(uuid4()), self._reader.read(text)))
                except CommandError as error:
                    return self._refused(text, error)
        if not self._logbook.in_run and any(line.needs_run for _, line in injection.lines):
            self._queue.append(injection)
            self._logbook.queue((line_id, line.text) for line_id, line in injection.lines)
            return SuccessMessage()
        return self._injections.add(injection) or SuccessMessage()

    def cancel(self, line_id: str) -> SuccessMessage | ErrorMessage:
        """End what a line of the run log has begun, or take out one that waits for a run."""
        for injection in self._queue:
            for entry in injection.lines:
                if entry[0] == line_id:
                    injection.lines.remove(entry)
                    self._logbook.drop(line_id)
                    return SuccessMessage()
        try:
            self._ongoing.cancel(line_id)
        except CommandError as error:
            return self._told(str(error))
        return SuccessMessage()

    def force(self, line_id: str) -> SuccessMessage | ErrorMessage:
        """Cut the wait short that a line of the run log is in."""
        try:
            self._ongoing.force(line_id)
        except CommandError as error:
            return self._told(str(error))
        return SuccessMessage()

    def counted(self) -> dict[str, float]:
        """`FUNCTION_COUNTERS`, by name."""
        return {name: float(value) for name, value in asdict(self._functions).items()}

    def tick(self, now: float, unix: float) -> None:
        """Let everything go on, and tell what has changed in the run log; `now` is in monotonic seconds."""
        self._logbook.unix = unix
        self._ongoing.go_on(now)
        self._injections.go_on()
        self._logbook.tell(now)
        self.refusals.tick()

    def _is_halted(self) -> bool:
        return self._runs.paused or self._runs.held

    # Lines

    def _carry_out(self, line_id: str, line: Line, injection: Injection) -> bool:
        """Do what a line asks for, or begin it; True when the lines after it have to wait."""
        if line.needs_run and not self._logbook.in_run:
            raise CommandError("there is no run any more to write it into")
        match line.asks:
            case Invoke(command=spec, argument=argument):
                self._ongoing.make_room(spec.name, spec.excludes, f"{line.text} was given")
                self._ongoing.begin(Ongoing(line_id, line.text, self._activity_of(spec, argument), spec.name))
                return False
            case Wait(seconds=seconds):
                injection.delay = Ongoing(line_id, line.text, Waiting(seconds))
                self._ongoing.begin(injection.delay)
                return not injection.delay.over
            case Control(word=word, seconds=seconds):
                self._control(line_id, line, word, seconds)
                return word in _ENDS
            case Note(tag=tag, value=value):
                self._runs.note(tag, value)
            case CountRun():
                self._runs.note("Run Counter", int(self._tag("Run Counter") or 0) + 1)
            case Say(severity=severity, text=text):
                log.log(_SEVERITIES[severity], "%s", text)
            case Simulate() as asks:
                self._simulate(asks)
        self._logbook.note(line.text, line_id=line_id)
        return False

    def _control(self, line_id: str, line: Line, word: str, seconds: float | None) -> None:
        self._press(word)
        if word in {"Start", "Stop", "Restart"}:
            return  # these are in the run log of no run
        if seconds is None:
            self._logbook.note(line.text, line_id=line_id)
            return

        def lasts() -> bool:
            return self._runs.paused if word == "Pause" else self._runs.held

        self._ongoing.begin(Ongoing(line_id, line.text, Halt(seconds, lasts, lambda: self._press(_ENDS[word]))))

    def _press(self, word: str) -> None:
        answer = self._runs.control(word)
        if isinstance(answer, ErrorMessage):
            raise CommandError(answer.message or f"{word} is not possible now")

    def _simulate(self, asks: Simulate) -> None:
        try:
            if asks.expr is not None:
                self._core().simulate_by(asks.tag, asks.expr)
            elif asks.value is not None:
                self._core().simulate(asks.tag, asks.value)
            else:
                self._core().stop_simulating(asks.tag)
        except ValueError as error:
            raise CommandError(str(error)) from None

    def _activity_of(self, spec: CommandSpec, argument: Value | None) -> Activity:
        """What a command does when it is given with this argument."""
        if spec.function is not None:
            return FunctionCall(
                spec.name, spec.function, argument,
                table=lambda: self._core().table, outputs=self._outputs, tick_s=self._skid.tick_s,
                counters=self._functions,
            )  # fmt: skip
        parts = [self._part_of(step, argument) for step in spec.steps]
        return parts[0] if len(parts) == 1 else Steps(parts)

    def _part_of(self, step: Step, argument: Value | None) -> Waiting | Until | Setting:
        match step:
            case SetStep(output=output, value=value):
                tag = self._skid.tags[self._skid.outputs[output].tag].name
                return Setting(self._outputs, tag, _given(argument) if value is None else value)
            case WaitStep(seconds=seconds):
                return Waiting(float(_given(argument)) if seconds is None else seconds)
            case UntilStep(condition=condition, expression=expression, timeout_s=timeout_s):
                return Until(lambda: self._tag(condition) is True, expression, timeout_s)

    def _tag(self, name: str) -> Value | None:
        table = self._core().table
        return table.value(table.row_of(name))

    def _failed(self, line_id: str, line: Line, error: Exception, left_out: int) -> ErrorMessage:
        return self._refused(line.text, error, line_id, left_out=left_out)

    def _refused(self, text: str, error: Exception, line_id: str = "", *, left_out: int = 0) -> ErrorMessage:
        """Say and write down why a line cannot be carried out."""
        why = f"{error}; the lines after it are left out" if left_out else str(error)
        self._logbook.note(visible_cell(text), line_id=line_id, failed=True)
        return self.refusals.line(text, why, error.__cause__)

    def _told(self, why: str) -> ErrorMessage:
        return self.refusals.told(refusal(why))


def _given(argument: Value | None) -> Value:
    """The argument of a command whose steps take one: no line without it can be read."""
    if argument is None:
        raise CommandError("there is no argument")
    return argument
