"""What is read together, known before the server is: no I/O in this file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
from asyncua import ua

from drivers.contract import Group, Kind, Point, groups_of
from drivers.opcua.address import Address, parse_address
from drivers.opcua.codec import KINDS, OnUncertain
from drivers.opcua.options import DeviceOptions, Mode, PointOptions, StaleBy

DECLARED = {
    "bool": ua.VariantType.Boolean,
    "int8": ua.VariantType.SByte,
    "uint8": ua.VariantType.Byte,
    "int16": ua.VariantType.Int16,
    "uint16": ua.VariantType.UInt16,
    "int32": ua.VariantType.Int32,
    "uint32": ua.VariantType.UInt32,
    "int64": ua.VariantType.Int64,
    "uint64": ua.VariantType.UInt64,
    "float32": ua.VariantType.Float,
    "float64": ua.VariantType.Double,
    "string": ua.VariantType.String,
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where one point is on its server."""

    tag: str
    device: str
    node: int
    """Position in `Plan.addresses`."""
    index: int | None
    declared: ua.VariantType | None
    server_texts: bool = False
    read_back: bool = False
    on_uncertain: OnUncertain | None = None
    stale_by: StaleBy = "received"
    writes: bool = False

    @property
    def kind(self) -> Kind:
        """The column before the server has been asked."""
        if self.server_texts:
            return Kind.TEXT
        return Kind.FLOAT if self.declared is None else KINDS[self.declared]


@dataclass(frozen=True, slots=True)
class Plan:
    """Every point of one session, and the nodes that they share."""

    devices: Mapping[str, DeviceOptions]
    places: Sequence[Place]
    """One a point, in the order of the points."""
    addresses: Sequence[Address]
    """Each node once, however many points take elements of it."""
    groups: Sequence[Group]
    subscribed: Sequence[bool]
    """One a group: whether it is subscribed to, not polled."""
    known_within_s: Sequence[float]
    """One a group: how soon a dead session must be known, so that its next reading would not find stale values."""
    options: Sequence[PointOptions]
    """One a point."""

    def nodes_of(self, group: int) -> list[int]:
        """The nodes that a group reads, each once: positions in `addresses`."""
        rows: list[int] = self.groups[group].rows.tolist()
        return list(dict.fromkeys(self.places[row].node for row in rows))

    def lines(self, limit: int) -> list[str]:
        """What each group costs when the server takes `limit` nodes a request (0: any number)."""
        found: list[str] = []
        for number, group in enumerate(self.groups):
            nodes = len(self.nodes_of(number))
            requests = len(list(batches(nodes, limit)))
            cadences = sum(other.device == group.device for other in self.groups)
            how = f"{_count(requests, 'request')} read{'s' if requests == 1 else ''}"
            found.append(
                f"{group.device}: {'a subscription follows' if self.subscribed[number] else how} "
                f"{_count(nodes, 'node')} for {_count(group.rows.size, 'tag')}"
                f"{f' every {group.every_ms} ms' if cadences > 1 else ''}"
            )
        return found


def make_plan(devices: Mapping[str, DeviceOptions], points: Sequence[Point]) -> Plan:
    """Give every point its place."""
    known: dict[str, int] = {}
    addresses: list[Address] = []
    places: list[Place] = []
    for point in points:
        options = _options(point)
        if options.node not in known:
            known[options.node] = len(addresses)
            addresses.append(parse_address(options.node))
        declared = None if options.type is None else DECLARED[options.type]
        place = Place(
            point.tag,
            point.device,
            known[options.node],
            options.index,
            declared,
            options.server_texts,
            options.read_back,
            options.on_uncertain or devices[point.device].on_uncertain,
            options.stale_by or devices[point.device].stale_by,
            point.write,
        )
        places.append(place)
    groups, subscribed = _groups(devices, points)
    known_within_s = [_known_within_s(group, points) for group in groups]
    return Plan(devices, places, addresses, groups, subscribed, known_within_s, [_options(point) for point in points])


def mode_of(devices: Mapping[str, DeviceOptions], point: Point) -> Mode:
    """How a point is read: as it says itself, else as its device says."""
    return _options(point).mode or devices[point.device].mode


def _groups(devices: Mapping[str, DeviceOptions], points: Sequence[Point]) -> tuple[list[Group], list[bool]]:
    """Group by device and cadence, polled and subscribed points apart."""
    groups: list[Group] = []
    subscribed: list[bool] = []
    for mode in get_args(Mode):
        rows = [row for row, point in enumerate(points) if mode_of(devices, point) == mode]
        found = groups_of([points[row] for row in rows])
        stamps = mode == "subscribe"
        groups += [replace(group, rows=np.array(rows, np.intp)[group.rows], stamps=stamps) for group in found]
        subscribed += [stamps] * len(found)
    return groups, subscribed


def _known_within_s(group: Group, points: Sequence[Point]) -> float:
    """The smallest limit of the group's points less one cadence, as an error is seen at the next reading only."""
    rows: list[int] = group.rows.tolist()
    limits = [limit for row in rows if (limit := points[row].stale_after_ms) is not None]
    smallest = min(limits, default=math.inf)
    return max(smallest - group.every_ms, smallest / 2) / 1000


def batches(count: int, limit: int) -> Iterator[slice]:
    """Cut `count` operations into the fewest requests of at most `limit` (0: any number), as even as they go."""
    requests = 1 if limit == 0 else -(-count // limit)
    for request in range(requests if count else 0):
        yield slice(count * request // requests, count * (request + 1) // requests)


def _options(point: Point) -> PointOptions:
    if not isinstance(point.options, PointOptions):
        kind = type(point.options).__name__
        raise TypeError(f"tag {point.tag}: an OPC UA point takes opcua.PointOptions, not {kind}")
    return point.options


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
