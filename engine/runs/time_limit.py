"""A limit for the time that an author's code may take within a tick.

Rules of this file:

* Only a signal can interrupt Python code that neither ends nor waits, and Python runs signal handlers in the main
  thread alone. In another thread, and on Windows, which has no interval timer, there is no limit.
* What is interrupted is always the work and never its caller: the limit is off before anything else runs.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Final

AGAIN_S: Final = 0.1
"""Code that has caught the interruption, or could not be interrupted, is interrupted again after this long."""


class TookTooLongError(BaseException):
    """The work was interrupted. It is no `Exception`, so that `except Exception` in a loop does not swallow it."""


def limited(work: Callable[[], None], seconds: float, may_interrupt: Callable[[], bool]) -> BaseException | None:
    """Do the work, for so many seconds at most; return what it raised, whatever that is.

    `may_interrupt` is False while the work is inside of a call that has to be finished.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        return _attempt(work)
    is_on = True

    def work_and_switch_off() -> None:
        nonlocal is_on
        try:
            work()
        finally:
            is_on = False

    def interrupt(_number: int, _frame: object) -> None:
        if is_on and may_interrupt():
            raise TookTooLongError(f"it took longer than {seconds:g} s and was interrupted; it must not wait")

    handler = signal.signal(signal.SIGALRM, interrupt)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_S)
    try:
        return _attempt(work_and_switch_off)
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        signal.signal(signal.SIGALRM, handler)


def _attempt(work: Callable[[], None]) -> BaseException | None:
    """Catches all there is: a UOD that calls `sys.exit()`, or is cancelled, must not end the engine."""
    try:
        work()
    except BaseException as error:  # noqa: BLE001
        return error
    return None


def described(error: BaseException) -> str:
    """The type and the message of an error, even of one whose message cannot be made."""
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException:  # noqa: BLE001  its own `__str__` is the author's code, too
        return type(error).__name__
