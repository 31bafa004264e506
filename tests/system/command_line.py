"""`skidlink` in this process: to start another one takes longer than most commands."""

from __future__ import annotations

import asyncio
from pathlib import Path

from typer.testing import CliRunner

from engine.cli.app import app


async def skidlink(*arguments: str | Path) -> tuple[int, str, str]:
    """Run a command to its end: exit code, standard output, standard error."""
    done = await asyncio.to_thread(CliRunner().invoke, app, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout, done.stderr
