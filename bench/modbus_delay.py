"""A TCP path that takes its time, for `bench.modbus`: `python -m bench.modbus_delay PORT SECONDS`.

Passes bytes on to a port of this machine, each answer so many seconds after it came. Says at which port it listens.
"""

from __future__ import annotations

import asyncio
import sys


async def serve(port: int, delay_s: float) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()

    async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
        while data := await reader.read(65_536):
            if delay:
                loop.call_later(delay, writer.write, data)
            else:
                writer.write(data)
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(passed(reader, back, 0.0), passed(there, writer, delay_s))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
