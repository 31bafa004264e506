"""What is counted on links becomes tags, at a pace of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from drivers.contract import Point, Quality
from drivers.modbus.driver import ModbusTcp
from drivers.simulated import Simulated, SimulatedDevice, SimulatedPoint
from engine.core.core import Core
from engine.counters import EVERY_S, CounterTags
from engine.engine import Engine
from engine.links import Link
from engine.scan import Scan
from engine.uod.reader import read_uod
from engine.uod.skid import CounterSpec, Skid

UOD = """
uod: Counted
devices:
  pump: {driver: modbus-tcp, host: 192.0.2.20, device_id: 3}
  valve: {driver: modbus-tcp, host: 192.0.2.20, device_id: 4}
  box: {driver: simulated}
tags:
  PT01: {device: pump, holding: 7}
  Timeouts: {device: pump, counter: timeouts}
  Trip: {device: pump, counter: round_trip_p99_ms, deadband: 0.5}
  Line: {device: valve, counter: reconnects}
  Own: {device: valve, counter: bytes_sent}
  Silent: {device: valve, counter: silent}
  Late: {device: box, counter: late_reads, republish_every_s: 60}
  Overruns: {counter: overruns}
  Tick: {counter: tick_p99_ms}
derived:
  Alarm: {expr: Timeouts > 2}
process_values: [Timeouts, Trip]
"""


class Counting(Simulated):
    """Counts what it is told to, and how often it was asked."""

    counted: dict[str, float]
    asked: int

    def counters(self) -> Mapping[str, float]:
        self.asked += 1
        return self.counted


@pytest.fixture
def skid(tmp_path: Path) -> Skid:
    file = tmp_path / "counted.yaml"
    file.write_text(UOD)
    reading = read_uod(file)
    assert reading.skid is not None, reading.faults
    return reading.skid


def test_a_device_goes_before_its_link_and_the_link_is_had_by_any_device(skid: Skid) -> None:
    assert skid.counters == (
        CounterSpec("Timeouts", 0, "pump.timeouts"),
        CounterSpec("Trip", 0, "pump.round_trip_p99_ms"),
        CounterSpec("Line", 0, "reconnects"),
        CounterSpec("Own", 0, "valve.bytes_sent"),
        CounterSpec("Silent", 0, "silent"),
        CounterSpec("Late", 1, "late_reads"),
        CounterSpec("Overruns", None, "overruns"),
        CounterSpec("Tick", None, "tick_p99_ms"),
    )
    tags = {tag.name: tag for tag in skid.tags}
    assert [point.tag for point in skid.links[0].points] == ["PT01"], "a counter is no point"
    assert (tags["Trip"].unit, tags["Trip"].deadband, tags["Timeouts"].unit) == ("ms", 0.5, None)
    assert tags["Late"].republish_every_s == 60


def test_they_are_set_once_a_second_and_unknown_until_measured(skid: Skid) -> None:
    driver = Counting({"pump": SimulatedDevice()}, [Point("PT01", "pump", SimulatedPoint(), 100)])
    driver.counted = {"pump.timeouts": 3.0, "pump.round_trip_p99_ms": math.nan, "reconnects": 0.0}
    driver.asked = 0
    link = Link("bus", driver)
    link.counters.silent = 5
    specs = [tag for tag in skid.tags if tag.name in {"Timeouts", "Trip", "Silent"}]
    counters = [each for each in skid.counters if each.tag in {"Timeouts", "Trip", "Silent"}]
    core = Core(specs, [])
    shown = CounterTags(counters, [link], Scan([], [], 0.1, lambda _: None).counted)

    shown.show(core, 10.0)
    assert [core.table.value(core.table.row_of(tag)) for tag in ("Timeouts", "Silent")] == [3.0, 5.0]
    trip = core.table.row_of("Trip")
    assert core.table.quality[trip] == Quality.BAD
    driver.counted |= {"pump.timeouts": 4.0, "pump.round_trip_p99_ms": 2.5}
    shown.show(core, 10.0 + 0.9 * EVERY_S)
    assert core.table.quality[trip] == Quality.BAD
    assert driver.asked == 1
    shown.show(core, 10.0 + EVERY_S)
    assert core.table.value(trip) == 2.5
    assert core.table.quality[trip] == Quality.GOOD
    assert core.table.value(core.table.row_of("Timeouts")) == 4.0
    assert driver.asked == 2


def test_the_engine_shows_them_and_derives_from_them(skid: Skid) -> None:
    engine = Engine(skid)
    engine.links[0].counters.silent = 7
    engine.links[1].counters.late_reads = 2
    driver = engine.links[0].driver
    assert isinstance(driver, ModbusTcp)
    driver.devices["pump"].counters.timeouts = 3

    engine.scan.counters.overruns = 4

    engine.scan.tick(10.0, 1_800_000_000.0)
    engine.scan.tick(10.0 + EVERY_S, 1_800_000_001.0)

    table = engine.scan.core.table
    shown = {
        name: table.value(table.row_of(name)) for name in ("Timeouts", "Silent", "Late", "Line", "Alarm", "Overruns")
    }
    assert shown == {"Timeouts": 3.0, "Silent": 7.0, "Late": 2.0, "Line": 0.0, "Alarm": True, "Overruns": 4.0}
    tick = table.value(table.row_of("Tick"))
    assert isinstance(tick, float)
    assert 0 < tick < 60_000, "the first tick was measured"
