"""What several unit tests begin with."""

from __future__ import annotations

import pytest

from drivers.modbus import reading
from engine import links, state_log
from tests.unit.virtual_links import Virtually
from tests.unit.virtual_time import VirtualTime, run_virtually


@pytest.fixture
def virtually(monkeypatch: pytest.MonkeyPatch) -> Virtually:
    return lambda main: run_virtually(main, VirtualTime(), monkeypatch, links, state_log, reading)
