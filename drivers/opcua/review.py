"""What can be said offline of the points of a session together: no I/O in this file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from drivers.contract import Point, Remark
from drivers.opcua.options import DeviceOptions, PointOptions
from drivers.opcua.plan import mode_of

_FOR_SUBSCRIBED = ("sampling_ms", "server_deadband")
_FOR_READ = ("on_uncertain", "stale_by")


def review(devices: Mapping[str, DeviceOptions], points: Sequence[Point]) -> Sequence[Remark]:
    """Remarks on points: devices that share a session but log in differently, and keys without effect."""
    first, *others = devices
    unlike = {other for other in others if devices[other].access != devices[first].access}
    found = [
        Remark(point.tag, "device", f"{point.device} and {first} share a session, but do not log in alike", error=True)
        for point in points
        if point.device in unlike
    ]
    return found + [remark for point in points for remark in _without_effect(devices, point)]


def _without_effect(devices: Mapping[str, DeviceOptions], point: Point) -> Iterator[Remark]:
    options = point.options
    if not isinstance(options, PointOptions):
        return
    for key in _FOR_SUBSCRIBED:
        if key in options.model_fields_set and (not point.read or mode_of(devices, point) == "poll"):
            message = "is for tags that are subscribed to: write mode: subscribe, or delete it"
            yield Remark(point.tag, key, message, error=True)
    for key in _FOR_READ:
        if key in options.model_fields_set and not point.read:
            message = "has no effect on a tag that is only written: delete it, or write direction: both"
            yield Remark(point.tag, key, message, error=True)
    timestamp = devices[point.device].timestamp
    if options.stale_by == "source" and timestamp != "source":
        message = (
            f"device {point.device} has timestamp: {timestamp}, so that no source times are asked for: delete "
            "timestamp, or write stale_by: received"
        )
        yield Remark(point.tag, "stale_by", message, error=True)
