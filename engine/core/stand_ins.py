"""What is published of a tag that is stale or bad, where its author wants anything to be.

The last good value is in its column as it is; another value is put there, so that all who look at the column see the
same. Its quality is what it is, and so is that of everything derived from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from drivers.contract import Quality
from engine.core.scaling import INTEGER_BOUNDS
from engine.core.spec import FromExpression
from engine.core.table import COLUMN_DTYPES, Cells, TagKind


class StandIns:
    """The values that stand in for bad ones, of the derived tags of a table or of all others."""

    def __init__(self, cells: Cells, *, derived: bool) -> None:
        self._cells = cells
        self._turn = -1
        self.unfit: list[str] = []
        """For each value that is of no use as its device has turned out: which one, and why."""
        found: dict[TagKind, list[tuple[int, int, Any]]] = {}
        for row, spec in enumerate(cells.specs):
            if spec.on_bad == "value" and isinstance(spec.source, FromExpression) is derived:
                kind, cell = cells.cell(row)
                try:
                    found.setdefault(kind, []).append((row, cell, stand_in(spec.on_bad_value, kind, spec.choices)))
                except ValueError as error:
                    cells.stands_in[row] = False
                    self.unfit.append(f"{spec.name}: its on_bad_value is left out: {error}")
        self._groups = [
            (
                kind,
                np.array([row for row, _, _ in each], np.intp),
                np.array([cell for _, cell, _ in each], np.intp),
                np.array([value for _, _, value in each], COLUMN_DTYPES[kind]),
            )
            for kind, each in found.items()
            if each
        ]

    def put(self) -> None:
        """Put them where they are wanted now."""
        cells = self._cells
        if not self._groups or self._turn == cells.quality_turn:
            return
        for kind, rows, places, values in self._groups:
            bad: NDArray[np.bool_] = cells.quality[rows] >= Quality.STALE
            if bad.any():
                cells.columns[kind][places[bad]] = values[bad]
                cells.known[rows[bad]] = True
                cells.fresh_values.add(kind)
        self._turn = cells.quality_turn


def stand_in(value: bool | float | str | None, kind: TagKind, choices: Mapping[str, int]) -> Any:
    """What a column of this kind holds for an `on_bad_value`. Raises `ValueError`."""
    match kind:
        case TagKind.CHOICE:
            if value not in choices:
                raise ValueError(f"{value!r} is not among the choices")
            return list(choices).index(str(value))
        case TagKind.TEXT:
            if not isinstance(value, str):
                raise ValueError(f"it is a text, and {value!r} is none")  # noqa: TRY004 - the author's, not ours
            return value
        case TagKind.BOOL:
            if value not in (True, False):
                raise ValueError(f"it is true or false, and not {value!r}")
            return bool(value)
        case TagKind.INT | TagKind.UINT:
            low, high = INTEGER_BOUNDS[kind]
            if not _is_number(value) or value != int(value) or not low <= int(value) <= high:
                raise ValueError(f"it is a whole number from {low} to {high}, and not {value!r}")
            return int(value)
        case TagKind.FLOAT | TagKind.FLOAT32:
            if not _is_number(value):
                raise ValueError(f"it is a number, and not {value!r}")
            return float(value)


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
