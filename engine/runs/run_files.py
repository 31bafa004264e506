"""The files of one run while it goes on: its rows as text, and where a table is to be made of it, as exact values."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from engine.runs.archive_folder import ROWS
from engine.runs.whole_lines import WholeLines


class RunFiles:
    """Open files, to be appended to. All methods raise `OSError`."""

    def __init__(self, path: Path, header: str) -> None:
        """Open or make the text, with its header."""
        self.path = path
        self._text = WholeLines(path)
        self._values: WholeLines | None = None
        self._columns = b""
        """The columns that the last line of `_values` has."""
        if self._text.size == 0:
            try:
                self._text.append(header.encode())
            except OSError:
                self._text.close()
                raise

    def append(self, text: bytes) -> None:
        """Write a row as text."""
        self._text.append(text)

    def append_values(self, line: bytes, columns: bytes) -> None:
        """Write a row as values, and the columns before it where they are new."""
        if self._values is None:
            self._values = WholeLines(self.path.with_suffix(ROWS))
        self._values.append(line if columns == self._columns else columns + line)
        self._columns = columns

    def sync(self) -> None:
        """See to it that what was written survives a loss of power."""
        self._text.sync()
        if self._values is not None:
            self._values.sync()

    def close(self) -> None:
        """Close them, with all that was written on the disk itself."""
        for file in (self._text, self._values):
            if file is not None:
                with closing(file):
                    file.sync()
