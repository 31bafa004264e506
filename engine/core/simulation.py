"""Simulated tags: they show something else than what their devices say, and are marked.

What is simulated lies over the table like a sheet: it is lifted before images are taken and before what guards outputs
is computed, and put down again for all others. An expression is evaluated at the end of a tick, over the table as it is
shown, and its result is shown in the next one: so it may name any tag, its own too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from engine.core.checking import Formula, Known, check_expressions
from engine.core.column_values import column_value
from engine.core.derived import Derived
from engine.core.shapes import group
from engine.core.sheet import Sheet
from engine.core.spec import FromPoint, Simulated, TagSpec
from engine.core.table import Cells, Table, TagKind


class Simulation:
    """All that is simulated in one table."""

    def __init__(self, cells: Cells, table: Table, known: Callable[[], Mapping[str, Known]]) -> None:
        """Make one in which nothing is simulated; `known` gives what expressions may know of each tag."""
        self._cells = cells
        self._table = table
        self._known = known
        self.tags: Mapping[str, Simulated] = {}
        """What is simulated, and by what."""
        self._sheets: dict[bool, Sheet] = {}
        """What drives outputs as well, and what does not."""
        self._results: Derived | None = None

    def replace(self, tags: Mapping[str, Simulated], now: float) -> None:
        """Simulate these tags and no others, from `now` on.

        Raises `ValueError` for a tag that no device feeds, and for a value or an expression that does not fit; then
        all is as it was.
        """
        values = {name: self._value(name, by.value) for name, by in tags.items() if by.expr is None}
        results = self._compiled({name: by.expr for name, by in tags.items() if by.expr is not None})
        self.tags = dict(tags)
        slots = {} if results is None else results.slots_of([label(name) for name in tags if name not in values])
        sheets: dict[bool, Sheet] = {}
        for drives in (True, False):
            names = [name for name, by in tags.items() if by.drives_outputs is drives]
            sheets[drives] = Sheet(
                self._cells,
                {self._table.row_of(name): values[name] for name in names if name in values},
                {self._table.row_of(name): slots[label(name)] for name in names if name not in values},
            )
        if results is not None and self._results is not None:
            results.adopt(self._results)
        self.lift()
        self._sheets, self._results = sheets, results
        for drives in (True, False):
            self.put(drives_outputs=drives)
        self.look_ahead(now)

    def put(self, *, drives_outputs: bool) -> None:
        """Show what is simulated, of one of the two sorts."""
        if self.tags:
            self._sheets[drives_outputs].put()

    def lift(self) -> None:
        """Let the table be what the devices say."""
        for sheet in self._sheets.values():
            sheet.lift()

    def look_ahead(self, now: float) -> None:
        """Compute what the expressions show next, from the table as it is shown now."""
        if self._results is not None:
            self._results.evaluate(now)
            for sheet in self._sheets.values():
                sheet.compute(self._results)

    def rows(self, *, drives_outputs: bool | None = None) -> list[int]:
        """The rows that are simulated; with `drives_outputs`, of one sort only."""
        wanted = (True, False) if drives_outputs is None else (drives_outputs,)
        return [self._table.row_of(name) for name, by in self.tags.items() if by.drives_outputs in wanted]

    def _value(self, name: str, value: bool | float | str | None) -> Any:
        if value is None:
            raise ValueError(f"{name!r} is simulated neither by a value nor by an expression")
        return column_value(self._spec(name), self._cells.cell(self._table.row_of(name))[0], value)

    def _spec(self, name: str) -> TagSpec:
        spec = self._cells.specs[self._table.row_of(name)]
        if not isinstance(spec.source, FromPoint):
            raise ValueError(f"{name!r} is fed by no device and cannot be simulated")  # noqa: TRY004
        return spec

    def _compiled(self, texts: Mapping[str, str]) -> Derived | None:
        if not texts:
            return None
        known = self._known()
        formulas = {label(name): formula_of(self._spec(name), known[name], text) for name, text in texts.items()}
        checked, faults = check_expressions(known, formulas)
        if faults:
            raise ValueError("\n".join(map(str, faults)))
        row_of = {name: row for row, name in enumerate(self._table.names)}
        return Derived(self._cells, group(checked), row_of, put=())


def label(tag: str) -> str:
    """What the expression that simulates a tag is called in messages."""
    return f"the simulation of {tag}"


def formula_of(spec: TagSpec, known: Known, text: str) -> Formula:
    """The expression that simulates a tag, in the tag's unit. Raises `ValueError` for a text."""
    if known.kind is TagKind.TEXT:
        raise ValueError(f"{spec.name!r} is a text, and can be simulated by a value only")
    return Formula(text, spec.unit, is_condition=known.kind is TagKind.BOOL)
