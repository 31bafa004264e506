"""`skidlink modbus`: looking at devices that nobody has described yet. What it does is in `modbus_survey`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drivers.modbus.pdu import Table
from drivers.modbus.vendor_addresses import Counting
from drivers.modbus.vendor_numbers import Factor

modbus = typer.Typer(help="Look at Modbus devices: find them, read them raw, take over a vendor's register table.")

LinkName = Annotated[
    str, typer.Argument(metavar="LINK", help="HOST, HOST:PORT, /dev/ttyUSB0 or rtu:///dev/ttyUSB0?baudrate=9600")
]
Timeout = Annotated[int, typer.Option("--timeout-ms", min=10, help="How long a device may take for an answer.")]
Last = Annotated[int, typer.Option(min=0, max=65_535, help="The last address to look at, in each table.")]
Requests = Annotated[int, typer.Option(min=1, help="The most requests to spend on each table of a device.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")]


@modbus.command()
def scan(
    link: LinkName,
    ids: Annotated[
        str | None, typer.Option(help="The device ids to ask, such as 1-10,247 (0-32,255; on a serial line 1-32).")
    ] = None,
    last: Last = 255,
    requests: Requests = 600,
    timeout_ms: Timeout = 300,
    dump: Annotated[Path | None, typer.Option(metavar="FILE", help="Keep all that was read, to replay it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find the device ids of a link, and what each device lets be read. Nothing is written."""
    from engine.cli import modbus_survey

    options = modbus_survey.ScanOptions(ids, last, requests, timeout_ms, dump, as_json)
    raise typer.Exit(modbus_survey.run(modbus_survey.scan(link, options)))


@modbus.command()
def probe(
    where: Annotated[str, typer.Argument(metavar="UOD|LINK", help="A UOD, or a link as for scan.")],
    address: Annotated[str, typer.Argument(help="100 (holding), input:7, coil:3 or modicon:40101")],
    expect: Annotated[str | None, typer.Option(help="What the device shows there now, such as 23.4.")] = None,
    device: Annotated[
        str | None, typer.Option(help="Which device of the UOD; without it the first Modbus one.")
    ] = None,
    device_id: Annotated[int, typer.Option(help="Which device of a link.")] = 1,
    tag: Annotated[str, typer.Option(help="The name of the tag in the line to paste.")] = "NEW",
    timeout_ms: Timeout = 1000,
    as_json: AsJson = False,
) -> None:
    """Show the raw words around an address in all types and orders, and which of them give an expected value."""
    from engine.cli import modbus_survey

    try:
        wanted = None if expect is None else modbus_survey.expected(expect)
    except ValueError as error:
        raise typer.BadParameter(f"{error}; write it as 21.5", param_hint="--expect") from error
    options = modbus_survey.ProbeOptions(wanted, device, device_id, tag, timeout_ms, as_json)
    raise typer.Exit(modbus_survey.run(modbus_survey.probe(where, address, options)))


@modbus.command()
def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What scan --dump has kept.")],
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes a free one.")] = 5020,
) -> None:
    """Serve what a scan has kept as a Modbus TCP device, to try a UOD on it. Ctrl-C ends."""
    from engine.cli.modbus_survey import run_replay

    raise typer.Exit(run_replay(file, port))


@modbus.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="MAP.CSV", help="The vendor's table: CSV, or a manual in Markdown.")],
    device: Annotated[str, typer.Option(help="The device that the tags are on.")] = "device",
    base: Annotated[
        int | None, typer.Option(min=0, max=1, help="The number the vendor gives the first register (0).")
    ] = None,
    table: Annotated[Table, typer.Option(help="The table meant where nothing says it.")] = Table.HOLDING,
    factor: Annotated[
        Factor | None, typer.Option(help="What a bare factor such as 10 does to what a register holds.")
    ] = None,
    addresses: Annotated[
        Counting, typer.Option(help="Whether 40001 is the first holding register (modicon), or an address (plain).")
    ] = "auto",
    column: Annotated[
        list[str] | None,
        typer.Option(metavar="HEADING=ROLE", help='What a column holds, such as "Datenformat=type"; or =ignore.'),
    ] = None,
    device_id: Annotated[int | None, typer.Option(min=0, max=255, help="Take only the rows of this device id.")] = None,
    as_json: AsJson = False,
) -> None:
    """Turn a vendor's register table into tags of a UOD, on the standard output, each with its line in the table."""
    from drivers.modbus.register_map import MapOptions
    from engine.cli.modbus_import import columns_said, import_map

    try:
        columns = columns_said(column or [])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--column") from error
    options = MapOptions(base, table, factor, addresses, columns, device_id)
    raise typer.Exit(import_map(file, device, options, as_json=as_json))
