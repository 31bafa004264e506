"""Nodes at which a server hangs from the first reading on: found within one open, and all others go on."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from asyncua.server.internal_session import InternalSession

from drivers.contract import Quality
from drivers.opcua.driver import OpcUa
from drivers.opcua.options import DeviceOptions
from engine.links import Link
from tests.clock import Clock
from tests.system.opcua_server import SKID, SkidServer, points, quality, skid_node, ua

TIMEOUT_S = 30.0


@pytest.mark.parametrize(
    ("count", "culprits", "most"), [(5, (1, 3), 16), (5, (0, 1), 16), (100, (13, 14), 30), (100, (20, 77), 30)]
)
async def test_the_others_are_good_after_few_time_outs(
    count: int,
    culprits: tuple[int, ...],
    most: int,
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = SkidServer([SKID])
    loop, read = asyncio.get_running_loop(), InternalSession.read
    for number in range(count):
        server.add(f"n{number}", float(number), ua.VariantType.Double)
    bad = {ua.NodeId(f"n{number}", server.index) for number in culprits}
    hung = 0

    def let_time_pass() -> None:
        clock.leap(TIMEOUT_S + 1)
        loop.call_later(0.05, clock.leap, 2.0)  # the server does not answer the goodbye either

    async def hanging(self: InternalSession, params: Any) -> Any:
        nonlocal hung
        if any(node.NodeId in bad and node.AttributeId == ua.AttributeIds.Value for node in params.NodesToRead):
            hung += 1
            loop.call_soon_threadsafe(let_time_pass)
            await asyncio.Event().wait()
        return await read(self, params)

    monkeypatch.setattr(InternalSession, "read", hanging)
    options = DeviceOptions(endpoint=server.endpoint, timeout_ms=int(TIMEOUT_S * 1000))
    driver = OpcUa({"plc": options}, points(*(skid_node(f"n{number}") for number in range(count))))
    link = Link("plc", driver)
    up = asyncio.Event()
    link.on_state = lambda: up.set() if link.up else None
    task = asyncio.create_task(link.run())
    try:
        with caplog.at_level(logging.WARNING):
            async with asyncio.timeout(3600):
                await up.wait()
        assert link.counters.broken == 0, "all within the first open: no pause grew"
        assert hung <= most
        for number in range(count):
            found, why = quality(driver, number)
            assert found is (Quality.BAD if number in culprits else Quality.GOOD), number
            assert why.startswith("the server does not answer when the node is read") is (number in culprits)
        for number in culprits:
            assert f"tag T{number}: the server does not answer" in caplog.text
    finally:
        task.cancel()
        await asyncio.wait([task])
        server.stop()
