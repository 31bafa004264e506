"""The reference page of expressions has every function, as it is called, and its examples are sound."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from engine.core.functions import FUNCTIONS
from engine.uod.draft import draft_of
from engine.uod.resolve import resolve

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "expressions.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(?P<usage>[^`]+)` \|.*\| `(?P<example>[^`]+)` \| (?:`(?P<unit>[^`]+)` )?\|$", re.MULTILINE)
ROWS = [match.groupdict() for match in ROW.finditer(PAGE)]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_on_the_page(name: str) -> None:
    usages = {row["usage"] for row in ROWS}
    is_alike = name.startswith("thermocouple_") and f"`{name}`" in PAGE
    assert FUNCTIONS[name].usage in usages or is_alike


def test_nothing_else_is() -> None:
    assert {row["usage"] for row in ROWS} <= {function.usage for function in FUNCTIONS.values()}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["usage"])
def test_its_example_is_sound_and_shows_it(row: dict[str, str | None]) -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    tags: Any = YAML(typ="safe").load(block)
    derived = {"Example": {"expr": row["example"], "unit": row["unit"]}}
    draft, findings = draft_of(
        {"uod": "Page", "devices": {"sim": {"driver": "simulated"}}, "tags": tags, "derived": derived}
    )
    assert draft is not None
    skid, more = resolve(draft, "page.yaml")
    assert [*findings, *more] == []
    assert skid is not None
    sign = re.sub(r"\b([a-d]|2)\b", "", str(row["usage"])).split("(")[0].split()[0]
    assert sign in str(row["example"])
