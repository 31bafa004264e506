"""`skidlink run` in a terminal of 80 columns, as a person sees it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from pathlib import Path

import pytest

pty = pytest.importorskip("pty", reason="a terminal of its own, as only POSIX has it")
fcntl = pytest.importorskip("fcntl", reason="a pipe of one page, as only Linux makes it")

SKIDLINK = Path(sys.executable).with_name("skidlink")
UOD = r"""
uod: Terminal
devices:
  box: {driver: simulated}
tags:
  NOTE: {device: box, type: string, start: "[/clean]\e[2Jrunning"}
  PU01: {device: box, direction: output, unit: "%", safe_value: 0}
"""
CODES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


async def run_in_terminal(uod: Path, until: str, number: signal.Signals) -> tuple[int, str]:
    """Runs a UOD until a text is seen, then sends a signal; the exit code, and all that the terminal was sent."""
    terminal, child = pty.openpty()
    size = {"COLUMNS": "80", "LINES": "24", "TERM": "xterm-256color"}
    process = await asyncio.create_subprocess_exec(
        SKIDLINK, "run", uod, "--control", stdin=child, stdout=child, stderr=child, env=os.environ | size
    )
    os.close(child)
    seen = ""

    def more() -> str:
        try:
            return os.read(terminal, 65_536).decode(errors="replace")
        except OSError:  # Linux says so of a terminal that nobody has open any more
            return ""

    try:
        async with asyncio.timeout(200):
            while until not in CODES.sub("", seen):
                part = await asyncio.to_thread(more)
                assert part, f"it ended by itself: {seen}"
                seen += part
            process.send_signal(number)
            while part := await asyncio.to_thread(more):
                seen += part
            return await process.wait(), seen
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(terminal)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_last_table_tells_of_the_outputs_and_no_device_writes_to_the_terminal(
    tmp_path: Path, number: signal.Signals
) -> None:
    uod = tmp_path / "terminal.yaml"
    uod.write_text(UOD)
    code, seen = await run_in_terminal(uod, "running", number)
    assert code == 0
    shown = CODES.sub("", seen)
    assert r"[/clean]\x1b[2Jrunning" in shown
    assert "\x1b[2J" not in seen, "the device's, as the table never clears the screen"
    last = shown[shown.rindex("(ended)") :]
    assert "outputs  safe value accepted: PU01 0 %" in last
    assert "Traceback" not in shown


async def test_a_pipe_that_nobody_reads_stops_no_scan_cycle(tmp_path: Path) -> None:
    """Nobody reads either stream, whose pipes hold one page: the first lines fill them."""
    uod = tmp_path / "busy.yaml"
    tags = "".join(f"  T{number:03}: {{device: box, signal: ramp, period_s: 1}}\n" for number in range(200))
    uod.write_text(f"uod: Busy\ndevices:\n  box: {{driver: simulated}}\ntags:\n{tags}")
    output = tmp_path / "messages.jsonl"
    pipes = [os.pipe(), os.pipe()]
    for _, writer in pipes:
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    process = await asyncio.create_subprocess_exec(
        SKIDLINK, "run", uod, "--plain", "--verbose", "--output", output, stdout=pipes[0][1], stderr=pipes[1][1]
    )
    try:
        async with asyncio.timeout(200):
            while await asyncio.to_thread(lines_in, output) < 60:  # six seconds of ticks; lines come after one
                assert process.returncode is None
                await asyncio.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        for end in (end for pipe in pipes for end in pipe):
            os.close(end)


def lines_in(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0
