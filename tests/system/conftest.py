"""What system tests begin with; no uplink in this process gives up what a slow machine has still to answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from drivers.opcua.certificates import data_folder, own_certificate
from engine import backoff
from engine.uplinks import aggregator as uplinks
from engine.uplinks import lines
from tests.system.opcua_server import SKID, SkidServer
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


@pytest.fixture(scope="module")
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a client certificate, so that not every test makes a key."""
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SKIDLINK_DATA", str(folder))
        assert own_certificate().new
        assert not own_certificate().new
    return folder


@pytest.fixture(scope="module")
def unguarded() -> Iterator[SkidServer]:
    """A server without any security."""
    server = SkidServer([SKID])
    server.add("FT01", 2.5)
    yield server
    server.stop()


@pytest.fixture
def without_pins(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """That folder, without pins."""
    monkeypatch.setenv("SKIDLINK_DATA", str(own_folder))
    yield own_folder
    for pin in (data_folder() / "servers").glob("*"):
        pin.unlink()
