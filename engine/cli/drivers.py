"""`skidlink drivers`: what a UOD can name."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass

from drivers.contract import DriverError, Options, Writes
from drivers.registry import driver_class, driver_paths
from engine.cli.screen import Grid, console_for, tell, tell_json


@dataclass(frozen=True, slots=True)
class DriverRow:
    """What the list says of one driver."""

    name: str
    path: str
    writes: bool
    device_keys: dict[str, str]
    """key -> default as JSON; "" for a key that must be given"""
    tag_keys: dict[str, str]


def _keys(options: type[Options]) -> dict[str, str]:
    return {
        name: "" if field.is_required() else json.dumps(field.get_default(call_default_factory=True), default=str)
        for name, field in options.model_fields.items()
    }


def _text(keys: dict[str, str]) -> str:
    return ", ".join(name if default in {"", "null"} else f"{name}={default}" for name, default in keys.items())


def list_drivers(*, as_json: bool) -> int:
    """Print every driver with its keys; exit code 1 when one of them cannot be imported."""
    rows: list[DriverRow] = []
    broken: list[str] = []
    for name, path in sorted(driver_paths().items()):
        try:
            found = driver_class(name)
        except DriverError as error:
            broken.append(str(error))
            continue
        keys = _keys(found.DeviceOptions), _keys(found.PointOptions)
        rows.append(DriverRow(name, path, issubclass(found, Writes), *keys))
    if as_json:
        tell_json({"drivers": [asdict(row) for row in rows], "broken": broken})
    else:
        table = Grid("driver", "writes", "keys of a device", "keys of a tag", box=None, padding=(0, 2, 1, 0))
        for row in rows:
            table.add_row(row.name, "yes" if row.writes else "no", _text(row.device_keys), _text(row.tag_keys))
        console_for(sys.stdout).print(table)
        for message in broken:
            tell(message)
    return 1 if broken else 0
