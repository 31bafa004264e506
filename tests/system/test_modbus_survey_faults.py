"""A survey of devices that answer badly: what is wrong with one of them costs nothing of the others."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from drivers.contract import DeviceError
from drivers.modbus import survey as survey_module
from drivers.modbus.address import reach
from drivers.modbus.pdu import Table
from drivers.modbus.survey import Survey
from tests.system.command_line import skidlink

Answer = Callable[[int, int, int], bytes | None]
"""Device id, function and address of a read of one register -> the answer's device id and PDU; None: hang up."""
PATIENT = ("--timeout-ms", "60000")


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey_module, "PAUSE_S", 0.0)
    monkeypatch.setattr(survey_module, "REOPEN_S", (0.0,))


@asynccontextmanager
async def serving(answer: Answer) -> AsyncGenerator[str]:
    """A Modbus TCP server that answers by a function; gives HOST:PORT."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(7)
                pdu = await reader.readexactly(int.from_bytes(head[4:6]) - 1)
                said = answer(head[6], pdu[0], int.from_bytes(pdu[1:3]))
                if said is None:
                    return
                writer.write(head[:4] + len(said).to_bytes(2) + said)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


def register(device_id: int, function: int, address: int) -> bytes:
    """A read of one register that holds its address; there are holding registers only."""
    if function != 3:
        return bytes([device_id, function | 0x80, 1])
    return bytes([device_id, function, 2]) + address.to_bytes(2)


async def test_a_connection_that_is_closed_at_one_id_costs_that_id_only() -> None:
    def answer(device_id: int, function: int, address: int) -> bytes | None:
        return None if device_id == 2 else register(device_id, function, address)

    async with serving(answer) as link:
        survey = Survey(reach(link), [1, 2, 3], timeout_ms=60_000)
        async with survey.opened():
            await survey.present(lambda _: None)
        assert [each.device_id for each in survey.found] == [1, 3]
        assert survey.closed_at == ["device_id 2, holding 0"]


async def test_a_register_at_which_the_connection_is_closed_costs_that_register_only() -> None:
    def answer(device_id: int, function: int, address: int) -> bytes | None:
        return None if address == 5 else register(device_id, function, address)

    async with serving(answer) as link:
        survey = Survey(reach(link), [1], timeout_ms=60_000)
        async with survey.opened():
            assert await survey.words(1, Table.HOLDING, 3, 8) == {3: 3, 4: 4, 6: 6, 7: 7, 8: 8}
        code, out, _ = await skidlink("modbus", "probe", link, "6", *PATIENT, "--json")
    assert code == 0
    assert json.loads(out)["words"]["6"] == 6


async def test_a_device_that_is_gone_is_said_after_a_few_registers() -> None:
    asked: list[int] = []

    def answer(device_id: int, function: int, address: int) -> bytes | None:
        asked.append(address)

    async with serving(answer) as link:
        survey = Survey(reach(link), [1], timeout_ms=60_000)
        async with survey.opened():
            with pytest.raises(DeviceError, match="does not answer"):
                await survey.words(1, Table.HOLDING, 0, 100)
    assert asked == [0, 1, 2]


async def test_a_device_that_answers_as_device_id_0_is_found_under_it() -> None:
    def answer(_: int, function: int, address: int) -> bytes | None:
        return register(0, function, address)

    async with serving(answer) as link:
        code, out, _ = await skidlink("modbus", "scan", link, "--ids", "0-2", "--last", "0", *PATIENT, "--json")
        said = json.loads(out)
    assert code == 0
    assert [(each["device_id"], each["readable"]) for each in said["devices"]] == [(0, {"holding": [[0, 0]]})]
    assert any("device ids 1, 2 says that it is another one" in remark for remark in said["remarks"])


@pytest.mark.parametrize(("link", "ids"), [("tcp://192.0.2.1", 34), ("rtu:///dev/ttyUSB0", 32)])
async def test_device_id_0_is_asked_where_a_host_is_the_device(
    link: str, ids: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    class Closed(Survey):
        def __init__(self, where: object, device_ids: list[int], *, timeout_ms: int) -> None:
            asked.extend(device_ids)
            super().__init__(reach("127.0.0.1:1"), [1], timeout_ms=timeout_ms)

    monkeypatch.setattr("engine.cli.modbus_survey.Survey", Closed)
    await skidlink("modbus", "scan", link)
    assert len(asked) == ids
    assert (0 in asked) is link.startswith("tcp")


async def test_what_was_found_before_the_link_went_down_is_printed(tmp_path: Path) -> None:
    answered: list[int] = []
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)

    async def answer_some() -> None:
        """Take one connection, answer nine requests on it, and be gone."""
        loop = asyncio.get_running_loop()
        connection, _ = await loop.sock_accept(listener)
        listener.close()
        with connection:
            for _ in range(9):
                asked = await loop.sock_recv(connection, 12)
                said = register(asked[6], asked[7], int.from_bytes(asked[8:10]))
                answered.append(asked[6])
                await loop.sock_sendall(connection, asked[:4] + len(said).to_bytes(2) + said)

    link = f"127.0.0.1:{listener.getsockname()[1]}"
    serving_some = asyncio.create_task(answer_some())
    code, out, err = await skidlink("modbus", "scan", link, "--ids", "1-2", "--last", "0", *PATIENT)
    await serving_some
    assert code == 1
    assert "the scan ended early" in err
    assert "holding" in out
    assert answered[:3] == [1, 2, 1]
