"""The run log: what was done in a run, each with the process values at its start and at its end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final
from uuid import uuid4

from protocol.models import RunLog, RunLogLine, TagValue

LIMIT_VALUES: Final = 20_000
"""Process values in all lines: some 3 MiB, which the whole log, sent at each change, must stay well under 15."""
LIMIT_LINES: Final = 10_000


class RunRecord:
    """The lines of one run, bounded: the oldest lose their process values first, and go only by the thousands."""

    def __init__(self, lines: Iterable[RunLogLine] = ()) -> None:
        self._lines = {line.id: line for line in lines}
        self._values = sum(map(_values, self._lines.values()))
        self._thinned = 0
        """So many of the oldest lines have no values any more."""
        self._new: dict[str, None] = {}
        """The ids of the lines that have changed, or are gone, since they were last taken."""

    @property
    def log(self) -> RunLog:
        """The log as it is now."""
        return RunLog.model_construct(lines=list(self._lines.values()))

    def begin(
        self,
        name: str,
        start: float,
        values: Sequence[TagValue],
        *,
        line_id: str = "",
        forcible: bool = False,
        cancellable: bool = False,
    ) -> str:
        """Add a line that begins at `start`, unix seconds, and return its id."""
        line = RunLogLine(
            id=line_id or str(uuid4()), command_name=name, start=start, end=None, progress=None,
            start_values=list(values), end_values=[], forcible=forcible, cancellable=cancellable, forced=False,
            cancelled=False, failed=False,
        )  # fmt: skip
        self._lines[line.id] = line
        self._changed(line.id, len(values))
        return line.id

    def update(self, line_id: str, **what: float | bool | None) -> None:
        """Change what is told of a line that goes on: `progress`, `forcible`, `forced`."""
        line = self._lines.get(line_id)
        if line is not None and any(getattr(line, name) != value for name, value in what.items()):
            self._lines[line_id] = line.model_copy(update=what)
            self._changed(line_id, 0)

    def end(
        self, line_id: str, end: float, values: Sequence[TagValue], *, failed: bool = False, cancelled: bool = False
    ) -> None:
        """End a line at `end`, unix seconds; one that the bound has taken is gone."""
        if line := self._lines.get(line_id):
            how = {"end": end, "end_values": list(values), "failed": failed, "cancelled": cancelled}
            self._lines[line_id] = line.model_copy(update=how | {"forcible": False, "cancellable": False})
            self._changed(line_id, len(values))

    def drop(self, line_id: str) -> None:
        """Take a line out, as if it had never been."""
        if line := self._lines.pop(line_id, None):
            self._changed(line_id, -_values(line))

    def adopt(self, lines: Iterable[RunLogLine]) -> None:
        """Take over lines of another record."""
        for line in lines:
            self._lines[line.id] = line
            self._changed(line.id, _values(line))

    def name_of(self, line_id: str) -> str | None:
        """What a line says; None where there is no such line."""
        line = self._lines.get(line_id)
        return None if line is None else line.command_name

    @property
    def values(self) -> int:
        """The process values in all lines."""
        return self._values

    @property
    def is_changed(self) -> bool:
        """Whether anything has changed since the changes were last taken."""
        return bool(self._new)

    def take_changed(self) -> tuple[list[RunLogLine], list[str]]:
        """The lines that have changed since this was last asked, and the ids of those that are gone since."""
        changed, self._new = self._new, {}
        lines = [self._lines[line_id] for line_id in changed if line_id in self._lines]
        return lines, [line_id for line_id in changed if line_id not in self._lines]

    def cancel_open(self, end: float) -> None:
        """End all lines that have not ended: the run is over."""
        for line in list(self._lines.values()):
            if line.end is None:
                self.end(line.id, end, (), cancelled=True)

    def _changed(self, line_id: str, values: int) -> None:
        self._new[line_id] = None
        self._values += values
        while len(self._lines) > LIMIT_LINES:
            oldest = self._lines.pop(next(iter(self._lines)))
            self._new[oldest.id] = None
            self._values -= _values(oldest)
            self._thinned = max(0, self._thinned - 1)
        if self._values <= LIMIT_VALUES:
            return
        for line in list(self._lines.values())[self._thinned :]:
            self._lines[line.id] = line.model_copy(update={"start_values": [], "end_values": []})
            self._new[line.id] = None
            self._values -= _values(line)
            self._thinned += 1
            if self._values <= LIMIT_VALUES // 2:
                return


def _values(line: RunLogLine) -> int:
    return len(line.start_values) + len(line.end_values)
