"""Where words go: a terminal, or a file or pipe that takes whole lines."""

from __future__ import annotations

import logging
from typing import TextIO

from rich.console import Console
from rich.logging import RichHandler

WIDE = 200
"""Columns of a table that nobody looks at in a terminal: nothing is cut."""


def console_for(stream: TextIO) -> Console:
    """A console as wide as the terminal, or wide enough for everything where there is none."""
    return Console(file=stream, width=None if stream.isatty() else WIDE)


def log_to(console: Console, *, verbose: bool = False) -> None:
    """Log our own messages to a console; those of the libraries only when they are warnings."""
    if console.is_terminal:
        handler: logging.Handler = RichHandler(console=console, show_path=False, log_time_format="%H:%M:%S")
        form = "%(message)s"
    else:
        handler = logging.StreamHandler(console.file)
        form = "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(level=logging.WARNING, format=form, handlers=[handler], force=True)
    logging.getLogger("skidlink").setLevel(logging.DEBUG if verbose else logging.INFO)
