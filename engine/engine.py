"""One skid at work: its links, its scan cycle, its outputs and its ways out, started together and ended safely."""

from __future__ import annotations

import asyncio
import logging
import platform
import time
from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from drivers.contract import Value
from drivers.registry import driver_class
from engine.core.core import Core
from engine.counters import CounterTags
from engine.links import Link
from engine.outputs import Outputs
from engine.outputs.endings import Ending, in_sentences
from engine.plots.seen import PlotAxes
from engine.runs.archive_files import ArchiveFiles
from engine.runs.control import Runs
from engine.runs.instructions import InstructionSource, NoInstructions
from engine.runs.journal import Journal
from engine.scan import Scan
from engine.statuses import StatusTags
from engine.store import Store
from engine.system import SYSTEM_TAGS, outbox_status, set_idle
from engine.uod.info import uod_info
from engine.uod.skid import Skid
from engine.uplinks.contract import TagsFrame, Uplink
from engine.vitals import tell_vitals
from protocol.aggregator_messages import AggregatorMessage
from protocol.engine_messages import EngineMessage, RegisterEngineMsg, RunStartedMsg, RunStoppedMsg, UodInfoMsg
from protocol.messages import ErrorMessage, SuccessMessage

log = logging.getLogger("skidlink.engine")

SAFE_WITHIN_S = 2.0
"""How long the end waits for outputs to take their safe values; on a sound link it takes milliseconds."""


def engine_name(skid: Skid) -> str:
    """What tells this engine from all others: its computer and its UOD."""
    return f"{platform.node()}_{skid.name}"


