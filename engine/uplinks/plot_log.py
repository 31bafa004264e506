"""What the aggregator has stored of a run, asked over its REST interface."""

from __future__ import annotations

import logging
import math
from typing import Any, Final
from urllib.parse import quote

import httpx

from engine.uplinks.address import Address

log = logging.getLogger("skidlink.engine.uplinks.aggregator")

TIMEOUT_S: Final = 15.0
"""The whole plot log of a long run is many megabytes."""


async def newest_stored(http: httpx.AsyncClient, address: Address, engine_id: str) -> float | None:
    """The newest tick in the plot log of the active run, unix seconds; -inf where it is empty.

    None where the aggregator does not say: the caller then has to go by what was acknowledged.
    """
    answer = await _get(http, address.http(f"/api/process_unit/{quote(engine_id, safe='')}/plot_log"))
    try:
        entries: dict[str, Any] = answer["entries"]
        return max((value["tick_time"] for entry in entries.values() for value in entry["values"]), default=-math.inf)
    except (TypeError, KeyError, AttributeError):
        log.warning("%s does not tell what it has stored of the run; going by what it has acknowledged", address)
        return None


async def is_recorded(http: httpx.AsyncClient, address: Address, run_id: str) -> bool:
    """Whether the aggregator has the record of a run, which it makes when the run ends."""
    answer = await _get(http, address.http(f"/api/recent_runs/{quote(run_id, safe='')}"))
    return isinstance(answer, dict) and "run_id" in answer


async def _get(http: httpx.AsyncClient, url: str) -> Any:
    """The JSON at a URL, None where there is none."""
    try:
        response = await http.get(url, timeout=TIMEOUT_S)
        return response.json() if response.is_success else None
    except (httpx.HTTPError, ValueError) as error:
        log.debug("no answer from %s: %s", url, error)
        return None
