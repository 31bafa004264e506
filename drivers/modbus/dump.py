"""What a link's devices hold, as text that can be kept and replayed. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping

FORMAT = "skidlink modbus dump 1"

Cells = Mapping[int, int]
"""address -> register or bit"""


def dumped(link: str, devices: Mapping[int, Mapping[str, Cells]]) -> str:
    """JSON: device id -> table -> first address of each range -> what its addresses hold, in their order."""
    return json.dumps(
        {
            "format": FORMAT,
            "link": link,
            "devices": {
                str(device_id): {table: _ranges(cells) for table, cells in tables.items() if cells}
                for device_id, tables in devices.items()
            },
        },
        indent=1,
    )


def _ranges(cells: Cells) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    last: int | None = None
    values: list[int] = []
    for address in sorted(cells):
        if last is None or address != last + 1:
            values = found.setdefault(str(address), [])
        values.append(cells[address])
        last = address
    return found
