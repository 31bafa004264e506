"""Tells of tags that turn bad or stale: each once, with its reason; what does so again and again is counted."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.contract import Quality
from drivers.reasons import NOT_READ, explained, forget_explained, reason_text
from engine.core.spec import FromEngine, FromPoint
from engine.core.table import Table
from engine.floods import MINUTE_S
from engine.links import DeviceState, Link

log = logging.getLogger("skidlink.engine.quality")

NAMED: Final = 5
"""So many tags are named in one message; the others are counted."""
LOOK_EVERY_S: Final = 1.0
"""How often a minute of counting may end."""


class QualityLog:
    """What has been told of the tags of one table that are fed by devices or expressions."""

    def __init__(self, table: Table, links: Sequence[Link]) -> None:
        count = len(table)
        self._table = table
        self._devices: list[tuple[Link, str]] = []
        self._device_of: NDArray[np.intp] = np.full(count, -1, np.intp)
        """(n,) the place among the devices of each row that one of them feeds"""
        self._watched = np.array([not isinstance(spec.source, FromEngine) for spec in table.specs], np.bool_)
        self._turn = -1
        self._flawed = np.zeros(count, np.bool_)
        """(n,) as it was looked at last; a tag that has not been read yet is not among them"""
        self._uncertain = np.zeros(count, np.bool_)
        """(n,) published although its device is not sure of it, as it was looked at last"""
        self._until: NDArray[np.float64] = np.full(count, -np.inf)
        """(n,) the end of the minute in which a tag is not told of again"""
        self._marked_until: NDArray[np.float64] = np.full(count, -np.inf)
        """(n,) the same for a tag that is marked as uncertain, apart, so that its turning bad is told at once"""
        self._more: NDArray[np.int64] = np.zeros(count, np.int64)
        """(n,) how often each has turned bad or stale since it was told of"""
        self._rest_due = np.inf
        self._find_devices(links)

    def look(self, now: float) -> int:
        """Tell what has turned bad or stale, or is good again; return how many turned. `now` is monotonic seconds."""
        if now >= self._rest_due:
            self._tell_the_rest(now)
        table = self._table
        if table.quality_turn == self._turn:
            return 0
        self._turn = table.quality_turn
        flawed = (table.quality >= Quality.STALE) & (table.reason != NOT_READ) & self._watched
        uncertain = (table.quality == Quality.UNCERTAIN) & (self._device_of >= 0)
        if np.array_equal(flawed, self._flawed) and np.array_equal(uncertain, self._uncertain):
            return 0
        turned, doubted = np.flatnonzero(flawed & ~self._flawed), np.flatnonzero(uncertain & ~self._uncertain)
        back = np.flatnonzero((self._flawed | self._uncertain) & ~(flawed | uncertain))
        self._flawed, self._uncertain = flawed, uncertain
        if back.size:
            log.info("%s good again", self._named(back))
        if turned.size:
            self._tell(turned, now)
        if doubted.size:
            self._tell_uncertain(doubted, now)
        return turned.size

    def adopt(self, old: QualityLog) -> None:
        """Take over what was told of the tags of another table."""
        for row, name in enumerate(self._table.names):
            if name in old._table:
                there = old._table.row_of(name)
                self._flawed[row], self._uncertain[row] = old._flawed[there], old._uncertain[there]
                self._until[row], self._more[row] = old._until[there], old._more[there]
                self._marked_until[row] = old._marked_until[there]
        self._rest_due = old._rest_due

    def _find_devices(self, links: Sequence[Link]) -> None:
        places: dict[tuple[int, str], int] = {}
        device_at = [
            {row: group.device for group in link.driver.groups for row in group.rows.tolist()} for link in links
        ]
        for row, spec in enumerate(self._table.specs):
            if isinstance(spec.source, FromPoint):
                link = spec.source.link
                device = device_at[link][spec.source.row]
                place = places.setdefault((link, device), len(places))
                if place == len(self._devices):
                    self._devices.append((links[link], device))
                self._device_of[row] = place

    def _tell(self, turned: NDArray[np.intp], now: float) -> None:
        told = self._until[turned] > now
        if self._more[turned[~told]].any():
            self._tell_the_rest(now)  # a minute is over; what turns now belongs to the next one
        self._more[turned[told]] += 1
        rows = turned[~told]
        self._until[rows] = now + MINUTE_S
        if told.any():
            self._rest_due = min(self._rest_due, now + LOOK_EVERY_S)
        of_devices = self._device_of >= 0
        reasons = self._table.reason
        # What rests on a bad tag has its reason: the tag says it all.
        rows = rows[of_devices[rows] | ~np.isin(reasons[rows], reasons[self._flawed & of_devices])]
        rows = rows[~np.isin(rows, self._explained(set(rows.tolist())))]
        answers = np.array([link.devices[device] in _ANSWERING for link, device in self._devices] + [True], np.bool_)
        for code in np.unique(reasons[rows]).tolist():
            alike = rows[reasons[rows] == code]
            told_by_device = ~answers[self._device_of[alike]]
            for level, found in ((logging.WARNING, alike[~told_by_device]), (logging.INFO, alike[told_by_device])):
                if found.size:
                    quality = Quality(int(self._table.quality[found[0]])).name.lower()
                    log.log(level, "%s %s: %s", self._named(found), quality, reason_text(code))

    def _explained(self, turned: set[int]) -> list[int]:
        """Those of the rows that have turned of which their driver has told already, with what to do."""
        table, found = self._table, list[int]()
        for tag, code in list(explained().items()):
            row = table.row_of(tag) if tag in table else -1
            if row in turned:
                forget_explained(tag)
                if table.reason[row] == code:
                    found.append(row)
        return found

    def _tell_uncertain(self, doubted: NDArray[np.intp], now: float) -> None:
        """Mark values that are published although their device is not sure of them; at most once a minute each."""
        rows = doubted[self._marked_until[doubted] <= now]
        self._marked_until[rows] = now + MINUTE_S
        reasons = self._table.reason
        for code in np.unique(reasons[rows]).tolist():
            alike = rows[reasons[rows] == code]
            log.warning("%s uncertain, and published all the same: %s", self._named(alike), reason_text(code))

    def _tell_the_rest(self, now: float) -> None:
        rows = np.flatnonzero((self._more > 0) & (self._until <= now))
        if rows.size:
            counts = [f"{self._table.names[row]} {int(self._more[row])} times" for row in rows[:NAMED].tolist()]
            others = f" and {rows.size - NAMED} other tags" if rows.size > NAMED else ""
            log.warning("bad or stale again in the last minute: %s%s", ", ".join(counts), others)
            self._more[rows] = 0
        self._rest_due = now + LOOK_EVERY_S if self._more.any() else np.inf

    def _named(self, rows: NDArray[np.intp]) -> str:
        """Some tags as a subject: "PT01 is", "PT01, PT02 and 3 others are"."""
        first: list[int] = rows[:NAMED].tolist()
        names = ", ".join(self._table.names[row] for row in first)
        others = f" and {rows.size - NAMED} others" if rows.size > NAMED else ""
        return f"{names}{others} {'is' if rows.size == 1 else 'are'}"


_ANSWERING = frozenset({DeviceState.UP, DeviceState.DEGRADED})
"""States in which the error log has not said already that a device has no values."""
