"""What a tag is, once its UOD is read and all units are folded in: the core's only input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from drivers.contract import Kind


class Direction(StrEnum):
    """Which way a tag's value goes, in the words of the UOD."""

    INPUT = "input"
    OUTPUT = "output"
    BOTH = "both"
    NA = "na"
    """No hardware behind it: a derived reading, or one of the engine's own tags."""


class Event(StrEnum):
    """What can make a function with a memory begin anew."""

    RUN_START = "run start"
    BLOCK_START = "block start"


@dataclass(frozen=True, slots=True)
class FromPoint:
    """Fed by a row of a link's image."""

    link: int
    row: int


@dataclass(frozen=True, slots=True)
class FromExpression:
    """Computed from other tags each tick."""

    text: str
    ignore_quality: bool = False
    reset_on: tuple[Event, ...] = (Event.RUN_START,)
    """The events at which its totals, windows and latches begin anew."""
    is_condition: bool = False
    """It has to be true or false: a number is a fault."""
    guards_outputs: bool = False
    """It sees what devices say, and no simulated value but those that shall drive outputs."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """What a tag shows in the place of what its device says: a value, or what an expression gives."""

    value: bool | float | str | None = None
    expr: str | None = None
    drives_outputs: bool = False
    """Whether what guards outputs, as an interlock, sees it too."""


@dataclass(frozen=True, slots=True)
class FromEngine:
    """Set by the engine itself: a system tag, or an output whose device is only ever written."""

    kind: Kind


@dataclass(frozen=True, slots=True)
class TagSpec:
    """One tag of the skid."""

    name: str
    source: FromPoint | FromExpression | FromEngine
    unit: str | None = None
    direction: Direction = Direction.INPUT
    scale: float = 1.0
    """value = raw * scale + offset, the conversion from raw unit to unit folded in; integers stay integers where
    both are whole numbers."""
    offset: float = 0.0
    minimum: float | None = None
    maximum: float | None = None
    outside: Literal["reject", "clamp"] = "reject"
    """An input beyond its limits is bad, or is held at the limit."""
    not_available: tuple[float, ...] = ()
    """Raw values by which the device says that it has none (sentinels)."""
    choices: Mapping[str, int] = field(default_factory=dict[str, int])
    """text -> raw value; a raw value outside them is bad"""
    deadband: float = 0.0
    """Published when it differs by more than this, in units of the tag, from what was last published."""
    deadband_percent: float = 0.0
    """The same in per cent of the span from `minimum` to `maximum`; the wider of the two counts."""
    republish_every_s: float | None = None
    """Published at least this often, changed or not."""
    on_bad: Literal["none", "hold", "value"] = "none"
    """What is published while it is stale or bad: nothing, the last good value, or `on_bad_value`."""
    on_bad_value: bool | float | str | None = None
    stale_after_s: float | None = None
    """Stale when its value was last known to hold longer ago than this; None: never (the engine's own tags)."""
    simulated: Simulated | None = None
    """By what it is simulated from the start, where its author says so."""
    said: Callable[[float], str] | None = None
    """Says its number as people do, as a time; goes out beside the number."""
