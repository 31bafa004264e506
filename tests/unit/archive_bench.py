"""Archive files over a folder of a test, and a disk that has as much room as the test says."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from drivers.contract import Kind
from engine.core.core import Core
from engine.core.spec import FromEngine, TagSpec
from engine.runs.archive import ArchiveRows, header_row
from engine.runs.archive_files import ArchiveFiles
from engine.runs.archive_folder import ArchiveFolder, ArchiveRule
from tests.unit.runs_bench import UNIX

MIB = 2**20
NAME = "archiver-2027-01-15_080000.txt"
SPECS = (
    TagSpec("Run Id", FromEngine(Kind.TEXT)),
    TagSpec("Flow", FromEngine(Kind.FLOAT), unit="L/h"),
    TagSpec("Small", FromEngine(Kind.FLOAT32)),
    TagSpec("Count", FromEngine(Kind.INT)),
    TagSpec("Total", FromEngine(Kind.UINT)),
    TagSpec("Valve", FromEngine(Kind.INT), choices={"Closed": 0, "Open": 7}),
    TagSpec("Flag", FromEngine(Kind.BOOL)),
)


class Archived:
    """Archive files over a folder, and a disk that has as much room as a test says."""

    def __init__(self, path: Path, *, parquet: bool = False) -> None:
        self.free = 1000 * MIB
        rule = ArchiveRule(keep_s=1e9, limit_bytes=MIB, min_free_bytes=500 * MIB)
        self.folder = ArchiveFolder(path / "archives", rule, set[str], lambda _: self.free)
        self.files = ArchiveFiles(self.folder, parquet=parquet)
        self.folder.make()
        self.core = Core(SPECS, [])
        self.rows = ArchiveRows(SPECS, self.core.table)
        self.header = header_row(SPECS)

    @asynccontextmanager
    async def working(self) -> AsyncGenerator[ArchiveFiles]:
        self.files.start()
        try:
            yield self.files
        finally:
            await self.files.close()

    async def settle(self) -> None:
        """Wait until all that was given has been done."""
        await self.files.close()
        self.files.start()

    def append(self, second: int, **values: Any) -> str:
        """Add a row, and return its text."""
        for name, value in values.items():
            self.core.set(name, value)
        text = self.rows.row(UNIX + second)
        self.files.append(text, self.rows, UNIX + second)
        return text

    def begin(self, run_id: str = "run") -> None:
        self.core.set("Run Id", run_id)
        self.files.begin(run_id, NAME, self.header)

    def text(self, name: str = NAME) -> str:
        return (self.folder.path / name).read_text()
