"""A run that is going on, and its archive."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from engine.core.spec import TagSpec
from engine.core.table import Table
from engine.runs.archive import Archive, ArchiveRows, header_row
from engine.runs.archive_files import ArchiveFiles
from engine.runs.journal import Journal


class Run:
    """Who it is, since when, and what it writes into its archive."""

    def __init__(
        self,
        run_id: str,
        started: float,
        archive: Archive,
        columns: Sequence[TagSpec],
        journal: Journal,
        files: ArchiveFiles | None,
    ) -> None:
        """`started` is in unix seconds; `columns` are those that the archive has."""
        self.id = run_id
        self.started = started
        self.archive = archive
        self._columns = columns
        self._journal = journal
        self._files = files
        if files is not None:
            files.begin(run_id, archive.filename, archive.header)
        self._rows: ArchiveRows | None = None

    @classmethod
    def begin(
        cls,
        started: float,
        columns: Sequence[TagSpec],
        interval_s: float,
        journal: Journal,
        files: ArchiveFiles | None,
    ) -> Run:
        """Begin a run with an id of its own, and write down that it has begun."""
        archive = Archive(started, interval_s, header_row(columns))
        run = cls(str(uuid4()), started, archive, columns, journal, files)
        journal.begin(run.id, started, archive.filename, archive.header)
        return run

    def write_row(self, table: Table, unix: float) -> None:
        """Write the tags as they are into the archive."""
        if self._rows is None or self._rows.table is not table:
            self._rows = ArchiveRows(self._columns, table)
        row = self._rows.row(unix)
        if self.archive.append(row):
            self._journal.archive(self.id, row)
        if self.archive.thin():
            self._journal.thin_archive(self.id)
        if self._files is not None:
            self._files.append(row, self._rows, unix)

    def end(self) -> None:
        """Close the file of its archive."""
        if self._files is not None:
            self._files.end()
