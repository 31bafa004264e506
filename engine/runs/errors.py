"""The engine's warnings and errors, on their way to the error log that users see."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict, deque
from typing import Final

from protocol.models import ErrorLogEntry

ROOT: Final = "skidlink"
DIFFERENT: Final = 100
"""So many different messages wait at most; more of them in a second say no more than these."""
REMEMBERED: Final = 100
REPEATED_AFTER_S: Final = 60.0
"""An equal message is told again after this long: a device that flaps must not fill the log of a whole run."""
TELL_EACH_TIME: Final = {"each_time": True}
"""`extra` of a record that answers a user: it is told again, however often the same has been told."""


class ErrorCollector(logging.Handler):
    """Takes what is logged from whatever thread, merges what is equal, and hands it out in one."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._mutex = threading.Lock()
        self._waiting: OrderedDict[tuple[str, int], float] = OrderedDict()
        self.recent: deque[ErrorLogEntry] = deque(maxlen=REMEMBERED)
        """The latest that were handed out."""
        self._told: OrderedDict[tuple[str, int], float] = OrderedDict()
        self._left_out = 0

    def __enter__(self) -> ErrorCollector:
        logging.getLogger(ROOT).addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger(ROOT).removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        key = record.getMessage(), 40 if record.levelno >= logging.ERROR else 30
        with self._mutex:
            if getattr(record, "each_time", False):
                self._told.pop(key, None)
            if key in self._waiting or len(self._waiting) < DIFFERENT:
                self._waiting[key] = record.created
            else:
                self._left_out += 1

    def take(self, now: float) -> list[ErrorLogEntry]:
        """What has not been told in the last minute, oldest first; `now` is in monotonic seconds."""
        if not self._waiting:
            return []
        with self._mutex:
            waiting, self._waiting = self._waiting, OrderedDict()
            left_out, self._left_out = self._left_out, 0
            entries = [entry for key, created in waiting.items() if (entry := self._new(key, created, now))]
            while len(self._told) > 10 * DIFFERENT:
                self._told.popitem(last=False)
        if left_out:
            text = f"{left_out} more warnings and errors in the same second; the engine's own log has all of them"
            entries.append(ErrorLogEntry(message=text, created_time=time.time(), severity=30))
        self.recent.extend(entries)
        return entries

    def _new(self, key: tuple[str, int], created: float, now: float) -> ErrorLogEntry | None:
        """The entry for a message, unless the same was told in the last minute."""
        if now - self._told.get(key, -REPEATED_AFTER_S) < REPEATED_AFTER_S:
            return None
        self._told[key] = now
        self._told.move_to_end(key)
        return ErrorLogEntry(message=key[0], created_time=created, severity=key[1])
