"""Whether the timeouts, cadences and staleness of one link can hold together. No I/O."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from drivers.contract import Image, Point, Remark, groups_of
from drivers.modbus.codec import Field
from drivers.modbus.counters import LinkCounters
from drivers.modbus.options import DeviceOptions, LineOptions
from drivers.modbus.plan import Block, plan_group
from drivers.modbus.wires import Wire

_ROUND_MS = 10
"""Suggested times are multiples of this."""
_SHORTEST_MS = 50
"""No shorter timeout is suggested."""


def spare_s(device: str, points: Sequence[Point]) -> float:
    """How long the readings of a device can wait for others before one of them is stale, in seconds."""
    first = _first_stale(points, device)
    return math.inf if first is None else max(0, _spare_ms(first)) / 1000


def remarks_on_time(
    devices: Mapping[str, DeviceOptions], points: Sequence[Point], fields: Sequence[Field], wire: Wire
) -> Iterator[Remark]:
    """Point out timeouts that make readings stale, and turns that take longer than their cadence.

    Raises `DriverError` where the points cannot be planned.
    """
    for device, options in devices.items():
        remark = _on_timeout(device, options, devices, points)
        if remark is not None:
            yield remark
    yield from _on_turn(devices, points, fields, wire)


def _on_timeout(
    device: str, options: DeviceOptions, devices: Mapping[str, DeviceOptions], points: Sequence[Point]
) -> Remark | None:
    """Say which values become stale while a device is waited for: first those of others, then its own."""
    firsts = [first for name in devices if name != device and (first := _first_stale(points, name)) is not None]
    other = min(firsts, key=_spare_ms, default=None)
    mine = _first_stale(points, device)
    timeout_ms = options.timeout_ms
    if other is not None and 0 < _spare_ms(other) < timeout_ms:
        why = f"while {device} does not answer, {other.tag} of {other.device} becomes stale"
    elif mine is not None and 0 < _spare_ms(mine) < timeout_ms:
        other, why = mine, f"a single lost response makes {mine.tag} stale before it is asked for again"
    else:
        return None
    shorter_ms = _spare_ms(other) // 2 // _ROUND_MS * _ROUND_MS
    shorter = f"timeout_ms: {shorter_ms} under {device}, or " if shorter_ms >= _SHORTEST_MS else ""
    return Remark(
        "",
        "timeout_ms",
        f"{timeout_ms} ms is longer than the readings of this link can wait: {why} (stale_after_ms "
        f"{other.stale_after_ms}, every_ms {other.every_ms}); set {shorter}"
        f"stale_after_ms: {_up(2 * timeout_ms + other.every_ms)} under {other.device}",
        device=device,
    )


def _on_turn(
    devices: Mapping[str, DeviceOptions], points: Sequence[Point], fields: Sequence[Field], wire: Wire
) -> Iterator[Remark]:
    """Say that a link has no time for all its readings, and what would do."""
    pace, size = wire.pace, wire.frames(LinkCounters()).size
    image = Image([field.data_type.kind for field in fields])
    share = 0.0
    turn_s = 0.0

    def cost_s(block: Block) -> float:
        request = block.request
        on_the_line = pace.byte_s * (size(len(request.pdu)) + size(request.reply_size)) + 2 * pace.silence_s
        return on_the_line + options.pause_between_requests_ms / 1000

    groups = groups_of(points)
    for group in groups:
        options = devices[group.device]
        plan = plan_group(group, [fields[int(row)] for row in group.rows], options, image)
        cost = sum(cost_s(block) for block in plan.blocks)
        share += cost / (group.every_ms / 1000)
        turn_s += cost
    if share <= 1.0:
        return
    device, first = next(iter(devices.items()))
    reader = min((point for point in points if point.read), key=lambda point: (point.stale_after_ms or 0, point.tag))
    paused = any(options.pause_between_requests_ms for options in devices.values())
    is_line = isinstance(first, LineOptions)
    key = "baudrate" if is_line else "pause_between_requests_ms"
    at = f" at {first.baudrate} baud" if isinstance(first, LineOptions) else ""
    real_ms = share * reader.every_ms
    stale = ""
    if reader.stale_after_ms is not None and real_ms >= reader.stale_after_ms:
        stale = f", and stale in between (stale_after_ms {reader.stale_after_ms})"
    ways = {"a higher baudrate": is_line, "a shorter pause_between_requests_ms": paused}
    help_too = " or ".join(way for way, helps in ways.items() if helps)
    yield Remark(
        "",
        key,
        f"{wire.name} has no time for all its readings: to read each tag once takes at least {_up(turn_s * 1000)} ms"
        f"{at}, so that {reader.tag} is read every {_up(real_ms)} ms at best, not every {reader.every_ms} ms{stale}; "
        f"set every_ms: {_up(1.2 * real_ms)} for its devices, or {help_too}",
        device=device,
    )


def _first_stale(points: Sequence[Point], device: str) -> Point | None:
    """The point of a device that is the first to become stale when it is not read."""
    ageing = [point for point in points if point.device == device and point.read and point.stale_after_ms is not None]
    return min(ageing, key=_spare_ms, default=None)


def _spare_ms(point: Point) -> int:
    return (point.stale_after_ms or 0) - point.every_ms


def _up(ms: float) -> int:
    return math.ceil(ms / _ROUND_MS) * _ROUND_MS
