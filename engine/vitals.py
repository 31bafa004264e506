"""How the process itself is doing, in the log for whoever looks for what grows: seen with `--verbose`."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Final

from engine.scan import ScanCounters

log = logging.getLogger("skidlink.engine.vitals")

EVERY_S: Final = 5.0


async def tell_vitals(scan: ScanCounters) -> None:
    """Log how many ticks there were, and how many tasks and threads there are, until cancelled."""
    while log.isEnabledFor(logging.DEBUG):
        log.debug(
            "vitals: %d ticks, %d overrun, %d tasks, %d threads",
            scan.ticks,
            scan.overruns,
            len(asyncio.all_tasks()),
            threading.active_count(),
        )
        await asyncio.sleep(EVERY_S)
