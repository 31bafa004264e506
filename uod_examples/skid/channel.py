"""The line between the skid and a server process: JSON objects, one a line, over the process's stdin and stdout.

| to the server | |
| --- | --- |
| `{"frame": n, "time": unix seconds, "values": {...}}` | the values from now on |
| `{"written": id, "error": text or null}` | the outcome of a write, after the frame that shows it |
| `{"order": id, "do": name, "with": {...}}` | a fault, or its end |

| from the server | |
| --- | --- |
| `{"ready": port}` or `{"failed": text}` | once, after the first frame |
| `{"held": n}` | clients now read frame n |
| `{"write": id, "values": {...}}` | a client has written |
| `{"done": id, "error": text or null}` | an order is in effect |

Here is the server's end. Its process ends when the line does, however the other side came to its end.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, NoReturn, Protocol

from uod_examples.skid.model import Value
from uod_examples.skid.proxy import FaultProxy

WRITE_TIMEOUT_S = 10.0


class WriteRefusedError(Exception):
    """The skid does not take this value; the message says why."""


class SkidServer(Protocol):
    """A server of the skid's values on one bus."""

    async def start(self) -> int:
        """Listen on a free loopback port and return it."""
        ...

    async def hold(self, values: Mapping[str, Value], time: float) -> None:
        """Show these values from now on; `time` is unix seconds."""
        ...

    async def fail(self, **what: Any) -> None:
        """Refuse one place of the address space from now on."""
        ...

    async def heal(self) -> None:
        """Refuse nothing any more."""
        ...


class Channel:
    """The server's end of the line."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._outcomes: dict[int, asyncio.Future[str | None]] = {}
        self._last_write = 0

    def listen(self) -> None:
        """Read the line in a thread: it ends the process even while the loop is busy."""
        threading.Thread(target=self._read, name="skid channel", daemon=True).start()

    def send(self, **message: Any) -> None:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()

    async def next(self) -> dict[str, Any]:
        return await self._messages.get()

    async def write(self, values: Mapping[str, Value]) -> None:
        """Write to the skid and return when the server holds the outcome.

        Raises `WriteRefusedError`, and `TimeoutError` when the skid does not say.
        """
        self._last_write += 1
        outcome: asyncio.Future[str | None] = self._loop.create_future()
        self._outcomes[self._last_write] = outcome
        self.send(write=self._last_write, values=dict(values))
        async with asyncio.timeout(WRITE_TIMEOUT_S):
            error = await outcome
        if error is not None:
            raise WriteRefusedError(error)

    def settle(self, write: int, error: str | None) -> None:
        outcome = self._outcomes.pop(write)
        if not outcome.done():
            outcome.set_result(error)

    def _read(self) -> NoReturn:
        for line in sys.stdin:
            self._loop.call_soon_threadsafe(self._messages.put_nowait, json.loads(line))
        os._exit(0)


async def run(make: Callable[[Channel], SkidServer], port: int) -> None:
    """Serve what the line says on `port`, through a proxy that can break the link, until the line ends."""
    channel = Channel()
    channel.listen()
    server = make(channel)
    first = await channel.next()
    proxy = FaultProxy("127.0.0.1", await server.start(), port=port)
    await server.hold(first["values"], first["time"])
    try:
        await proxy.start()
    except OSError as error:
        why = os.strerror(error.errno or 0)  # asyncio's own text names the address again
        channel.send(failed=f"it cannot listen on 127.0.0.1:{port} ({why}); stop what does, or choose a port")
        return
    channel.send(ready=proxy.port)
    channel.send(held=first["frame"])
    while True:
        message = await channel.next()
        if "frame" in message:
            await server.hold(message["values"], message["time"])
            channel.send(held=message["frame"])
        elif "written" in message:
            channel.settle(message["written"], message["error"])
        else:
            error = await _obey(server, proxy, message["do"], message["with"])
            channel.send(done=message["order"], error=error)


async def _obey(server: SkidServer, proxy: FaultProxy, order: str, arguments: dict[str, Any]) -> str | None:
    """Do as ordered; what cannot be done is an error text."""
    try:
        match order:
            case "drop":
                await proxy.drop()
            case "refuse":
                await proxy.refuse()
            case "delay":
                proxy.delay = float(arguments["seconds"])
            case "black_hole":
                proxy.black_hole()
            case "half_open":
                await proxy.half_open()
            case "fail":
                await server.fail(**arguments)
            case "restore":
                await proxy.restore()
                await server.heal()
            case _:
                return f"no fault is named {order!r}"
    except (ValueError, OSError) as error:
        return str(error)
    return None


def main(make: Callable[[Channel], SkidServer]) -> None:
    """Run as a process of its own; the port to listen on is the only argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the skid ends its servers itself
    serving: Coroutine[Any, Any, None] = run(make, int(sys.argv[1]))
    asyncio.run(serving)
