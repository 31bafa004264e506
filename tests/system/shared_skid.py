"""The simulated skid for all tests of a module: to start its OPC UA server takes seconds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from uod_examples.skid import Skid
from uod_examples.skid.model import WATCHDOG_S, SkidModel, Value
from uod_examples.skid.skid import Truth


class SharedSkid:
    """A skid in a thread and an event loop of its own, as each test has one."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._skid = Skid(noise=False)
        asyncio.run_coroutine_threadsafe(self._skid.__aenter__(), self._loop).result()
        self.opcua_endpoint = self._skid.opcua_endpoint
        self.modbus_host, self.modbus_port = self._skid.modbus_host, self._skid.modbus_port

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._skid.stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _do(self, work: Callable[[Skid], Coroutine[Any, Any, None]]) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work(self._skid), self._loop))

    async def begin_anew(self, watchdog_s: float = WATCHDOG_S) -> None:
        """Be as when it was started."""

        async def work(skid: Skid) -> None:
            await skid.modbus.restore()
            skid.model = SkidModel(1, noise=False, watchdog_s=watchdog_s)
            await skid.release()
            skid.resume()

        await self._do(work)

    async def set_watchdog(self, seconds: float) -> None:
        """Change how long its PLC waits for a sign of life."""

        async def work(skid: Skid) -> None:
            skid.model._watchdog_s = seconds

        await self._do(work)

    async def black_hole_modbus(self) -> None:
        await self._do(lambda skid: skid.modbus.black_hole())

    async def restore_modbus(self) -> None:
        await self._do(lambda skid: skid.modbus.restore())

    async def pause(self) -> None:
        await self._do(lambda skid: skid.pause())

    async def advance(self, seconds: float) -> None:
        await self._do(lambda skid: skid.advance(seconds))

    async def write(self, **values: Value) -> None:
        await self._do(lambda skid: skid.write(**values))

    async def set(self, **values: Value) -> None:
        await self._do(lambda skid: skid.set(**values))

    def truth(self) -> Truth:
        """As exact as the skid's own while the model is paused."""
        return self._skid.truth()
