"""An engine with a handful of tags and no skid: the other side of the uplinks' contract, for tests of uplinks alone."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import orjson

from engine.uplinks.contract import TagsFrame
from protocol.aggregator_messages import AggregatorMessage
from protocol.engine_messages import (
    ControlStateMsg,
    EngineMessage,
    RegisterEngineMsg,
    RunLogMsg,
    RunStartedMsg,
    RunStoppedMsg,
    UodInfoMsg,
)
from protocol.messages import ErrorMessage, SuccessMessage
from protocol.models import (
    ControlState,
    MethodState,
    PlotConfiguration,
    ReadingInfo,
    RunLog,
    TagDefinition,
    TagDirection,
    TagValue,
    UodDefinition,
)


class SmallEngine:
    """Holds tags in a dict; `change` makes the frame that a tick would."""

    def __init__(self, name: str = "SmallUod", **tags: Any) -> None:
        self.tags: dict[str, Any] = tags
        self.name = name
        self.handled: list[AggregatorMessage] = []
        self.reply: SuccessMessage | ErrorMessage = SuccessMessage()
        self._tick = time.time()
        self.interval_s = 0.0
        """how often the aggregator logs"""
        self.run_id: str | None = None
        self.run_log: RunLogMsg | None = None

    def registration(self) -> RegisterEngineMsg:
        return RegisterEngineMsg(
            computer_name="lab-pc",
            uod_name=self.name,
            uod_author_name="An Author",
            uod_author_email="author@example.org",
            uod_filename="small.yaml",
            location="Lab 3",
            engine_version="",
        )

    def uod_info(self) -> UodInfoMsg:
        readings = [
            ReadingInfo(
                discriminator="reading",
                tag_name=name,
                valid_value_units=None,
                entry_data_type=None,
                commands=[],
                command_options=None,
            )
            for name in self.tags
        ]
        definition = UodDefinition(
            commands=[], system_commands=[], tags=[TagDefinition(name=name) for name in self.tags]
        )
        return UodInfoMsg(
            readings=readings,
            commands=[],
            uod_definition=definition,
            plot_configuration=PlotConfiguration.empty(),
            hardware_str="none",
            required_roles=set(),
            data_log_interval_seconds=self.interval_s,
        )

    def snapshot(self) -> TagsFrame:
        self._next_tick()
        return self._frame(self.tags)

    def change(self, **tags: Any) -> TagsFrame:
        """Set tags, one tick later, and return the frame of what changed."""
        self._next_tick()
        self.tags.update(tags)
        return self._frame(tags)

    def states(self) -> Sequence[EngineMessage]:
        running = self.run_id is not None
        state = ControlStateMsg(control_state=ControlState(is_running=running, is_holding=False, is_paused=False))
        return [state] if self.run_log is None else [state, self.run_log]

    def start(self, run_id: str) -> RunStartedMsg:
        """Begin a run; the frame after it should be a snapshot."""
        self.run_id = run_id
        self._next_tick()
        return RunStartedMsg(run_id=run_id, started_tick=self._tick)

    def stop(self) -> RunStoppedMsg:
        """End the run."""
        run_id, self.run_id = str(self.run_id), None
        return RunStoppedMsg(
            run_id=run_id,
            runlog=RunLog.empty(),
            method_state=MethodState.empty(),
            archive=f"archive of {run_id}\n",
            archive_filename=f"{run_id}.txt",
        )

    async def handle(self, message: AggregatorMessage) -> SuccessMessage | ErrorMessage:
        self.handled.append(message)
        return self.reply

    def _next_tick(self) -> None:
        self._tick = max(self._tick + 0.001, time.time())

    def _frame(self, tags: dict[str, Any]) -> TagsFrame:
        values = [
            TagValue(name=name, tick_time=self._tick, value=value, value_unit=None, direction=TagDirection.Input)
            for name, value in tags.items()
        ]
        return TagsFrame(orjson.dumps([value.model_dump(mode="json") for value in values]), self._tick, self.run_id)
