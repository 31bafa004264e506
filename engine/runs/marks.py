"""The marks of a run, on their way into its archive."""

from __future__ import annotations

from typing import Final

from engine.runs.arguments import CommandError

BETWEEN: Final = "; "
"""Of marks that go into the same row of the archive, as Open Pectus has it."""
MOST_CHARS: Final = 4_000
"""Of all marks that go into the same row."""


class Marks:
    """Those that no row of the archive has yet."""

    def __init__(self) -> None:
        self.text = ""

    def add(self, mark: str) -> None:
        """Add one in a run. Raises `CommandError` where there is no room for it."""
        joined = BETWEEN.join(filter(None, (self.text, mark)))
        if len(joined) > MOST_CHARS:
            raise CommandError(
                f"the marks of one row of the archive have {MOST_CHARS} characters at most; set this one in a moment"
            )
        self.text = joined

    def replace(self, text: str) -> None:
        """Have these instead: "" once the archive has them."""
        self.text = text
