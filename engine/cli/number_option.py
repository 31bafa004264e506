"""Numbers among the options of the command line."""

from __future__ import annotations

import typer

from engine.uod.number_text import how_to_write, is_number


def number_option(given: str | float) -> float:
    """Read a number that is not below zero; one with a decimal comma is refused with the way to write it."""
    text = str(given)
    if not is_number(text):
        hint = how_to_write(text) or "write it as 1.5"
        raise typer.BadParameter(f"{text!r} is not a number; {hint}")
    number = float(text)
    if number < 0:
        raise typer.BadParameter(f"{text} is below zero")
    return number
