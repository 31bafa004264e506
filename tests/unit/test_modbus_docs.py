"""What the Modbus pages show is a UOD without a fault, and commands that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli.app import app
from engine.uod.reader import read_uod

DOCS = Path(__file__).parents[2] / "docs" / "how-to"


@pytest.mark.parametrize("page", ["modbus-devices.md", "modbus-look.md"])
def test_the_uod_of_the_page_has_no_fault(tmp_path: Path, page: str) -> None:
    (source,) = re.findall(r"```yaml\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    file = tmp_path / "uod.yaml"
    file.write_text(source)
    assert [str(fault) for fault in read_uod(file, []).faults] == []


def test_the_commands_of_the_page_take_the_options_it_shows() -> None:
    commands = re.findall(
        r"^skidlink modbus .*|`(skidlink modbus [^`]*)`", (DOCS / "modbus-look.md").read_text("utf-8"), re.MULTILINE
    )
    assert len(commands) >= 5
    for command in filter(None, commands):
        _, _, name, *words = command.split()
        shown = CliRunner().invoke(app, ["modbus", name, "--help"], env={"COLUMNS": "200"}).output
        assert all(word in shown for word in words if word.startswith("--")), command
