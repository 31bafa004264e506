"""The simulated skid: one model, two servers, and the truth about what they show."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from uod_examples.skid.bus import Bus, Frame, ModbusBus, OpcUaBus, SkidError
from uod_examples.skid.model import WATCHDOG_S, SkidModel, Value
from uod_examples.skid.nodes import NODES
from uod_examples.skid.registers import REGISTERS

PERIOD_S = 0.05


@dataclass(frozen=True, slots=True)
class Truth:
    """What the servers show, and what clients that know the types read there."""

    values: Mapping[str, Value]
    """quantity -> the model's value"""
    opcua: Mapping[str, Value]
    """node -> value"""
    modbus: Mapping[str, Value]
    """register -> raw value, unscaled"""


class Skid:
    """A filtration skid on OPC UA and Modbus TCP, each served by a process of its own that ends with this one.

    Enter it to start it. The model takes a step each `PERIOD_S`, in this event loop, until it is paused.
    """

    def __init__(
        self,
        *,
        opcua_port: int = 0,
        modbus_port: int = 0,
        opcua: bool = True,
        modbus: bool = True,
        seed: int = 1,
        noise: bool = True,
        running: bool = False,
        paused: bool = False,
        record: bool = False,
        watchdog_s: float = WATCHDOG_S,
    ) -> None:
        """Port 0 takes a free one. `opcua` and `modbus` choose the servers; `running` starts with the pump on.

        `watchdog_s` is how long the skid's PLC waits for the next sign of life of who controls it, in real time.
        """
        self.model = SkidModel(seed, noise=noise, running=running, watchdog_s=watchdog_s)
        self.history: list[Frame] = []
        """every frame since the start, when `record` is set; CK01 tells them apart. What of it each server has shown,
        and when, is in the `showings` of the bus."""
        self._record = record
        self._going = asyncio.Event()
        if not paused:
            self._going.set()
        self._frame = Frame(0, time.time(), self.model.values())
        self._next()
        self.opcua = OpcUaBus(opcua_port, self._write, lambda: self._frame)
        self.modbus = ModbusBus(modbus_port, self._write, lambda: self._frame)
        self._buses: list[Bus] = [*([self.opcua] if opcua else []), *([self.modbus] if modbus else [])]
        if record:
            for bus in self._buses:
                bus.showings = []
        self._stepping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            outcomes = await asyncio.gather(*(bus.start() for bus in self._buses), return_exceptions=True)
        except asyncio.CancelledError:
            await self.stop()
            raise
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if failures:
            await self.stop()
            raise failures[0]
        self._stepping = asyncio.create_task(self._run(), name="skid model")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @property
    def opcua_endpoint(self) -> str:
        return self.opcua.endpoint

    @property
    def modbus_host(self) -> str:
        return self.modbus.host

    @property
    def modbus_port(self) -> int:
        return self.modbus.port

    @property
    def pids(self) -> dict[str, int]:
        """Server -> process id, of those that run."""
        return {bus.name: bus.pid for bus in self._buses if bus.pid is not None}

    async def stop(self) -> None:
        """End the model and the servers. Raises what the model has failed by, if it has."""
        for bus in self._buses:
            await bus.kill()
        stepping, self._stepping = self._stepping, None
        if stepping is not None:
            stepping.cancel()
            await asyncio.wait((stepping,))
            if not stepping.cancelled():
                stepping.result()

    # The model

    async def pause(self) -> None:
        """Hold the model still, and return when all servers show the same moment."""
        self._going.clear()
        await self._settle()

    def resume(self) -> None:
        self._going.set()

    async def advance(self, seconds: float) -> None:
        """Move a paused model on at once, by whole steps, and return when the servers show it."""
        if self._going.is_set():
            raise SkidError("the skid runs: pause it before advancing it")
        for _ in range(round(seconds / PERIOD_S)):
            self.model.step(PERIOD_S)
        self._publish()
        await self._settle()

    async def write(self, **values: Value) -> None:
        """Change setpoints, as an operator at the skid does. Raises `ValueError`."""
        self._write(values)
        await self._settle()

    async def set(self, **values: Value) -> None:
        """Force readings until `release`, and return when the servers show them; NaN is a broken sensor."""
        self.model.force(values)
        self._publish()
        await self._settle()

    async def release(self) -> None:
        """Let all forced readings follow the process again."""
        self.model.release()
        self._publish()
        await self._settle()

    def truth(self) -> Truth:
        """What the servers show now. Exact while the model is paused; a step takes some milliseconds to arrive."""
        return Truth(
            dict(self._frame.values),
            {node.name: node.raw(self.opcua.held.values) for node in NODES},
            {register.name: register.raw(self.modbus.held.values) for register in REGISTERS},
        )

    async def ended(self) -> None:
        """Return when a server has ended."""
        waits = [asyncio.create_task(bus.ended.wait()) for bus in self._buses]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _run(self) -> None:
        """Step on a fixed cadence; time lost by a busy loop is not caught up."""
        due = time.monotonic()
        while True:
            await self._going.wait()
            self.model.watch(PERIOD_S)
            self.model.step(PERIOD_S)
            self._publish()
            due = max(due + PERIOD_S, time.monotonic())
            await asyncio.sleep(due - time.monotonic())

    def _write(self, values: Mapping[str, Value]) -> None:
        self.model.write(values)
        self._publish()

    def _next(self) -> None:
        self._frame = Frame(self._frame.number + 1, time.time(), self.model.values())
        if self._record:
            self.history.append(self._frame)

    def _publish(self) -> None:
        self._next()
        for bus in self._buses:
            bus.publish(self._frame)

    async def _settle(self) -> None:
        for bus in self._buses:
            await bus.settle()


@dataclass(frozen=True, slots=True)
class MapRow:
    """One line of the address map, for a table on the screen."""

    bus: str
    name: str
    address: str
    type: str
    unit: str
    access: str


def address_map() -> list[MapRow]:
    """All that the two servers offer."""
    rows = [
        MapRow("opcua", node.name, node.path, node.type, node.unit, "write" if node.writable else "read")
        for node in NODES
    ]
    for register in REGISTERS:
        kind = f"string, {register.length} registers" if register.type == "string" else register.type
        if register.words > 1 and register.type != "string":
            kind += f" {register.order}"
        if register.scale != 1.0:
            kind += f" x {register.scale:g}"
        place = f"device {register.device_id}, {register.table} {register.address}"
        rows.append(
            MapRow("modbus", register.name, place, kind, register.unit, "write" if register.writable else "read")
        )
    return rows


async def serve(ready: Callable[[Skid], None], *, opcua_port: int = 4840, modbus_port: int = 5020) -> None:
    """Run the skid, with the pump on, until cancelled; `ready` is called once with it when clients can connect.

    Raises `SkidError` when a port is taken or a server ends.
    """
    async with Skid(opcua_port=opcua_port, modbus_port=modbus_port, running=True) as skid:
        ready(skid)
        await skid.ended()
        raise SkidError("a server of the simulated skid has ended; start the skid again")
