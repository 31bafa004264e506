"""One link's share of the table: its image comes in, and grows old."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from drivers.contract import Image, Kind, Quality
from drivers.reasons import reason_code
from engine.core.convert import Block
from engine.core.spec import FromPoint
from engine.core.table import Cells, TagKind


class Intake:
    """Takes a link's image into the table; what has not changed since it was last taken costs a comparison of bytes."""

    def __init__(self, cells: Cells, link: int, image: Image, sources: slice) -> None:
        self._cells = cells
        self._received = cells.received[sources]
        self._source_time = cells.source_time[sources]
        self._blocks: dict[Kind, list[Block]] = {}
        self.deadline = -np.inf
        """No row of this link becomes stale before this time, monotonic seconds."""
        self._any_late = False
        """Whether some row was too old when the deadline was found, so that a newer reading may bring it forward."""
        fed = [
            row
            for row, spec in enumerate(cells.specs)
            if isinstance(spec.source, FromPoint) and spec.source.link == link
        ]
        for rows in _runs(cells, image, fed, sources.start):
            block = Block(cells, rows, image)
            self._blocks.setdefault(block.raw_kind, []).append(block)
        self._values: dict[Kind, bytes | list[str]] = {}
        self._dated = False
        """Whether its devices have ever said when a value came to be; most never do."""
        self._quality: bytes = b""
        self._reason: bytes = b""
        self._all_good = False
        ageing = [row for row in fed if cells.specs[row].stale_after_s is not None]
        self._ageing: NDArray[np.intp] = np.array(ageing, np.intp)
        limits = [cells.specs[row].stale_after_s or 0.0 for row in ageing]
        self._limits: NDArray[np.float64] = np.array(limits, np.float64)
        self._reasons: NDArray[np.uint16] = np.array(
            [reason_code(f"no new value for more than {limit:g} s") for limit in limits], np.uint16
        )

    def take(self, image: Image) -> None:
        """Convert what is new in the image."""
        quality, reason = image.quality.tobytes(), image.reason.tobytes()
        flags_differ = quality != self._quality or reason != self._reason
        if flags_differ:
            self._all_good = not image.quality.any()
        renewed = self._any_late and not np.array_equal(self._received, image.received)
        if renewed:
            self.deadline = -np.inf
        for kind, blocks in self._blocks.items():
            column = image.columns[kind]
            values = column.tolist() if kind is Kind.TEXT else column.tobytes()
            differ = flags_differ or values != self._values.get(kind)
            self._values[kind] = values
            for block in blocks:
                if differ or (renewed and block.aged):
                    if block.aged:
                        self.deadline = -np.inf
                    block.take(image, self._all_good)
        self._quality, self._reason = quality, reason
        self._received[:] = image.received
        if self._dated or np.count_nonzero(np.isnan(image.source_time)) < image.source_time.size:
            self._dated = self._cells.dated = True
            self._source_time[:] = image.source_time

    def age(self, now: float) -> None:
        """Make stale what has not been known to hold for too long, and find the next deadline."""
        cells, rows = self._cells, self._ageing
        until = cells.received[cells.origin[rows]] + self._limits
        late = until < now
        self._any_late = bool(late.any())
        self.deadline = float(until[~late].min()) if not late.all() else np.inf
        fresh = rows[late & (cells.quality[rows] < Quality.STALE)]
        if fresh.size:
            cells.quality[fresh] = Quality.STALE
            cells.reason[fresh] = self._reasons[np.searchsorted(rows, fresh)]
            cells.quality_turn += 1
            for blocks in self._blocks.values():
                for block in blocks:
                    block.aged |= bool(((fresh >= block.rows.start) & (fresh < block.rows.stop)).any())


def _runs(cells: Cells, image: Image, rows: list[int], first: int) -> list[slice]:
    """Cut rows of the table where the kind changes, theirs or the image's; `first` is its first source."""
    found: list[slice] = []
    before: tuple[TagKind, int] | None = None
    for row in rows:
        image_row = int(cells.origin[row]) - first
        key = (cells.cell(row)[0], int(image.kinds[image_row]))
        if key == before and found[-1].stop == row:
            found[-1] = slice(found[-1].start, row + 1)
        else:
            found.append(slice(row, row + 1))
        before = key
    return found
