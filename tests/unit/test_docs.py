"""What the documentation shows is run."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from runpy import run_path
from types import ModuleType

import pytest

from drivers.contract import Kind, LinkError, Point, Quality
from engine.cli.check import summary
from engine.uod.reader import read_uod

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_the_uod_of_the_readme_has_no_fault(tmp_path: Path) -> None:
    (source,) = blocks(DOCS.parent / "README.md", "yaml")
    file = tmp_path / "chiller.yaml"
    file.write_text(source)
    reading = read_uod(file)
    assert reading.faults == ()
    assert reading.skid is not None
    assert [tag.name for tag in reading.skid.tags] == ["TT01", "SP01", "dT", "chiller Status"]


def test_the_uod_of_the_tutorial_has_no_fault_and_its_summary_is_what_is_printed(tmp_path: Path) -> None:
    page = DOCS / "tutorial" / "first-skid.md"
    (source,) = blocks(page, "yaml")
    file = tmp_path / "first.yaml"
    file.write_text(source)
    skid = read_uod(file).skid
    assert skid is not None
    assert summary(skid) in page.read_text(encoding="utf-8")


def test_the_uod_of_how_to_keep_time_has_no_fault(tmp_path: Path) -> None:
    (source,) = blocks(DOCS / "how-to" / "keep-time.md", "yaml")
    file = tmp_path / "timed.yaml"
    file.write_text(source)
    assert read_uod(file).faults == ()


def test_the_uod_of_the_guards_has_no_fault(tmp_path: Path) -> None:
    (source,) = blocks(DOCS / "how-to" / "outputs.md", "yaml")
    file = tmp_path / "guards.yaml"
    file.write_text(source)
    reading = read_uod(file)
    assert reading.faults == ()


def test_every_link_of_the_documentation_leads_somewhere() -> None:
    pages = [DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md", *DOCS.rglob("*.md")]
    for page in pages:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            assert "://" in target or (page.parent / target).exists(), f"{page}: {target}"


async def test_the_driver_of_the_how_to_works(tmp_path: Path) -> None:
    (source,) = blocks(DOCS / "how-to" / "write-a-driver.md", "python")
    module = ModuleType("file_driver")
    sys.modules[module.__name__] = module
    try:
        exec(compile(source, "write-a-driver.md", "exec"), module.__dict__)  # noqa: S102  # our own documentation
        (tmp_path / "temp").write_text("48312\n")
        device = module.FileDevice(folder=tmp_path)
        points = [Point(tag, "board", module.FilePoint(file=file), 100) for tag, file in (("A", "temp"), ("B", "gone"))]
        driver = module.Files({"board": device}, points)
        await driver.open()
        await driver.read(0)
        assert driver.image.value(0) == 48312.0
        assert driver.image.quality.tolist() == [Quality.GOOD, Quality.BAD]
        assert driver.image.kinds.tolist() == [Kind.FLOAT, Kind.FLOAT]
        await driver.close()

        lost = module.Files({"board": module.FileDevice(folder=tmp_path / "nowhere")}, points)
        with pytest.raises(LinkError, match="folder"):
            await lost.open()
    finally:
        del sys.modules[module.__name__]


def test_the_reference_of_the_uod_is_what_the_models_say() -> None:
    made = run_path(str(DOCS.parent / "tools" / "uod_reference.py"))["page"]()
    assert (DOCS / "reference" / "uod.md").read_text(encoding="utf-8") == made, "run python tools/uod_reference.py"


def test_the_reference_of_units_is_what_the_table_says() -> None:
    made = run_path(str(DOCS.parent / "tools" / "unit_reference.py"))["page"]()
    assert (DOCS / "reference" / "units.md").read_text(encoding="utf-8") == made, "run python tools/unit_reference.py"
