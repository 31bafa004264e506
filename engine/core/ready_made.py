"""Derived tags that users of Open Pectus know, each an expression like those that authors write."""

from __future__ import annotations

from engine.core.expression import quoted
from engine.core.spec import Direction, Event, FromExpression, TagSpec


def accumulated_volume(totaliser: str, unit: str, name: str = "Accumulated Volume") -> TagSpec:
    """What a totaliser has counted since the start of the run, in the totaliser's unit."""
    return _derived(name, f"since({quoted(totaliser)})", unit, Event.RUN_START)


def accumulated_column_volumes(totaliser: str, column_volume: str, name: str = "Accumulated CV") -> TagSpec:
    """The same in column volumes, of which the tag `column_volume` holds the size; 0 while that is not above 0."""
    column = quoted(column_volume)
    return _derived(name, f"where({column} > 0, since({quoted(totaliser)}) / {column}, 0)", "CV", Event.RUN_START)


def block_volume(totaliser: str, unit: str, name: str = "Block Volume") -> TagSpec:
    """What a totaliser has counted since the start of the block, or of the run before the first block.

    Blocks do not nest: an inner one begins it anew, and the end of that does not bring back what the outer one had.
    """
    return _derived(name, f"since({quoted(totaliser)})", unit, Event.RUN_START, Event.BLOCK_START)


def block_column_volumes(totaliser: str, column_volume: str, name: str = "Block CV") -> TagSpec:
    """The same in column volumes."""
    column = quoted(column_volume)
    text = f"where({column} > 0, since({quoted(totaliser)}) / {column}, 0)"
    return _derived(name, text, "CV", Event.RUN_START, Event.BLOCK_START)


def _derived(name: str, text: str, unit: str, *events: Event) -> TagSpec:
    return TagSpec(name, FromExpression(text, reset_on=events), unit=unit, direction=Direction.NA)
