"""Source times that stand still, and what becomes of their values."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest

from drivers.contract import Image, Kind, Point, Quality
from drivers.opcua.options import DeviceOptions, PointOptions
from drivers.opcua.plan import make_plan
from drivers.opcua.standstill import Standstill
from drivers.reasons import reason_text

ENDPOINT = "opc.tcp://192.0.2.10:4840"
LONG_AGO = 1_000_000.0
"""By a clock that was never set."""


class Skid:
    """Four tags: judged by its device, excused by itself, judged by itself on another device, judged but for ever."""

    def __init__(self) -> None:
        devices = {"a": DeviceOptions(endpoint=ENDPOINT, stale_by="source"), "b": DeviceOptions(endpoint=ENDPOINT)}
        points = [
            Point("T0", "a", PointOptions(node="ns=2;s=T0"), 100, stale_after_ms=2000),
            Point("T1", "a", PointOptions(node="ns=2;s=T1", stale_by="received"), 100, stale_after_ms=2000),
            Point("T2", "b", PointOptions(node="ns=2;s=T2", stale_by="source"), 100, stale_after_ms=5000),
            Point("T3", "a", PointOptions(node="ns=2;s=T3"), 100),
        ]
        self.groups = 2
        self.standstill = Standstill(ENDPOINT, make_plan(devices, points), [each.stale_after_ms for each in points])
        self.image = Image([Kind.FLOAT] * 4)

    def read(self, now: float, *times: float) -> list[Quality]:
        """A reading in which all values are good, with these source times."""
        self.image.quality[:], self.image.reason[:] = Quality.GOOD, 0
        self.image.source_time[:] = np.broadcast_to(times, 4)
        return self.look(now)

    def look(self, now: float) -> list[Quality]:
        for group in range(self.groups):
            self.standstill.look(group, self.image, now)
        return [Quality(quality) for quality in self.image.quality.tolist()]


GOOD, STALE = Quality.GOOD, Quality.STALE


def test_a_time_that_stands_still_makes_its_value_stale_after_its_limit(caplog: pytest.LogCaptureFixture) -> None:
    skid = Skid()
    assert skid.read(100.0, LONG_AGO) == [GOOD] * 4, "another clock is no fault"
    assert skid.read(102.0, LONG_AGO) == [GOOD] * 4
    assert skid.read(102.1, LONG_AGO) == [STALE, GOOD, GOOD, GOOD]
    assert reason_text(int(skid.image.reason[0])) == "the source time has not changed for more than 2 s"
    assert skid.read(105.1, LONG_AGO) == [STALE, GOOD, STALE, GOOD]
    assert skid.read(105.2, LONG_AGO + 0.001, LONG_AGO, LONG_AGO, LONG_AGO) == [GOOD, GOOD, STALE, GOOD]
    assert skid.read(108.0, LONG_AGO + 0.001, LONG_AGO, LONG_AGO, LONG_AGO) == [STALE, GOOD, STALE, GOOD]
    assert skid.read(109.0, 5.0) == [GOOD] * 4, "a clock that was set back has changed too"
    assert skid.read(112.0, 5.0) == [STALE, GOOD, GOOD, GOOD]
    assert not caplog.records, "every value is dated"


def test_it_stays_so_between_two_readings_and_through_a_change_of_status() -> None:
    """A subscription fills a row only when its server tells something."""
    skid = Skid()
    skid.read(100.0, 7.0)
    assert skid.look(103.0)[0] is STALE
    assert skid.look(104.0)[0] is STALE
    assert skid.read(105.0, 7.0)[0] is STALE, "good again by its status, but no newer"
    assert skid.read(106.0, 8.0)[0] is GOOD


def test_what_is_bad_keeps_its_own_reason() -> None:
    skid = Skid()
    skid.read(100.0, 7.0)
    for quality in (Quality.BAD, Quality.STALE):
        skid.image.quality[:], skid.image.reason[:] = quality, 1
        assert skid.look(110.0) == [quality] * 4
        assert skid.image.reason.tolist() == [1] * 4
    skid.image.quality[0] = Quality.UNCERTAIN
    assert skid.look(110.0)[0] is STALE


def test_a_server_without_source_times_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    skid = Skid()
    for now in (100.0, 200.0, 300.0):
        assert skid.read(now, math.nan) == [GOOD] * 4
    messages = [record.getMessage() for record in caplog.records if record.name.startswith("skidlink")]
    assert messages == [
        f"{ENDPOINT}: the server gives no source time for {tag}: stale_by: source has no effect there; delete it"
        for tag in ("T0", "T2")
    ]


def test_several_undated_tags_are_one_message(caplog: pytest.LogCaptureFixture) -> None:
    devices = {"a": DeviceOptions(endpoint=ENDPOINT, stale_by="source")}
    points = [Point(f"T{row}", "a", PointOptions(node=f"ns=2;s={row}"), 100, stale_after_ms=2000) for row in range(4)]
    standstill, image = Standstill(ENDPOINT, make_plan(devices, points), [2000] * 4), Image([Kind.FLOAT] * 4)
    image.quality[:3] = Quality.GOOD
    standstill.look(0, image, 1.0)
    image.quality[:] = Quality.GOOD
    standstill.look(0, image, 2.0)
    said = "the server gives no source time for {}: stale_by: source has no effect there; delete it"
    assert [record.getMessage() for record in caplog.records] == [
        f"{ENDPOINT}: {said.format('T0 and 2 other tags')}",
        f"{ENDPOINT}: {said.format('T3')}",
    ]
