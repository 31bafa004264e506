"""What lines do over time: waits, pauses that end by themselves, the setting of outputs, the steps of a command.

Rules of this file:

* It knows no clock. `now` is process time in seconds, which stands still while the run is paused or held; only for
  what lasts as long as a pause or hold itself it is the time that really passes.
* A step is passed when its device has taken the value, so that nothing is built on a valve that has not moved.
* Whoever leaves off leaves the outputs as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from drivers.contract import Value
from engine.runs.arguments import CommandError, ToldError


class Activity(Protocol):
    """Something that was begun and may take its time."""

    @property
    def progress(self) -> float | None:
        """How far it is, from 0 to 1; None: nobody can say."""
        ...

    @property
    def forcible(self) -> bool:
        """Whether it waits, so that the wait can be cut short."""
        ...

    def go_on(self, now: float) -> bool:
        """Do what can be done now; True when it is over.

        Raises `CommandError` and `OutputRefusedError`; it is over then, too.
        """
        ...

    def force(self) -> None:
        """Cut the wait short that is going on."""
        ...

    def cancel(self) -> None:
        """Leave off."""
        ...


class Writer(Protocol):
    """What is asked of the outputs (`engine.outputs.Outputs`)."""

    def wish(self, tag: str, value: Value) -> None:
        """Ask for a value. Raises `OutputRefusedError`."""
        ...

    def check(self, tag: str, value: Value) -> None:
        """Raise what `wish` would raise now, and ask for nothing."""
        ...

    def is_busy(self, tag: str) -> bool:
        """Whether a value that somebody has asked for has not gone out yet, so that another one would replace it."""
        ...

    def is_moving(self, tag: str) -> bool:
        """Whether an output is on a ramp, of which a newer value is the new target."""
        ...

    def written(self, tag: str) -> bool | None:
        """Whether the device has taken what was asked for last; None: it has not answered yet."""
        ...

    def is_refused(self, tag: str) -> bool:
        """Whether the device has refused what was asked for last; users have been told why."""
        ...


class Waiting:
    """Lets time go by."""

    forcible = True

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.elapsed = 0.0
        self._began: float | None = None

    @property
    def progress(self) -> float:
        return min(1.0, self.elapsed / self.seconds) if self.seconds else 1.0

    def go_on(self, now: float) -> bool:
        if self._began is None:
            self._began = now
        self.elapsed = max(self.elapsed, now - self._began)
        return self.elapsed >= self.seconds

    def force(self) -> None:
        self.elapsed = self.seconds

    def cancel(self) -> None: ...


class Until:
    """Waits for a condition; one that is unknown is not true."""

    progress = None
    forcible = True

    def __init__(self, holds: Callable[[], bool], condition: str, timeout_s: float | None) -> None:
        self._holds = holds
        self._condition = condition
        self._time = None if timeout_s is None else Waiting(timeout_s)
        self._forced = False

    def go_on(self, now: float) -> bool:
        if self._forced or self._holds():
            return True
        if self._time is not None and self._time.go_on(now):
            raise CommandError(f"{self._condition} has not come true within {self._time.seconds:g} s")
        return False

    def force(self) -> None:
        self._forced = True

    def cancel(self) -> None: ...


class Halt:
    """A pause or a hold that ends by itself, or when somebody else ends it."""

    forcible = True

    def __init__(self, seconds: float, lasts: Callable[[], bool], end: Callable[[], None]) -> None:
        self._time = Waiting(seconds)
        self._lasts = lasts
        self._end = end

    @property
    def progress(self) -> float:
        return self._time.progress

    def go_on(self, now: float) -> bool:
        if not self._lasts():
            return True
        over = self._time.go_on(now)
        if over:
            self._end()
        return over

    def force(self) -> None:
        self._time.force()

    def cancel(self) -> None:
        """The run goes on at once, as in Open Pectus."""
        if self._lasts():
            self._end()


class Setting:
    """Sets one output; it is over when the device has taken the value.

    It waits for its turn while an earlier value has not gone out, so that each of two lines in one tick is written.
    """

    progress = None
    forcible = False

    def __init__(self, writer: Writer, tag: str, value: Value) -> None:
        self._writer = writer
        self._tag = tag
        self._value = value
        self._asked = False

    @property
    def gives_way(self) -> bool:
        """Whether a newer value of the same command takes its place, as on a ramp; all others are written in turn."""
        return self._asked and self._writer.is_moving(self._tag)

    def go_on(self, now: float) -> bool:  # noqa: ARG002
        if not self._asked:
            if self._writer.is_busy(self._tag):
                self._writer.check(self._tag, self._value)
                return False
            self._writer.wish(self._tag, self._value)
            self._asked = True
        written = self._writer.written(self._tag)
        if written is False:
            if self._writer.is_refused(self._tag):
                raise ToldError("its device refused the value")
            why = "its device was lost, or the engine has made it safe; ask again if it is still wanted"
            raise CommandError(f"{self._tag} was not set to {self._value!r}: {why}")
        return bool(written)

    def force(self) -> None: ...

    def cancel(self) -> None: ...


class Steps:
    """One after the other."""

    def __init__(self, parts: Sequence[Waiting | Until | Setting]) -> None:
        self._parts = tuple(parts)
        self._at = 0
        self._seconds = sum(part.seconds for part in self._parts if isinstance(part, Waiting))

    @property
    def progress(self) -> float | None:
        """The share of the waiting that is over: nobody knows how long a device takes."""
        if not self._seconds:
            return None
        elapsed = sum(min(part.elapsed, part.seconds) for part in self._parts if isinstance(part, Waiting))
        return elapsed / self._seconds

    @property
    def forcible(self) -> bool:
        return self._at < len(self._parts) and self._parts[self._at].forcible

    def go_on(self, now: float) -> bool:
        while self._at < len(self._parts) and self._parts[self._at].go_on(now):
            self._at += 1
        return self._at == len(self._parts)

    def force(self) -> None:
        if self.forcible:
            self._parts[self._at].force()

    def cancel(self) -> None: ...
