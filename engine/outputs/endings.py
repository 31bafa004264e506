"""What each output was made when the engine ended, for the last thing that a person sees of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from drivers.contract import Value
from engine.outputs.output import Output


class End(StrEnum):
    """How far the state of an output is known."""

    SAFE = "safe value accepted"
    REFUSED = "safe value refused by the device"
    UNCONFIRMED = "safe value not confirmed"
    """It was written, or was to be, and the device has not answered."""
    UNREACHABLE = "device not reachable, state not known"
    LEFT = "left as it is"
    """It has no safe value, or this engine does not write to it."""

    @property
    def is_known(self) -> bool:
        """Whether nobody needs to look at the skid for it."""
        return self in {End.SAFE, End.LEFT}


@dataclass(frozen=True, slots=True)
class Ending:
    """One output at the end."""

    tag: str
    value: Value | None
    """What its device has accepted last; else what it should have accepted. None: nothing is known of it."""
    unit: str | None
    end: End


def endings_of(outputs: Sequence[Output]) -> list[Ending]:
    """The outputs as they are now, in their order."""
    return [Ending(output.tag.name, *_end_of(output)) for output in outputs]


def _end_of(output: Output) -> tuple[Value | None, str | None, End]:
    safe, told, unit = output.spec.safe_value, output.told(), output.tag.unit
    if safe is None or output.wanted is None:
        return told, unit, End.LEFT
    if not output.reachable:
        return safe, unit, End.UNREACHABLE
    if output.sent is not None:
        return safe, unit, End.UNCONFIRMED
    if told is not None and output.is_safe(told):
        return safe, unit, End.SAFE
    return safe, unit, End.REFUSED if output.refused else End.UNCONFIRMED


def in_sentences(endings: Sequence[Ending]) -> list[tuple[End, str]]:
    """One sentence a kind of end, the worst last: "safe value accepted: PU01 0 %, VA01 Closed"."""
    told: list[tuple[End, str]] = []
    for end in (End.LEFT, End.SAFE, End.REFUSED, End.UNCONFIRMED, End.UNREACHABLE):
        alike = [_in_words(each) for each in endings if each.end is end]
        if alike:
            told.append((end, f"{end}: {', '.join(alike)}{'' if end.is_known else '; look at the skid'}"))
    return told


def _in_words(ending: Ending) -> str:
    if ending.value is None:
        return ending.tag
    value = (ending.value or "(empty)") if isinstance(ending.value, str) else f"{ending.value:g}"
    return f"{ending.tag} {value}{f' {ending.unit}' if ending.unit else ''}"
