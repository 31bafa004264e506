"""What is asked for is written, each time: the engine on a Modbus server that resets what it is given."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine.engine import Engine
from engine.outputs import guard
from engine.uod.reader import read_uod
from protocol.aggregator_messages import InjectCodeMsg
from protocol.messages import SuccessMessage

UOD = """\
uod: Command registers
tick_ms: 50
devices:
  meter: {{driver: modbus-tcp, host: 127.0.0.1, port: {port}, timeout_ms: 60000}}
tags:
  TARE: {{device: meter, holding: 39, direction: output, choices: {{Tare: 43605}}, momentary: true}}
  ACK: {{device: meter, coil: 5, direction: both, choices: {{Idle: 0, Acknowledge: 1}}, momentary: true}}
  SP01: {{device: meter, holding: 40, direction: both, min: 0, max: 100, safe_value: 0}}
commands:
  Tare now: {{steps: [{{set: TARE, to: Tare}}]}}
process_values: [{{choice: TARE}}, {{choice: ACK}}, {{entry: SP01}}]
"""


class Meter:
    """A device that takes every write, and holds nothing of it: it reads zero for ever."""

    def __init__(self) -> None:
        self.written: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        """address and value of each write"""
        self.port = 0
        self.refuses = False
        """answers writes with exception 03"""
        self.cuts: int | None = None
        """closes the connection where this value is written"""
        self._connections: set[asyncio.StreamWriter] = set()

    def restart(self) -> None:
        """End all connections, as a device does that restarts."""
        for writer in self._connections:
            writer.close()

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                transaction, _, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
                pdu = self._answer(await reader.readexactly(length - 1))
                writer.write(struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu)
        self._connections.discard(writer)
        writer.close()

    def _answer(self, pdu: bytes) -> bytes:
        function, address, number = struct.unpack_from(">BHH", pdu)
        if function in {1, 3}:
            size = 2 * number if function == 3 else (number + 7) // 8
            return bytes((function, size)) + bytes(size)
        assert function in {5, 6, 15, 16}
        self.written.put_nowait((address, number))
        if number == self.cuts:
            raise ConnectionError
        return bytes((function | 0x80, 3)) if self.refuses else pdu[:5]


@asynccontextmanager
async def working(meter: Meter, folder: Path) -> AsyncGenerator[Engine]:
    """An engine on the meter, which has taken the safe value."""
    file = folder / "meter.yaml"
    file.write_text(UOD.format(port=meter.port))
    skid = read_uod(file).skid
    assert skid is not None
    engine, stop = Engine(skid), asyncio.Event()
    running = asyncio.create_task(engine.run(stop))
    try:
        assert await meter.written.get() == (40, 0), "the safe value, at the start"
        yield engine
    finally:
        stop.set()
        await running


async def ask(engine: Engine, line: str) -> None:
    assert isinstance(await engine.handle(InjectCodeMsg(pcode=line)), SuccessMessage)


@pytest.mark.parametrize(
    ("lines", "writes"),
    [
        (["TARE: Tare"] * 3, [(39, 43605)] * 3),
        (["Tare now", "TARE: Tare", "Tare now"], [(39, 43605)] * 3),
        (["ACK: Acknowledge"] * 2, [(5, 0xFF00)] * 2),
        (["ACK: Acknowledge\nACK: Idle\nACK: Acknowledge"], [(5, 0xFF00), (5, 0), (5, 0xFF00)]),
        (["SP01: 25", "SP01: 25", "SP01: 0", "SP01: 0"], [(40, 25), (40, 25), (40, 0), (40, 0)]),
    ],
)
async def test_each_line_is_a_write(tmp_path: Path, lines: list[str], writes: list[tuple[int, int]]) -> None:
    meter = Meter()
    async with asyncio.timeout(120), meter.serving(), working(meter, tmp_path) as engine:
        seen: list[tuple[int, int]] = []
        for line in lines:
            await ask(engine, line)
            seen += [await meter.written.get() for _ in line.splitlines()]
        assert seen == writes


@pytest.mark.parametrize("line", ["ACK: Acknowledge", "Tare now"])
async def test_what_a_device_refuses_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture, line: str) -> None:
    caplog.set_level(logging.INFO, "skidlink")
    meter = Meter()
    async with asyncio.timeout(120), meter.serving(), working(meter, tmp_path) as engine:
        meter.refuses = True
        for _ in range(2):
            await ask(engine, line)
        while sum(record.getMessage().startswith(f"{line}: ") for record in caplog.records) < 2:
            await asyncio.sleep(0.01)  # both lines have failed
        told = [record.getMessage() for record in caplog.records if record.levelname in {"WARNING", "ERROR"}]
        assert len(told) == 2, "once an ask"
        assert all("failed" in message and "exception 03" in message for message in told)


async def test_a_value_that_ends_its_connection_each_time_is_left_off(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "KEEP_S", 600.0)  # all of it is a blink, however slow this machine is
    meter = Meter()
    async with asyncio.timeout(120), meter.serving(), working(meter, tmp_path) as engine:
        meter.cuts = 25
        await ask(engine, "SP01: 25")
        seen = [await meter.written.get() for _ in range(4)]
        assert seen == [(40, 25), (40, 25), (40, 25), (40, 0)], "then the safe value"
        assert caplog.text.count("its device was lost at each write of 25") == 1
        assert "refused" not in caplog.text
        meter.cuts = None
        while not engine.links[0].up:
            await asyncio.sleep(0.01)
        await ask(engine, "SP01: 25")
        assert await meter.written.get() == (40, 25), "asked anew, it is written anew"


@pytest.mark.parametrize(("asked", "holds"), [(None, 0), (25, 25)])
async def test_a_device_that_restarts_is_written_again_but_what_is_momentary_is_not(
    tmp_path: Path, asked: int | None, holds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "KEEP_S", 600.0)  # it is a blink, however slow this machine is
    meter = Meter()
    async with asyncio.timeout(120), meter.serving(), working(meter, tmp_path) as engine:
        await ask(engine, "ACK: Acknowledge")
        assert await meter.written.get() == (5, 0xFF00)
        await ask(engine, "TARE: Tare")
        assert await meter.written.get() == (39, 43605)
        if asked is not None:
            await ask(engine, f"SP01: {asked}")
            assert await meter.written.get() == (40, asked)
        for _ in range(2):
            meter.restart()
            assert await meter.written.get() == (40, holds), "it is not known what it holds"
        await ask(engine, "TARE: Tare")
        assert await meter.written.get() == (39, 43605), "nothing else was written meanwhile"
