"""What browsers are told that have subscribed to it, even with no page open: only what is true and worth a look."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from engine.links import Link
from protocol.engine_messages import EngineMessage, WebPushNotificationMsg
from protocol.web_push import NotificationTopic, WebPushNotification

LOST_AFTER_S: Final = 10.0
"""A link that has been down for so long in a run is lost: a device that was switched off and on is back before."""


class Notices:
    """Tells of one skid."""

    def __init__(self, skid: str, send: Callable[[EngineMessage], None]) -> None:
        self._skid = skid
        self._send = send

    def run_started(self, unix: float) -> None:
        self._tell(NotificationTopic.RUN_START, "A run has begun.", unix)

    def run_stopped(self, started: float, unix: float) -> None:
        self._tell(NotificationTopic.RUN_STOP, f"The run that began at {_moment(started, unix)} has ended.", unix)

    def run_paused(self, unix: float) -> None:
        self._tell(NotificationTopic.RUN_PAUSE, "The run is paused, its outputs are safe.", unix)

    def method_failed(self, why: str, unix: float) -> None:
        self._tell(NotificationTopic.METHOD_ERROR, f"The run is paused, its method has failed: {why}", unix)

    def link_lost(self, link: Link, unix: float) -> None:
        self._tell(NotificationTopic.NETWORK_ERRORS, f"Equipment is lost: {link.trouble or link.name}", unix)

    def _tell(self, topic: NotificationTopic, text: str, unix: float) -> None:
        notification = WebPushNotification(title=self._skid, body=text, timestamp=int(unix * 1000))
        self._send(WebPushNotificationMsg(notification=notification, topic=topic))


class Outages:
    """The links that are down in a run, and for how long."""

    def __init__(self, links: Sequence[Link]) -> None:
        self._links = links
        self._down_since: dict[str, float] = {}
        self._known: set[str] = set()
        """What was told of, or seen by whoever started the run."""

    def begin(self) -> None:
        """A run is started by a user, who sees what is down."""
        self._down_since.clear()
        self._known = {link.name for link in self._links if not link.up}

    def lost(self, now: float) -> list[Link]:
        """The links that are lost since this was last asked, each once until it is up again; to be asked in a run."""
        found: list[Link] = []
        for link in self._links:
            if link.up:
                self._down_since.pop(link.name, None)
                self._known.discard(link.name)
            elif now - self._down_since.setdefault(link.name, now) >= LOST_AFTER_S and link.name not in self._known:
                self._known.add(link.name)
                found.append(link)
        return found


def _moment(then: float, now: float) -> str:
    """A time of day, with the day where it is another one, as the computer's clock shows it."""
    moment, today = datetime.fromtimestamp(then).astimezone(), datetime.fromtimestamp(now).astimezone()
    return moment.strftime("%H:%M" if moment.date() == today.date() else "%Y-%m-%d %H:%M")