class Engine:
    """Runs a skid. It is also what uplinks may ask of it (`engine.uplinks.contract.Engine`)."""

    def __init__(
        self,
        skid: Skid,
        store: Store | None = None,
        archive: ArchiveFiles | None = None,
        instructions: InstructionSource | None = None,
        *,
        controls: bool = True,
    ) -> None:
        """Plan everything. Raises `DriverError` when a driver cannot be had.

        Without a store nothing of a run outlives a crash, and without an archive no file of a run is written. Both are
        started and closed by `run`. Without a source of instructions methods are kept, but not carried out.
        Without `controls` no output is ever written.
        """
        self.skid = skid
        self.store = store or Store()
        self._archive = archive
        self.links = [
            Link(
                spec.name,
                driver_class(spec.driver)(spec.devices, spec.points),
                spec.devices,
                [point.device for point in spec.points],
            )
            for spec in skid.links
        ]
        self.uplinks: list[Uplink] = []
        self.outputs = Outputs(skid, self.links, self._show_output, self._is_controlled, controls=controls)
        self.runs = Runs(
            skid, lambda: self.scan.core, self.outputs, self.links, self._send, Journal(self.store),
            instructions or NoInstructions(), archive,
        )  # fmt: skip
        self.scan = Scan((*skid.tags, *SYSTEM_TAGS), self.links, skid.tick_s, self._send, self)
        self._counters = CounterTags(skid.counters, self.links, self._counted)
        self._statuses = StatusTags(self.links)
        self._outbox_status = ""
        self.endings: Sequence[Ending] = ()
        """What the outputs were made when `run` ended."""
        self._plots = PlotAxes(skid)
        set_idle(self.scan.core)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, or something of ours fails; then end the run and make the outputs safe.

        Raises what failed, after the outputs are safe.
        """
        with self.runs.errors:
            now = time.monotonic()
            self.scan.stamp_after(self.runs.take_up(now, time.time()), now)
            self.store.start()
            if self._archive is not None:
                self._archive.start()
            try:
                await self._work(stop)
            finally:
                if self._archive is not None:
                    await self._archive.close()
                await self.store.close()

    async def _work(self, stop: asyncio.Event) -> None:
        for link in self.links:
            for line in link.driver.plan:
                log.info("%s: %s", link.name, line)
        others = [self._start(uplink.run(), uplink.name) for uplink in self.uplinks]
        others.append(self._start(tell_vitals(self.scan.counters), "vitals"))
        # An uplink that fails is logged by `_ended` and holds up nobody; without links or scan there is nothing to run.
        vital = [self._start(link.run(), link.name) for link in self.links]
        vital += [self._start(self.scan.run(), "scan"), self._start(stop.wait(), "stop")]
        try:
            done, _ = await asyncio.wait(vital, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.runs.cancel_all()
            await self._make_safe()
            self.runs.stop()
            await asyncio.gather(*(uplink.close() for uplink in self.uplinks))
            for task in (*vital, *others):
                task.cancel()
            await asyncio.gather(*vital, *others, return_exceptions=True)
        for task in done:
            task.result()

    def registration(self) -> RegisterEngineMsg:
        return RegisterEngineMsg(
            computer_name=platform.node(),
            uod_name=self.skid.name,
            uod_author_name=self.skid.author.name,
            uod_author_email=self.skid.author.email,
            uod_filename=Path(self.skid.file).name,
            location=self.skid.location,
            engine_version="",
        )

    def uod_info(self) -> UodInfoMsg:
        return uod_info(self.skid, self._plots.configuration())

    def snapshot(self) -> TagsFrame:
        return self.scan.snapshot()

    def states(self) -> Sequence[EngineMessage]:
        return self.runs.states()

    async def handle(self, message: AggregatorMessage) -> SuccessMessage | ErrorMessage:
        return self.runs.handle(message)

    # What the scan cycle asks each tick

    @property
    def run_id(self) -> str | None:
        return self.runs.run_id

    def begin_tick(self, core: Core, now: float, unix: float) -> bool:
        fill = max((uplink.status.fill for uplink in self.uplinks), default=0.0)
        status = outbox_status(fill, is_kept=not self.store.trouble)
        if status != self._outbox_status:
            self._outbox_status = status
            core.set("Outbox Status", status)
        self._counters.show(core, now)
        self._statuses.show(core, now)
        return self.runs.begin_tick(core, now, unix)

    def end_tick(self, core: Core, now: float, unix: float) -> None:
        self.outputs.tick(core, now)
        self.runs.end_tick(now, unix)
        if self._plots.look(core.table, now):
            self._put(self.uod_info())

    def _counted(self) -> dict[str, float]:
        """What is counted on no link."""
        return self.scan.counted() | self.runs.counted() | self.outputs.counted()

    def _send(self, item: TagsFrame | EngineMessage) -> None:
        """Hand something to the uplinks, and the plots that its run is to be stored with."""
        if isinstance(item, RunStartedMsg):
            self._plots.begin_run()
        if isinstance(item, RunStoppedMsg):
            self._put(uod_info(self.skid, self._plots.configuration_of_run()))
        self._put(item)
        if isinstance(item, RunStoppedMsg):
            self._put(self.uod_info())

    def _put(self, item: TagsFrame | EngineMessage) -> None:
        for uplink in self.uplinks:
            uplink.put(item)

    def _is_controlled(self) -> bool:
        """Whether users can give commands now; where there is no way for them at all, none can be lost."""
        ways = [uplink.status for uplink in self.uplinks if uplink.status.takes_commands]
        return not ways or any(way.connected for way in ways)

    def _show_output(self, tag: str, value: Value | None, reason: str) -> None:
        self.scan.core.set(tag, value, reason=reason)

    @staticmethod
    def _start(work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(_ended)
        return task

    async def _make_safe(self) -> None:
        self.outputs.make_safe()
        await self.outputs.settled(SAFE_WITHIN_S)
        self.endings = self.outputs.endings()
        for end, sentence in in_sentences(self.endings):
            if not end.is_known:
                log.error("outputs at the end: %s", sentence)


def _ended(task: asyncio.Task[Any]) -> None:
    """Log a task that failed, so that no error goes unseen."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s failed: %s", task.get_name(), error, exc_info=error)
