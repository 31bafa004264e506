"""What is going on: everything that was begun and is not over, with its line in the run log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from engine.outputs import OutputRefusedError
from engine.runs.activities import Activity, Halt, Setting, Waiting
from engine.runs.arguments import CommandError, ToldError
from engine.runs.logbook import Logbook

log = logging.getLogger("skidlink.engine.runs")

MOST: Final = 200
"""Commands and waits that go on at the same time, each of them looked at in each tick."""
SHOW_EVERY_S = 1.0
"""How often progress is shown, at most."""


@dataclass(slots=True, eq=False)
class Ongoing:
    """One of them."""

    line_id: str
    text: str
    """The line, as the user wrote it."""
    activity: Activity
    command: str = ""
    """The name of the command of the UOD, where it is one."""
    forcible: bool = False
    """As the run log has it."""
    in_halt: bool = False
    """It was begun while the run was paused or held."""
    over: bool = False
    cancelled: bool = False

    @property
    def cancellable(self) -> bool:
        """A value that is on its way to a device cannot be called back."""
        return not isinstance(self.activity, Setting)


class AllOngoing:
    """Begins things, lets them go on, ends them, and writes that into the run log."""

    def __init__(self, logbook: Logbook, halted: Callable[[], bool]) -> None:
        """`halted` says whether the run is paused or held."""
        self._logbook = logbook
        self._halted = halted
        self._all: dict[str, Ongoing] = {}
        """by the id of the line in the run log, in the order in which they were begun"""
        self._process_s = 0.0
        """process time; without a run it goes on as well"""
        self._now: float | None = None
        self._show_due = 0.0

    def begin(self, one: Ongoing) -> None:
        """Let something begin. Raises `CommandError` and `OutputRefusedError` when it cannot, and is in no log then."""
        if len(self._all) >= MOST:
            raise CommandError(f"{MOST} commands and waits are going on already; cancel some of them")
        one.in_halt = self._halted()
        over = not isinstance(one.activity, Halt) and one.activity.go_on(self._process_s)
        self._all[one.line_id] = one
        one.forcible = one.activity.forcible
        if one.cancellable or self._logbook.in_run:
            self._logbook.begin(one.text, line_id=one.line_id, forcible=one.forcible, cancellable=one.cancellable)
        if over:
            self._leave(one)
        else:
            self._show(one)

    def go_on(self, now: float) -> None:
        """Let everything go on at `now`, monotonic seconds."""
        halted = self._halted()
        if self._now is not None and not halted:
            self._process_s += max(0.0, now - self._now)
        self._now = now
        for one in list(self._all.values()):
            if not one.over and not self._stands_still(one):  # one that goes on may have ended another
                self._let_go_on(one, now if isinstance(one.activity, Halt) else self._process_s)
        if now >= self._show_due:
            self._show_due = now + SHOW_EVERY_S
            for one in self._all.values():
                self._show(one)

    def make_room(self, command: str, excluded: Collection[str], why: str) -> None:
        """Cancel what this command and those that it excludes have begun, but for its own values that are being
        written: whatever is asked for is written, each time."""
        for one in list(self._all.values()):
            gives_way = not isinstance(one.activity, Setting) or one.activity.gives_way
            if one.command in excluded or (one.command == command and gives_way):
                self._cancel(one, why)

    def cancel_all(self, why: str) -> None:
        """End everything before its time."""
        for one in list(self._all.values()):
            self._cancel(one, why)

    def cancel(self, line_id: str) -> None:
        """End what has this line before its time; outputs stay as they are. Raises `CommandError`."""
        one = self._find(line_id, "cancelled")
        if not one.cancellable:
            raise CommandError(f"{one.text} cannot be cancelled: its value is on the way to the device")
        self._cancel(one, "a user wants it so")

    def force(self, line_id: str) -> None:
        """Cut the wait short that this line is in. Raises `CommandError`."""
        one = self._find(line_id, "forced")
        if not one.activity.forcible:
            raise CommandError(f"{one.text} cannot be forced: it does not wait for a time to pass")
        one.activity.force()
        self._logbook.update(line_id, forced=True)
        if isinstance(one.activity, Waiting):
            self._leave(one)

    def _stands_still(self, one: Ongoing) -> bool:
        """In a pause or hold nothing goes on but these themselves, and what is set by hand meanwhile."""
        if isinstance(one.activity, Halt) or (isinstance(one.activity, Setting) and one.in_halt):
            return False
        return self._halted()

    def _let_go_on(self, one: Ongoing, now: float) -> None:
        try:
            over = one.activity.go_on(now)
        except ToldError as error:
            log.info("%s: %s", one.text, error)
            self._leave(one, failed=True)
            return
        except (CommandError, OutputRefusedError) as error:
            log.error("%s: %s", one.text, error, exc_info=error.__cause__)  # noqa: TRY400  traceback of functions only
            self._leave(one, failed=True)
            return
        if over:
            self._leave(one)
        elif one.activity.forcible is not one.forcible:
            one.forcible = one.activity.forcible
            self._logbook.update(one.line_id, forcible=one.forcible)

    def _cancel(self, one: Ongoing, why: str) -> None:
        log.info("%s is cancelled: %s", one.text, why)
        one.cancelled = True
        self._leave(one)
        one.activity.cancel()

    def _leave(self, one: Ongoing, *, failed: bool = False) -> None:
        one.over = True
        del self._all[one.line_id]
        self._show(one)
        self._logbook.end(one.line_id, failed=failed, cancelled=one.cancelled)

    def _show(self, one: Ongoing) -> None:
        progress = one.activity.progress
        self._logbook.update(one.line_id, progress=None if progress is None else round(progress, 2))

    def _find(self, line_id: str, what: str) -> Ongoing:
        if (one := self._all.get(line_id)) is not None:
            return one
        text = self._logbook.text_of(line_id)
        if text is None:
            raise CommandError(f"the run log has no line {line_id!r} that could be {what}")
        raise CommandError(f"{text} cannot be {what}: it is not going on")
