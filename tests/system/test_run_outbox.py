"""The outbox as `skidlink run` is told to keep it, each engine a process of its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from protocol.aggregator_messages import ExecuteControlCommandMsg
from protocol.serialization import serialize
from tests.system.small_aggregator import SmallAggregator

SKIDLINK = """
from engine.cli.app import main
from engine.uplinks import aggregator
aggregator.MAINTAIN_EVERY_S = 0.2
main()
"""
"""The command, but that it looks after its outbox without a pause of seconds."""
UOD = """\
uod: Outbox
tick_ms: 50
data_log_interval_s: 0.05
devices:
  box: {driver: simulated}
tags:
"""
TAGS = "".join(f"  T{number}: {{device: box, signal: ramp, period_s: 100}}\n" for number in range(300))
"""40 kB each tick, so that a small outbox is soon full."""


@pytest.fixture
def uod(tmp_path: Path) -> Path:
    path = tmp_path / "uod.yaml"
    path.write_text(UOD + TAGS)
    return path


@pytest.fixture
def uod_of_a_long_name(uod: Path) -> Path:
    uod.write_text(uod.read_text().replace("uod: Outbox", f"uod: {40 * '過濾'}"))
    return uod


@asynccontextmanager
async def skidlink(uod: Path, *options: str | Path) -> AsyncGenerator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SKIDLINK, "run", uod, "--outbox", uod.with_name("outbox"), "--plain", *options),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process: asyncio.subprocess.Process, what: str) -> str:
    """The line in which something is said."""
    assert process.stderr is not None
    lines: list[str] = []
    async with asyncio.timeout(200):
        async for line in process.stderr:
            lines.append(line.decode())
            if what in lines[-1]:
                return lines[-1]
    raise AssertionError(f"never said {what!r}, but:\n{''.join(lines)}")


@pytest.mark.parametrize(
    ("bound", "consequence"),
    [
        (("--outbox-limit-mb", "1"), "full; when it is full the oldest samples are thinned"),
        (("--outbox-keep-days", "0.00002"), "samples waited for more than 2e-05 days and are given up"),
    ],
)
async def test_the_bounds_are_those_of_the_options(uod: Path, bound: tuple[str, str], consequence: str) -> None:
    async with (
        SmallAggregator().running() as aggregator,
        skidlink(uod, "--aggregator", aggregator.address, *bound) as process,
    ):
        async with asyncio.timeout(200):
            await aggregator.messages.get()
            start = serialize(ExecuteControlCommandMsg(name="Start"))
            await aggregator.call("dispatch_message_async", "start", message_json=start)
            while (await aggregator.messages.get())["_type"] != "RunStartedMsg":
                pass
        aggregator.deaf = True  # the samples of the run can only wait
        await said(process, consequence)
    (archive,) = (uod.with_name("outbox") / "archives").glob("*_Outbox/archiver-*.txt")
    assert archive.read_text().startswith("Datetime (UTC),"), "the run is a file, too"


async def test_a_second_engine_on_the_same_outbox_is_told_so(uod: Path) -> None:
    nobody = ("--aggregator", "127.0.0.1:9")
    async with skidlink(uod, *nobody) as first, skidlink_after(first, uod, *nobody) as second:
        line = await said(second, "is in use")
        assert str(uod.with_name("outbox")) in line
        assert "another Skidlink runs this UOD on this computer; stop it, or give this one a folder of its own" in line
        assert await asyncio.wait_for(second.wait(), 200) == 1
        assert first.returncode is None


@asynccontextmanager
async def skidlink_after(
    first: asyncio.subprocess.Process, uod: Path, *options: str
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """Another one, once the first one works."""
    await said(first, "simulated bus: up")
    async with skidlink(uod, *options) as second:
        yield second


async def test_a_name_longer_than_a_file_name_can_be_has_its_outbox_and_its_archives(
    uod_of_a_long_name: Path,
) -> None:
    async with skidlink(uod_of_a_long_name, "--aggregator", "127.0.0.1:9") as process:
        await said(process, "simulated bus: up")
    kept = uod_of_a_long_name.with_name("outbox")
    (store,) = kept.glob("*.sqlite3")
    assert [folder.name for folder in (kept / "archives").iterdir()] == [store.stem]
