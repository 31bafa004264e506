"""The skid's side of a server process: start and stop it, keep it up to date, and order faults."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from uod_examples.skid.model import Value
from uod_examples.skid.registers import REGISTERS, Table

log = logging.getLogger("skidlink.skid")

START_TIMEOUT_S = 120.0
ORDER_TIMEOUT_S = 30.0


class SkidError(Exception):
    """The simulated skid could not do what was asked; the message says what to do next."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The skid's values at one moment."""

    number: int
    time: float
    """unix seconds; OPC UA's source timestamp"""
    values: Mapping[str, Value]


@dataclass(slots=True)
class Showing:
    """A frame on its way to a server's clients, on the clock of `time.monotonic`."""

    frame: Frame
    sent: float
    """Clients read it no sooner than this ..."""
    held: float = math.inf
    """... and surely from here on, until the next one; infinite while the server has not said so."""


class Bus:
    """One server process. After a restart it listens on its old port and has no faults."""

    module: str
    name: str

    def __init__(self, port: int, write: Callable[[Mapping[str, Value]], None], latest: Callable[[], Frame]) -> None:
        self.host = "127.0.0.1"
        self.port = port
        """0 until the first start has found a free one"""
        self.held: Frame = latest()
        """what clients read"""
        self.showings: list[Showing] | None = None
        """where every frame is noted, in the order in which they are shown; None: nowhere"""
        self._write = write
        self._latest = latest
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._sent: Frame | None = None
        """on its way, not yet held"""
        self._frozen = False
        self._holding = asyncio.Condition()
        self._orders: dict[int, asyncio.Future[str | None]] = {}
        self._last_order = 0
        self._ready: asyncio.Future[int] | None = None
        self.ended = asyncio.Event()
        """set while there is no process"""
        self.ended.set()

    @property
    def pid(self) -> int | None:
        """The server process's id; None when it does not run."""
        return None if self._process is None or self.ended.is_set() else self._process.pid

    async def start(self) -> None:
        """Start the server and return when clients can read the present values. Raises `SkidError`."""
        if not self.ended.is_set():
            raise SkidError(f"the skid's {self.name} server runs already")
        # -P: the working directory must not shadow an installed package.
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", self.module, str(self.port),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        self.ended.clear()
        self._frozen = False
        self._sent = None
        self._ready = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read(self._process), name=f"skid {self.name}")
        self._send_frame(self._latest())
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                self.port = await self._ready
                await self.settle()
        except asyncio.CancelledError:
            await self.kill()
            raise
        except (TimeoutError, SkidError) as error:
            await self.kill()
            raise SkidError(f"the skid's {self.name} server does not start: {str(error) or 'no answer'}") from error

    async def kill(self) -> None:
        """End the process at once, as a power cut does. Nothing happens when there is none."""
        if self._process is None or self._reading is None:
            return
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reading

    async def restart(self) -> None:
        """Kill the server and start it anew on its port."""
        await self.kill()
        await self.start()

    # Faults of the link

    async def drop(self) -> None:
        """Reset all connections; new ones are welcome."""
        await self._order("drop")

    async def refuse(self) -> None:
        """Reset all connections and refuse new ones until `restore`."""
        await self._order("refuse")

    async def answer_late(self, seconds: float) -> None:
        """Let every answer come later by `seconds`."""
        await self._order("delay", seconds=seconds)

    async def black_hole(self) -> None:
        """Accept connections and requests, answer nothing until `restore`; then the answers come, late."""
        await self._order("black_hole")

    async def half_open(self) -> None:
        """Forget the present connections without telling their clients; new ones work."""
        await self._order("half_open")

    async def restore(self) -> None:
        """End all faults of this bus, frozen values included."""
        self._frozen = False
        await self._order("restore")
        self.publish(self._latest())
        await self.settle()

    # Values

    def freeze_values(self) -> None:
        """Keep showing the present values, timestamps included, until `restore`. Writes still reach the skid."""
        self._frozen = True

    def publish(self, frame: Frame) -> None:
        """Show a frame. While one is under way none is sent; the latest goes after it, those between are left out."""
        if not self.ended.is_set() and not self._frozen and self._sent is None and frame.number > self.held.number:
            self._send_frame(frame)

    async def settle(self) -> None:
        """Return when clients read the latest frame, or the frozen one."""
        async with self._holding:
            await self._holding.wait_for(
                lambda: self.ended.is_set() or (self._sent is None and (self._frozen or self._is_latest()))
            )

    def _is_latest(self) -> bool:
        return self.held.number >= self._latest().number

    def _send_frame(self, frame: Frame) -> None:
        self._sent = frame
        if self.showings is not None:
            self.showings.append(Showing(frame, time.monotonic()))
        self._send(frame=frame.number, time=frame.time, values=dict(frame.values))

    def _send(self, **message: Any) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def _order(self, order: str, /, **arguments: Any) -> None:
        if self.ended.is_set():
            raise SkidError(f"the skid's {self.name} server does not run: start it first")
        self._last_order += 1
        outcome: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._orders[self._last_order] = outcome
        self._send(order=self._last_order, do=order, **{"with": arguments})
        async with asyncio.timeout(ORDER_TIMEOUT_S):
            error = await outcome
        if error is not None:
            raise SkidError(f"the skid's {self.name} server: {error}")

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Follow what the server says until it ends."""
        assert process.stdout is not None and process.stdin is not None  # noqa: S101, PT018 - both are pipes
        async for line in process.stdout:
            await self._heed(json.loads(line))
        process.stdin.close()
        await process.wait()
        self.ended.set()
        error = SkidError(f"the skid's {self.name} server has ended")
        waiting: list[asyncio.Future[Any]] = [*self._orders.values()]
        if self._ready is not None:
            waiting.append(self._ready)
        for future in waiting:
            if not future.done():
                future.set_exception(error)
        self._orders.clear()
        async with self._holding:
            self._holding.notify_all()

    async def _heed(self, message: dict[str, Any]) -> None:
        if "held" in message:
            self._note_held(message["held"])
            if self._sent is not None and message["held"] == self._sent.number:
                self.held, self._sent = self._sent, None
            self.publish(self._latest())
            async with self._holding:
                self._holding.notify_all()
        elif "write" in message:
            self._heed_write(message["write"], message["values"])
        elif "done" in message:
            outcome = self._orders.pop(message["done"])
            if not outcome.done():
                outcome.set_result(message["error"])
        elif self._ready is not None:
            if "failed" in message:
                self._ready.set_exception(SkidError(message["failed"]))
            else:
                self._ready.set_result(message["ready"])

    def _note_held(self, number: int) -> None:
        for showing in reversed(self.showings or ()):
            if showing.frame.number == number:
                showing.held = time.monotonic()
                return

    def _heed_write(self, number: int, values: Mapping[str, Value]) -> None:
        try:
            self._write(values)
        except ValueError as error:
            self._send(written=number, error=str(error))
            return
        # The client that is told of success reads its own value from then on: this frame does not wait its turn.
        latest = self._latest()
        if not self._frozen and self._sent is not latest:
            self._send_frame(latest)
        self._send(written=number, error=None)


class OpcUaBus(Bus):
    """The OPC UA server."""

    module = "uod_examples.skid.opcua_server"
    name = "OPC UA"

    @property
    def endpoint(self) -> str:
        return f"opc.tcp://{self.host}:{self.port}"

    async def fail(self, name: str, status: str = "BadSensorFailure") -> None:
        """Show a status code, bad or uncertain, in place of a node's value until `restore`; refuse writes with it."""
        await self._order("fail", name=name, status=status)


class ModbusBus(Bus):
    """The Modbus TCP server."""

    module = "uod_examples.skid.modbus_server"
    name = "Modbus TCP"

    @property
    def endpoint(self) -> str:
        return f"{self.host}:{self.port}"

    async def fail(self, name: str, code: int | None = 2) -> None:
        """Answer requests that touch a register of the map with an exception code, or never (None), until `restore`."""
        for register in REGISTERS:
            if register.name == name:
                place = register.device_id, register.table, register.address, register.words
                return await self.fail_addresses(*place, code)
        raise SkidError(f"the skid has no register {name!r}; it has {', '.join(each.name for each in REGISTERS)}")

    async def fail_addresses(
        self, device_id: int, table: Table | str, address: int, count: int = 1, code: int | None = 2
    ) -> None:
        """Like `fail`, for any addresses: `fail_addresses(2, "input", 0, 65536, None)` silences a table of device 2."""
        await self._order("fail", device_id=device_id, table=str(table), address=address, count=count, code=code)
