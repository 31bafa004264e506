"""The aggregator of a soak: it stores what the real one would, and holds it against what the engine has logged."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

from websockets.exceptions import ConnectionClosed

from protocol.aggregator_messages import ExecuteControlCommandMsg, InjectCodeMsg
from protocol.messages import MessageBase, SuccessMessage
from protocol.serialization import serialize
from tests.system.small_aggregator import ACCEPTED, SmallAggregator

LOGGED_WITHIN_S = 5.0
"""So much later at most is read from the engine's standard output what has come here."""


class Receiver:
    """Stores each tick of a run once, oldest first; everything else that it is told is a snapshot of what is."""

    def __init__(self, take_snapshot: Callable[[Mapping[str, Any], float], None]) -> None:
        """`take_snapshot` gets each message of tags that is not one of the logged ticks of a run, and when it came."""
        self.aggregator = SmallAggregator()
        self.aggregator.reply = self._store
        self.stored = 0
        self.logged = 0
        self.faults: list[str] = []
        self._take_snapshot = take_snapshot
        self._waiting: dict[tuple[str, float], str] = {}
        """(run, tick) of each message that the engine has logged, and that has not arrived -> its tags"""
        self._early: dict[tuple[str, float], tuple[Mapping[str, Any], float]] = {}
        """What has arrived before it was logged, if it ever is, and when."""
        self._newest: dict[str, float] = {}
        """Run -> newest tick that is stored."""
        self._forgotten: dict[str, float] = {}
        """Run -> newest tick that was stored before the engine's own record of it was damaged."""
        self._calls = 0

    @property
    def missing(self) -> int:
        """Messages of runs that were logged and have not arrived."""
        return len(self._waiting)

    def oldest_missing(self) -> str:
        run, tick = next(iter(self._waiting))
        return f"the tick {tick} of run {run}"

    def log(self, message: Mapping[str, Any]) -> None:
        """Take note of what the engine has published in a run."""
        self.logged += 1
        key, text = _key(message), json.dumps(message["tags"])
        if key[1] <= self._forgotten.get(key[0], 0.0):
            return  # no aggregator stores what is not newer than what it has, and the engine could not know
        if key in self._early:
            self._compare(key, text, json.dumps(self._early.pop(key)[0]["tags"]))
        else:
            self._waiting[key] = text

    def forget(self) -> None:
        """Give up what the engine that has just been killed, or whose store was damaged, may not have kept."""
        self._waiting.clear()
        self._early.clear()
        self._forgotten, self._newest = {**self._forgotten, **self._newest}, {}

    def settle(self, now: float) -> None:
        """Take for snapshots what was never logged."""
        while self._early:
            key, (message, received) = next(iter(self._early.items()))
            if received > now - LOGGED_WITHIN_S:
                return
            del self._early[key]
            self._take_snapshot(message, received)

    async def press(self, button: str) -> None:
        await self._call(serialize(ExecuteControlCommandMsg(name=button)))

    async def inject(self, line: str) -> None:
        await self._call(serialize(InjectCodeMsg(pcode=line)))

    async def _call(self, message: Mapping[str, Any]) -> None:
        self._calls += 1
        with contextlib.suppress(ConnectionClosed):  # nobody hears it
            await self.aggregator.call("dispatch_message_async", f"call {self._calls}", message_json=message)

    async def _store(self, message: dict[str, Any]) -> MessageBase | None:
        self.aggregator.messages.get_nowait()  # it would keep all of them
        if message["_type"] == "TagsUpdatedMsg" and message["tags"]:
            if message["run_id"] is None:
                self._take_snapshot(message, time.monotonic())
            else:
                self._take(message)
        return SuccessMessage()

    def _take(self, message: Mapping[str, Any]) -> None:
        key, text = _key(message), json.dumps(message["tags"])
        run, tick = key
        if tick <= self._newest.get(run, 0.0):
            self.faults.append(f"the tick {tick} of run {run} came again, or behind a newer one")
        self._newest[run] = tick
        path = f"/api/process_unit/{ACCEPTED['engine_id']}/plot_log"
        self.aggregator.rest[path] = {"entries": {"all": {"values": [{"tick_time": tick}]}}}
        self.stored += 1
        if key in self._waiting:
            self._compare(key, self._waiting.pop(key), text)
        else:
            self._early[key] = message, time.monotonic()

    def _compare(self, key: tuple[str, float], logged: str, stored: str) -> None:
        if logged != stored:
            self.faults.append(f"the tick {key[1]} was logged as {logged[:200]} and stored as {stored[:200]}")


def _key(message: Mapping[str, Any]) -> tuple[str, float]:
    return str(message["run_id"]), max(tag["tick_time"] for tag in message["tags"])
