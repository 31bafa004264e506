"""How long each device of a shared link is waited for. No I/O, no clock.

Rules of this file:

* A device that answered its last request has its whole `timeout_ms` for the next one, and every device has it at least
  once before it counts as silent.
* While another device of the link is answering, a silent one costs it one short try at a time. Short is a multiple of
  the longest of its own last round trips, or of the other devices' where it has never answered.
* Every tenth try of a silent device is long, but not so long that another device's readings become stale: a device
  that has become slow is found again. A late response means that it is slow, so that the next try has its whole time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from drivers.modbus.device import Device

SHORTEST_TRY_S = 0.1
"""No try is shorter, however fast the device used to answer."""
ROUND_TRIPS = 3.0
"""A short try lasts this many times the longest round trip of late."""
RECENT = 64
"""How many round trips count as recent."""
LONG_EVERY = 10
"""Every so many tries of a silent device, one is long."""
SHARE_OF_SPARE = 0.5
"""How much of the time that the other devices' readings can wait a long try may take."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """How a device is asked once."""

    timeout_s: float
    retries: int
    brief: bool = False
    """Whether the first request without a response ends it, as long as the device has answered none."""


@dataclass(slots=True)
class _Record:
    """What has become of the tries of one device."""

    answered: int = 0
    """The event at which it last answered."""
    had_whole: bool = False
    """Whether a try since then has had the whole timeout."""
    late: int = 0
    """Its late responses when it was last tried."""


class Patience:
    """The waiting for the devices of one link."""

    def __init__(self, devices: Iterable[Device]) -> None:
        self._devices = list(devices)
        self._records = {device.name: _Record() for device in self._devices}
        self._events = 0
        self._last_silence = 0
        """The event at which a device left a try unanswered that was not known to be silent."""

    @property
    def is_shared(self) -> bool:
        """Whether the link has several devices."""
        return len(self._devices) > 1

    def whole(self, device: Device) -> Attempt:
        """All tries in one go, for callers that no other device waits for."""
        return Attempt(device.options.timeout_ms / 1000, device.options.retries)

    def guest(self, device: Device) -> Attempt:
        """One try that may well be in vain, and makes no other device's readings stale."""
        timeout_s = device.options.timeout_ms / 1000
        if not self.is_shared:
            return Attempt(timeout_s, 0, brief=True)
        spare_s = min(other.spare_s for other in self._devices if other is not device)
        return Attempt(min(timeout_s, max(self.short_s(device), SHARE_OF_SPARE * spare_s)), 0, brief=True)

    def attempt(self, device: Device) -> Attempt:
        """The next try of a device: a single one on a shared link."""
        if not self.is_shared:
            return self.whole(device)
        record = self._records[device.name]
        timeout_s = device.options.timeout_ms / 1000
        if self._is_whole(device, record):
            record.had_whole = True
            return Attempt(timeout_s, 0, brief=True)
        short_s = self.short_s(device)
        others = [other for other in self._devices if other is not device and _answers(other)]
        if device.unanswered > device.options.retries:
            if not others:
                return Attempt(timeout_s, 0, brief=True)  # nobody waits
            if device.unanswered % LONG_EVERY == 0:
                spare_s = min(other.spare_s for other in others)
                return Attempt(min(timeout_s, max(short_s, SHARE_OF_SPARE * spare_s)), 0, brief=True)
        return Attempt(short_s, 0, brief=True)

    def _is_whole(self, device: Device, record: _Record) -> bool:
        """Whether a device has its whole timeout, whoever waits."""
        if device.counters.late > record.late:
            record.late = device.counters.late
            return True
        if not device.unanswered:
            # Several devices that die together would each take a whole timeout before any other has its turn.
            return not (device.options.retries and self._last_silence > record.answered)
        return device.unanswered == device.options.retries and not record.had_whole

    def short_s(self, device: Device) -> float:
        """How long a short try lasts, in seconds; the whole timeout before anything has been measured."""
        timeout_s = device.options.timeout_ms / 1000
        trips = _recent(device) or [trip for other in self._devices for trip in _recent(other)]
        return min(timeout_s, max(SHORTEST_TRY_S, ROUND_TRIPS * max(trips))) if trips else timeout_s

    def answered(self, device: Device) -> None:
        """Note that a device has answered."""
        device.unanswered = 0
        if self.is_shared:
            self._events += 1
            record = self._records[device.name]
            record.answered, record.had_whole, record.late = self._events, False, device.counters.late

    def unanswered(self, device: Device) -> bool:
        """Note that a try had no response; whether the device is to be tried again before it counts as silent."""
        device.unanswered += 1
        if not self.is_shared or device.unanswered > device.options.retries:
            return False
        self._events += 1
        self._last_silence = self._events
        return True


def _answers(device: Device) -> bool:
    return device.unanswered == 0 and device.counters.replies > 0


def _recent(device: Device) -> list[float]:
    return list(islice(reversed(device.counters.round_trips), RECENT))
