"""An archive whose writer is killed: it has whole rows only."""

from __future__ import annotations

import csv
import random
import subprocess
import sys
import time
from pathlib import Path

from engine.runs.whole_lines import WholeLines
from tests.system.archive_writer import NAME

ROOT = Path(__file__).parents[2]
csv.field_size_limit(10**6)


def rows_of(path: Path) -> list[list[str]]:
    with path.open(newline="") as file:
        return list(csv.reader(file, quoting=csv.QUOTE_NONE, escapechar="\\"))[1:]


def test_no_row_is_torn_when_the_writer_is_killed(tmp_path: Path) -> None:
    path = tmp_path / NAME
    seen = 0
    for _ in range(3):
        command = [sys.executable, "-m", "tests.system.archive_writer", str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as writer:
            assert writer.stdout is not None
            written = int(writer.stdout.readline()) + 1
            time.sleep(random.uniform(0, 0.05))  # any moment is as good as another
            writer.kill()
        WholeLines(path).close()  # as the next life opens it
        rows = rows_of(path)
        assert len(rows) >= seen + written, "what was closed is there, and what was there is not lost"
        assert all(len(row) == 5 and len(row[4]) == int(row[3]) for row in rows)
        numbers = [int(row[2]) for row in rows[seen:]]
        assert numbers == list(range(len(numbers))), "in order, behind those of the lives before"
        seen = len(rows)
    assert [each.name for each in tmp_path.glob("archiver-*")] == [NAME]
