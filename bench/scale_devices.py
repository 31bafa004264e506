"""The far ends of `bench.scale`: `python -m bench.scale_devices modbus N` or `... opcua N`, a process of its own.

N Modbus TCP slaves, each on a port of its own, whose registers hold another value at every reading; or N ports that
lead to the OPC UA server of the simulated skid. Says at which ports it listens, then serves until its input ends.
"""

from __future__ import annotations

import asyncio
import json
import struct
import sys
from itertools import count

from uod_examples.skid import Skid


async def slave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every request to read so many holding registers (Modbus Application Protocol V1.1b3, 6.3)."""
    turns = count()
    try:
        while True:
            transaction, _, _, unit, function, _, registers = struct.unpack(">HHHBBHH", await reader.readexactly(12))
            words = struct.pack(">H", next(turns) % 65_536) * registers
            head = struct.pack(">HHHBBB", transaction, 0, 3 + len(words), unit, function, len(words))
            writer.write(head + words)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()  # the engine has ended


async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Pass bytes on, one way."""
    try:
        while data := await reader.read(65_536):
            writer.write(data)
    except ConnectionError:
        pass  # the engine has ended
    finally:
        writer.close()


async def serve(kind: str, number: int) -> None:
    """Serve until the input ends."""
    async with Skid(modbus=False, opcua=kind == "opcua", paused=True) as skid:

        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there, back = await asyncio.open_connection("127.0.0.1", skid.opcua.port)
            await asyncio.gather(passed(reader, back), passed(there, writer))

        client = slave if kind == "modbus" else forward
        servers = [await asyncio.start_server(client, "127.0.0.1", 0) for _ in range(number)]
        print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
