"""Keeps the axes of the plots as long as their values need.

Looks once a second, not every tick: an axis has room for what comes between. Each change goes out in a new UodInfoMsg,
so axes grow in great steps. A page of Open Pectus that is open keeps the axes that it has loaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from drivers.contract import Quality
from engine.core.table import Table, TagKind
from engine.plots.axes import Axis, axes_of, plot_configuration
from engine.plots.spans import Span, fitted, from_zero, is_flat, joined
from engine.uod.skid import Skid
from protocol.models import PlotConfiguration

LOOK_EVERY_S: Final = 1.0
TELL_EVERY_S: Final = 10.0
"""The least time between two changes."""


class PlotAxes:
    """The axes of one skid, and what their values have come to since a run began."""

    def __init__(self, skid: Skid) -> None:
        self._skid = skid
        self._table: Table | None = None
        self._axes: tuple[Axis, ...] = axes_of(skid, {})
        self._spans: list[Span] = [axis.start for axis in self._axes]
        self._rows: NDArray[np.intp] = np.zeros(0, np.intp)
        self._low: NDArray[np.float64] = np.zeros(0)
        self._high: NDArray[np.float64] = np.zeros(0)
        self._axis_of_row: NDArray[np.intp] = np.zeros(0, np.intp)
        self._look_due = self._tell_due = 0.0

    def configuration(self) -> PlotConfiguration:
        """The plots as they are to be shown now."""
        return plot_configuration(self._skid, self._axes, self._spans)

    def configuration_of_run(self) -> PlotConfiguration:
        """The plots for the record of a run: each axis fits the values that there were."""
        spans = [span if seen is None else fitted(seen) for span, seen in zip(self._spans, self._seen(), strict=True)]
        return plot_configuration(self._skid, self._axes, spans)

    def begin_run(self) -> None:
        """Forget the values before this run."""
        self._low.fill(np.inf)
        self._high.fill(-np.inf)

    def look(self, table: Table, now: float) -> bool:
        """Look at the values, if it is time; True when axes have changed. `now` is in monotonic seconds."""
        if now < self._look_due:
            return False
        self._look_due = now + LOOK_EVERY_S
        before = self._axes, self._spans
        if table is not self._table:
            self._take(table)
        self._widen(table)
        if now < self._tell_due and self._axes == before[0]:
            return False
        self._spans = [self._span(*each) for each in zip(self._axes, self._spans, self._seen(), strict=True)]
        if (self._axes, self._spans) == before:
            return False
        self._tell_due = now + TELL_EVERY_S
        return True

    def _take(self, table: Table) -> None:
        """Find the rows of the axes in a table; the kinds of tags may have become known."""
        kept = dict(zip(self._axes, self._spans, strict=True))
        self._table = table
        kinds = {name: TagKind(int(kind)) for name, kind in zip(table.names, table.kinds, strict=True)}
        self._axes = axes_of(self._skid, kinds)
        self._spans = [kept.get(axis, axis.start) for axis in self._axes]
        of_row = {table.row_of(tag): index for index, axis in enumerate(self._axes) for tag in axis.tags}
        self._rows = np.array(sorted(of_row), np.intp)
        self._axis_of_row = np.array([of_row[row] for row in sorted(of_row)], np.intp)
        self._low = np.full(self._rows.size, np.inf)
        self._high = np.full(self._rows.size, -np.inf)

    def _widen(self, table: Table) -> None:
        """Take in the values of this moment, column by column."""
        rows = self._rows
        bounds = rows.searchsorted(table.starts)
        holds = table.quality[rows] < Quality.STALE
        for kind in TagKind:
            first, last = int(bounds[kind]), int(bounds[kind + 1])
            if first < last:
                values = table.columns[kind][rows[first:last] - int(table.starts[kind])].astype(np.float64)
                inside = holds[first:last]
                np.minimum(self._low[first:last], values, out=self._low[first:last], where=inside)
                np.maximum(self._high[first:last], values, out=self._high[first:last], where=inside)

    def _seen(self) -> Sequence[Span | None]:
        """What the values of each axis have come to; None where there were none."""
        found: list[Span | None] = []
        for index in range(len(self._axes)):
            inside = self._axis_of_row == index
            low = float(np.min(self._low[inside], initial=np.inf))
            high = float(np.max(self._high[inside], initial=-np.inf))
            found.append((low, high) if low <= high else None)
        return found

    @staticmethod
    def _span(axis: Axis, now: Span, seen: Span | None) -> Span:
        """The span of an axis that is kept while it will do: long enough, and not so long that curves look flat."""
        if seen is None:
            return now
        needed = from_zero(seen)
        if seen[0] < now[0] or seen[1] > now[1]:
            wider = joined(axis.limits, needed)
            return wider or needed
        return needed if axis.limits is None and seen != (0.0, 0.0) and is_flat(now, needed) else now
