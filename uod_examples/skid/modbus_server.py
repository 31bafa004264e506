"""The skid's Modbus TCP server, a process of its own.

pymodbus brings frames and PDUs. Its own handler answers one request a segment and forgets the others that came with
it, so requests are queued here, for clients that keep several in flight.
"""

# Parts of pymodbus's server are not annotated.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.exceptions import NoSuchIdException
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.server import ModbusTcpServer
from pymodbus.server.requesthandler import ServerRequestHandler
from pymodbus.simulator import DataType, SimData, SimDevice

from uod_examples.skid.channel import Channel, WriteRefusedError, main
from uod_examples.skid.model import Value
from uod_examples.skid.registers import REGISTERS, Register, Table

log = logging.getLogger("skidlink.skid.modbus")

TABLES = {
    **dict.fromkeys((1, 5, 15), Table.COIL),
    2: Table.DISCRETE,
    **dict.fromkeys((3, 6, 16, 22, 23), Table.HOLDING),
    4: Table.INPUT,
}
"""function code -> address space"""

Place = tuple[int, Table]
"""device id, address space"""


class _NoAnswer(Exception):  # noqa: N818 - not an error: the device stays silent
    """The request is to be left unanswered."""


class RegisterStore:
    """What pymodbus takes for its datastore: the register map, with faults."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._cells: dict[Place, dict[int, int]] = {(r.device_id, r.table): {} for r in REGISTERS}
        self._owners: dict[Place, dict[int, Register]] = {place: {} for place in self._cells}
        for register in REGISTERS:
            for address in range(register.address, register.address + register.words):
                self._owners[register.device_id, register.table][address] = register
        self._faults: dict[Place, dict[int, ExcCodes | None]] = {place: {} for place in self._cells}
        """place -> address -> exception; None for silence"""

    def hold(self, values: Mapping[str, Value]) -> None:
        for register in REGISTERS:
            cells = self._cells[register.device_id, register.table]
            cells.update(enumerate(register.encode(values), register.address))

    def fail(self, device_id: int, table: str, address: int, count: int, code: int | None) -> None:
        """Answer requests that touch these addresses with an exception code, or not at all (None)."""
        place = (device_id, Table(table))
        exception = None if code is None else ExcCodes(code)
        self._faults.setdefault(place, {}).update(dict.fromkeys(range(address, address + count), exception))

    def heal(self) -> None:
        for addresses in self._faults.values():
            addresses.clear()

    def device_ids(self) -> list[int]:
        return sorted({device_id for device_id, _ in self._cells})

    async def async_getValues(  # noqa: N802 - pymodbus's name
        self, device_id: int, func_code: int, address: int, count: int = 1
    ) -> list[int] | list[bool] | ExcCodes:
        """Read; an exception code where the map or a fault says so."""
        place = (device_id, TABLES[func_code])
        span = range(address, address + count)
        if (refused := self._refusal(place, span)) is not None:
            return refused
        cells = self._cells.get(place, {})
        if any(each not in cells for each in span):
            return ExcCodes.ILLEGAL_ADDRESS
        found = [cells[each] for each in span]
        return [bool(bit) for bit in found] if place[1] in (Table.COIL, Table.DISCRETE) else found

    async def async_setValues(  # noqa: N802 - pymodbus's name
        self, device_id: int, func_code: int, address: int, values: Sequence[int] | Sequence[bool]
    ) -> ExcCodes | None:
        """Write whole values to the skid, all or none; half a float is refused."""
        place = (device_id, TABLES[func_code])
        span = range(address, address + len(values))
        if (refused := self._refusal(place, span)) is not None:
            return refused
        owners = self._owners.get(place, {})
        touched = {owners[each].name: owners[each] for each in span if each in owners}
        covered = sum(register.words for register in touched.values())
        if covered != len(span) or any(each not in owners for each in span):
            return ExcCodes.ILLEGAL_ADDRESS
        if not all(register.writable for register in touched.values()):
            return ExcCodes.ILLEGAL_ADDRESS
        try:
            meant: dict[str, Value] = {}
            for register in touched.values():
                start = register.address - address
                meant[register.quantity] = register.decode(
                    [int(each) for each in values[start : start + register.words]]
                )
            await self._channel.write(meant)
        except (WriteRefusedError, ValueError) as error:
            log.info("write to %s at %d refused: %s", place, address, error)
            return ExcCodes.ILLEGAL_VALUE
        except TimeoutError:
            return ExcCodes.DEVICE_FAILURE
        return None

    def _refusal(self, place: Place, span: range) -> ExcCodes | None:
        if place[0] not in self.device_ids():
            raise NoSuchIdException(f"device {place[0]}")
        faults = self._faults.get(place, {})
        struck = [faults[each] for each in span if each in faults]
        if None in struck:
            raise _NoAnswer
        return struck[0] if struck else None


class _Handler(ServerRequestHandler):
    """One client: its requests are answered one after the other, in their order."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.max_buffer_size = 65_536  # many requests may come in one segment
        self._requests: deque[ModbusPDU] = deque()
        self._answering: asyncio.Task[None] | None = None

    def callback_data(self, data: bytes, addr: tuple[Any, ...] | None = None) -> int:
        used = 0
        while used < len(data):
            taken = super().callback_data(data[used:], addr)
            if not taken:
                break
            used += taken
            if self.last_pdu is not None:
                self._requests.append(self.last_pdu)
        return used

    def handle_later(self) -> None:
        if self._requests and self._answering is None:
            self._answering = asyncio.get_running_loop().create_task(self._answer())
            self._answering.add_done_callback(self._answered)

    def callback_disconnected(self, exc: Exception | None) -> None:
        super().callback_disconnected(exc)
        self._requests.clear()

    async def _answer(self) -> None:
        while self._requests:
            request = self._requests.popleft()
            try:
                answer = await request.datastore_update(self.server.context, request.dev_id)
            except _NoAnswer:
                continue
            except NoSuchIdException:
                answer = ExceptionResponse(request.function_code, ExcCodes.GATEWAY_NO_RESPONSE)
            answer.transaction_id = request.transaction_id
            answer.dev_id = request.dev_id
            if self.is_active():
                self.server_send(answer, None)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._answering = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a request could not be answered", exc_info=error)
        self.handle_later()


class PipelinedServer(ModbusTcpServer):
    """A server that answers every request, however many come at once, out of a store of ours."""

    def __init__(self, store: object, port: int = 0) -> None:
        # pymodbus insists on a device of its own making; the store takes its place.
        unused = SimDevice(id=1, simdata=SimData(0, datatype=DataType.REGISTERS))
        super().__init__(unused, address=("127.0.0.1", port))
        self.context: Any = store

    def callback_new_connection(self) -> _Handler:
        return _Handler(self, self.trace_packet, self.trace_pdu, self.trace_connect)


class ModbusSkidServer:
    """The skid on Modbus TCP."""

    def __init__(self, channel: Channel) -> None:
        self._store = RegisterStore(channel)
        self._server = PipelinedServer(self._store)

    async def start(self) -> int:
        await self._server.serve_forever(background=True)
        listener: Any = self._server.transport
        return int(listener.sockets[0].getsockname()[1])

    async def hold(self, values: Mapping[str, Value], time: float) -> None:  # noqa: ARG002 - Modbus has no timestamps
        self._store.hold(values)

    async def fail(self, **what: Any) -> None:
        self._store.fail(**what)

    async def heal(self) -> None:
        self._store.heal()


if __name__ == "__main__":
    main(ModbusSkidServer)
