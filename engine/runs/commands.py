"""What users ask for, carried out: lines of P-code, and what they set going.

Rules of this file:

* Nothing here waits. A line is checked and set going within its call, so that its answer is there at once; how it goes
  on is looked up in the ticks that follow.
* All lines of an injection are read before anything moves; then they are carried out in their order. Wait, Pause and
  Hold let the lines after them wait; where one fails, the lines after it are left out.
* Process time stands still while the run is paused or held, and with it everything that takes time. What needs none is
  done at once all the same: it is by hand that users work on a skid that is held.
* Lines that write into a run wait for one, with all lines of their injection. Everything else needs no run.
"""

from __future__ import annotations

import logging
import textwrap
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Final, Protocol
from uuid import uuid4

from drivers.contract import Value
from engine.core.core import Core
from engine.outputs import OutputRefusedError, Outputs
from engine.runs.activities import Activity, Halt, Setting, Steps, Until, Waiting
from engine.runs.arguments import CommandError
from engine.runs.errors import TELL_EACH_TIME
from engine.runs.function_call import FunctionCall, FunctionCounters
from engine.runs.journal import Journal
from engine.runs.logbook import Logbook
from engine.runs.ongoing import AllOngoing, Ongoing
from engine.runs.pcode import Control, CountRun, Invoke, Line, LineReader, Note, Say, Simulate, Wait, lines_of
from engine.runs.runlog import RunRecord
from engine.uod.skid import CommandSpec, SetStep, Skid, Step, UntilStep, WaitStep
from protocol.engine_messages import EngineMessage, QueuedRunLogMsg, RunLogMsg
from protocol.messages import ErrorMessage, SuccessMessage
from protocol.models import RunLog

log = logging.getLogger("skidlink.engine.runs")

_SEVERITIES = {"Info": logging.INFO, "Warning": logging.WARNING, "Error": logging.ERROR}
LONGEST_SHOWN: Final = 80
"""Characters of a line that are shown where it is refused."""
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


@dataclass(slots=True, eq=False)
class Injection:
    """Lines that were given together, and have not been carried out yet."""

    lines: deque[tuple[str, Line]] = field(default_factory=deque[tuple[str, Line]])
    """with the id that each has in the run log"""
    delay: Ongoing | None = None
    """The wait that delays them. None: there is none, but they wait while the run is paused or held."""


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
        self._injections: list[Injection] = []
        """that have lines left, and are under way"""
        self._queue: list[Injection] = []
        """that wait for a run"""

    # Runs

    def begin_run(self, run_id: str, record: RunRecord | None = None) -> None:
        """Keep the log of a run from here on, or go on with it, and begin with what has waited for it."""
        queue, self._queue = self._queue, []
        for injection in queue:
            for line_id, _ in injection.lines:
                self._logbook.drop(line_id)
        self._logbook.begin_run(run_id, record)
        for injection in queue:
            self._carry_on(injection)

    def end_run(self) -> RunLog:
        """Return the whole log; from here on none is kept."""
        return self._logbook.end_run()

    def cancel_all(self) -> None:
        """Cancel what is going on, with the lines that it delays; what waits for the next run stays."""
        self._injections.clear()
        self._ongoing.cancel_all("the run ends")

    def run_log(self) -> RunLogMsg | QueuedRunLogMsg | None:
        """The log of the run as it is now; outside of a run what is going on and what waits for one, if anything."""
        return self._logbook.message()

    # What users ask

    def inject(self, pcode: str) -> SuccessMessage | ErrorMessage:
        """Carry out lines, or say why not."""
        injection = Injection()
        for text in lines_of(pcode):
            try:
                injection.lines.append((str(uuid4()), self._reader.read(text)))
            except CommandError as error:
                return self._refused(text, error)
        if not injection.lines:
            return told(refusal("there is no command in what was sent: it has only blanks and comments"))
        if not self._logbook.in_run and any(line.needs_run for _, line in injection.lines):
            self._queue.append(injection)
            for line_id, line in injection.lines:
                self._logbook.begin(line.text, line_id=line_id, cancellable=True)
            return SuccessMessage()
        return self._carry_on(injection) or SuccessMessage()

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
            return told(refusal(str(error)))
        return SuccessMessage()

    def force(self, line_id: str) -> SuccessMessage | ErrorMessage:
        """Cut the wait short that a line of the run log is in."""
        try:
            self._ongoing.force(line_id)
        except CommandError as error:
            return told(refusal(str(error)))
        return SuccessMessage()

    def counted(self) -> dict[str, float]:
        """`FUNCTION_COUNTERS`, by name."""
        return {name: float(value) for name, value in asdict(self._functions).items()}

    def tick(self, now: float, unix: float) -> None:
        """Let everything go on, and tell what has changed in the run log; `now` is in monotonic seconds."""
        self._logbook.unix = unix
        self._ongoing.go_on(now)
        for injection in list(self._injections):
            if injection not in self._injections or self._is_halted():
                continue  # a line of another one has stopped or halted the run
            if injection.delay is None or injection.delay.over:
                self._injections.remove(injection)
                self._carry_on(injection)
        self._logbook.tell()

    def _is_halted(self) -> bool:
        return self._runs.paused or self._runs.held

    # Lines

    def _carry_on(self, injection: Injection) -> ErrorMessage | None:
        """Carry out the lines of an injection as far as they need not wait; return why one of them could not be."""
        if injection.delay is not None and injection.delay.cancelled:
            return None  # with a wait go the lines that it delays
        while injection.lines:
            line_id, line = injection.lines.popleft()
            injection.delay = None
            try:
                waits = self._carry_out(line_id, line, injection)
            except (CommandError, OutputRefusedError) as error:
                return self._refused(line.text, error, line_id, left_out=len(injection.lines))
            if waits and injection.lines:
                self._injections.append(injection)
                return None
        return None

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

    def _refused(self, text: str, error: Exception, line_id: str = "", *, left_out: int = 0) -> ErrorMessage:
        """Say and write down why a line cannot be carried out."""
        why = f"{error}; the lines after it are left out" if left_out else str(error)
        named = why.lstrip("'").startswith(text.partition(":")[0])
        shown = why if named else f"{textwrap.shorten(text, LONGEST_SHOWN, placeholder=' ...')}: {why}"
        log.error("%s", shown, exc_info=error.__cause__, extra=TELL_EACH_TIME)
        self._logbook.note(text, line_id=line_id, failed=True)
        return refusal(why)


def _given(argument: Value | None) -> Value:
    """The argument of a command whose steps take one: no line without it can be read."""
    if argument is None:
        raise CommandError("there is no argument")
    return argument


def refusal(why: str) -> ErrorMessage:
    """The answer to what a user cannot have."""
    return ErrorMessage(message=why, caller_error=True)


def told(answer: ErrorMessage) -> ErrorMessage:
    """The answer, written into the error log as well: the web page of Open Pectus shows users no other text of ours."""
    log.error("%s", answer.message, extra=TELL_EACH_TIME)
    return answer
