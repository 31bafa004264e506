"""`skidlink opcua`: looking at OPC UA servers."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from drivers.opcua.browse import Entry, Tree

opcua = typer.Typer(name="opcua", help="Look at OPC UA servers.", no_args_is_help=True)

SHOWN_TROUBLES = 20
SILENT_S, TOLD_EVERY_S = 2.0, 2.0
"""How long a browse may take before it says how far it is, and how often it does."""


@opcua.command()
def browse(
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="As opc.tcp://192.0.2.10:4840")],
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="Where to begin: a browse path or a node id.")
    ] = "Objects",
    find: Annotated[str, typer.Option(metavar="PATTERN", help="Only nodes whose name or path fits, as 'FT*'.")] = "",
    depth: Annotated[int, typer.Option(min=1, help="How many levels down.")] = 12,
    limit: Annotated[int, typer.Option(min=1, help="How many nodes at most.")] = 20_000,
    uod: Annotated[bool, typer.Option("--uod", help="Print the variables as tags to paste into a UOD.")] = False,
    device: Annotated[str, typer.Option(help="The device's name in these tags.")] = "plc",
    security: Annotated[str, typer.Option(help="auto, none or a policy.")] = "auto",
    user: Annotated[str | None, typer.Option(help="Who logs in.")] = None,
    password_env: Annotated[str | None, typer.Option(metavar="NAME", help="The variable with the password.")] = None,
    password_file: Annotated[Path | None, typer.Option(help="The file with the password.")] = None,
    user_certificate: Annotated[Path | None, typer.Option(help="The certificate of a user who logs in by it.")] = None,
    user_key: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="This client's own certificate, if not made by us.")] = None,
    private_key: Annotated[Path | None, typer.Option(help="Its private key.")] = None,
    keep_host: Annotated[
        bool, typer.Option("--keep-host", help="Stay at the host of ENDPOINT, whatever the server calls itself.")
    ] = False,
    timeout_ms: Annotated[int, typer.Option(help="How long the server may take to answer.")] = 5000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
) -> None:
    """Show the nodes of a server with types, access and values; find some; print them as tags to paste.

    The exit code is 1 where something could not be had; what it was is said at the end.
    """
    from pydantic import ValidationError

    from drivers.contract import LinkError
    from drivers.opcua.browse import uod_lines
    from drivers.opcua.options import DeviceOptions
    from engine.cli.screen import UNCUT, tell, tell_json, tell_result

    keys = {
        "endpoint": endpoint if "://" in endpoint else f"opc.tcp://{endpoint}",
        "security": security,
        "user": user,
        "password_env": password_env,
        "password_file": password_file,
        "user_certificate": user_certificate,
        "user_key": user_key,
        "certificate": certificate,
        "private_key": private_key,
        "keep_host": keep_host,
        "timeout_ms": timeout_ms,
    }
    try:
        options = DeviceOptions.model_validate(keys)
        tree, ended = asyncio.run(_look(options, path, depth, limit))
    except ValidationError as error:
        _fail(
            "; ".join(
                f"{'.'.join(map(str, found['loc'])) or 'options'}: {found['msg'].removeprefix('Value error, ')}"
                for found in error.errors()
            )
        )
    except (LinkError, ValueError) as error:
        _fail(str(error))
    chosen = tree.find(find) if find else list(tree.root.walk())
    if as_json:
        tell_json([_as_dict(tree, entry) for entry in chosen])
    elif uod:
        for line in ("tags:", *uod_lines(tree, chosen, device)):
            tell_result(line, most=UNCUT)
    else:
        _show(tree, chosen, as_paths=bool(find))
    if tree.cut_off:
        tell(f"there are more than {limit} nodes: name a PATH further down, or raise --limit")
    for trouble in tree.troubles[:SHOWN_TROUBLES]:
        tell(trouble)
    if len(tree.troubles) > SHOWN_TROUBLES:
        tell(f"and {len(tree.troubles) - SHOWN_TROUBLES} other nodes could not be had")
    if ended:
        tell(f"{ended}; what was found until then is shown, some of it without type and value")
    if find and not chosen:
        _fail(f"no node below {path} fits {find!r}")
    if tree.troubles or ended:
        raise typer.Exit(1)


async def _look(options: Any, path: str, depth: int, limit: int) -> tuple[Tree, str]:
    """What was found, and why that is not all; "" where the search came to its end."""
    from drivers.contract import LinkError
    from drivers.opcua.browse import Explorer
    from drivers.opcua.link import Link
    from engine.cli.screen import tell

    link = Link(options.endpoint, options.timeout_ms / 1000, options.access)
    explorer = Explorer(link)

    async def tell_progress() -> None:
        await asyncio.sleep(SILENT_S)
        while True:
            tell(f"{explorer.count} nodes so far (Ctrl-C ends the search and shows them)")
            await asyncio.sleep(TOLD_EVERY_S)

    progress = asyncio.create_task(tell_progress(), name="progress")
    ended = ""
    try:
        await link.open()
        await explorer.explore(path, depth, limit)
    except LinkError as error:
        if explorer.tree is None:
            raise
        ended = str(error)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if explorer.tree is None or task is None:
            raise
        task.uncancel()
        ended = "the search was ended"
    finally:
        progress.cancel()
        await asyncio.wait([progress])
        await link.close()
    return explorer.found(), ended


def _show(tree: Tree, entries: list[Entry], *, as_paths: bool) -> None:
    from engine.cli.screen import Grid, console_for

    table = Grid("node", "type", "access", "value", "id", box=None, padding=(0, 2, 0, 0))
    for entry in entries:
        name = entry.path if as_paths else "  " * entry.depth + str(entry.step)
        table.add_row(name, entry.type, entry.access, entry.value, tree.node_text(entry))
    console_for(sys.stdout).print(table)


def _as_dict(tree: Tree, entry: Entry) -> dict[str, Any]:
    return {
        "path": entry.path,
        "node": tree.node_text(entry),
        "type": entry.type or None,
        "access": entry.access,
        "value": entry.value if entry.variable else None,
    }


def _fail(message: str) -> NoReturn:
    from engine.cli.screen import tell

    tell(message)
    raise typer.Exit(1)
