"""A device replayed from what `skidlink modbus scan --dump` has kept of it."""

# Parts of pymodbus's server are not annotated.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.exceptions import NoSuchIdException

from uod_examples.skid.modbus_server import TABLES, PipelinedServer, Place
from uod_examples.skid.registers import Table

FORMAT = "skidlink modbus dump 1"


class ReplayError(Exception):
    """A file is no dump."""


class Replay:
    """What pymodbus takes for its datastore: the addresses that the dump has, and what is written to them since."""

    def __init__(self, file: Path) -> None:
        """Raises `ReplayError`, or `OSError` where the file cannot be read."""
        self._cells: dict[Place, dict[int, int]] = {}
        try:
            dump: Any = json.loads(file.read_text(encoding="utf-8"))
            if dump["format"] != FORMAT:
                raise ReplayError(f"{file} is a dump of another kind: {dump['format']}, not {FORMAT}")
            for device_id, tables in dump["devices"].items():
                for table in Table:
                    self._cells[int(device_id), table] = {
                        int(first) + place: int(value)
                        for first, values in tables.get(table.value, {}).items()
                        for place, value in enumerate(values)
                    }
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ReplayError(f"{file} is not a dump: make one with skidlink modbus scan LINK --dump FILE") from error
        except FileNotFoundError as error:
            raise ReplayError(f"{file}: there is no such file: give what scan --dump has kept") from error
        except OSError as error:
            raise ReplayError(f"{file} cannot be read: {error.strerror}") from error

    def device_ids(self) -> list[int]:
        return sorted({device_id for device_id, _ in self._cells})

    async def async_getValues(  # noqa: N802 - pymodbus's name
        self, device_id: int, func_code: int, address: int, count: int = 1
    ) -> list[int] | list[bool] | ExcCodes:
        """Read; exception 02 for what the dump has not."""
        cells = self._place(device_id, func_code)
        found = [cells[each] for each in range(address, address + count) if each in cells]
        if len(found) < count:
            return ExcCodes.ILLEGAL_ADDRESS
        return [bool(bit) for bit in found] if TABLES[func_code] in {Table.COIL, Table.DISCRETE} else found

    async def async_setValues(  # noqa: N802 - pymodbus's name
        self, device_id: int, func_code: int, address: int, values: Sequence[int] | Sequence[bool]
    ) -> ExcCodes | None:
        """Write; it is held until the replay ends."""
        cells = self._place(device_id, func_code)
        if any(each not in cells for each in range(address, address + len(values))):
            return ExcCodes.ILLEGAL_ADDRESS
        cells.update({address + place: int(value) for place, value in enumerate(values)})
        return None

    def _place(self, device_id: int, function: int) -> dict[int, int]:
        cells = self._cells.get((device_id, TABLES[function]))
        if cells is None:
            raise NoSuchIdException(f"device {device_id}")
        return cells


async def replay(file: Path, port: int, ready: Callable[[int, list[int]], None]) -> None:
    """Serve a dump until cancelled; `ready` is called with the port and the device ids.

    Raises `ReplayError`, or `OSError` where the file cannot be read.
    """
    store = Replay(file)
    server = PipelinedServer(store, port)
    await server.serve_forever(background=True)
    try:
        listener: Any = server.transport
        ready(int(listener.sockets[0].getsockname()[1]), store.device_ids())
        await asyncio.Event().wait()
    finally:
        await server.shutdown()
