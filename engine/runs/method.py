"""The method that users have saved: checked, kept over restarts, and told to whoever asks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import ValidationError

from engine.runs.journal import Journal
from engine.runs.pcode import LINE_CHARS
from protocol.engine_messages import EngineMessage, MethodMsg
from protocol.models import Method

log = logging.getLogger("skidlink.engine.runs")

LIMIT_CHARS: Final = 4 * 2**20
"""It travels in one message, of which the aggregator takes 16 MiB; a method of 10,000 lines has less than one."""
LIMIT_LINES: Final = 20_000
KEPT_AS: Final = "method"


class MethodError(Exception):
    """A method that cannot be taken; the message names the line."""


class KeptMethod:
    """The latest method."""

    def __init__(self, journal: Journal, send: Callable[[EngineMessage], None]) -> None:
        self._journal = journal
        self._send = send
        self.method = Method.empty()

    def recall(self, kept: Mapping[str, Any]) -> None:
        """Take what an earlier life has kept, if there is a method in it."""
        try:
            self.method = Method.model_validate(kept.get(KEPT_AS, self.method))
        except ValidationError as error:
            log.error("the method that was kept cannot be read, save it again: %s", error)  # noqa: TRY400

    def save(self, method: Method) -> None:
        """Keep another one, and tell it. Raises `MethodError`."""
        if len(method.lines) > LIMIT_LINES:
            raise MethodError(f"the method has more than {LIMIT_LINES} lines; shorten it")
        seen: dict[str, int] = {}
        for number, line in enumerate(method.lines, 1):
            if not line.id:
                raise MethodError(f"line {number} of the method has no id")
            if len(line.content) > LINE_CHARS:
                raise MethodError(f"line {number} of the method has more than {LINE_CHARS} characters; shorten it")
            if line.id in seen:
                raise MethodError(f"lines {seen[line.id]} and {number} of the method have the same id {line.id!r}")
            seen[line.id] = number
        if sum(len(line.content) for line in method.lines) > LIMIT_CHARS:
            raise MethodError(f"the method has more than {LIMIT_CHARS // 2**20} million characters; shorten it")
        self.method = method
        self._journal.keep(KEPT_AS, method.model_dump(mode="json"))
        if message := self.message():
            self._send(message)

    def message(self) -> MethodMsg | None:
        """What the aggregator is told; None without lines, which it refuses."""
        return MethodMsg(method=self.method) if self.method.lines else None
