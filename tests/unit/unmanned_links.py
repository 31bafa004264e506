"""Links without a worker, for tests of the guard of the outputs: they write and answer when the test says so.

With a worker, time and the order of what happens would be the event loop's; here every order can be had at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from drivers.contract import Quality, Value
from drivers.registry import driver_class
from engine.core.core import Core
from engine.links import Link, LinkState
from engine.outputs import Outputs
from engine.uod.draft import draft_of
from engine.uod.resolve import resolve
from engine.uod.skid import LinkSpec, Skid


def skid_of(uod: Mapping[str, Any]) -> Skid:
    draft, findings = draft_of(uod)
    assert draft is not None
    assert not findings
    found, findings = resolve(draft, "test.yaml")
    assert found is not None, findings
    return found


class Line(Link):
    """A link that is worked by the test."""

    def __init__(self, spec: LinkSpec) -> None:
        super().__init__(spec.name, driver_class(spec.driver)(spec.devices, spec.points), spec.devices)
        self.flying: dict[int, Value] = {}

    def take_off(self) -> Mapping[int, Value]:
        """Begin to write what has been asked for, unless the last write has not ended yet."""
        if self.up and not self.flying:
            self.flying, self._wishes = self._wishes, {}
            return self.flying
        return {}

    def land(self, refusal: str | None = None) -> Mapping[int, Value]:
        """The end of a write."""
        flown, self.flying = self.flying, {}
        assert self.on_written is not None
        for row, raw in flown.items():
            self.on_written(row, raw, refusal)
        return flown

    def turn(self, state: LinkState) -> None:
        self.flying = {}
        self._enter(state, "a fault" if state is LinkState.DOWN else "")

    def read(self, row: int, value: Value, now: float, quality: Quality = Quality.GOOD) -> None:
        """Let a reading come in."""
        image = self.image
        for kind, column in image.columns.items():
            if kind == image.kinds[row]:
                column[image.cells[row]] = value
        image.quality[row] = quality
        image.received[row] = now


class Desk:
    """The table, the guard and the lines of a skid, and a clock that is moved by hand."""

    def __init__(self, uod: Mapping[str, Any], *, controls: bool = True) -> None:
        self.now = 1000.0
        self.connected = True
        skid = skid_of(uod)
        self.lines = [Line(spec) for spec in skid.links]
        self.core = Core(skid.tags, [line.image for line in self.lines])
        self.outputs = Outputs(
            skid, self.lines, self._show, lambda: self.connected, controls=controls, clock=lambda: self.now
        )
        self.places = {
            point.tag: (line, row)
            for line, spec in zip(self.lines, skid.links, strict=True)
            for row, point in enumerate(spec.points)
        }

    def connect(self) -> None:
        for line in self.lines:
            line.turn(LinkState.UP)

    def read(self, tag: str, value: Value, quality: Quality = Quality.GOOD) -> None:
        """A raw value comes in."""
        line, row = self.places[tag]
        line.read(row, value, self.now, quality)

    def tick(self, seconds: float = 0.1) -> None:
        self.now += seconds
        for index in range(len(self.lines)):
            self.core.take(index)
        self.core.derive(self.now)
        self.outputs.tick(self.core, self.now)

    def pass_time(self, seconds: float, step: float = 0.1) -> list[tuple[str, Value]]:
        """Let time pass in ticks of `step`, and the lines write; return what was written, by tag."""
        written: list[tuple[str, Value]] = []
        for _ in range(round(seconds / step)):
            self.tick(step)
            written += self.write().items()
        return written

    def write(self, refusal: str | None = None) -> dict[str, Value]:
        """Let the lines write what they have been asked for; return the raw values by tag."""
        written: dict[str, Value] = {}
        for tag, (line, row) in self.places.items():
            line.take_off()
            if row in line.flying:
                written[tag] = line.flying[row]
        for line in self.lines:
            line.land(refusal)
        return written

    def value(self, tag: str) -> Value | None:
        return self.core.table.value(self.core.table.row_of(tag))

    def _show(self, tag: str, value: Value | None, reason: str) -> None:
        self.core.set(tag, value, reason=reason)


PUMP: dict[str, Any] = {
    "device": "sim", "direction": "output", "unit": "%", "min": 0, "max": 100, "safe_value": 0,
}  # fmt: skip


def desk(tags: dict[str, Any], **parts: Any) -> Desk:
    """A desk with one simulated device, whose outputs have taken their safe values."""
    made = Desk({"uod": "Test", "devices": {"sim": {"driver": "simulated"}}, "tags": tags} | parts)
    made.connect()
    made.write()
    return made


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What Skidlink has warned of; what libraries say is none of it."""
    ours = [record for record in caplog.records if record.name.startswith("skidlink.")]
    return [record.getMessage() for record in ours if record.levelname in {"ERROR", "WARNING"}]
