"""What is written down of a run: its archive, its run log, the errors while it went on."""

from __future__ import annotations

import csv
import logging
from io import StringIO
from itertools import pairwise

import pytest

from drivers.contract import Kind
from engine.core.core import Core
from engine.core.spec import FromEngine, TagSpec
from engine.runs import archive, errors, runlog
from engine.runs.archive import Archive, ArchiveRows, header_row
from engine.runs.errors import ErrorCollector
from engine.runs.runlog import RunRecord
from protocol.engine_messages import RunLogMsg
from protocol.models import TagValue
from protocol.serialization import encode

STARTED = 1_800_000_000.25


def test_a_row_is_written_as_open_pectus_writes_it() -> None:
    specs = (
        TagSpec("Text", FromEngine(Kind.TEXT)),
        TagSpec("Flow", FromEngine(Kind.FLOAT), unit="L/h"),
        TagSpec("Count", FromEngine(Kind.UINT)),
        TagSpec("Valve", FromEngine(Kind.INT), choices={"Closed": 0, "Open": 7}),
        TagSpec("Flag", FromEngine(Kind.BOOL)),
        TagSpec("Gone", FromEngine(Kind.FLOAT)),
    )
    core = Core(specs, [])
    for name, value in {"Text": "a,b\\c", "Flow": 1.5, "Count": 2**64 - 1, "Valve": "Open", "Flag": True}.items():
        core.set(name, value)
    assert header_row(specs) == "Datetime (UTC),Text,Flow [L/h],Count,Valve,Flag,Gone\n"
    row = ArchiveRows(specs, core.table).row(STARTED)
    assert row == "2027-01-15 08:00:00.250000+00:00,a\\,b\\\\c,1.50000,18446744073709551615,Open,1,\n"
    (cells,) = csv.reader(StringIO(row), quoting=csv.QUOTE_NONE, escapechar="\\")
    assert cells[1] == "a,b\\c"


def test_rows_are_due_at_once_and_then_every_interval() -> None:
    found = Archive(STARTED, 5.0, "head\n")
    assert found.filename == "archiver-2027-01-15_080000.txt"
    assert [now for now in range(100, 112) if found.due(now)] == [100, 105, 110]
    found.append("one\n")
    assert found.text() == "head\none\n"


def test_a_long_archive_is_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LIMIT_CHARS", 400)
    found = Archive(STARTED, 1.0, "head\n")
    now = 0
    for now in range(1000):
        if found.due(now):
            found.append(f"{now}\n")
    rows = [int(row) for row in found.text().splitlines()[1:]]
    assert len(found.text()) < 500
    assert rows[0] == 0
    assert rows[-1] > 900
    assert len({b - a for a, b in pairwise(rows)}) <= 2, "evenly, to the last thinning"


def values(count: int) -> list[TagValue]:
    return [TagValue(name=f"T{n}", tick_time=STARTED, value=1.5, value_unit="L/h") for n in range(count)]


def test_a_line_begins_ends_fails_and_is_cancelled() -> None:
    record = RunRecord()
    ids = [record.begin(name, STARTED, values(2)) for name in ("good", "bad", "open")]
    assert [line.id for line in record.take_changed()] == ids
    assert record.take_changed() == []
    record.end(ids[0], STARTED + 1, values(2))
    record.end(ids[1], STARTED + 1, (), failed=True)
    record.cancel_open(STARTED + 2)
    found = {line.command_name: line for line in record.log.lines}
    assert (found["good"].end, found["good"].failed, len(found["good"].end_values)) == (STARTED + 1, False, 2)
    assert found["bad"].failed
    assert (found["open"].end, found["open"].cancelled) == (STARTED + 2, True)


def test_twenty_megabytes_of_run_log_stay_well_under_the_limit() -> None:
    record = RunRecord()
    count = 8000
    for number in range(count):
        line = record.begin(f"Pump: {number}", STARTED + number, values(12))
        record.end(line, STARTED + number, values(12))
    whole = count * 24 * len(values(1)[0].model_dump_json())
    log = record.log
    assert whole > 20 * 2**20
    assert len(encode(RunLogMsg(id="", run_id="", runlog=log))) < 5 * 2**20
    assert [line.command_name for line in log.lines] == [f"Pump: {number}" for number in range(count)]
    assert log.lines[0].start_values == []
    assert len(log.lines[-1].start_values) == 12


def test_beyond_the_bound_of_lines_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runlog, "LIMIT_LINES", 3)
    record = RunRecord()
    first, *_ = [record.begin(str(number), STARTED, values(1)) for number in range(5)]
    record.end(first, STARTED, values(1))
    assert [line.command_name for line in record.log.lines] == ["2", "3", "4"]


def test_errors_are_merged_bounded_and_told_again_after_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errors, "DIFFERENT", 3)
    logger = logging.getLogger("skidlink.engine.links")
    with ErrorCollector() as collector:
        for _ in range(100):
            logger.warning("%s flaps", "plc")
        logger.error("plc is on fire")
        logger.info("nobody wants to know")
        first = collector.take(10.0)
        logger.warning("plc flaps")
        assert collector.take(20.0) == []
        logger.warning("plc flaps")
        again = collector.take(70.0)
        for number in range(5):
            logger.warning("different %d", number)
        flood = collector.take(71.0)
    logger.error("after the end")
    assert [(entry.message, entry.severity) for entry in first] == [("plc flaps", 30), ("plc is on fire", 40)]
    assert [entry.message for entry in again] == ["plc flaps"]
    assert again[0].created_time > first[0].created_time
    assert [entry.message[:11] for entry in flood] == ["different 0", "different 1", "different 2", "2 more warn"]
    assert collector.take(200.0) == []
