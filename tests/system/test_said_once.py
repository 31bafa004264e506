"""What is wrong with a link or a node is said once, with what to do."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from pathlib import Path

from tests.system import command_line
from tests.system.opcua_server import SKID, SkidServer

SKIDLINK = Path(sys.executable).with_name("skidlink")
DEAD = """
uod: Dead
devices:
  plc: {{driver: opcua, endpoint: "opc.tcp://127.0.0.1:{port}"}}
tags:
  FT01: {{device: plc, node: "ns=2;s=FT01"}}
  FT02: {{device: plc, node: "ns=2;s=FT02"}}
derived:
  Sum: {{expr: "FT01 + FT02"}}
"""
MISSING = """
uod: Missing
devices:
  plc: {{driver: opcua, endpoint: "opc.tcp://127.0.0.1:{port}", security: none}}
tags:
  FT01: {{device: plc, node: "nsu=urn:skid;s=FT01"}}
  FT02: {{device: plc, node: "nsu=urn:skid;s=FT02"}}
"""


async def said_until(uod: Path, sign: str) -> tuple[str, str]:
    """Run a UOD until a sign comes on the standard output: that output, and the log."""
    with (uod.parent / "log").open("w+b") as log:
        process = await asyncio.create_subprocess_exec(
            SKIDLINK, "run", uod, "--plain", stdout=asyncio.subprocess.PIPE, stderr=log
        )
        assert process.stdout is not None
        out = ""
        try:
            async with asyncio.timeout(200):
                while sign not in out:
                    line = await process.stdout.readline()
                    assert line, "it has ended by itself"
                    out += line.decode()
                process.send_signal(signal.SIGINT)
                out += (await process.stdout.read()).decode()
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        log.seek(0)
        return out, log.read().decode()


async def test_of_a_dead_link_its_tags_say_nothing_more_in_a_check(tmp_path: Path, closed_port: int) -> None:
    uod = tmp_path / "dead.yaml"
    uod.write_text(DEAD.format(port=closed_port))
    code, out, log = await command_line.skidlink("check", uod, "--online")
    assert code == 1
    assert log.count("nothing listens at this port") == 1
    assert "not read yet" not in out + log


async def test_of_a_dead_link_its_tags_say_nothing_more_in_a_run(tmp_path: Path, closed_port: int) -> None:
    uod = tmp_path / "dead.yaml"
    uod.write_text(DEAD.format(port=closed_port))
    out, log = await said_until(uod, "plc Status = down")
    assert log.count("nothing listens at this port") == 1
    assert "not read yet" not in out + log


async def test_of_a_node_that_is_not_there_its_driver_has_said_all(tmp_path: Path) -> None:
    plc = SkidServer([SKID])
    try:
        plc.add("FT01", 1.5)
        uod = tmp_path / "missing.yaml"
        uod.write_text(MISSING.format(port=plc.port))
        out, log = await said_until(uod, "FT02 = -  [bad: ")
    finally:
        plc.stop()
    about = [line for line in log.splitlines() if re.search(r"\bFT02\b", line)]
    assert len(about) == 1
    assert "tag FT02" in about[0]
    assert out.count("FT02 = ") == 1
