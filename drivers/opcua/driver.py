"""The driver of OPC UA servers."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

from asyncua import ua

from drivers.contract import Group, Image, LinkError, Options, Point, Remark, Value
from drivers.opcua import options as opcua_options
from drivers.opcua.advice import with_advice
from drivers.opcua.binding import NO_BINDING, WHOLE_ARRAY, bind, element_of, held, is_same, is_whole_array, write_value
from drivers.opcua.codec import status_text
from drivers.opcua.known_nodes import KnownNodes
from drivers.opcua.link import Link
from drivers.opcua.node_ids import key_of, node_text, value_of
from drivers.opcua.nodes import Node
from drivers.opcua.plan import make_plan
from drivers.opcua.poll import Poll
from drivers.opcua.review import review
from drivers.opcua.session import Probing
from drivers.opcua.standstill import Standstill
from drivers.opcua.subscription import Subscription, Subscriptions

_log = logging.getLogger("skidlink.drivers.opcua")

_MOST_BREAKS = 48
"""So many sessions may break off in one `open` while the nodes that break them are looked for: a few of thousands."""
_PAUSE_S = 0.2
"""Before the next of these sessions."""


class OpcUa:
    """One session with an OPC UA server, for all devices of its endpoint."""

    DeviceOptions: ClassVar[type[Options]] = opcua_options.DeviceOptions
    PointOptions: ClassVar[type[Options]] = opcua_options.PointOptions

    def __init__(self, devices: Mapping[str, opcua_options.DeviceOptions], points: Sequence[Point]) -> None:
        self._plan = make_plan(devices, points)
        first = next(iter(devices.values()))
        timeout_s = max(device.timeout_ms for device in devices.values()) / 1000
        within_s = min(self._plan.known_within_s, default=math.inf)
        answer_s = max(device.answer_within_s(within_s * 3 / 4) for device in devices.values())
        self._link = Link(first.endpoint, timeout_s, first.access, Probing(within_s / 4, answer_s))
        self._known = KnownNodes(self._link, self._plan)
        self._binding = NO_BINDING
        self._standstill = Standstill(first.endpoint, self._plan, [point.stale_after_ms for point in points])
        self._readings: Sequence[Poll | Subscription] = ()
        """One a group."""
        self._subscriptions = Subscriptions(self._link)
        self._elements: dict[int, bool] = {}
        """Row of an array element that was written in this session -> whether the server can write it alone."""
        self.groups: Sequence[Group] = self._plan.groups
        self.plan: Sequence[str] = self._plan.lines(limit=0)
        places = self._plan.places
        self.image = Image([place.kind for place in places], [place.declared is not None for place in places])

    @staticmethod
    def link_name(options: opcua_options.DeviceOptions, /) -> str:
        """The endpoint, in its normal form, and as whom and how it is reached: two users do not share a session."""
        return options.endpoint + options.access.name

    @staticmethod
    def lock_name(options: opcua_options.DeviceOptions, /) -> str:
        """The endpoint, whoever logs in."""
        return options.endpoint

    @staticmethod
    def review(devices: Mapping[str, opcua_options.DeviceOptions], points: Sequence[Point], /) -> Sequence[Remark]:
        """What options alone cannot show: devices of one session against each other, and points against devices."""
        return review(devices, points)

    async def open(self) -> None:
        """Connect, find every node and learn what it holds. A node that is not there makes its own tags bad.

        A node at which the server breaks off is looked for at once, in as many sessions as that takes: the caller's
        pauses between two tries grow, which is right for a server that is gone, and not for one that answers.
        """
        await self._subscriptions.stop()
        quarantine = self._link.quarantine
        for left in range(_MOST_BREAKS, -1, -1):
            await self._link.open()
            breaks = quarantine.breaks
            try:
                await self._learn()
            except LinkError as error:
                await self.close()
                if not left or quarantine.breaks == breaks:
                    raise
                if left == _MOST_BREAKS:
                    _log.warning("%s. Looking for the node at which this happens", error)
                await asyncio.sleep(_PAUSE_S)
            except BaseException:
                await self.close()
                raise
            else:
                if left < _MOST_BREAKS:
                    quarantine.defer_all(time.monotonic())
                break
        self.image = self._binding.image
        self.plan = self._plan.lines(self._link.limits.read)
        self._elements.clear()

    async def _learn(self) -> None:
        await self._known.learn()
        self._binding = bind(self._plan, self._known.nodes, self._known.texts, self.image)
        self._readings = [self._reading(group) for group in range(len(self.groups))]
        await self._subscriptions.start(_subscriptions(self._readings))
        await self._known.tell(self._binding.unfit)
        self._known.expect({self._plan.places[row].node for row in self._binding.unfit})

    async def read(self, group: int) -> None:
        """Read each node of a group once, and fill the rows."""
        self._require_open()
        if self._known.due and (renewed := await self._known.look_again()):
            await self._rebind(renewed)
        self._subscriptions.require_sound()
        asked = time.monotonic()
        changed = await self._readings[group].read()
        self._standstill.look(group, self._binding.image, asked)
        if changed:
            self._known.doubt(self._plan.places[cell.row].node for cell in changed)

    async def write(self, values: Mapping[int, Value]) -> Mapping[int, str]:
        """Write values in the types of their nodes, and without timestamps, which many PLCs refuse."""
        self._require_open()
        refused: dict[int, str] = {}
        sent: dict[int, ua.WriteValue] = {}
        for row, value in values.items():
            place = self._plan.places[row]
            try:
                sent[row] = write_value(place, self._known.nodes[place.node], value, self._known.texts.get(place.node))
            except ValueError as error:
                refused[row] = str(error)
        for row in await self._overwriting(sent):
            refused[row] = WHOLE_ARRAY
            del sent[row]
        answers = await self._link.write(list(sent.values()))
        for (row, request), status in zip(sent.items(), answers, strict=True):
            if not status.is_good():
                said = f"the server refuses {values[row]!r} for {node_text(request)}: {status_text(status.value)}"
                refused[row] = with_advice(said, status.value)
        kept = {row: request for row, request in sent.items() if row not in refused}
        return refused | await self._read_back(kept)

    def remarks(self) -> Sequence[Remark]:
        """Outputs that the server lets nobody write, as it says itself, and nodes at which it breaks off."""
        places, unwritable = self._plan.places, self._known.unwritable
        held = {
            number: self._link.quarantine.reason(key_of(value_of(node.id)))
            for number, node in enumerate(self._known.nodes)
            if isinstance(node, Node)
        }
        return [
            Remark(place.tag, "direction", why, error=True)
            for place in places
            if place.writes and (why := unwritable.get(place.node))
        ] + [Remark(place.tag, "node", why) for place in places if (why := held.get(place.node))]

    async def close(self) -> None:
        """Let the session go, within about a second."""
        self._binding = NO_BINDING
        self._readings = ()
        self._known.forget()
        await self._subscriptions.stop()
        await self._link.close()

    async def _read_back(self, written: Mapping[int, ua.WriteValue]) -> dict[int, str]:
        """Read what was written where the author asks for it; row -> what the node holds instead."""
        asked: dict[int, Any] = {row: request for row, request in written.items() if self._plan.places[row].read_back}
        answers = await self._link.read([element_of(request) for request in asked.values()])
        return {
            row: f"{node_text(request)} was written, but holds {held(answer)} and not {held(request.Value)}: does the "
            "PLC program overwrite it?"
            for (row, request), answer in zip(asked.items(), answers, strict=True)
            if not is_same(request, answer)
        }

    def _reading(self, number: int) -> Poll | Subscription:
        group, request, image = self.groups[number], self._binding.requests[number], self._binding.image
        options, within_s = self._plan.devices[group.device], self._plan.known_within_s[number]
        if not self._plan.subscribed[number]:
            return Poll(self._link, request, image, options, within_s)
        rows: list[int] = group.rows.tolist()
        wishes = {row: self._plan.options[row] for row in rows}

        def taken() -> None:
            self._standstill.look(number, image, time.monotonic())

        return Subscription(self._link, group, request, image, options, wishes, within_s, taken)

    async def _overwriting(self, sent: Mapping[int, ua.WriteValue]) -> list[int]:
        """Rows of array elements that the server would write over their whole array, as it heeds no index range.

        To read that element shows it. Index ranges are in OPC 10000-4 7.27, but not in every server.
        """
        rows = [row for row in sent if self._plan.places[row].index is not None and row not in self._elements]
        answers = await self._link.read([element_of(sent[row]) for row in rows])
        for row, answer in zip(rows, answers, strict=True):
            self._elements[row] = not is_whole_array(answer)
        return [row for row in sent if not self._elements.get(row, True)]

    async def _rebind(self, renewed: Collection[int]) -> None:
        """Read nodes that have come or changed beside all else, in this session. Raises `LinkError`.

        A node that is there again, as it was, may be another one to the server: it is subscribed to anew.
        """
        before = self._binding
        self._binding = bind(self._plan, self._known.nodes, self._known.texts, before.image)
        self._known.expect({self._plan.places[row].node for row in self._binding.unfit})
        readings = list(self._readings)
        for group, request in enumerate(self._binding.requests):
            again = self._plan.subscribed[group] and not set(self._plan.nodes_of(group)).isdisjoint(renewed)
            if again or self._binding.image is not before.image or request != before.requests[group]:
                readings[group] = self._reading(group)
        await self._subscriptions.replace(_subscriptions(self._readings), _subscriptions(readings))
        self._readings = readings
        self.image = self._binding.image
        await self._known.tell(self._binding.unfit)

    def _require_open(self) -> None:
        if not self._known.nodes and self._plan.addresses:
            raise LinkError(f"{self._link.endpoint}: not connected: open the link first")


def _subscriptions(readings: Sequence[Poll | Subscription]) -> list[Subscription]:
    return [found for found in readings if isinstance(found, Subscription)]
