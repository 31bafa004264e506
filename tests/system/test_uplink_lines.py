"""Messages as lines in a real file, on the real standard output, on a real full device."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from engine.uplinks import lines as module
from engine.uplinks.contract import UplinkError
from engine.uplinks.file import FileUplink
from engine.uplinks.lines import LinesUplink
from engine.uplinks.stdout import StdoutUplink
from protocol.engine_messages import ControlStateMsg
from protocol.models import ControlState
from tests.interop.small_engine import SmallEngine
from tests.unit.full_disk import files_no_larger_than

BEGINNING = ["UodInfoMsg", "TagsUpdatedMsg", "ControlStateMsg"]


@asynccontextmanager
async def running(uplink: LinesUplink) -> AsyncGenerator[LinesUplink, None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(uplink.run())
        try:
            yield uplink
            await uplink.close()
        finally:
            task.cancel()


async def until(uplink: LinesUplink, sent: int) -> None:
    async with asyncio.timeout(60):
        while uplink.status.sent < sent:
            await asyncio.sleep(0.005)  # a count is a plain field, written for a table that is drawn by time


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_a_file_gets_what_an_aggregator_gets(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    engine = SmallEngine("Skid 1", FT01=0, PT01="x")
    async with running(FileUplink(engine, path)) as uplink:
        uplink.put(engine.change(FT01=1))
        state = ControlState(is_running=False, is_holding=False, is_paused=False)
        uplink.put(ControlStateMsg(control_state=state))
        await until(uplink, 5)
        assert len(read(path)) == 5, "written at once, not when the program ends"
        assert uplink.status.connected
    messages = read(path)
    assert [message["_type"] for message in messages] == [
        "UodInfoMsg",
        "TagsUpdatedMsg",
        "ControlStateMsg",
        "TagsUpdatedMsg",
        "ControlStateMsg",
    ]
    assert [message["sequence_number"] for message in messages] == [1, 2, 3, 4, 5]
    assert {message["engine_id"] for message in messages} == {"lab-pc_Skid%201"}
    assert {tag["name"]: tag["value"] for tag in messages[1]["tags"]} == {"FT01": 1, "PT01": "x"}


async def test_the_end_writes_everything(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    engine = SmallEngine(FT01=0)
    async with running(FileUplink(engine, path)) as uplink:
        for number in range(500):
            uplink.put(engine.change(FT01=number))
    assert [message["tags"][0]["value"] for message in read(path)[3:]] == list(range(500))


async def test_a_second_start_appends_after_a_line_that_was_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text('{"whole":1}\n{"cut')
    engine = SmallEngine(FT01=0)
    async with running(FileUplink(engine, path)) as uplink:
        await until(uplink, len(BEGINNING))
    lines = path.read_text().splitlines()
    assert lines[:2] == ['{"whole":1}', '{"cut']
    assert [json.loads(line)["_type"] for line in lines[2:]] == BEGINNING


@pytest.mark.parametrize(
    ("name", "why"),
    [("missing/out.jsonl", "there is no folder .*missing; create it"), (".", "Is a directory; free the way")],
)
def test_a_file_that_cannot_be_had_is_said_before_the_start(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(UplinkError, match=f"cannot write .*: {why}, or name another file"):
        FileUplink(SmallEngine(), tmp_path / name)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
async def test_a_full_disk_is_said_once_and_the_messages_wait(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_WITHIN_S", 0.1)
    engine = SmallEngine(FT01=0)
    uplink = LinesUplink(engine, FileIO("/dev/full", "w"), "/dev/full")
    async with running(uplink):
        uplink.put(engine.change(FT01=1))
        async with asyncio.timeout(60):
            while "No space left" not in uplink.status.state:
                await asyncio.sleep(0.005)  # a status is a plain field, written for a table that is drawn by time
        assert (uplink.status.connected, uplink.status.queued) == (False, 1)
    assert caplog.text.count("cannot write /dev/full: No space left on device") == 1
    assert "1 messages could not be written to /dev/full" in caplog.text


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
async def test_a_disk_that_is_full_at_the_start_is_outlasted(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text('{"a": 1}\n{"cut o')
    with files_no_larger_than(10):
        uplink = FileUplink(SmallEngine(FT01=0), path)
    async with running(uplink):
        await until(uplink, len(BEGINNING))
    first, cut, *lines = path.read_text().splitlines()
    assert (first, cut) == ('{"a": 1}', '{"cut o')
    assert [json.loads(line)["_type"] for line in lines] == BEGINNING


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
async def test_a_line_that_did_not_fit_is_written_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit on the size of files stands for the full disk: the line is cut at it, taken back and written later."""
    import resource
    import signal

    monkeypatch.setattr(module, "RETRY_S", 0.01)
    path = tmp_path / "out.jsonl"
    engine = SmallEngine(FT01=0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        async with running(FileUplink(engine, path)) as uplink:
            await until(uplink, 3)
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, limits[1]))
            uplink.put(engine.change(FT01=1))
            async with asyncio.timeout(60):
                while "cannot write" not in uplink.status.state:
                    await asyncio.sleep(0.005)  # as above
            assert len(read(path)) == 3, "no half a line"
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            await until(uplink, 4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert [message["_type"] for message in read(path)] == [*BEGINNING, "TagsUpdatedMsg"]


async def test_the_standard_output_gets_lines(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    engine = SmallEngine(FT01=0)
    async with running(StdoutUplink(engine)) as uplink:
        uplink.put(engine.change(FT01=1))
        await until(uplink, 4)
    lines = capfdbinary.readouterr().out.splitlines()
    assert [json.loads(line)["_type"] for line in lines] == [*BEGINNING, "TagsUpdatedMsg"]


async def test_a_pipe_whose_reader_went_away_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    source, sink = os.pipe()
    engine = SmallEngine(FT01=0)
    uplink = LinesUplink(engine, FileIO(sink, "w"), "the standard output")
    async with running(uplink):
        await until(uplink, len(BEGINNING))
        os.close(source)
        uplink.put(engine.change(FT01=1))
        async with asyncio.timeout(60):
            while "nobody reads it any more" not in uplink.status.state:
                await asyncio.sleep(0.005)  # a status is a plain field, written for a table that is drawn by time
        uplink.put(engine.change(FT01=2))
    assert (uplink.status.queued, uplink.status.dropped) == (0, 1)
    assert caplog.text.count("nobody reads it any more") == 1


async def test_a_full_file_is_put_aside_and_each_one_begins_with_all_that_is(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    engine = SmallEngine(FT01=0, Constant="x")
    async with running(FileUplink(engine, path, limit_bytes=3000, keep=2)) as uplink:
        for number in range(60):
            uplink.put(engine.change(FT01=number))
            await uplink._backlog.emptied()
        async with asyncio.timeout(60):
            while uplink._is_full() or len(read(path)) < len(BEGINNING):
                await asyncio.sleep(0.005)  # a file that grows can only be looked at
    files = [path, tmp_path / "out.jsonl.1", tmp_path / "out.jsonl.2"]
    assert sorted(os.listdir(tmp_path)) == [file.name for file in files]  # noqa: PTH208  # a folder in memory
    for file in files:
        assert [message["_type"] for message in read(file)][:3] == BEGINNING
    values = [tag["value"] for file in reversed(files) for message in read(file)[3:] for tag in message["tags"]]
    assert values == list(range(60 - len(values), 60)), "what is kept has no hole"
    assert len(values) > 10


STALLED = """
import asyncio, os, sys
from io import FileIO
from engine.uplinks import lines
from engine.uplinks.lines import LinesUplink
from tests.interop.small_engine import SmallEngine
from tests.unit.full_disk import files_no_larger_than

async def main():
    lines.CLOSE_WITHIN_S = 0.2
    source, sink = os.pipe()
    engine = SmallEngine(FT01="x" * 100_000)
    uplink = LinesUplink(engine, FileIO(sink, "w"), "a pipe")
    task = asyncio.create_task(uplink.run())
    await asyncio.sleep(0.2)
    uplink.put(engine.change(FT01=1))
    await uplink.close()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

asyncio.run(main())
"""


async def test_a_reader_who_does_not_read_does_not_hold_up_the_end() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", STALLED, cwd=Path(__file__).parents[2])
    try:
        async with asyncio.timeout(100):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
