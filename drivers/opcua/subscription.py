"""Reading one group by subscription: the server says what changes; a reading only puts that into the rows.

Rules of this file:

* No value is waited for that may never come: every node is read once before it is monitored.
* Nothing is lost between server and rows: notifications are taken as they come, and one that is missing, by its
  sequence number, breaks the link, so that all is read anew.
* A subscription that says nothing for longer than it has promised is dead, however sound the connection looks.
* What it says, if only that it lives, holds for all its rows, and for no longer than until then: they are stamped with
  the time at which it was heard, never with that of a reading, which asks nobody.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.status_codes import StatusCodes
from numpy.typing import NDArray

from drivers.contract import Group, Image, LinkError
from drivers.opcua.binding import Request
from drivers.opcua.codec import Cell, decode, status_text
from drivers.opcua.decoding import DECODING_ERRORS, decode_each
from drivers.opcua.fastpath import Cells, Layout
from drivers.opcua.link import Link
from drivers.opcua.node_ids import key_of
from drivers.opcua.notification import HANDLE_SIZE, Change, Notification, parse
from drivers.opcua.options import DeviceOptions, PointOptions
from drivers.opcua.poll import TIMESTAMPS, Poll

_log = logging.getLogger("skidlink.drivers.opcua")

KEEP_ALIVE_S = 1.0
"""How often a subscription without changes says that it lives, if its publishing interval is not longer."""
_KEEP_ALIVES_IN_TIME = 3
"""So many of them at least come before a dead session must be known."""
_MISSED_KEEP_ALIVES = 2
"""After so many of them, and the time-out, a subscription is taken for dead."""
_LIFETIME_KEEP_ALIVES = 30
"""After so many that it could not deliver the server drops the subscription; 3 at least: OPC 10000-4 5.14.1.1."""
_PUBLISH_REQUESTS = 2
"""Waiting at the server, so that it has one at hand while the other is on its way."""
_LAST_SEQUENCE = 0xFFFF_FFFF
"""After it comes 1: OPC 10000-4 7.9."""


_NO_ROWS: NDArray[np.intp] = np.zeros(0, np.intp)


class Subscription:
    """One group of one subscription."""

    def __init__(
        self,
        link: Link,
        group: Group,
        request: Request,
        image: Image,
        options: DeviceOptions,
        wishes: Mapping[int, PointOptions],
        known_within_s: float,
        taken: Callable[[], None],
    ) -> None:
        """`wishes` is row -> what the author asks of its point; within `known_within_s` it must be known dead.

        `taken` is called whenever what has changed is in the rows.
        """
        self._taken = taken
        self._link = link
        self._request = request
        self._image = image
        self._options = options
        self._every_ms = group.every_ms
        self._known_within_s = known_within_s
        self._wishes = wishes
        self._cells = Cells(request.cells)
        self._polled: Poll | None = None
        """Reads the nodes that the server does not monitor."""
        self._polled_rows = _NO_ROWS
        self._followed_rows = group.rows
        self._rows: list[list[int]] = [[] for _ in request.nodes]
        """Of each node the rows that it feeds."""
        for cell in request.cells:
            self._rows[cell.answer].append(cell.row)
        self._changed: list[Cell] = []
        self._sequence = 0
        self._heard = math.inf
        self._patience_s = math.inf
        self.id = 0

    async def start(self, known: dict[int, Subscription]) -> None:
        """Read every node once, then have the server monitor it, and enter it among those known by their ids.

        Raises `LinkError`.
        """
        poll = self._poll(self._request)
        asked = time.monotonic()
        self._changed = await poll.read()
        self._image.received[self._followed_rows] = asked
        self._taken()
        if not self._request.nodes:
            self._polled = poll  # which notices a lost link
            self._polled_rows, self._followed_rows = self._followed_rows, _NO_ROWS
            return
        in_time_ms = self._known_within_s / _KEEP_ALIVES_IN_TIME * 1000
        interval = max(min(self._every_ms, in_time_ms), 1)
        keep_alives = max(1, int(min(KEEP_ALIVE_S * 1000, in_time_ms) / interval))
        revised = await self._link.subscribe(
            ua.CreateSubscriptionParameters(
                RequestedPublishingInterval=ua.Duration(interval),
                RequestedLifetimeCount=ua.Counter(keep_alives * _LIFETIME_KEEP_ALIVES),
                RequestedMaxKeepAliveCount=ua.Counter(keep_alives),
                MaxNotificationsPerPublish=ua.Counter(0),
                PublishingEnabled=True,
                Priority=ua.Byte(0),
            )
        )
        self.id = int(revised.SubscriptionId)
        self._heard = time.monotonic()
        known[self.id] = self
        if not 0 <= revised.RevisedPublishingInterval < math.inf:
            raise LinkError(
                f"{self._link.endpoint}: the server revises the publishing interval to "
                f"{revised.RevisedPublishingInterval}: write mode: poll"
            )
        alive_s = revised.RevisedPublishingInterval / 1000 * revised.RevisedMaxKeepAliveCount
        missed_s = alive_s * _MISSED_KEEP_ALIVES
        self._patience_s = missed_s + self._options.answer_within_s(max(self._known_within_s - missed_s, alive_s))
        if alive_s > self._known_within_s:
            _log.warning(
                "%s: the server says only every %g s that its subscription lives, so that values such as %s become "
                "stale in between: raise stale_after_ms above %.0f, or poll them",
                self._link.endpoint,
                alive_s,
                self._name(0),
                alive_s * 1000 + self._every_ms,
            )
        await self._monitor()

    async def read(self) -> list[Cell]:
        """Return the cells whose node must be learned anew. Raises `LinkError` when the subscription is dead."""
        if time.monotonic() - self._heard > self._patience_s:
            raise LinkError(
                f"{self._link.endpoint}: the subscription has said nothing for {self._patience_s:.1f} s, though the "
                "connection stands: it is made anew"
            )
        changed, self._changed = self._changed, []
        if self._polled is None:
            return changed
        asked = time.monotonic()
        changed += await self._polled.read()
        self._image.received[self._polled_rows] = asked
        return changed

    def take(self, body: bytes, notification: Notification) -> None:
        """Put what has changed into the rows. Raises `ua.UaError` when something is missing or it has ended."""
        self._heard = time.monotonic()
        expected = 1 if self._sequence == _LAST_SEQUENCE else self._sequence + 1
        if notification.sequence != expected:
            raise ua.UaError(f"notification {expected} is missing, {notification.sequence} has come")
        if notification.ended is not None:
            raise ua.UaError(f"the server has ended the subscription: {status_text(notification.ended)}")
        self._image.received[self._followed_rows] = self._heard
        if notification.keep_alive:
            return
        self._sequence = notification.sequence
        for change in notification.changes:
            self._changed += self._fill(body, change)
        self._taken()

    def _fill(self, body: bytes, change: Change) -> list[Cell]:
        timestamp = self._options.timestamp
        slots = np.full(len(self._request.nodes), -1, np.intp)
        known = np.flatnonzero(change.handles < slots.size)
        slots[change.handles[known]] = known  # the last of several values for one node stays
        if self._options.fast_path:
            layout = Layout(body, change.records, self._cells, slots[self._cells.answers], timestamp)
            return layout.fill(body, self._image)
        answers = decode_each(body, change.records, HANDLE_SIZE)
        cells = [replace(cell, answer=int(slots[cell.answer])) for cell in self._cells.cells if slots[cell.answer] >= 0]
        found = {cell.row for cell in decode(answers, cells, self._image, timestamp)}
        return [cell for cell in self._cells.cells if cell.row in found]

    async def _monitor(self) -> None:
        """Monitor the nodes; those that the server refuses, or that break an answer, are polled."""
        nodes = self._request.nodes
        held = [number for number, node in enumerate(nodes) if self._link.quarantine.reason(key_of(node))]
        items = {number: self._item(number, node) for number, node in enumerate(nodes) if number not in held}
        statuses = await self._statuses(items)
        again = {number: items[number] for number, status in statuses.items() if status in _FILTER_REFUSED}
        again = {number: item for number, item in again.items() if _filter(item)}
        if again:
            names = ", ".join(self._name(number) for number in list(again)[:5])
            _log.warning("%s: the server has no deadband for %s: every change comes", self._link.endpoint, names)
            for item in again.values():
                item.RequestedParameters.Filter = None
            statuses |= await self._statuses(again)
        refused = [number for number, status in statuses.items() if status >> 30]
        if refused:
            _log.warning(
                "%s: the server does not monitor %d of %d nodes, as that of %s (%s): these are polled",
                self._link.endpoint,
                len(refused),
                len(nodes),
                self._name(refused[0]),
                status_text(statuses[refused[0]]),
            )
        if polled := sorted(held + refused):
            self._polled = self._poll(_part(self._request, polled))
            self._polled_rows = np.array([row for number in polled for row in self._rows[number]], np.intp)
            self._followed_rows = np.setdiff1d(self._followed_rows, self._polled_rows)

    async def _statuses(self, items: Mapping[int, ua.MonitoredItemCreateRequest]) -> dict[int, int]:
        """Have the server monitor items; what it says of each."""
        timestamps = TIMESTAMPS[self._options.timestamp]
        found = await self._link.monitor(self.id, list(items.values()), timestamps)
        return {number: each.StatusCode.value for number, each in zip(items, found, strict=True)}

    def _poll(self, request: Request) -> Poll:
        return Poll(self._link, request, self._image, self._options, self._known_within_s)

    def _name(self, number: int) -> str:
        return self._wishes[self._rows[number][0]].node

    def _item(self, number: int, node: Any) -> Any:
        wishes = [self._wishes[row] for row in self._rows[number]]
        samplings = [self._every_ms if wish.sampling_ms is None else wish.sampling_ms for wish in wishes]
        deadband = min((wish.server_deadband for wish in wishes), default=0.0)
        wanted: Any = ua.MonitoringParameters(
            ClientHandle=ua.IntegerId(number),
            SamplingInterval=ua.Duration(min(samplings)),
            QueueSize=ua.Counter(1),
            DiscardOldest=True,
        )
        wanted.Filter = (
            ua.DataChangeFilter(
                Trigger=ua.DataChangeTrigger.StatusValue,
                DeadbandType=ua.UInt32(ua.DeadbandType.Absolute),
                DeadbandValue=ua.Double(deadband),
            )
            if deadband
            else None
        )
        monitored = ua.ReadValueId(node.NodeId, ua.IntegerId(AttributeIds.Value))
        return ua.MonitoredItemCreateRequest(monitored, ua.MonitoringMode.Reporting, wanted)


_FILTER_REFUSED = frozenset(
    (
        StatusCodes.BadFilterNotAllowed,
        StatusCodes.BadMonitoredItemFilterInvalid,
        StatusCodes.BadMonitoredItemFilterUnsupported,
        StatusCodes.BadDeadbandFilterInvalid,
    )
)


def _filter(item: Any) -> Any:
    return item.RequestedParameters.Filter


def _part(request: Request, numbers: Sequence[int]) -> Request:
    """The same request for some of its nodes only."""
    places = {number: place for place, number in enumerate(numbers)}
    cells = [replace(cell, answer=places[cell.answer]) for cell in request.cells if cell.answer in places]
    return Request([request.nodes[number] for number in numbers], cells)


class Subscriptions:
    """Those of one session: they share its publish requests."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._known: dict[int, Subscription] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: LinkError | None = None

    async def start(self, subscriptions: Sequence[Subscription]) -> None:
        """Create them all, and listen. Raises `LinkError`."""
        for subscription in subscriptions:
            await subscription.start(self._known)
        if self._known and not self._tasks:
            names = [f"publish request {number} of {self._link.endpoint}" for number in range(_PUBLISH_REQUESTS)]
            self._tasks = [asyncio.create_task(self._listen(), name=name) for name in names]

    async def replace(self, old: Sequence[Subscription], new: Sequence[Subscription]) -> None:
        """Go over to other subscriptions; those that are in both stay as they are. Raises `LinkError`.

        The new ones are complete before the old ones end, so that no value is missed and no publish request is idle.
        """
        await self.start([subscription for subscription in new if subscription not in old])
        ended = [subscription.id for subscription in old if subscription not in new and subscription.id in self._known]
        for subscription in ended:
            del self._known[subscription]
        if ended:
            await self._link.unsubscribe(ended)

    async def stop(self) -> None:
        """Listen no more; never raises."""
        tasks, self._tasks = self._tasks, []
        self._known = {}
        self._failure = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for task in tasks:
            if not task.cancelled() and (error := task.exception()):
                _log.error("%s: listening to subscriptions ended", self._link.endpoint, exc_info=error)

    def require_sound(self) -> None:
        """Raises `LinkError` when a subscription has failed."""
        if self._failure is not None:
            raise self._failure

    async def _listen(self) -> None:
        """Keep one publish request at the server, until something fails."""
        acknowledged: list[ua.SubscriptionAcknowledgement] = []
        while self._failure is None:
            try:
                body = await self._link.publish(acknowledged)
                acknowledged = self._take(body)
            except ua.UaStatusCodeError as error:
                if error.code == StatusCodes.BadTooManyPublishRequests:
                    return  # the server keeps fewer; the other request goes on
                self._failure = self._link.broken("listening to a subscription", error)
            except LinkError as error:
                self._failure = error
            except (OSError, *DECODING_ERRORS) as error:
                self._failure = self._link.broken("listening to a subscription", error)

    def _take(self, body: bytes) -> list[ua.SubscriptionAcknowledgement]:
        notification = parse(body)
        subscription = self._known.get(notification.subscription)
        if subscription is None:
            return []
        subscription.take(body, notification)
        if notification.keep_alive:
            return []
        return [
            ua.SubscriptionAcknowledgement(ua.IntegerId(notification.subscription), ua.Counter(notification.sequence))
        ]
