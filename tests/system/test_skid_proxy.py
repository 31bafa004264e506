"""The fault proxy in front of an echo server, with bare sockets as clients."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from uod_examples.skid.proxy import FaultProxy

PATIENCE_S = 0.15
"""How long silence has to last to count as such."""


class Client:
    """One connection through the proxy."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, proxy: FaultProxy) -> Client:
        return cls(*await asyncio.open_connection(proxy.host, proxy.port))

    async def ask(self, text: bytes) -> bytes:
        self.writer.write(text)
        return await self.hear(len(text))

    async def hear(self, count: int) -> bytes:
        async with asyncio.timeout(60):
            return await self.reader.readexactly(count)

    async def hears_nothing(self) -> bool:
        """No byte, and no end of the connection either."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                await self.reader.read(1)
        except TimeoutError:
            return True
        return False


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(1024):
            writer.write(chunk)
    except ConnectionError:
        pass  # the proxy has reset it
    finally:
        writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[FaultProxy]:
    running: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(echo(reader, writer))
        running.add(task)
        task.add_done_callback(running.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    async with FaultProxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        yield proxy
    server.close()
    await asyncio.gather(*running)


@pytest.fixture
async def client(proxy: FaultProxy) -> AsyncIterator[Client]:
    client = await Client.connect(proxy)
    assert await client.ask(b"hello") == b"hello"
    yield client
    client.writer.close()


async def test_passes_bytes_both_ways(client: Client) -> None:
    text = bytes(range(256)) * 1000
    assert await client.ask(text) == text


async def test_drop_resets_and_welcomes_anew(proxy: FaultProxy, client: Client) -> None:
    await proxy.drop()
    assert proxy.connections == 0
    with pytest.raises(ConnectionResetError):
        await client.hear(1)
    again = await Client.connect(proxy)
    assert await again.ask(b"again") == b"again"
    again.writer.close()


async def test_refuse_until_restored_on_the_same_port(proxy: FaultProxy, client: Client) -> None:
    port = proxy.port
    await proxy.refuse()
    with pytest.raises(ConnectionResetError):
        await client.hear(1)
    with pytest.raises(ConnectionRefusedError):
        await Client.connect(proxy)
    await proxy.restore()
    assert proxy.port == port
    again = await Client.connect(proxy)
    assert await again.ask(b"again") == b"again"
    again.writer.close()


async def test_answers_are_late_by_the_delay_and_in_order(proxy: FaultProxy, client: Client) -> None:
    proxy.delay = 0.2
    started = time.monotonic()
    assert await client.ask(b"late") == b"late"
    assert time.monotonic() - started >= 0.2
    client.writer.write(b"one")
    await asyncio.sleep(0.05)  # the proxy has it: it is on its way, late
    proxy.delay = 0.0
    assert await client.ask(b"two") == b"one"
    assert await client.hear(3) == b"two"


async def test_a_black_hole_accepts_and_is_silent_and_then_everything_comes(proxy: FaultProxy, client: Client) -> None:
    proxy.black_hole()
    client.writer.write(b"first")
    later = await Client.connect(proxy)
    later.writer.write(b"second")
    assert await client.hears_nothing()
    assert await later.hears_nothing()
    await proxy.restore()
    assert await client.hear(5) == b"first"
    assert await later.hear(6) == b"second"
    later.writer.close()


async def test_a_half_open_connection_is_silent_while_new_ones_work(proxy: FaultProxy, client: Client) -> None:
    await proxy.half_open()
    client.writer.write(b"anyone?")
    assert await client.hears_nothing()
    again = await Client.connect(proxy)
    assert await again.ask(b"again") == b"again"
    assert proxy.connections == 2
    await proxy.restore()
    assert await client.hears_nothing()
    again.writer.close()


async def test_a_server_that_is_away_resets_the_client() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    async with FaultProxy("127.0.0.1", port) as proxy:
        client = await Client.connect(proxy)
        with pytest.raises(ConnectionResetError):
            await client.hear(1)
        client.writer.close()
