"""Commands that are Python: what an author writes for what is more than setting tags and waiting.

Nothing of this may block: everything runs between two ticks of the scan cycle, which stands still meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from drivers.contract import Quality, Value


@dataclass(frozen=True, slots=True)
class Reading:
    """A tag as it was at the last tick."""

    value: Value | None
    """In the unit of the tag, or the word of a choice; None where it is bad or stale."""
    unit: str | None
    quality: Quality
    simulated: bool
    """Somebody lets it be shown in the place of what the device says."""


class CommandContext(Protocol):
    """What a function may know and do. It is good for one invocation of its command, from start to finish."""

    @property
    def elapsed_s(self) -> float:
        """How long ago it was started, without the time for which the run was paused or held."""
        ...

    def read(self, tag: str) -> Reading:
        """A tag of the skid or of the engine. Raises `LookupError` with the nearest name there is."""
        ...

    def set(self, tag: str, value: Value) -> None:
        """Ask for a value of an output, in its unit or as the word of a choice; the device is written after this.

        Raises `OutputRefusedError` where a limit, an interlock or a link that is down stands against it.
        """
        ...

    def log(self, message: str) -> None:
        """Write into the engine's log."""
        ...

    def warn(self, message: str) -> None:
        """Write into the engine's log and into the error log that users see."""
        ...


class CommandFunction(Protocol):
    """One invocation of a command; a new object is made for each. Inherit from it and leave out what does nothing.

    An exception in `start` or `progress` fails the command and is logged with its traceback; `cancel` and `finish`
    follow. So does a call that takes longer than five seconds: it is interrupted.
    """

    def start(self, context: CommandContext, argument: Value | None) -> None:
        """Begin. The argument is what was given, already checked; None for a command that takes none."""
        ...

    def progress(self, context: CommandContext) -> float | None:
        """Go on, once a tick; tell how far it is from 0 to 1, where 1 ends it, or None where nobody can say."""
        ...

    def cancel(self, context: CommandContext) -> None:
        """Leave off: a user, another command or the end of the run wants it so, or it has failed."""

    def finish(self, context: CommandContext) -> None:
        """Clean up. Comes last, however it went."""


FunctionFactory = Callable[[], CommandFunction]
METHODS = ("start", "progress", "cancel", "finish")
