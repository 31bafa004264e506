"""Reading one group by polling: its requests, encoded once, and their answers put into the rows."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from asyncua import ua

from drivers.contract import Image, Quality
from drivers.opcua.batching import TooMuchAtOnce
from drivers.opcua.binding import Request
from drivers.opcua.codec import Cell, decode
from drivers.opcua.decoding import DECODING_ERRORS
from drivers.opcua.fastpath import Reader
from drivers.opcua.kept_read import KeptRead
from drivers.opcua.link import Link
from drivers.opcua.node_ids import SERVER_STATE, key_of
from drivers.opcua.options import DeviceOptions
from drivers.opcua.plan import batches
from drivers.opcua.reading import Unreadable
from drivers.reasons import reason_code

TIMESTAMPS = {
    "source": ua.TimestampsToReturn.Source,
    "server": ua.TimestampsToReturn.Server,
    "tick": ua.TimestampsToReturn.Neither,
}


_TRIALS_AT_ONCE = 10
"""So many nodes that broke an answer are tried again before one reading; the others wait for the next one."""


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
        self._nodes = request.nodes
        self._cells = request.cells
        self._image = image
        self._options = options
        self._timeout_s = options.answer_within_s(known_within_s)
        self._cut_for = (-1, -1)
        """The server's limit, and the turn of the quarantine, for which the batches were made."""
        self._batches: Sequence[_Batch] = ()

    async def read(self) -> list[Cell]:
        """Fill the rows; return the cells whose node must be learned anew. Raises `LinkError`."""
        quarantine = self._link.quarantine
        if time.monotonic() >= quarantine.next_trial:
            await self._try_held()
        if self._options.fast_path and self._link.sends_kept and not quarantine.suspicious:
            try:
                return await self._read_fast()
            except Unreadable:
                pass  # one node is the cause, and the longer way finds out which
        nodes = self._nodes or [SERVER_STATE]
        answers = await self._link.read(nodes, TIMESTAMPS[self._options.timestamp], self._timeout_s)
        changed = decode(answers, self._cells, self._image, self._options.timestamp)
        self._mark_held()
        return changed

    async def _read_fast(self) -> list[Cell]:
        """Raises `Unreadable` too, before any row is filled."""
        bodies = await self._exchange()
        try:
            layouts = [batch.reader.layout_of(body) for batch, body in zip(self._batches, bodies, strict=True)]
        except DECODING_ERRORS as error:
            raise Unreadable from error
        return [cell for layout, body in zip(layouts, bodies, strict=True) for cell in layout.fill(body, self._image)]

    async def _exchange(self) -> list[bytes]:
        while True:
            cut_for = (self._link.limits.read, self._link.quarantine.turn)
            if self._cut_for != cut_for:
                self._cut(cut_for[0])
                self._cut_for = cut_for
            try:
                return await self._link.exchange([batch.request for batch in self._batches], self._timeout_s)
            except TooMuchAtOnce:
                continue

    def _cut(self, limit: int) -> None:
        """Encode as many requests as the server's limit asks for, without the nodes that break an answer."""
        timestamp = self._options.timestamp
        asked = [number for number, node in enumerate(self._nodes) if not self._link.quarantine.reason(key_of(node))]
        nodes = [self._nodes[number] for number in asked] or [SERVER_STATE]  # a lost link has to be noticed too
        places = {number: place for place, number in enumerate(asked)}
        cells = [replace(cell, answer=places[cell.answer]) for cell in self._cells if cell.answer in places]
        self._batches = [
            _Batch(
                KeptRead(nodes[part], TIMESTAMPS[timestamp], self._timeout_s),
                Reader(part.stop - part.start, _cells_of(cells, part), timestamp),
            )
            for part in batches(len(nodes), limit)
        ]
        self._mark_held()

    def _mark_held(self) -> None:
        """Say of each node that is left out why it is."""
        reasons = [self._link.quarantine.reason(key_of(node)) for node in self._nodes]
        for cell in self._cells:
            if reasons[cell.answer]:
                self._image.quality[cell.row] = Quality.BAD
                self._image.reason[cell.row] = reason_code(reasons[cell.answer])

    async def _try_held(self) -> None:
        """Read the nodes that are due for it, each alone: one that does not break its answer is let go."""
        quarantine, now = self._link.quarantine, time.monotonic()
        due = [node for node in self._nodes if quarantine.due(key_of(node), now)]
        for node in due[:_TRIALS_AT_ONCE]:
            quarantine.defer(key_of(node), now)
            await self._link.read([node], TIMESTAMPS[self._options.timestamp], self._timeout_s, trial=True)


def _cells_of(cells: Sequence[Cell], part: slice) -> list[Cell]:
    return [replace(cell, answer=cell.answer - part.start) for cell in cells if part.start <= cell.answer < part.stop]
