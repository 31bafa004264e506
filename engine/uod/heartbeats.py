"""Signs of life: points that the engine writes by itself, so that a PLC can tell when it is gone."""

from __future__ import annotations

from drivers.contract import Kind
from engine.uod.faults import Finding, Path
from engine.uod.model import Tag
from engine.uod.skid import HeartbeatSpec
from engine.uod.wiring import Socket

EVERY_MS = 1000
COUNT_TO = 99
"""Fits every integer and BCD type that a PLC may have."""
_FOR_VALUES = (
    "unit", "raw_unit", "scale", "offset", "choices", "safe_value",
    "max_rate", "allow_if", "feedback", "feedback_tolerance", "feedback_after_ms", "momentary",
)  # fmt: skip
"""The keys that a heartbeat cannot have: nobody sets it, and what it is set to is a raw value."""


def check_heartbeat(path: Path, tag: Tag) -> list[Finding]:
    """All that can be wrong with a tag that has the key `heartbeat`, beside its kind."""
    findings: list[Finding] = []
    if tag.direction == "input":
        findings.append(Finding((*path, "heartbeat"), "an input is never written", "make it direction: output"))
    useless = _FOR_VALUES if tag.heartbeat == "counter" else (*_FOR_VALUES, "min", "max")
    findings += [
        Finding((*path, key), f"the engine sets a heartbeat: {key} does nothing", "take it out")
        for key in useless
        if key in tag.model_fields_set
    ]
    for key in ("min", "max") if tag.heartbeat == "counter" else ():
        bound = getattr(tag, key)
        if bound is not None and bound != int(bound):
            findings.append(Finding((*path, key), f"a counter goes from one whole number to another, not {bound:.12g}"))
    if tag.max is None and tag.min is not None and tag.min >= COUNT_TO:
        findings.append(Finding((*path, "min"), f"min {tag.min:.12g} is not below {COUNT_TO}, up to which it counts"))
    return findings


def heartbeat_spec(index: int, tag: Tag, socket: Socket) -> HeartbeatSpec:
    """The heartbeat of a tag, which is the `index`th of the skid."""
    counts = tag.heartbeat == "counter"
    return HeartbeatSpec(
        tag=index,
        link=socket.link,
        row=socket.row,
        read_back=tag.direction == "both",
        every_s=(tag.heartbeat_every_ms or EVERY_MS) / 1000,
        least=int(tag.min or 0) if counts else 0,
        most=(COUNT_TO if tag.max is None else int(tag.max)) if counts else 1,
    )


def unfit_heartbeat(path: Path, tag: Tag, kind: Kind) -> list[Finding]:
    """What is wrong where the point has the wrong kind for it."""
    wrong = kind is Kind.TEXT or (kind is Kind.BOOL and tag.heartbeat == "counter")
    if not wrong:
        return []
    message = f"a {tag.heartbeat} cannot be written here: this point holds {'a text' if kind is Kind.TEXT else 'a bit'}"
    hint = "choose a point of a number type" if kind is Kind.TEXT else "write heartbeat: toggle"
    return [Finding((*path, "heartbeat"), message, hint)]
