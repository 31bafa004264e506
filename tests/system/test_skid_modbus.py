"""The skid's Modbus TCP server, read and written by pymodbus's client and by a bare socket."""

from __future__ import annotations

import asyncio
import contextlib
import math
import struct
import time
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
from pymodbus.client import AsyncModbusTcpClient
from pymodbus.pdu import ModbusPDU

from uod_examples.skid import Skid, SkidError
from uod_examples.skid.model import Value
from uod_examples.skid.registers import REGISTERS, Register, Table

ILLEGAL_ADDRESS, ILLEGAL_VALUE, DEVICE_BUSY, GATEWAY_NO_RESPONSE = 2, 3, 6, 11
BY_NAME = {register.name: register for register in REGISTERS}
TYPES = AsyncModbusTcpClient.DATATYPE


@contextlib.asynccontextmanager
async def connected(skid: Skid) -> AsyncGenerator[AsyncModbusTcpClient]:
    client = AsyncModbusTcpClient(skid.modbus_host, port=skid.modbus_port, timeout=60.0, retries=0, reconnect_delay=0)
    assert await client.connect()
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
async def skid() -> AsyncIterator[Skid]:
    async with Skid(opcua=False, running=True) as skid:
        await skid.pause()
        await skid.advance(10.0)
        yield skid


@pytest.fixture
async def client(skid: Skid) -> AsyncIterator[AsyncModbusTcpClient]:
    async with connected(skid) as client:
        yield client


async def read(client: AsyncModbusTcpClient, name: str) -> ModbusPDU:
    register = BY_NAME[name]
    ask = {
        Table.COIL: client.read_coils,
        Table.DISCRETE: client.read_discrete_inputs,
        Table.HOLDING: client.read_holding_registers,
        Table.INPUT: client.read_input_registers,
    }[register.table]
    return await ask(register.address, count=register.words, device_id=register.device_id)


def decoded(register: Register, answer: ModbusPDU) -> Value:
    """The answer as pymodbus decodes it; it knows two of the four orders, the others are swapped to those first."""
    assert not answer.isError(), answer
    if register.type == "bool":
        return answer.bits[0]
    words = answer.registers
    assert len(words) == register.words
    if register.order in ("BADC", "DCBA"):
        words = [word >> 8 | (word & 0xFF) << 8 for word in words]
    low_first = register.order in ("CDAB", "DCBA") and register.type != "string"
    value = AsyncModbusTcpClient.convert_from_registers(
        words, TYPES[register.type.upper()], word_order="little" if low_first else "big"
    )
    assert isinstance(value, bool | int | float | str)
    return value


async def test_every_register_is_the_truth(skid: Skid, client: AsyncModbusTcpClient) -> None:
    truth = skid.truth()
    for name, register in BY_NAME.items():
        assert decoded(register, await read(client, name)) == truth.modbus[name], name
    assert truth.modbus["FT01"] == pytest.approx(truth.values["FT01"])
    assert float(truth.values["FT01"]) > 100.0
    assert truth.modbus["PC01"] == truth.values["PC01"]


async def test_values_follow_the_running_model(skid: Skid, client: AsyncModbusTcpClient) -> None:
    async def clock() -> int:
        return int(decoded(BY_NAME["CK01"], await read(client, "CK01")))

    started = await clock()
    skid.resume()
    async with asyncio.timeout(60):
        while await clock() < started + 500_000_000:
            pass
    await skid.pause()
    assert await clock() == skid.truth().values["CK01"]


async def test_writes_act_on_the_model(skid: Skid, client: AsyncModbusTcpClient) -> None:
    assert not (await client.write_coils(0, [False, True], device_id=1)).isError()
    await skid.advance(1.0)
    assert skid.truth().values["FT01"] == pytest.approx(0.0, abs=5.0)
    assert not (await client.write_coil(0, True, device_id=1)).isError()
    assert not (await client.write_register(0, 333, device_id=1)).isError()
    assert (await client.read_holding_registers(0, count=1)).registers == [333]
    await skid.advance(10.0)
    assert skid.truth().values["ST01"] == pytest.approx(33.3)
    assert float(skid.truth().values["FT01"]) > 50.0


async def test_a_float_and_a_text_are_written_whole(skid: Skid, client: AsyncModbusTcpClient) -> None:
    words = AsyncModbusTcpClient.convert_to_registers(47.25, TYPES.FLOAT32, word_order="little")
    assert not (await client.write_registers(2, words)).isError()
    text = AsyncModbusTcpClient.convert_to_registers("Batch 17", TYPES.STRING)
    assert not (await client.write_registers(10, [*text, 0, 0, 0, 0])).isError()
    assert skid.truth().values["PU01"] == 47.25
    assert skid.truth().values["BA01"] == "Batch 17"
    assert (await client.write_register(2, 0)).exception_code == ILLEGAL_ADDRESS


