"""Somebody who types commands, at a bench."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.uplinks.contract import TagsFrame
from protocol.aggregator_messages import CancelMsg, ForceMsg, InjectCodeMsg
from protocol.engine_messages import ErrorLogMsg, QueuedRunLogMsg, RunLogMsg
from protocol.messages import ErrorMessage
from protocol.models import RunLogLine
from tests.unit.runs_bench import Bench

UOD = """\
uod: Bench
tick_ms: 100
devices: {box: {driver: simulated}}
tags:
  PU01: {device: box, direction: both, unit: "%", min: 0, max: 100, safe_value: 0}
  PU02: {device: box, direction: both, unit: "%", min: 0, max: 50, safe_value: 0}
  VA01: {device: box, direction: both, choices: {Closed: 0, Open: 1}, safe_value: Closed}
  PT01: {device: box, unit: bar}
commands:
  Prime: {steps: [{set: VA01, to: Open}, {wait_s: 5}, {set: PU01, to: argument}, {wait_s: 5}, {set: PU01, to: 0}]}
  Rinse: {steps: [{set: PU02, to: 50}, {wait_s: argument}, {set: PU02, to: 0}], excludes: [Prime]}
  Fill: {steps: [{set: PU01, to: 60}, {wait_until: "PT01 > 1", timeout_s: 10}, {set: PU01, to: 0}]}
  Both: {steps: [{set: PU01, to: argument}, {set: PU02, to: argument}]}
process_values: [PT01, {entry: PU01}, {choice: VA01}, {entry: PU02}, Mark, Batch Name, Run Counter, Base]
"""


class User(Bench):
    """A bench, with the words of someone who sits at it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, uod=UOD)
        self.ticks(3)

    def say(self, *lines: str) -> str:
        """Inject lines; why that was refused, or ""."""
        return self._why(InjectCodeMsg(pcode="\n".join(lines)))

    def cancel(self, text: str) -> str:
        return self._why(CancelMsg(exec_id=self.line(text).id))

    def force(self, text: str) -> str:
        return self._why(ForceMsg(exec_id=self.line(text).id))

    def _why(self, message: Any) -> str:
        answer = self.do(message)
        if isinstance(answer, ErrorMessage):
            assert answer.caller_error, "the user is told, and the connection is kept"
            return answer.message or "refused"
        return ""

    @property
    def log(self) -> list[RunLogLine]:
        """The run log as the aggregator has it."""
        logs = [item for item in self.listener.items if isinstance(item, RunLogMsg | QueuedRunLogMsg)]
        return logs[-1].runlog.lines if logs else []

    @property
    def texts(self) -> list[str]:
        return [line.command_name for line in self.log]

    def line(self, text: str) -> RunLogLine:
        """The newest line with this text."""
        return [line for line in self.log if line.command_name == text][-1]

    def fate(self, text: str) -> str:
        """What has become of a line."""
        line = self.line(text)
        marks = [name for name in ("failed", "cancelled", "forced") if getattr(line, name)]
        return " ".join(["ended" if line.end is not None else "going on", *marks])

    def seen(self, tag: str) -> list[Any]:
        """The values of a tag that were sent."""
        frames = [json.loads(item.tags) for item in self.listener.items if isinstance(item, TagsFrame)]
        return [sample["value"] for frame in frames for sample in frame if sample["name"] == tag]

    def unplug(self) -> None:
        self.down.update(link.name for link in self.engine.links)
        self.tick()

    def errors(self) -> list[str]:
        self.ticks(11)
        return [entry.message for message in self.told(ErrorLogMsg) for entry in message.log.entries]
