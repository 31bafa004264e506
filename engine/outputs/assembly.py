"""The outputs and heartbeats of a skid, each with its guards."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.contract import Value
from engine.links import Link
from engine.outputs.feedback import Feedback
from engine.outputs.heartbeat import Heartbeat
from engine.outputs.interlock import Interlock
from engine.outputs.output import Output
from engine.outputs.ramp import Ramp
from engine.uod.skid import Skid


def outputs_of(skid: Skid, links: Sequence[Link]) -> list[Output]:
    """Makes the outputs of a skid, with all that guards them."""
    by_name = {tag.name: tag for tag in skid.tags}
    found: list[Output] = []
    for spec in skid.outputs:
        tag = skid.tags[spec.tag]
        ramp = None if spec.max_rate is None else Ramp(spec.max_rate, number_of(spec.safe_value), skid.tick_s)
        interlock = None if spec.allowed is None else Interlock(by_name[spec.allowed])
        feedback = None if spec.feedback is None else Feedback(spec.feedback, tag)
        device = skid.links[spec.link].points[spec.row].device
        found.append(Output(spec, tag, links[spec.link], device, ramp=ramp, interlock=interlock, feedback=feedback))
    return found


def heartbeats_of(skid: Skid, links: Sequence[Link]) -> list[Heartbeat]:
    """Makes the heartbeats of a skid."""
    return [
        Heartbeat(spec, skid.tags[spec.tag], links[spec.link], skid.links[spec.link].points[spec.row].device)
        for spec in skid.heartbeats
    ]


def number_of(safe_value: Value | None) -> float:
    """The safe value of an output with a ramp, which always is a number: the check of the UOD sees to that."""
    if safe_value is None or isinstance(safe_value, str):
        raise TypeError(f"a ramp needs a number to start from, not {safe_value!r}")
    return safe_value
