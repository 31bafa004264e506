"""The interlock of an output, as the core has computed it in this tick."""

from __future__ import annotations

from engine.core.core import Core
from engine.core.spec import FromExpression, TagSpec


class Interlock:
    """Says why an output may have no other value than its safe one."""

    def __init__(self, allowed: TagSpec) -> None:
        """`allowed` is the derived tag that has to be true."""
        self._tag = allowed.name
        self._condition = allowed.source.text if isinstance(allowed.source, FromExpression) else allowed.name
        self.forbids = f"{self._condition} has not been looked at yet"
        """Why; "" while the output is free."""

    def look(self, core: Core) -> None:
        """See how it stands: what is bad or stale is not known to be true."""
        table = core.table
        row = table.row_of(self._tag)
        if table.value(row) is True:
            self.forbids = ""
        else:
            why = table.why(row)
            self.forbids = f"{self._condition} is not known: {why}" if why else f"{self._condition} is false"
