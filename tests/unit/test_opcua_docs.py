"""The UOD snippets of the OPC UA pages are read as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.uod.reader import read_uod

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
SNIPPETS = [
    pytest.param(snippet, id=f"{page.stem}-{number}")
    for page in sorted(PAGES.glob("opcua-*.md"))
    for number, snippet in enumerate(
        re.findall(r"^```yaml\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    )
]


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_the_snippet_has_no_fault(snippet: str, tmp_path: Path) -> None:
    devices = re.findall(r"^  (\w+):(?= \{driver|$)", snippet, re.MULTILINE)
    tags = (
        ""
        if "tags:" in snippet
        else "tags:\n" + "".join(f"  T_{name}: {{device: {name}, node: i=2258}}\n" for name in devices)
    )
    file = tmp_path / "snippet.yaml"
    file.write_text(
        f"uod: Snippet\nauthor: {{name: Lab, email: lab@example.org}}\nlocation: Lab\n{snippet}{tags}", "utf-8"
    )
    reading = read_uod(file)
    assert [fault for fault in reading.faults if "process_values" not in str(fault)] == []
    assert reading.skid is not None
