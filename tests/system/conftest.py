"""What holds for every system test: no uplink in this process gives up what a slow machine has still to answer."""

from __future__ import annotations

import pytest

from engine import backoff
from engine.uplinks import aggregator, lines

LONG_S = 60.0


@pytest.fixture(autouse=True)
def patient_uplinks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a test needs the time-out, it puts the clock forward, or shortens it once there is nothing to answer.

    What has failed is soon tried again.
    """
    for name in ("CONNECT_TIMEOUT_S", "REST_TIMEOUT_S", "REQUEST_TIMEOUT_S", "CLOSE_WITHIN_S"):
        monkeypatch.setattr(aggregator, name, LONG_S)
    monkeypatch.setattr(lines, "CLOSE_WITHIN_S", LONG_S)
    monkeypatch.setattr(backoff, "FIRST_WAIT_S", 0.02)
