"""What is written down of a run: its archive, its run log, the errors while it went on."""

from __future__ import annotations

import csv
import logging
from dataclasses import replace
from io import StringIO
from itertools import pairwise
from pathlib import Path

import pytest

from drivers.contract import Kind
from engine.core.core import Core
from engine.core.spec import FromEngine, TagSpec
from engine.runs import archive, errors, runlog
from engine.runs.archive import Archive, ArchiveRows, header_row
from engine.runs.errors import ErrorCollector
from engine.runs.journal import Journal, Progress
from engine.runs.recovery import archive_of, record_of
from engine.runs.runlog import RunRecord
from engine.runs.state import Clocks
from engine.store import Store
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


def rows_of(found: Archive) -> list[int]:
    return [int(row) for row in found.text().splitlines()[1:]]


def test_a_long_archive_is_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LIMIT_CHARS", 400)
    found = Archive(STARTED, 1.0, "head\n")
    for now in range(1000):
        if found.due(now):
            found.append(f"{now}\n")
            found.thin()
    rows = rows_of(found)
    assert len(found.text()) < 500
    assert rows[0] == 0
    assert rows[-1] > 900
    assert len({b - a for a, b in pairwise(rows)}) == 1, "evenly, to the last thinning"


async def test_an_archive_goes_on_evenly_in_the_next_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "LIMIT_CHARS", 400)
    found = Archive(STARTED, 1.0, "head\n")
    for start in (0, 333, 666):
        store = Store(tmp_path / "store.sqlite3")
        journal = Journal(store)
        if start == 0:
            journal.begin("run", STARTED, "file", "head\n")
        for dead in journal.dead_runs():
            found = archive_of(dead, 1.0)
        store.start()
        for now in range(start, start + 333):
            if found.append(f"{now}\n"):
                journal.archive("run", f"{now}\n")
            if found.thin():
                journal.thin_archive("run")
        journal.progress("run", Progress(STARTED, Clocks(), "", b"", found.stride))
        await store.close()
    rows = rows_of(found)
    assert rows[0] == 0
    assert rows[-1] > 900
    gaps = [b - a for a, b in pairwise(rows)]
    assert sum(gap != found.stride for gap in gaps) <= 2, "but for where it went on"
    assert max(gaps) == found.stride
    again = Store(tmp_path / "store.sqlite3")
    (dead,) = Journal(again).dead_runs()
    assert [int(row) for row in dead.rows] == rows, "and the store has no more of them than that"
    await again.close()


def values(count: int) -> list[TagValue]:
    return [TagValue(name=f"T{n}", tick_time=STARTED, value=1.5, value_unit="L/h") for n in range(count)]


def test_a_line_begins_ends_fails_and_is_cancelled() -> None:
    record = RunRecord()
    ids = [record.begin(name, STARTED, values(2)) for name in ("good", "bad", "open")]
    assert [line.id for line in record.take_changed()[0]] == ids
    assert record.take_changed() == ([], [])
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
    first, *_ = [record.begin(str(number), STARTED, values(1)) for number in range(3)]
    record.take_changed()
    for number in range(3, 5):
        record.begin(str(number), STARTED, values(1))
    record.end(first, STARTED, values(1))
    assert [line.command_name for line in record.log.lines] == ["2", "3", "4"]
    changed, gone = record.take_changed()
    assert [line.command_name for line in changed] == ["3", "4"]
    assert len(gone) == 2
    assert gone[0] == first


def test_a_line_that_has_lost_its_values_has_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runlog, "LIMIT_VALUES", 10)
    record = RunRecord()
    for number in range(3):
        record.begin(str(number), STARTED, values(3))
    record.take_changed()
    record.begin("3", STARTED, values(3))
    changed, gone = record.take_changed()
    assert [(line.command_name, len(line.start_values)) for line in changed] == [("3", 3), ("0", 0), ("1", 0), ("2", 0)]
    assert gone == []


async def test_the_store_has_the_lines_of_the_run_log_in_their_order_and_no_others(tmp_path: Path) -> None:
    record = RunRecord()
    store = Store(tmp_path / "store.sqlite3")
    journal = Journal(store)
    journal.begin("run", STARTED, "file", "head\n")
    ids = [record.begin(str(number), STARTED - number, values(1)) for number in range(4)]  # a clock that is set back
    for line in record.take_changed()[0]:
        journal.line("run", line)
    record.end(ids[0], STARTED + 50, values(1))
    record.drop(ids[2])
    changed, gone = record.take_changed()
    for line in changed:
        journal.line("run", line)
    journal.drop_lines(gone)
    store.start()
    await store.close()
    again = Store(tmp_path / "store.sqlite3")
    (dead,) = Journal(again).dead_runs()
    assert [line.command_name for line in dead.lines] == ["0", "1", "3"]
    found = record_of(dead).log.lines
    assert [(line.end, line.cancelled) for line in found] == [
        (STARTED + 50, False), (STARTED + 50, True), (STARTED + 50, True)
    ]  # fmt: skip
    later = replace(dead, progress=replace(dead.progress, at=STARTED + 900))
    assert record_of(later).log.lines[1].end == STARTED + 900, "it went on for as long as the engine is known to have"
    assert record_of(replace(dead, lines=())).log.lines == []
    await again.close()


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
