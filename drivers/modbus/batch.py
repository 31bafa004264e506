"""Requests to one device that are under way together."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Sequence

from drivers.modbus.device import Device
from drivers.modbus.patience import Attempt
from drivers.modbus.pdu import Reply, Request


class Batch:
    """What has become of each of its requests."""

    __slots__ = (
        "attempts",
        "brief",
        "device",
        "done",
        "doubts",
        "heard",
        "once",
        "pause",
        "plain",
        "replies",
        "requests",
        "retries",
        "timeout",
        "unanswered",
        "unheard",
        "waiting",
        "window",
    )

    def __init__(
        self,
        device: Device,
        requests: Sequence[Request],
        attempt: Attempt,
        once: bool,
        doubtful: int,
        done: asyncio.Future[None],
    ) -> None:
        options = device.options
        self.brief = attempt.brief
        self.retries = attempt.retries
        self.device = device
        self.requests = requests
        self.once = once
        self.done = done
        self.replies: list[Reply | None] = [None] * len(requests)
        self.waiting = deque(range(len(requests)))
        """The places of requests that are yet to be sent."""
        self.attempts = [0] * (len(requests) - doubtful) + [attempt.retries] * doubtful
        self.plain: dict[int, Request] = {}
        """The places of requests to be sent as they are, and their wider forms, which had no answer."""
        self.doubts: Counter[int] = Counter()
        """place -> how often its answer was in doubt"""
        self.unanswered = len(requests)
        self.unheard: list[int] = []
        """The places of requests that have had no answer, repeats included."""
        self.heard = 0.0
        """When the last reply came: a device answers one after the other, and the next has its time from then."""
        self.window = 1 if options.pause_between_requests_ms else options.window
        self.timeout = attempt.timeout_s
        self.pause = options.pause_between_requests_ms / 1000
