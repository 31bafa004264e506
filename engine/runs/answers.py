"""Answers to what users cannot have."""

from __future__ import annotations

import logging
import textwrap
from typing import Final

from engine.runs.errors import TELL_EACH_TIME
from engine.visible import visible
from protocol.messages import ErrorMessage

log = logging.getLogger("skidlink.engine.runs")

LONGEST_SHOWN: Final = 80
"""Characters of a line that are shown where it is refused."""
MOST_LOGGED: Final = 20
"""Refusals in one tick; more of them are counted in one line."""


def refusal(why: str) -> ErrorMessage:
    """The answer to what a user cannot have."""
    return ErrorMessage(message=visible(why), caller_error=True)


class Refusals:
    """Writes refusals into the error log as well: the web page of Open Pectus shows users no other text of ours."""

    def __init__(self) -> None:
        self._in_tick = 0

    def told(self, answer: ErrorMessage) -> ErrorMessage:
        """The answer, once it is written down."""
        self._log(answer.message or "refused", None)
        return answer

    def line(self, text: str, why: str, cause: BaseException | None) -> ErrorMessage:
        """The answer to a line, once it is written down with the line."""
        named = why.lstrip("'").startswith(text.partition(":")[0])
        shown = why if named else f"{textwrap.shorten(text, LONGEST_SHOWN, placeholder=' ...')}: {why}"
        self._log(shown, cause)
        return refusal(why)

    def tick(self) -> None:
        """Tell how many were not written down in this tick."""
        if self._in_tick > MOST_LOGGED:
            log.warning("%d more lines and buttons were refused within a tick", self._in_tick - MOST_LOGGED)
        self._in_tick = 0

    def _log(self, text: str, cause: BaseException | None) -> None:
        self._in_tick += 1
        if self._in_tick <= MOST_LOGGED:
            log.error("%s", visible(text), exc_info=cause, extra=TELL_EACH_TIME)
