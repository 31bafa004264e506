"""Values whose source time stands still: stale where their author wants it, however often they are read.

Rules of this file:

* What counts is for how long a source time has not changed, on our own monotonic clock. How far it is from our clock
  says nothing: many servers and PLCs keep another time.
* A source time that goes back has changed as well.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drivers.contract import Image, Quality
from drivers.opcua.plan import Plan
from drivers.reasons import reason_code

_log = logging.getLogger("skidlink.drivers.opcua")


class Standstill:
    """The source times of all points that are judged by them, from one session to the next."""

    def __init__(self, endpoint: str, plan: Plan, limits_ms: Sequence[int | None]) -> None:
        """`limits_ms` is row -> for how long a source time may stand still; None: for ever."""
        count = len(limits_ms)
        self._endpoint = endpoint
        self._plan = plan
        self._limits: NDArray[np.float64] = np.array([(limit or 0) / 1000 for limit in limits_ms], np.float64)
        self._reasons: NDArray[np.uint16] = np.array(
            [
                reason_code(f"the source time has not changed for more than {(limit or 0) / 1000:g} s")
                for limit in limits_ms
            ],
            np.uint16,
        )
        judged = np.array(
            [
                place.stale_by == "source" and limit is not None
                for place, limit in zip(plan.places, limits_ms, strict=True)
            ],
            np.bool_,
        )
        self._rows = [group.rows[judged[group.rows]] for group in plan.groups]
        """Of each group those rows that are judged."""
        self._times: NDArray[np.float64] = np.full(count, np.nan)
        self._since: NDArray[np.float64] = np.full(count, -np.inf)
        """(n,) when each source time was first seen, monotonic seconds"""
        self._told = np.zeros(count, np.bool_)

    def look(self, group: int, image: Image, now: float) -> None:
        """Make stale what has stood still for too long, as of `now`, monotonic seconds."""
        rows = self._rows[group]
        if not rows.size:
            return
        times = image.source_time[rows]
        moved = rows[times != self._times[rows]]
        self._times[rows] = times
        self._since[moved] = now
        fit = image.quality[rows] < Quality.STALE
        undated = np.isnan(times)
        late = rows[fit & ~undated & (now - self._since[rows] > self._limits[rows])]
        image.quality[late] = Quality.STALE
        image.reason[late] = self._reasons[late]
        self._tell(rows[fit & undated])

    def _tell(self, undated: NDArray[np.intp]) -> None:
        news: list[int] = undated[~self._told[undated]].tolist()
        if news:
            self._told[news] = True
            _log.warning(
                "%s: the server gives no source time for %s%s: stale_by: source has no effect there; delete it",
                self._endpoint,
                self._plan.places[news[0]].tag,
                f" and {len(news) - 1} other tags" if len(news) > 1 else "",
            )
