"""Where words go: a terminal, or a file or pipe that takes whole lines.

Rules of this file:

* Text is shown as it is. None of it is markup, the name of an emoji or a terminal code, whoever wrote it.
* Every line that a command prints goes through `tell...`, a `Screen` or the log: nothing else writes to a stream.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, Final, TextIO

from rich.console import Console, JustifyMethod, OverflowMethod
from rich.logging import RichHandler
from rich.style import Style
from rich.table import Table
from rich.text import Text

from engine.visible import LONGEST, visible, visible_cell, visible_json

UNCUT: Final = 10**9
"""For a line that is pasted or read by a program."""
WIDE = 200
"""Columns of a table that nobody looks at in a terminal: nothing is cut."""


class Screen(Console):
    """A console that shows text as it is."""

    def render_str(
        self,
        text: str,
        *,
        style: str | Style = "",
        justify: JustifyMethod | None = None,
        overflow: OverflowMethod | None = None,
        emoji: bool | None = None,  # noqa: ARG002  # neither they nor markup are ever asked for
        markup: bool | None = None,  # noqa: ARG002
        highlight: bool | None = None,
        highlighter: Any = None,
    ) -> Text:
        """Renders a text, every string that is printed and every cell of a table, without markup and codes."""
        return super().render_str(
            visible(text),
            style=style,
            justify=justify,
            overflow=overflow,
            emoji=False,
            markup=False,
            highlight=highlight,
            highlighter=highlighter,
        )


class Grid(Table):
    """A table whose cells are shown as they are, on whatever console."""

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Adds a row; a cell that is a string is text and nothing else."""
        super().add_row(*(plain(cell) if isinstance(cell, str) else cell for cell in cells), **options)


def plain(text: str, style: str = "") -> Text:
    """A text of unknown origin for a cell or a line, shown as it is and cut."""
    return Text(visible_cell(text), style)


def console_for(stream: TextIO) -> Screen:
    """A console as wide as the terminal, or wide enough for everything where there is none."""
    return Screen(file=stream, width=None if stream.isatty() else WIDE, markup=False, emoji=False)


def tell(message: str) -> None:
    """Prints a message as one line on the standard error."""
    sys.stderr.write(f"{visible(message)}\n")


def tell_result(line: str, most: int = LONGEST) -> None:
    """Prints a line of what was asked for on the standard output."""
    sys.stdout.write(f"{visible(line, most)}\n")


def tell_json(value: Any) -> None:
    """Prints JSON for a script on the standard output."""
    sys.stdout.write(f"{visible_json(value)}\n")


class LineFormatter(logging.Formatter):
    """Formats a record so that its message is one line, whatever stands in it."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        record.message = visible(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return "\n".join(visible(line) for line in super().formatException(ei).split("\n"))


def log_to(console: Console, *, verbose: bool = False) -> None:
    """Log our own messages to a console; those of the libraries only when they are warnings."""
    if console.is_terminal:
        handler: logging.Handler = RichHandler(console=console, show_path=False, log_time_format="%H:%M:%S")
        form = "%(message)s"
    else:
        handler = logging.StreamHandler(console.file)
        form = "%(asctime)s %(levelname)s %(message)s"
    handler.setFormatter(LineFormatter(form))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("skidlink").setLevel(logging.DEBUG if verbose else logging.INFO)
