"""What system tests begin with; no uplink in this process gives up what a slow machine has still to answer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from engine import backoff
from engine.uplinks import aggregator as uplinks
from engine.uplinks import lines
from tests.system.small_aggregator import SmallAggregator

LONG_S = 60.0


@pytest.fixture(autouse=True)
def patient_uplinks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a test needs the time-out, it puts the clock forward, or shortens it once there is nothing to answer.

    What has failed is soon tried again.
    """
    for name in ("CONNECT_TIMEOUT_S", "REST_TIMEOUT_S", "REQUEST_TIMEOUT_S", "CLOSE_WITHIN_S"):
        monkeypatch.setattr(uplinks, name, LONG_S)
    monkeypatch.setattr(lines, "CLOSE_WITHIN_S", LONG_S)
    monkeypatch.setattr(backoff, "FIRST_WAIT_S", 0.02)


@pytest.fixture
async def aggregator() -> AsyncIterator[SmallAggregator]:
    async with SmallAggregator().running() as found:
        yield found
