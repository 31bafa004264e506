"""Several uplinks of one engine: where one stalls or fails, the others get every sample, and the scan goes on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from engine.engine import Engine
from engine.uod.reader import read_uod
from engine.uplinks import aggregator as module
from engine.uplinks import lines, stdout
from engine.uplinks.aggregator import AggregatorUplink
from engine.uplinks.contract import TagsFrame, UplinkStatus
from engine.uplinks.registry import uplink_class
from protocol.engine_messages import EngineMessage
from protocol.messages import SuccessMessage
from tests.system.small_aggregator import SmallAggregator

UOD = """\
uod: Together
tick_ms: 20
devices:
  box: {driver: simulated}
tags:
  T0: {device: box, signal: ramp, period_s: 100}
  Wide: {device: box, signal: ramp, period_s: 100, unit: degC}
process_values: [T0, Wide]
"""
FULL = Path("/dev/full")
SAMPLES = 30
PATIENCE_S = 300.0

Samples = dict[float, Any]
"""Tick -> value of T0."""


class Witness:
    """An uplink that keeps in memory what the scan has given to all: the truth."""

    name = "witness"

    def __init__(self) -> None:
        self.status = UplinkStatus()
        self.samples: Samples = {}
        self._arrived = asyncio.Event()

    async def run(self) -> None:
        await asyncio.Event().wait()

    def put(self, item: TagsFrame | EngineMessage) -> None:
        if isinstance(item, TagsFrame):
            self.samples |= samples_of(orjson.loads(item.tags))
            self._arrived.set()

    async def close(self) -> None:
        pass

    async def more(self, count: int) -> Samples:
        """The next samples, so many, from now on."""
        before = set(self.samples)
        async with asyncio.timeout(PATIENCE_S):
            while len(self.samples) < len(before) + count:
                self._arrived.clear()
                await self._arrived.wait()
        return {tick: value for tick, value in self.samples.items() if tick not in before}


def samples_of(tags: Iterable[dict[str, Any]]) -> Samples:
    return {tag["tick_time"]: tag["value"] for tag in tags if tag["name"] == "T0"}


def samples_in(messages: Iterable[dict[str, Any]]) -> Samples:
    found: Samples = {}
    for message in messages:
        found |= samples_of(message.get("tags", ()))
    return found


class StandardOutput:
    """A pipe in the place of our standard output; nobody reads it until somebody does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._source, sink = os.pipe()
        os.set_blocking(self._source, False)
        self._sink = sink
        self._text = b""
        monkeypatch.setattr(stdout, "STDOUT", sink)

    def read(self) -> list[dict[str, Any]]:
        """All messages so far."""
        while True:
            try:
                chunk = os.read(self._source, 1 << 16)
            except BlockingIOError:
                break
            self._text += chunk
        return [json.loads(line) for line in self._text.splitlines(keepends=True) if line.endswith(b"\n")]

    def stall(self) -> None:
        """Fill the pipe, so that the next byte waits for a reader."""
        os.set_blocking(self._sink, False)
        with contextlib.suppress(BlockingIOError):
            while os.write(self._sink, b"\n" * 4096):
                pass
        os.set_blocking(self._sink, True)

    def close(self) -> None:
        """Go away, which also frees a writer that waits."""
        os.close(self._source)

    def end(self) -> None:
        os.close(self._sink)


class Skid:
    """An engine with three ways out, and what arrived at each end."""

    def __init__(self, folder: Path, aggregator: SmallAggregator, output: StandardOutput, file: Path) -> None:
        (folder / "uod.yaml").write_text(UOD)
        reading = read_uod(folder / "uod.yaml")
        assert reading.skid is not None, reading
        self.aggregator, self.output, self.file = aggregator, output, file
        self.witness = Witness()
        self.engine = Engine(reading.skid)
        uplinks = [
            AggregatorUplink(self.engine, aggregator.address),
            uplink_class("file")(self.engine, str(file)),
            uplink_class("stdout")(self.engine, "-"),
        ]
        self.engine.uplinks.extend([*uplinks, self.witness])
        self.statuses = {uplink.name: uplink.status for uplink in uplinks}
        self._at_aggregator: Samples = {}

    def arrived(self, where: str) -> Samples:
        if where == "file":
            return samples_in(map(json.loads, self.file.read_text().splitlines()))
        if where == "stdout":
            return samples_in(self.output.read())
        while not self.aggregator.messages.empty():
            self._at_aggregator |= samples_in([self.aggregator.messages.get_nowait()])
        return self._at_aggregator

    async def until_arrived(self, wanted: Samples, places: Sequence[str]) -> None:
        """Wait until each place has all of the samples."""
        for place in places:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    while not wanted.items() <= self.arrived(place).items():
                        await asyncio.sleep(0.02)  # files and pipes can only be looked at
            except TimeoutError:
                missing = len(wanted.items() - self.arrived(place).items())
                raise AssertionError(f"{place} misses {missing} of {len(wanted)} samples") from None

    async def until_begun(self, place: str) -> None:
        """Wait until all tags have arrived once: from then on it gets each sample."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.arrived(place):
                await asyncio.sleep(0.02)  # as above

    async def until_lost(self, place: str) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while self.statuses[place].connected:
                await asyncio.sleep(0.02)  # the status is a plain field, written for a table that is drawn by time


ONLY_LINUX = pytest.mark.skipif(not FULL.exists(), reason="only Linux has a device that is always full")


@pytest.mark.parametrize("at", ["aggregator", pytest.param("file", marks=ONLY_LINUX), "stdout"])
async def test_one_that_stalls_or_fails_does_not_hold_up_the_others(
    tmp_path: Path, aggregator: SmallAggregator, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    monkeypatch.setattr(lines, "CLOSE_WITHIN_S", 0.1)  # at the end, when all has been seen
    output = StandardOutput(monkeypatch)
    if at == "stdout":
        output.stall()
    skid = Skid(tmp_path, aggregator, output, FULL if at == "file" else tmp_path / "messages.jsonl")
    status = skid.statuses[at]
    others = [name for name in skid.statuses if name != at]
    stop = asyncio.Event()
    task = asyncio.create_task(skid.engine.run(stop))
    try:
        for place in skid.statuses if at == "aggregator" else others:
            await skid.until_begun(place)
        if at == "aggregator":
            await skid.until_arrived(await skid.witness.more(1), [at])

            async def answer_for_the_last_time(_: dict[str, Any]) -> SuccessMessage:
                aggregator.deaf = True
                monkeypatch.setattr(module, "REQUEST_TIMEOUT_S", 0.5)
                return SuccessMessage()

            aggregator.reply = answer_for_the_last_time
        await skid.until_arrived(await skid.witness.more(SAMPLES), others)
        if at == "aggregator":
            await skid.until_lost(at)  # found dead, given up and tried again, and still
            await skid.until_arrived(await skid.witness.more(SAMPLES), others)
        else:
            assert not status.connected
            assert status.queued >= SAMPLES
        if at == "file":
            assert "No space left" in status.state
    finally:
        output.close()
        stop.set()
        await task
        output.end()
