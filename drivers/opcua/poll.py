"""Reading one group by polling: its requests, encoded once, and their answers put into the rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from asyncua import ua

from drivers.contract import Image
from drivers.opcua.binding import Request
from drivers.opcua.codec import Cell, decode
from drivers.opcua.decoding import DECODING_ERRORS
from drivers.opcua.fastpath import Reader
from drivers.opcua.kept_read import KeptRead
from drivers.opcua.link import Link, TooMuchAtOnce
from drivers.opcua.node_ids import SERVER_STATE
from drivers.opcua.options import DeviceOptions
from drivers.opcua.plan import batches

TIMESTAMPS = {
    "source": ua.TimestampsToReturn.Source,
    "server": ua.TimestampsToReturn.Server,
    "tick": ua.TimestampsToReturn.Neither,
}


@dataclass(frozen=True, slots=True)
class _Batch:
    """One request of as many as the server's limit asks for."""

    request: KeptRead
    reader: Reader


class Poll:
    """One group, read whenever its turn comes."""

    def __init__(
        self, link: Link, request: Request, image: Image, options: DeviceOptions, known_within_s: float
    ) -> None:
        self._link = link
        self._nodes = request.nodes or [SERVER_STATE]  # a group without nodes has to notice a lost link too
        self._cells = request.cells
        self._image = image
        self._options = options
        self._timeout_s = options.answer_within_s(known_within_s)
        self._limit = -1
        self._batches: Sequence[_Batch] = ()

    async def read(self) -> list[Cell]:
        """Fill the rows; return the cells whose node must be learned anew. Raises `LinkError`."""
        timestamp = self._options.timestamp
        if not (self._options.fast_path and self._link.sends_kept):
            answers = await self._link.read(self._nodes, TIMESTAMPS[timestamp], self._timeout_s)
            return decode(answers, self._cells, self._image, timestamp)
        bodies = await self._exchange()
        try:
            layouts = [batch.reader.layout_of(body) for batch, body in zip(self._batches, bodies, strict=True)]
        except DECODING_ERRORS as error:
            raise self._link.broken("reading", error) from error
        return [cell for layout, body in zip(layouts, bodies, strict=True) for cell in layout.fill(body, self._image)]

    async def _exchange(self) -> list[bytes]:
        while True:
            if self._limit != self._link.limits.read:
                self._cut(self._link.limits.read)
            try:
                return await self._link.exchange([batch.request for batch in self._batches], self._timeout_s)
            except TooMuchAtOnce:
                continue

    def _cut(self, limit: int) -> None:
        """Encode as many requests as the server's limit asks for."""
        timestamp = self._options.timestamp
        self._limit = limit
        self._batches = [
            _Batch(
                KeptRead(self._nodes[part], TIMESTAMPS[timestamp], self._timeout_s),
                Reader(part.stop - part.start, self._cells_of(part), timestamp),
            )
            for part in batches(len(self._nodes), limit)
        ]

    def _cells_of(self, part: slice) -> list[Cell]:
        return [
            replace(cell, answer=cell.answer - part.start)
            for cell in self._cells
            if part.start <= cell.answer < part.stop
        ]
