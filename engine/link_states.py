"""How a link and its devices are doing, and what has happened on it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LinkState(StrEnum):
    """Where a link is in its life."""

    CONNECTING = "connecting"
    UP = "up"
    DEGRADED = "degraded"
    """Up, but at least one of its devices does not answer."""
    DOWN = "down"


class DeviceState(StrEnum):
    """How a device is doing."""

    CONNECTING = "connecting"
    """It has not been reached since the start."""
    UP = "up"
    DEGRADED = "degraded"
    """It answers, but has no value for at least one of its points."""
    DEMOTED = "demoted"
    """It does not answer on a link that lives: it is left to rest, and probed now and then."""
    DOWN = "down"
    """Its link is broken."""


@dataclass(slots=True)
class Counters:
    """What has happened on a link since the start."""

    reads: int = 0
    late_reads: int = 0
    """Turns of a scan group that were left out because the one before had not ended."""
    writes: int = 0
    refused_writes: int = 0
    silent: int = 0
    """Readings that a device did not answer."""
    broken: int = 0
    """Times that the link broke, or could not be opened."""
    state_changes: int = 0
    """Changes of state of its devices."""
