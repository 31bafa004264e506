"""Notifications that the aggregator pushes to subscribed browsers; fields as in the browsers' Notification API."""

from __future__ import annotations

import time
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt


class NotificationTopic(StrEnum):
    """What users subscribe to. `NEW_CONTRIBUTOR` is the aggregator's own."""

    RUN_START = "run_start"
    RUN_STOP = "run_stop"
    RUN_PAUSE = "run_pause"
    BLOCK_START = "block_start"
    NOTIFICATION_CMD = "notification_cmd"
    WATCH_TRIGGERED = "watch_triggered"
    NEW_CONTRIBUTOR = "new_contributor"
    METHOD_ERROR = "method_error"
    NETWORK_ERRORS = "network_errors"


class WebPushModel(BaseModel):
    """A part of a notification."""

    model_config = ConfigDict(validate_assignment=True)


class WebPushAction(WebPushModel):
    """A button under a notification."""

    action: Literal["navigate"]
    title: str
    icon: str | None = None


class WebPushData(WebPushModel):
    """Where a click on the notification leads."""

    process_unit_id: str | None = None
    contributor_id: str | None = None


class WebPushNotification(WebPushModel):
    """One notification."""

    actions: list[WebPushAction] = Field(default_factory=list[WebPushAction])
    badge: str | None = None
    body: str | None = None
    data: WebPushData = Field(default_factory=WebPushData)
    icon: str | None = "/assets/icons/icon-192x192.png"
    image: str | None = None
    renotify: bool | None = None
    requireInteraction: bool | None = None  # noqa: N815  # the name on the wire
    silent: bool | None = None
    tag: str | None = None
    timestamp: NonNegativeInt | None = Field(default_factory=lambda: int(time.time() * 1000))
    """Unix milliseconds; the aggregator drops what is older than five minutes."""
    title: str
    vibrate: list[NonNegativeInt] | None = None
