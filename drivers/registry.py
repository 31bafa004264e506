"""Drivers by name: our own, and those of other packages by the entry point group `skidlink.drivers`.

A driver's module is imported when the driver is first used, so that a UOD without OPC UA never loads asyncua.
"""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from drivers.contract import Driver, DriverError

GROUP = "skidlink.drivers"

_OWN = {
    "modbus-ascii": "drivers.modbus.driver:ModbusAscii",
    "modbus-ascii-over-tcp": "drivers.modbus.driver:ModbusAsciiOverTcp",
    "modbus-rtu": "drivers.modbus.driver:ModbusRtu",
    "modbus-rtu-over-tcp": "drivers.modbus.driver:ModbusRtuOverTcp",
    "modbus-tcp": "drivers.modbus.driver:ModbusTcp",
    "modbus-tls": "drivers.modbus.driver:ModbusTls",
    "modbus-udp": "drivers.modbus.driver:ModbusUdp",
    "opcua": "drivers.opcua.driver:OpcUa",
    "simulated": "drivers.simulated:Simulated",
}


class UnknownDriverError(DriverError):
    """No driver has this name."""


@cache
def driver_paths() -> dict[str, str]:
    """Name -> "module:Class" of every driver that is installed; our own names cannot be taken by others."""
    return {entry.name: entry.value for entry in sorted(entry_points(group=GROUP))} | _OWN


@cache
def driver_class(name: str) -> type[Driver]:
    """Import a driver by name.

    Raises `UnknownDriverError` with the nearest name, or `DriverError` when its module cannot be imported.
    """
    path = driver_paths().get(name)
    if path is None:
        near = difflib.get_close_matches(name, driver_paths(), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known drivers: {', '.join(sorted(driver_paths()))}"
        raise UnknownDriverError(f"no driver is named {name!r}; {hint}")
    module, _, attribute = path.partition(":")
    try:
        found: type[Driver] = getattr(import_module(module), attribute)
    except Exception as error:
        # Foreign code may raise anything while it is imported; what it means is that this driver cannot be used.
        raise DriverError(f"driver {name!r} at {path} cannot be imported: {error}") from error
    return found
