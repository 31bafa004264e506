"""The aggregator's secret, as it is given to a command."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import typer

OPTION: Final = "--secret"
VARIABLE: Final = "SKIDLINK_AGGREGATOR_SECRET"


def hide_secret() -> None:
    """Starts this process anew with a secret of its command line in its environment, which other users cannot read.

    Windows cannot replace a running program: there the secret stays in the list of processes, and is warned of.
    """
    words, secret = without_secret(sys.orig_argv)
    if secret is not None and sys.platform != "win32":
        os.execve(sys.executable, words, {**os.environ, VARIABLE: secret})  # noqa: S606  # itself, without a shell


def without_secret(words: Sequence[str]) -> tuple[list[str], str | None]:
    """A command line without its secret, and the secret; None where there is none."""
    kept: list[str] = []
    secret: str | None = None
    rest = iter(words)
    for word in rest:
        if word == "--":
            return [*kept, word, *rest], secret
        if word == OPTION and (following := next(rest, None)) is not None:
            secret = following
        elif word.startswith(f"{OPTION}="):
            secret = word.removeprefix(f"{OPTION}=")
        else:
            kept.append(word)
    return kept, secret


def warn_where_it_is_seen(context: typer.Context, parameter: typer.CallbackParam, secret: str) -> str:
    """Warn of a secret on the command line, which every user of the computer sees in the list of processes."""
    source: Any = context.get_parameter_source(str(parameter.name))
    if secret and source is not None and source.name == "COMMANDLINE":
        typer.secho(
            "the secret of --secret is seen by all users of this computer, in its list of processes; give it by "
            f"--secret-file FILE, or in the environment by {VARIABLE}",
            fg=typer.colors.YELLOW,
            err=True,
        )
    return secret


def read_secret(file: Path) -> str:
    """The secret in a file, without white space around it. Raises `typer.BadParameter` where there is none."""
    try:
        secret = file.read_text("utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"cannot read {file}: {error}", param_hint="--secret-file") from error
    if not secret:
        raise typer.BadParameter(f"{file} is empty; write the secret into it", param_hint="--secret-file")
    return secret
