"""The aggregator's secret, as it is given to a command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer


def warn_where_it_is_seen(context: typer.Context, parameter: typer.CallbackParam, secret: str) -> str:
    """Warn of a secret on the command line, which every user of the computer sees in the list of processes."""
    source: Any = context.get_parameter_source(str(parameter.name))
    if secret and source is not None and source.name == "COMMANDLINE":
        typer.secho(
            "the secret of --secret is seen by all users of this computer, in its list of processes; give it by "
            "--secret-file FILE, or in the environment by SKIDLINK_AGGREGATOR_SECRET",
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
