"""The interlocks of the outputs, as the core has computed them in this tick."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drivers.contract import Quality
from engine.core.core import Core
from engine.core.spec import FromExpression, TagSpec
from engine.core.table import Table, TagKind


class Interlock:
    """Says whether an output may have another value than its safe one, and why not."""

    def __init__(self, allowed: TagSpec) -> None:
        """`allowed` is the derived tag that has to be true."""
        self.tag = allowed.name
        self.is_true = False
        self.table: Table | None = None
        """Where it was looked up last."""
        self._condition = allowed.source.text if isinstance(allowed.source, FromExpression) else allowed.name

    @property
    def forbids(self) -> str:
        """Why not; "" while it may."""
        if self.is_true:
            return ""
        if self.table is None:
            return f"{self._condition} has not been looked at yet"
        why = self.table.why(self.table.row_of(self.tag))
        return f"{self._condition} is not known: {why}" if why else f"{self._condition} is false"


class Interlocks:
    """All of them, looked up together."""

    def __init__(self, interlocks: Sequence[Interlock]) -> None:
        self._interlocks = interlocks
        self._table: Table | None = None
        self._fitting: list[Interlock] = []
        self._rows: NDArray[np.intp] = np.zeros(0, np.intp)

    def look(self, core: Core) -> None:
        """See how they stand: what is bad or stale is not known to be true."""
        table = core.table
        if table is not self._table:
            self._plan(table)
        if self._fitting:
            column = table.columns[TagKind.BOOL][self._rows - table.starts[TagKind.BOOL]]
            is_true = column & (table.quality[self._rows] < Quality.STALE)
            for interlock, now in zip(self._fitting, is_true.tolist(), strict=True):
                interlock.is_true = now

    def _plan(self, table: Table) -> None:
        """Find the rows; a condition that does not fit what its device has turned out to be is never true."""
        self._table = table
        for interlock in self._interlocks:
            interlock.table, interlock.is_true = table, False
        rows = {interlock: table.row_of(interlock.tag) for interlock in self._interlocks}
        self._fitting = [interlock for interlock, row in rows.items() if table.kinds[row] == TagKind.BOOL]
        self._rows = np.array([rows[interlock] for interlock in self._fitting], np.intp)
