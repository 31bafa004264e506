"""Every folder under tests/cases that holds a UOD holds the faults that its author is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.uod.reader import read_uod

CASES = Path(__file__).parents[1] / "cases"


@pytest.mark.parametrize(
    "case", sorted(folder.parent for folder in CASES.glob("*/faults.txt")), ids=lambda path: path.name
)
def test_faults(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case)

    reading = read_uod("uod.yaml")

    expected = (case / "faults.txt").read_text(encoding="utf-8").splitlines()
    assert [str(fault) for fault in reading.faults] == expected
    assert (reading.skid is None) == any(": error: " in line for line in expected)
