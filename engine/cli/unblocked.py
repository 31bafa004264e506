"""Output that holds up nobody: a terminal that is stopped by Ctrl-S, or a pipe that nobody reads, must not stop the
scan cycle.

A thread writes. What it cannot write in time waits, up to a bound; what is beyond that is left out and counted.
"""

from __future__ import annotations

import io
import os
import threading
from collections import deque
from typing import Final, TextIO

MOST_CHARACTERS: Final = 1_000_000
"""That wait to be written."""
END_WITHIN_S: Final = 2.0
"""How long the end waits for what is still to be written."""


class Unblocked(io.TextIOBase):
    """A text stream whose `write` returns at once; `finish` has to be called at the end."""

    def __init__(self, stream: TextIO, most: int = MOST_CHARACTERS) -> None:
        self._stream = stream
        self._most = most
        self._waiting: deque[str] = deque()
        self._characters = 0
        self._left_out = 0
        self._finished = False
        try:
            self._descriptor = stream.fileno() if os.name == "posix" else None
        except io.UnsupportedOperation:
            self._descriptor = None
        self._changed = threading.Condition()
        self._writer = threading.Thread(target=self._write_all, name="output", daemon=True)
        self._writer.start()

    def write(self, text: str, /) -> int:
        """Hand a text to the thread, or leave it out where too much waits already."""
        with self._changed:
            if self._characters + len(text) > self._most:
                self._left_out += 1
            else:
                self._waiting.append(text)
                self._characters += len(text)
                self._changed.notify()
        return len(text)

    def finish(self, within_s: float = END_WITHIN_S) -> None:
        """Wait until all is written, but not for ever."""
        with self._changed:
            self._finished = True
            self._changed.notify()
        self._writer.join(within_s)

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def writable(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]  # as other text streams have it
        return self._stream.encoding

    def _write_all(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._finished:
                    self._changed.wait()
                if not self._waiting:
                    return
                text = "".join(self._waiting)
                self._waiting.clear()
                left_out, self._left_out = self._left_out, 0
            if left_out:
                text += f"\n{left_out} outputs are left out here, as nobody has read them in time\n"
            self._put(text)
            with self._changed:
                self._characters = sum(map(len, self._waiting))

    def _put(self, text: str) -> None:
        """Write; once nobody reads any more, into the void: the engine runs on without them."""
        try:
            if self._descriptor is None:
                self._stream.write(text)
                self._stream.flush()
                return
            # By its number, not by its object: that would be locked when Python ends, and abort it.
            rest = memoryview(text.encode(self._stream.encoding, "backslashreplace"))
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            void = os.open(os.devnull, os.O_WRONLY)
            os.dup2(void, self._stream.fileno())
            os.close(void)
