"""`skidlink demo` and `skidlink skid`: the simulated skid, with and without the engine on it."""

from __future__ import annotations

import asyncio
import sys
from importlib.resources import as_file, files

from engine.cli.check import print_faults
from engine.cli.run import run_skid, stop_on_signals
from engine.cli.screen import Grid, console_for, tell
from engine.cli.session import Session
from engine.engine import Engine
from engine.uod.reader import read_uod
from uod_examples.skid import Skid, SkidError, address_map, serve

DEMO_UOD = "filtration.yaml"
_TIMEOUT_MS = 30_000
"""The servers of the demo share this machine with all else that it does, and may answer late."""


def run_demo(session: Session) -> int:
    """Run the filtration UOD against a simulated skid on free ports of this machine."""
    try:
        return asyncio.run(_demo(session))
    except SkidError as error:
        tell(str(error))
        return 1


async def _demo(session: Session) -> int:
    console_for(sys.stderr).print("starting the simulated skid: an OPC UA server and a Modbus TCP server ...")
    async with Skid() as skid:
        overrides = [f"devices.plc.endpoint={skid.opcua_endpoint}", "devices.plc.security=none"]
        for device in ("pump", "transmitter"):
            overrides += [f"devices.{device}.host={skid.modbus_host}", f"devices.{device}.port={skid.modbus_port}"]
        overrides += [f"devices.{device}.timeout_ms={_TIMEOUT_MS}" for device in ("plc", "pump", "transmitter")]
        with as_file(files("uod_examples") / DEMO_UOD) as file:
            reading = read_uod(file, overrides)
        print_faults(reading)
        if reading.skid is None:
            return 1
        return await run_skid(reading.skid, session, _operate)


async def _operate(engine: Engine) -> None:
    """Do what an operator does: open the valves, start the pump, and change its speed now and then."""
    while not _is_ready(engine):  # noqa: ASYNC110  # an operator looks now and then, too
        await asyncio.sleep(engine.skid.tick_s)
    engine.outputs.wish("VA01", "Open")
    engine.outputs.wish("VA02", "Open")
    while True:
        for speed in (60.0, 80.0, 40.0):
            if not engine.runs.paused:
                engine.outputs.wish("PU01", speed)
            await asyncio.sleep(15)


def _is_ready(engine: Engine) -> bool:
    table = engine.scan.core.table
    return all(link.up for link in engine.links) and table.value(table.row_of("PU01 Allowed")) is True


def run_simulated_skid(opcua_port: int, modbus_port: int, duration_s: float | None) -> int:
    """Serve the simulated skid until a signal comes or its time is over."""
    try:
        asyncio.run(_serve(opcua_port, modbus_port, duration_s))
    except SkidError as error:
        tell(str(error))
        return 1
    return 0


async def _serve(opcua_port: int, modbus_port: int, duration_s: float | None) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop)
    serving = asyncio.create_task(serve(_announce, opcua_port=opcua_port, modbus_port=modbus_port))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, timeout=duration_s, return_when=asyncio.FIRST_COMPLETED)
    for task in (serving, stopping):
        task.cancel()
    outcome, _ = await asyncio.gather(serving, stopping, return_exceptions=True)
    if isinstance(outcome, Exception):
        raise outcome


def _announce(skid: Skid) -> None:
    table = Grid("bus", "name", "address", "type", "unit", "access")
    for row in address_map():
        table.add_row(row.bus, row.name, row.address, row.type, row.unit, row.access)
    console = console_for(sys.stdout)
    console.print(table)
    console.print(f"OPC UA     {skid.opcua_endpoint}", highlight=False)
    console.print(f"Modbus TCP {skid.modbus_host}:{skid.modbus_port}", highlight=False)
    console.print("Ctrl-C ends")
