"""The aggregator's secret is not to be seen in the list of processes."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.system.small_aggregator import SmallAggregator

SKIDLINK = Path(sys.executable).with_name("skidlink")


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="the list of processes is read in /proc")
async def test_a_secret_of_the_command_line_is_sent_and_not_listed(tmp_path: Path) -> None:
    uod = tmp_path / "uod.yaml"
    uod.write_text("uod: Secret\ndevices: {box: {driver: simulated}}\ntags: {T: {device: box}}\nprocess_values: [T]\n")
    aggregator = SmallAggregator()
    async with aggregator.running():
        engine = await asyncio.create_subprocess_exec(
            *(SKIDLINK, "run", uod, "--plain", "--aggregator", aggregator.address, "--outbox", tmp_path / "outbox"),
            *("--secret", "very hidden"),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        try:
            await aggregator.messages.get()
            listed = await asyncio.to_thread(Path(f"/proc/{engine.pid}/cmdline").read_bytes)
        finally:
            engine.terminate()
            await engine.wait()
    assert b"--aggregator" in listed
    assert b"hidden" not in listed
    assert aggregator.registrations[0]["secret"] == "very hidden"  # noqa: S105
