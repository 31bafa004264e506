"""The judge of the crash test has to find what a crash can do to a run: here it is done to one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.soak.lives import Lives, Run
from tests.soak.records import Record
from tests.soak.whole import archive_time, faults_in

TICKS = [1_800_000_000.0 + 0.05 * number for number in range(100)]
HEADER = "Datetime (UTC),System State,T0 [degC]\n"


def logged() -> Run:
    return Run({tick: float(place) for place, tick in enumerate(TICKS)}, set(TICKS[:90]), {"a", "b"}, 2)


def record() -> Record:
    rows = [f"{time},Running,{place}.00000\n" for place, time in enumerate(map(archive_time, TICKS[:95]))]
    samples: list[tuple[float, Any]] = [(tick, float(place)) for place, tick in enumerate(TICKS[:95])]
    return Record(samples, HEADER + "".join(rows), ["a", "b"], 1)


def test_a_whole_record_has_no_faults() -> None:
    assert faults_in(record(), logged()) == []


WHOLE = record()
ROWS = WHOLE.archive.splitlines(keepends=True)


@pytest.mark.parametrize(
    ("harm", "fault"),
    [
        ({"samples": WHOLE.samples[:89]}, "1 of 90 durable samples are lost"),
        ({"samples": WHOLE.samples[:40] + WHOLE.samples[39:]}, "1 samples are stored twice"),
        ({"samples": WHOLE.samples[::-1]}, "not in order"),
        ({"samples": [*WHOLE.samples[:94], (TICKS[94], 7.0)]}, "1 samples are stored with another value"),
        ({"archive": WHOLE.archive[:-3]}, "the last row of the archive is torn"),
        ({"archive": WHOLE.archive.replace("Running,50.", "Runn", 1)}, "1 rows of the archive are torn"),
        ({"archive": WHOLE.archive + ROWS[-1]}, "1 rows of the archive are there twice"),
        ({"archive": ""}, "90 durable ticks have no row in the archive"),
        ({"archive": "".join([*ROWS[:40], *ROWS[41:]])}, "1 durable ticks have no row in the archive"),
        ({"archive": "".join(ROWS[:80])}, "11 durable ticks have no row in the archive"),
        ({"archive": "".join([ROWS[0], *ROWS[:0:-1]])}, "the rows of the archive are not in order"),
        ({"run_log": ["a"]}, "1 lines of the run log are lost"),
        ({"run_log": ["a", "b", "a"]}, "lines of the run log are there twice"),
        ({"count": 2}, "there are 2 records of it"),
    ],
)
def test_each_harm_is_found(harm: dict[str, Any], fault: str) -> None:
    assert any(fault in found for found in faults_in(replace(WHOLE, **harm), logged()))


def message(run: str | None, tick: float, value: float) -> str:
    tag = {"name": "T0", "tick_time": tick, "value": value}
    return json.dumps({"_type": "TagsUpdatedMsg", "run_id": run, "tags": [tag]}) + "\n"


def test_what_is_durable_is_told_life_by_life(tmp_path: Path) -> None:
    file = tmp_path / "messages.jsonl"
    lives = Lives(file)
    lives.begin_life()
    lives.read()
    with file.open("a") as written:
        written.write('{"_type": "UodInfoMsg"}\n' + message("r", 0.5, 0.5))
        written.write(message("r", 1.0, 1.0) + message("r", 2.0, 2.0) + message("r", 3.0, 3.0)[:20])
    lives.end_life(2.0)
    with file.open("a") as written:
        written.write("\n" + message("r", 5.0, 0.0) + message(None, 6.0, 0.0))
    lives.begin_life()
    lives.end_life(float("inf"))
    assert lives.runs == {"r": Run({1.0: 1.0, 2.0: 2.0, 5.0: 0.0}, {1.0, 5.0}, set(), 2)}
    assert lives.ticks == 2, "of the last life"
