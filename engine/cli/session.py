"""What `skidlink run` and `skidlink demo` are asked for."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from engine.cli.secret import read_secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """How what waits for the aggregator is kept."""

    folder: Path | None
    """None: the one for the state of the user's programs."""
    sync_ms: int
    limit_mb: int
    """MiB"""
    days: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """How the archives of runs are kept."""

    folder: Path | None
    """None: beside what waits for the aggregator."""
    parquet: bool
    keep_days: float
    limit_mb: int
    """MiB"""
    min_free_mb: int
    """MiB"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """How to run."""

    aggregator: str | None
    secret: str
    kept: Kept
    archived: Archived
    output: Path | None
    duration_s: float | None
    plain: bool
    verbose: bool
    control: bool
    """Outputs are written even if nobody can give commands."""
    watch_only: bool
    """No output is written, whoever gives commands."""

    @property
    def shows_table(self) -> bool:
        return not self.plain and sys.stdout.isatty() and not self.prints_messages

    @property
    def prints_messages(self) -> bool:
        """The messages go to the standard output, which then holds nothing else."""
        return str(self.output) == "-"


def make_session(
    *,
    aggregator: str | None,
    secret: str,
    secret_file: Path | None,
    outbox: Path | None,
    outbox_sync_ms: int,
    outbox_limit_mb: int,
    outbox_keep_days: float,
    archive: Path | None,
    archive_parquet: bool,
    archive_keep_days: float,
    archive_limit_mb: int,
    archive_min_free_mb: int,
    output: Path | None,
    duration_s: float | None,
    plain: bool,
    verbose: bool,
    control: bool = False,
    watch_only: bool = False,
) -> Session:
    """A session from the options of both; a file that is named has the secret, whatever the environment says."""
    return Session(
        aggregator=aggregator,
        secret=read_secret(secret_file) if secret_file else secret,
        kept=Kept(folder=outbox, sync_ms=outbox_sync_ms, limit_mb=outbox_limit_mb, days=outbox_keep_days),
        archived=Archived(
            folder=archive,
            parquet=archive_parquet,
            keep_days=archive_keep_days,
            limit_mb=archive_limit_mb,
            min_free_mb=archive_min_free_mb,
        ),
        output=output,
        duration_s=duration_s,
        plain=plain,
        verbose=verbose,
        control=control,
        watch_only=watch_only,
    )
