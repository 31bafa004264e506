"""Writes one run into archive files without a pause, to be killed: `python -m tests.system.archive_writer FOLDER`.

Each row says its number, how many characters its text has, and the text; what was begun is gone on with.
"""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path

from drivers.contract import Kind
from engine.core.core import Core
from engine.core.spec import FromEngine, TagSpec
from engine.runs.archive import ArchiveRows, header_row
from engine.runs.archive_files import ArchiveFiles
from engine.runs.archive_folder import ArchiveFolder, ArchiveRule

NAME = "archiver-2027-01-15_080000.txt"
SPECS = (
    TagSpec("Run Id", FromEngine(Kind.TEXT)),
    TagSpec("Number", FromEngine(Kind.INT)),
    TagSpec("Length", FromEngine(Kind.INT)),
    TagSpec("Text", FromEngine(Kind.TEXT)),
)
WAITING = 200
"""So many rows wait to be written at most."""


async def write(path: Path) -> None:
    rule = ArchiveRule(keep_s=1e9, limit_bytes=2**40, min_free_bytes=0)
    files = ArchiveFiles(ArchiveFolder(path, rule, set[str]))
    files.start()
    core = Core(SPECS, [])
    core.set("Run Id", "run")
    files.begin("run", NAME, header_row(SPECS))
    rows = ArchiveRows(SPECS, core.table)
    for number in range(1_000_000_000):
        length = random.randrange(20_000)
        core.set("Number", number)
        core.set("Length", length)
        core.set("Text", "x" * length)
        files.append(rows.row(1.8e9 + number), rows, 1.8e9 + number)
        if number % WAITING == WAITING - 1:
            await files.close()
            files.start()
            print(number, flush=True)


if __name__ == "__main__":
    asyncio.run(write(Path(sys.argv[1])))