async def test_what_cannot_be_is_an_exception(skid: Skid, client: AsyncModbusTcpClient) -> None:
    before = skid.truth().values
    answers = {
        "gap": await client.read_holding_registers(101, count=1),
        "into the gap": await client.read_holding_registers(100, count=2),
        "past the end": await client.read_input_registers(5000, count=1),
        "read only": await client.write_register(100, 1),
    }
    assert {what: answer.exception_code for what, answer in answers.items()} == dict.fromkeys(answers, ILLEGAL_ADDRESS)
    assert (await client.write_register(0, 1001)).exception_code == ILLEGAL_VALUE
    assert (await client.read_holding_registers(0, count=1, device_id=9)).exception_code == GATEWAY_NO_RESPONSE
    assert skid.truth().values == before


async def test_requests_in_flight_are_all_answered_in_order(skid: Skid) -> None:
    truth = skid.truth()
    reader, writer = await asyncio.open_connection(skid.modbus_host, skid.modbus_port)
    asked = [struct.pack(">HHHBBHH", number, 0, 6, 1, 3, 100 + 20 * (number % 2), 1) for number in range(50)]
    writer.write(b"".join(asked))
    async with asyncio.timeout(60):
        for number in range(50):
            got = struct.unpack(">HHHBBBH", await reader.readexactly(11))
            assert got == (number, 0, 5, 1, 3, 2, truth.modbus["SW01" if number % 2 else "PT01"])
    writer.close()


async def test_a_register_is_refused_with_the_code_of_choice(skid: Skid, client: AsyncModbusTcpClient) -> None:
    await skid.modbus.fail("PT02", DEVICE_BUSY)
    assert (await read(client, "PT02")).exception_code == DEVICE_BUSY
    assert (await client.read_holding_registers(102, count=4)).exception_code == DEVICE_BUSY
    assert not (await read(client, "FT01")).isError()
    await skid.modbus.fail("VA01", 4)
    assert (await client.write_coil(0, False)).exception_code == 4
    await skid.modbus.restore()
    assert decoded(BY_NAME["PT02"], await read(client, "PT02")) == skid.truth().modbus["PT02"]


async def test_one_device_is_silent_while_the_other_answers(skid: Skid, client: AsyncModbusTcpClient) -> None:
    await skid.modbus.fail_addresses(2, "input", 0, 100, None)
    reader, writer = await asyncio.open_connection(skid.modbus_host, skid.modbus_port)
    writer.write(struct.pack(">HHHBBHH", 1, 0, 6, 2, 4, 0, 1) + struct.pack(">HHHBBHH", 2, 0, 6, 1, 4, 0, 1))
    async with asyncio.timeout(60):
        answer = await reader.readexactly(11)
    assert struct.unpack(">HHHB", answer[:7]) == (2, 0, 5, 1)
    writer.close()
    assert not (await client.read_holding_registers(100, count=2, device_id=2)).isError()


async def test_a_broken_sensor_shows_in_each_type(skid: Skid, client: AsyncModbusTcpClient) -> None:
    await skid.set(TT01=math.nan, CT01=math.nan)
    assert decoded(BY_NAME["TT01"], await read(client, "TT01")) == -32768
    assert math.isnan(float(decoded(BY_NAME["CT01"], await read(client, "CT01"))))
    await skid.release()
    assert decoded(BY_NAME["CT01"], await read(client, "CT01")) == skid.truth().modbus["CT01"]


async def test_frozen_values_stand_still_until_restored(skid: Skid, client: AsyncModbusTcpClient) -> None:
    skid.modbus.freeze_values()
    before = await read(client, "CK01")
    await skid.advance(1.0)
    assert (await read(client, "CK01")).registers == before.registers
    assert skid.truth().modbus["CK01"] == int(skid.truth().values["CK01"]) - 10**9
    await skid.modbus.restore()
    assert decoded(BY_NAME["CK01"], await read(client, "CK01")) == skid.truth().values["CK01"]


async def test_faults_of_the_link(skid: Skid) -> None:
    async with connected(skid) as client:
        await skid.modbus.answer_late(0.2)
        started = time.monotonic()
        await read(client, "PT01")
        assert time.monotonic() - started >= 0.2
        await skid.modbus.drop()
    await skid.modbus.refuse()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(skid.modbus_host, skid.modbus_port)
    await skid.modbus.restore()
    async with connected(skid) as client:
        assert decoded(BY_NAME["PT01"], await read(client, "PT01")) == skid.truth().modbus["PT01"]


async def test_a_restarted_server_is_back_on_its_port_with_the_present_values(skid: Skid) -> None:
    port, pid = skid.modbus_port, skid.modbus.pid
    await skid.modbus.fail("PT01", DEVICE_BUSY)
    await skid.modbus.kill()
    assert skid.pids == {}
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(skid.modbus_host, port)
    with pytest.raises(SkidError, match="does not run"):
        await skid.modbus.drop()
    await skid.advance(1.0)
    await skid.modbus.start()
    assert (skid.modbus_port, skid.modbus.pid != pid) == (port, True)
    async with connected(skid) as client:
        assert decoded(BY_NAME["PT01"], await read(client, "PT01")) == skid.truth().modbus["PT01"]
        assert decoded(BY_NAME["CK01"], await read(client, "CK01")) == skid.truth().values["CK01"]
