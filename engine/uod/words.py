"""The words of the engine itself that users can give beside the commands of a UOD, as an editor has to know them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

_DURATION = r"^\s*(?P<number>[0-9]+[.][0-9]*?|[.][0-9]+|[0-9]+)\s* ?(?P<number_unit>s|min|h)\s*$"
_TEXT = r"^(?P<text>.+)$"
_NOTHING = "^$"
_ANYTHING = ""


@dataclass(frozen=True, slots=True)
class Word:
    """One of them."""

    name: str
    pattern: str
    """What may follow it, as a regular expression."""
    meaning: str
    example: str


def bases(tags: Collection[str]) -> tuple[str, ...]:
    """The units in which a skid with these tags can count: of time always, of volumes where they are counted."""
    volume = ("L", "mL") if "Accumulated Volume" in tags else ()
    columns = ("CV",) if "Accumulated CV" in tags else ()
    return ("s", "min", "h", *volume, *columns)


def words(tags: Collection[str]) -> tuple[Word, ...]:
    """All of them, for a skid with these tags."""
    return (
        Word("Base", rf"^\s*({'|'.join(bases(tags))})\s*$", "The unit in which a method counts", "Base: min"),
        Word("Batch", _TEXT, "Name the batch", "Batch: B-17"),
        Word("Error", _TEXT, "Tell all users of an error", "Error: the filter leaks"),
        Word("Hold", rf"({_DURATION})|^\s*$", "Let time stand still, outputs as they are", "Hold: 5 min"),
        Word("Increment run counter", _NOTHING, "Add one to the counter of runs", "Increment run counter"),
        Word("Info", _TEXT, "Write into the engine's log", "Info: a new filter is in"),
        Word("Mark", _TEXT, "Mark this moment in the plot and the archive", "Mark: washed"),
        Word("Pause", rf"({_DURATION})|^\s*$", "Let time stand still, outputs at their safe values", "Pause: 5 min"),
        Word("Restart", _NOTHING, "End the run and begin another one", "Restart"),
        Word("Run counter", r"^\s*(?P<number>[0-9]+)\s*$", "Set the counter of runs", "Run counter: 1"),
        Word("Simulate", _ANYTHING, "Show something else than the device says", "Simulate: PT01 = 1.5 bar"),
        Word("Simulate off", _ANYTHING, "Show again what the device says", "Simulate off: PT01"),
        Word("Stop", _NOTHING, "End the run", "Stop"),
        Word("Unhold", _NOTHING, "Go on after Hold", "Unhold"),
        Word("Unpause", _NOTHING, "Go on after Pause", "Unpause"),
        Word("Wait", _DURATION, "Let the lines after this one wait", "Wait: 5 s"),
        Word("Warning", _TEXT, "Warn all users", "Warning: the tank is low"),
    )
