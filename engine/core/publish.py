"""From the table to the wire: what of a row goes out, and what does not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.core.table import Table, TagKind
from protocol.pack import TagPacker


class Publisher:
    """Packs rows of one table: bad and stale ones without a value where none stands in, each with its device's time."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._flawed = table.quality.view(np.bool_)
        choices = range(int(table.starts[TagKind.CHOICE]), len(table))
        self._packer = TagPacker(
            table.names,
            table.units,
            table.directions,
            [table.columns[kind] for kind in TagKind],
            {row: list(table.specs[row].choices) for row in choices},
            {row: spec.said for row, spec in enumerate(table.specs) if spec.said is not None},
        )

    def pack(self, rows: NDArray[np.intp], tick_time: float, since: float = -np.inf) -> bytes:
        """The JSON array of TagValues for some rows, ascending, at the tick's unix time.

        A device's own time counts if it is later than `since`, the tick before. A change that seems older than what the
        aggregator has stored would never get into its plot log, and the clock of a PLC is often seconds behind.
        """
        table = self._table
        dates: NDArray[np.float64] | None = None
        if table.dated:
            source_time = table.source_time_of(rows)
            later = source_time > since
            dates = np.where(later, source_time, np.nan) if np.count_nonzero(later) else None
        # Counting is several times faster than picking, and mostly there is nothing to pick.
        return self._packer.pack(
            rows,
            table.absent(rows) if np.count_nonzero(self._flawed) else None,
            tick_time,
            dates,
            table.simulated[rows] if np.count_nonzero(table.simulated) else None,
        )
