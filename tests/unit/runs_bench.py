"""A whole engine in which time is what a test says: its links are fed, and its ticks done, by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeVar

from drivers.contract import Kind, Quality
from engine.engine import Engine
from engine.links import Link, LinkState
from engine.runs.archive_files import ArchiveFiles
from engine.runs.instructions import InstructionSource
from engine.store import Store
from engine.uod.reader import read_uod
from engine.uplinks.contract import TagsFrame, UplinkStatus
from protocol.aggregator_messages import AggregatorMessage, ExecuteControlCommandMsg
from protocol.engine_messages import EngineMessage
from protocol.messages import ErrorMessage, SuccessMessage

UNIX = 1_800_000_000.0
"""2027-01-15 08:00 UTC, when the clock of a bench says 0."""
UOD = """\
uod: Bench
tick_ms: 100
data_log_interval_s: 5
devices:
  box: {driver: simulated}
  far: {driver: simulated, bus: far}
tags:
  T0: {device: box, unit: degC}
  T1: {device: far}
  PU01: {device: box, direction: both, unit: "%", min: 0, max: 100, safe_value: 0}
derived:
  Total: {expr: "integral(T0)"}
process_values: [T0, T1, {entry: PU01}, Total]
"""
Message = TypeVar("Message", bound=EngineMessage)


class Listener:
    """An uplink that keeps what it is given."""

    name = "listener"

    def __init__(self) -> None:
        self.status = UplinkStatus()
        self.items: list[TagsFrame | EngineMessage] = []

    async def run(self) -> None: ...

    def put(self, item: TagsFrame | EngineMessage) -> None:
        self.items.append(item)

    async def close(self) -> None: ...


class Bench:
    """An engine whose links are up and whose devices take every value at once."""

    def __init__(
        self,
        folder: Path,
        *,
        uod: str = UOD,
        name: str = "bench.yaml",
        kept: bool = False,
        at: float = 0.0,
        clock: float = UNIX,
        archive: ArchiveFiles | None = None,
        instructions: InstructionSource | None = None,
    ) -> None:
        """`kept`: what the engine keeps goes into a file of the folder. `at` is the time in seconds, and
        `clock` what the clock on the wall says at 0."""
        file = folder / name
        file.write_text(uod)
        skid = read_uod(file).skid
        assert skid is not None
        self.store = Store(folder / "kept.sqlite3" if kept else None, sync_ms=0)
        self.engine = Engine(skid, self.store, archive, instructions)
        self.listener = Listener()
        self.engine.uplinks.append(self.listener)
        self.now, self._clock = at, clock
        self.shown: dict[str, Any] = {}
        """tag -> the value that was sent last"""
        self.values: dict[str, Any] = {}
        """tag -> what its device holds"""
        self.down: set[str] = set()
        self._said = 0
        self._points = {link.name: [point.tag for point in link.points] for link in skid.links}

    def tick(self, seconds: float = 0.1) -> dict[str, Any]:
        """Let time pass and do one tick; what it sent, by tag."""
        self.now += seconds
        for link in self.engine.links:
            up = link.name not in self.down
            if up is not link.up:
                link.state = LinkState.UP if up else LinkState.DOWN
                link.trouble = "" if up else f"{link.name} does not answer"
                assert link.on_state is not None
                link.on_state()
            if up:
                self._serve(link)
        seen = len(self.listener.items)
        self.engine.scan.tick(self.now, self._clock + self.now)
        frames = [item for item in self.listener.items[seen:] if isinstance(item, TagsFrame)]
        changed = {tag["name"]: tag["value"] for frame in frames for tag in json.loads(frame.tags)}
        self.shown |= changed
        return changed

    def ticks(self, count: int, seconds: float = 0.1) -> None:
        for _ in range(count):
            self.tick(seconds)

    def press(self, name: str) -> str:
        """Press a control button; why it was refused, or ""."""
        answer = self.do(ExecuteControlCommandMsg(name=name))
        if isinstance(answer, ErrorMessage):
            assert answer.caller_error, "the user is told, and the connection is kept"
            return answer.message or "refused"
        return ""

    def do(self, message: AggregatorMessage) -> SuccessMessage | ErrorMessage:
        return self.engine.runs.handle(message)

    def told(self, kind: type[Message]) -> list[Message]:
        """The messages of a kind."""
        return [item for item in self.listener.items if isinstance(item, kind)]

    def new(self) -> list[EngineMessage]:
        """What was told beside samples since this was last asked."""
        items, self._said = self.listener.items[self._said :], len(self.listener.items)
        return [item for item in items if isinstance(item, EngineMessage)]

    def _serve(self, link: Link) -> None:
        """Do as a device does: take what is written, and say what it holds."""
        image, points = link.image, self._points[link.name]
        wishes = dict(link._wishes)
        link.forget_wishes(wishes)
        for row, value in wishes.items():
            self.values[points[row]] = value
            assert link.on_written is not None
            link.on_written(row, value, None)
        for row, name in enumerate(points):
            image.columns[Kind(int(image.kinds[row]))][image.cells[row]] = self.values.get(name, 0.0)
        image.quality[:] = Quality.GOOD
        image.received[:] = self.now
        link.fresh = True
