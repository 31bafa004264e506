"""What the aggregator has stored of a run, asked over its REST interface.

The plot log of a run of a day is hundreds of megabytes. It is never held whole: it is looked through as it arrives, a
piece a turn of the event loop, so that ticks and commands come between.
"""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final
from urllib.parse import quote

import httpx
import orjson

from engine.uplinks.address import Address

log = logging.getLogger("skidlink.engine.uplinks.aggregator")

TIMEOUT_S: Final = 15.0
"""Between two pieces of an answer: the aggregator thinks for seconds before the first one of a long run."""
PIECE_BYTES: Final = 2**16
"""Takes less than a millisecond to look through."""
RECORD_BYTES: Final = 2**20
"""The record of a run is one small object."""
_NUMBER: Final = rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_TICK: Final = re.compile(rb'"tick_time"\s*:\s*(' + _NUMBER + rb")\s*[,}]")
"""A whole number, and the byte that shows that it is. In a text each quote has a backslash, so no text matches."""
_BETWEEN: Final = 100
"""Bytes that are looked at again with the next piece: a longer match there is none."""


class NewestTick:
    """Looks through a plot log, piece by piece, for the newest tick."""

    def __init__(self) -> None:
        self._rest = b""
        self._head = b""
        self.newest = -math.inf
        """In unix seconds."""

    def take(self, piece: bytes) -> None:
        """Look through the next piece."""
        if len(self._head) < _BETWEEN:
            self._head += piece[:_BETWEEN]
        data = self._rest + piece
        self.newest = max(self.newest, max(map(float, _TICK.findall(data)), default=-math.inf))
        self._rest = data[-_BETWEEN:]

    @property
    def is_plot_log(self) -> bool:
        """Whether what was taken began and ended as a plot log does."""
        return re.match(rb'\s*\{\s*"entries"\s*:\s*\{', self._head) is not None and self._rest.rstrip().endswith(b"}")


async def newest_stored(http: httpx.AsyncClient, address: Address, engine_id: str) -> float | None:
    """Find the newest tick in the plot log of the active run, unix seconds; -inf where it is empty.

    None where the aggregator does not say: the caller then has to go by what was acknowledged.
    """
    search = NewestTick()
    try:
        url = address.http(f"/api/process_unit/{quote(engine_id, safe='')}/plot_log")
        async with aclosing(_get(http, url)) as pieces:
            async for piece in pieces:
                search.take(piece)
                await asyncio.sleep(0)  # what has arrived already is read without a turn of the loop
    except httpx.HTTPError as error:
        log.debug("the plot log of %s broke off: %r", address, error)
    else:
        if search.is_plot_log:
            return search.newest
    log.warning("%s does not tell what it has stored of the run; going by what it has acknowledged", address)
    return None


async def is_recorded(http: httpx.AsyncClient, address: Address, run_id: str) -> bool:
    """Whether the aggregator has the record of a run, which it makes when the run ends."""
    body = b""
    try:
        async with aclosing(_get(http, address.http(f"/api/recent_runs/{quote(run_id, safe='')}"))) as pieces:
            async for piece in pieces:
                if len(body) < RECORD_BYTES:
                    body += piece
        answer: Any = orjson.loads(body)
    except (httpx.HTTPError, orjson.JSONDecodeError) as error:
        log.debug("%s does not tell whether it has the record of run %s: %r", address, run_id, error)
        return False
    return isinstance(answer, dict) and "run_id" in answer


async def _get(http: httpx.AsyncClient, url: str) -> AsyncGenerator[bytes]:
    """The answer of a URL in pieces, none where it is no success. Raises `httpx.HTTPError`."""
    headers = {"accept-encoding": "identity"}  # a packed piece can be a thousand times larger when it is unpacked
    async with http.stream("GET", url, headers=headers, timeout=TIMEOUT_S) as response:
        if response.is_success:
            async for piece in response.aiter_bytes(PIECE_BYTES):
                yield piece
