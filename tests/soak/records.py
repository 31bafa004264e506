"""The aggregators of the crash test: what they have stored of a run, the real one or a small one of our own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

import httpx
from websockets.exceptions import ConnectionClosed

from protocol.aggregator_messages import ExecuteControlCommandMsg, InjectCodeMsg
from protocol.messages import MessageBase, SuccessMessage
from protocol.serialization import serialize
from tests.interop.aggregator import Aggregator
from tests.system.small_aggregator import ACCEPTED, SmallAggregator

PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Record:
    """What is stored of one run that has ended."""

    samples: list[tuple[float, Any]]
    """tick, value of the tag that is followed; in the order in which they are stored"""
    archive: str
    run_log: list[str]
    """The ids of its lines."""
    count: int
    """Records with the id of this run."""


class Records(Protocol):
    """An aggregator."""

    name: str

    @property
    def address(self) -> str: ...

    async def command(self, button: str) -> None:
        """Press one of the buttons of run control."""
        ...

    async def inject(self, line: str) -> None:
        """Give a command of the UOD."""
        ...

    async def record(self, run: str, tag: str) -> Record:
        """The record of a run, once there is one."""
        ...


class SmallRecords:
    """Stores as the real aggregator does: a tick of a run once, oldest first."""

    name = "an aggregator of our own"

    def __init__(self, aggregator: SmallAggregator, tag: str) -> None:
        self._aggregator = aggregator
        aggregator.reply = self._store
        self._tag = tag
        self._samples: dict[str, list[tuple[float, Any]]] = {}
        self._newest: dict[str, float] = {}
        self._ended: dict[str, list[dict[str, Any]]] = {}
        self._calls = 0

    @property
    def address(self) -> str:
        return self._aggregator.address

    async def command(self, button: str) -> None:
        await self._call(serialize(ExecuteControlCommandMsg(name=button)))

    async def inject(self, line: str) -> None:
        await self._call(serialize(InjectCodeMsg(pcode=line)))

    async def record(self, run: str, tag: str) -> Record:
        assert tag == self._tag
        async with asyncio.timeout(PATIENCE_S):
            while run not in self._ended:
                await asyncio.sleep(0.1)  # it comes when the engine has delivered all before it
        ends = self._ended[run]
        lines = [line["id"] for line in ends[0]["runlog"]["lines"]]
        return Record(self._samples.get(run, []), ends[0]["archive"], lines, len(ends))

    async def _call(self, message: dict[str, Any]) -> None:
        if not self._aggregator.connections:
            return
        self._calls += 1
        with contextlib.suppress(ConnectionClosed):  # the engine is not there: nobody hears the command
            await self._aggregator.call("dispatch_message_async", f"call {self._calls}", message_json=message)

    async def _store(self, message: dict[str, Any]) -> MessageBase | None:
        self._aggregator.messages.get_nowait()  # it would keep all of them
        run = message.get("run_id")
        if message["_type"] == "TagsUpdatedMsg" and run is not None:
            self._take(run, message["tags"])
        elif message["_type"] == "RunStoppedMsg" and run in self._newest:
            self._ended.setdefault(run, []).append(message)
            self._aggregator.rest[f"/api/recent_runs/{run}"] = {"run_id": run}
        return SuccessMessage()

    def _take(self, run: str, tags: list[dict[str, Any]]) -> None:
        tick = max(tag["tick_time"] for tag in tags)
        if tick <= self._newest.get(run, 0.0):
            return  # as the real one: what is not newer is not stored
        self._newest[run] = tick
        self._samples.setdefault(run, []).extend((tick, tag["value"]) for tag in tags if tag["name"] == self._tag)
        path = f"/api/process_unit/{quote(str(ACCEPTED['engine_id']), safe='')}/plot_log"
        self._aggregator.rest[path] = {"entries": {"all": {"values": [{"tick_time": tick}]}}}


class RealRecords:
    """The real Open Pectus aggregator, asked over its REST interface."""

    name = "the real Open Pectus aggregator"

    def __init__(self, aggregator: Aggregator) -> None:
        self._aggregator = aggregator

    @property
    def address(self) -> str:
        return self._aggregator.address

    async def command(self, button: str) -> None:
        await self._post("execute_control_button_command", button, "unit_button")

    async def inject(self, line: str) -> None:
        await self._post("execute_command", line, "process_value")

    async def record(self, run: str, tag: str) -> Record:
        path = f"/api/recent_runs/{run}"
        await self._aggregator.until(path, lambda found: found.get("run_id") == run, within_s=PATIENCE_S)
        plot_log = await self._aggregator.get(f"{path}/plot_log")
        values = plot_log["entries"][tag]["values"]
        archive = await self._aggregator.get(f"{path}/archive")
        run_log = await self._aggregator.get(f"{path}/run_log")
        runs = await self._aggregator.get("/api/recent_runs/")
        return Record(
            samples=[(value["tick_time"], value.get("value")) for value in values],
            archive=archive["content"],
            run_log=[line["id"] for line in run_log["lines"]],
            count=sum(each["run_id"] == run for each in runs),
        )

    async def _post(self, what: str, command: str, source: str) -> None:
        (unit,) = await self._aggregator.until(
            "/api/process_units", lambda units: len(units) == 1 and units[0]["state"]["state"] != "not_online"
        )
        url = f"{self._aggregator.base_url}/api/process_unit/{quote(unit['id'], safe='')}/{what}"
        async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
            await http.post(url, json={"command": command, "source": source})


@asynccontextmanager
async def records(scripts: Path | None, folder: Path, port: int, tag: str) -> AsyncGenerator[Records]:
    """The real aggregator where its scripts are given, else the small one."""
    if scripts is None:
        async with SmallAggregator().running() as small:
            yield SmallRecords(small, tag)
        return
    real = Aggregator(scripts, folder, port)
    try:
        await real.start()
        yield RealRecords(real)
    finally:
        await real.close()
