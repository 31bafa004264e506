"""`skidlink`: the commands and their options. Each imports what it needs when it is called, so that help is instant."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.loop import LoopName
from engine.cli.modbus import modbus
from engine.cli.number_option import number_option
from engine.cli.opcua import opcua
from engine.cli.secret import VARIABLE, hide_secret, warn_where_it_is_seen

app = typer.Typer(
    name="skidlink",
    help="Reads the instruments of a process skid every tick and delivers what changed to an Open Pectus aggregator.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(opcua)

UodFile = Annotated[Path, typer.Argument(metavar="UOD", help="The UOD: a YAML file, or a Python file with create().")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, as devices.plc.endpoint=opc.tcp://plc:4840"),
]
Aggregator = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="The Open Pectus aggregator; https://HOST:PORT for a secured one."),
]
Secret = Annotated[
    str,
    typer.Option(
        envvar=VARIABLE,
        help="The aggregator's secret. It stays in the history of the shell: --secret-file does not.",
        show_envvar=True,
        show_default=False,
        callback=warn_where_it_is_seen,
    ),
]
SecretFile = Annotated[
    Path | None,
    typer.Option(
        envvar="SKIDLINK_AGGREGATOR_SECRET_FILE",
        help="A file that holds the aggregator's secret.",
        exists=True,
        dir_okay=False,
        show_envvar=True,
    ),
]
Outbox = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        file_okay=False,
        help="Where what waits for the aggregator is kept; if not given, in the folder for the state of your programs.",
    ),
]
OutboxSync = Annotated[
    int,
    typer.Option(metavar="MS", min=0, help="What waits is on the disk within so many milliseconds; 0: each tick."),
]
OutboxLimit = Annotated[
    int,
    typer.Option(metavar="MIB", min=1, help="When more than this waits, the oldest samples are thinned."),
]
OutboxKeep = Annotated[
    float,
    typer.Option(metavar="DAYS", parser=number_option, help="Samples that have waited for longer are given up."),
]
Archive = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        file_okay=False,
        help="Where each run is written as a file; if not given, beside what waits for the aggregator.",
    ),
]
ArchiveParquet = Annotated[
    bool, typer.Option("--archive-parquet", help="Write each run as a Parquet file, too, with the exact values.")
]
ArchiveKeep = Annotated[
    float, typer.Option(metavar="DAYS", parser=number_option, help="Archives that are older are deleted.")
]
ArchiveLimit = Annotated[
    int, typer.Option(metavar="MIB", min=1, help="When all archives take more than this, the oldest are deleted.")
]
ArchiveMinFree = Annotated[
    int,
    typer.Option(metavar="MIB", min=0, help="When the disk has less room than this, the oldest archives are deleted."),
]
Output = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write each message as a line of JSON; - is the standard output."),
]
Duration = Annotated[
    float | None, typer.Option(metavar="S", parser=number_option, help="End by itself after so many seconds.")
]
Plain = Annotated[bool, typer.Option("--plain", help="Lines instead of the live table, as without a terminal.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log what the drivers and uplinks do.")]
Control = Annotated[
    bool,
    typer.Option("--control", help="Write safe values and heartbeats, though nobody can give commands: no aggregator."),
]
WatchOnly = Annotated[bool, typer.Option("--watch-only", help="Write no output, whoever gives commands.")]
Loop = Annotated[
    LoopName,
    typer.Option(help="The event loop; auto is uvloop where it is installed, with skidlink[fast]."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]


@app.command()
def run(
    uod: UodFile,
    aggregator: Aggregator = None,
    secret: Secret = "",
    secret_file: SecretFile = None,
    outbox: Outbox = None,
    outbox_sync_ms: OutboxSync = 200,
    outbox_limit_mb: OutboxLimit = 512,
    outbox_keep_days: OutboxKeep = 14,
    archive: Archive = None,
    archive_parquet: ArchiveParquet = False,
    archive_keep_days: ArchiveKeep = 365,
    archive_limit_mb: ArchiveLimit = 4096,
    archive_min_free_mb: ArchiveMinFree = 500,
    output: Output = None,
    duration: Duration = None,
    set_: Set = None,
    plain: Plain = False,
    verbose: Verbose = False,
    control: Control = False,
    watch_only: WatchOnly = False,
    loop: Loop = LoopName.AUTO,
) -> None:
    """Run the engine: read the skid each tick and deliver what changed, until Ctrl-C.

    Without an aggregator nobody can give commands, so the outputs are left as they are.
    """
    from engine.cli.run import run_uod
    from engine.cli.session import make_session

    if control and watch_only:
        raise typer.BadParameter("--control and --watch-only exclude each other")
    session = make_session(
        aggregator=aggregator, secret=secret, secret_file=secret_file,
        outbox=outbox, outbox_sync_ms=outbox_sync_ms,
        outbox_limit_mb=outbox_limit_mb, outbox_keep_days=outbox_keep_days,
        archive=archive, archive_parquet=archive_parquet, archive_keep_days=archive_keep_days,
        archive_limit_mb=archive_limit_mb, archive_min_free_mb=archive_min_free_mb,
        output=output, duration_s=duration, plain=plain, verbose=verbose,
        control=control, watch_only=watch_only,
    )  # fmt: skip
    raise typer.Exit(run_uod(uod, set_ or [], session, loop))


@app.command()
def demo(
    aggregator: Aggregator = None,
    secret: Secret = "",
    secret_file: SecretFile = None,
    outbox: Outbox = None,
    outbox_sync_ms: OutboxSync = 200,
    outbox_limit_mb: OutboxLimit = 512,
    outbox_keep_days: OutboxKeep = 14,
    archive: Archive = None,
    archive_parquet: ArchiveParquet = False,
    archive_keep_days: ArchiveKeep = 365,
    archive_limit_mb: ArchiveLimit = 4096,
    archive_min_free_mb: ArchiveMinFree = 500,
    output: Output = None,
    duration: Duration = None,
    plain: Plain = False,
    verbose: Verbose = False,
) -> None:
    """Start a simulated filtration skid, run the engine against it and show its tags live."""
    from engine.cli.demo import run_demo
    from engine.cli.session import make_session

    session = make_session(
        aggregator=aggregator, secret=secret, secret_file=secret_file,
        outbox=outbox, outbox_sync_ms=outbox_sync_ms,
        outbox_limit_mb=outbox_limit_mb, outbox_keep_days=outbox_keep_days,
        archive=archive, archive_parquet=archive_parquet, archive_keep_days=archive_keep_days,
        archive_limit_mb=archive_limit_mb, archive_min_free_mb=archive_min_free_mb,
        output=output, duration_s=duration, plain=plain, verbose=verbose,
    )  # fmt: skip
    raise typer.Exit(run_demo(session))


@app.command()
def check(
    uod: UodFile,
    online: Annotated[
        bool, typer.Option("--online", help="Connect, read every point once and show what it says.")
    ] = False,
    set_: Set = None,
    json: Json = False,
) -> None:
    """List all faults of a UOD at once; exit code 1 when there are any."""
    from engine.cli.check import check_uod

    raise typer.Exit(check_uod(uod, set_ or [], online=online, as_json=json))


@app.command()
def schema() -> None:
    """Print the JSON schema of a UOD, for editors."""
    from engine.cli.check import print_schema

    print_schema()


@app.command()
def drivers(json: Json = False) -> None:
    """List the drivers that a UOD can name, and the keys that each one takes."""
    from engine.cli.drivers import list_drivers

    raise typer.Exit(list_drivers(as_json=json))


@app.command()
def skid(
    opcua_port: Annotated[int, typer.Option(help="0 takes a free one.")] = 4840,
    modbus_port: Annotated[int, typer.Option(help="0 takes a free one.")] = 5020,
    duration: Duration = None,
) -> None:
    """Start the simulated filtration skid alone: an OPC UA server and a Modbus TCP server."""
    from engine.cli.demo import run_simulated_skid

    raise typer.Exit(run_simulated_skid(opcua_port, modbus_port, duration))


app.add_typer(modbus, name="modbus")


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    if show:
        from importlib.metadata import version as installed

        typer.echo(f"skidlink {installed('skidlink')}")
        raise typer.Exit


def main() -> None:
    """The console script."""
    hide_secret()
    app()
