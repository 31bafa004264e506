"""Uplinks by name: our own, and those of other packages by the entry point group `skidlink.uplinks`."""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Final, Protocol

from engine.uplinks.contract import Engine, Uplink, UplinkError

GROUP: Final = "skidlink.uplinks"

_OWN = {
    "aggregator": "engine.uplinks.aggregator:AggregatorUplink",
    "file": "engine.uplinks.file:FileUplink",
    "stdout": "engine.uplinks.stdout:StdoutUplink",
}


class UplinkClass(Protocol):
    """How every uplink is made."""

    def __call__(self, engine: Engine, target: str) -> Uplink:
        """`target` is what the user wrote after its name. Raises `UplinkError` when it can never work."""
        ...


@cache
def uplink_paths() -> dict[str, str]:
    """Name -> "module:Class" of every uplink that is installed; our own names cannot be taken by others."""
    return {entry.name: entry.value for entry in sorted(entry_points(group=GROUP))} | _OWN


@cache
def uplink_class(name: str) -> UplinkClass:
    """Import an uplink by name. Raises `UplinkError` with the nearest name, or when it cannot be imported."""
    path = uplink_paths().get(name)
    if path is None:
        near = difflib.get_close_matches(name, uplink_paths(), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known uplinks: {', '.join(sorted(uplink_paths()))}"
        raise UplinkError(f"no uplink is named {name!r}; {hint}")
    module, _, attribute = path.partition(":")
    try:
        found: UplinkClass = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UplinkError(f"uplink {name!r} at {path} cannot be imported: {error}") from error
    return found
