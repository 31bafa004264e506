"""Single values to a device: typed, checked, and confirmed by the echo of the request.

A write whose answer does not come is not repeated: nobody can say whether it arrived, and the caller decides. Devices
that lack a function (exception 01) are served by another one from then on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from drivers.contract import DeviceError, Image, Value
from drivers.modbus.codec import Decoder, Field, UnfitError, encode, mask_of
from drivers.modbus.device import Device
from drivers.modbus.link import Link
from drivers.modbus.pdu import (
    ILLEGAL_FUNCTION,
    MAX_WRITE_REGISTERS,
    Flaw,
    Function,
    Refusal,
    Request,
    Table,
    mask_register,
    read,
    write_coil,
    write_coils,
    write_register,
    write_registers,
)

log = logging.getLogger("skidlink.drivers.modbus")


@dataclass(frozen=True, slots=True)
class _Write:
    """One value on its way."""

    field: Field
    value: Value
    data: bytes


def _encoded(field: Field, value: Value) -> bytes:
    """The wire bytes of a value. Raises `UnfitError` where it cannot be written."""
    if not field.table.is_writable:
        raise UnfitError("cannot be written, the protocol has no function for it: use coil or holding")
    if field.count > MAX_WRITE_REGISTERS:
        raise UnfitError(f"takes {field.count} registers, a request writes {MAX_WRITE_REGISTERS} at most")
    return encode(field, value)


def _runs(writes: Sequence[_Write]) -> list[list[_Write]]:
    """Put together what follows each other in time and in whole registers, as much as a request takes."""
    runs: list[list[_Write]] = []
    for write in writes:
        field = write.field
        whole = field.table is Table.HOLDING and mask_of(field) is None
        before = runs[-1] if runs else []
        if (
            whole
            and before
            and before[-1].field.end == field.address
            and before[-1].field.table is Table.HOLDING
            and mask_of(before[-1].field) is None
            and field.end - before[0].field.address <= MAX_WRITE_REGISTERS
        ):
            before.append(write)
        else:
            runs.append([write])
    return runs


def _close(held: float, written: float, field: Field, tolerance: float) -> bool:
    """Whether a number is what was written, as far as its type can hold that."""
    layout = field.data_type.layout
    wanted = float(np.array(written, layout)) if layout[1:2] == "f" else written
    return abs(held - wanted) <= tolerance


class DeviceWriting:
    """Writes to one device."""

    def __init__(self, device: Device, link: Link) -> None:
        self._device = device
        self._link = link
        self._turn = asyncio.Lock()
        self._lacks: set[int] = set()
        """The function codes that the device has refused as illegal."""

    async def write(self, values: Sequence[tuple[Field, Value]]) -> dict[int, str]:
        """Write values in the order given; return the rows that were refused, and why.

        Registers that follow each other go in one request; where the device refuses that, each goes alone, so that one
        that is refused costs no other. Raises `LinkError` or `DeviceError` when nobody can say what arrived.
        """
        refused: dict[int, str] = {}
        ready: list[_Write] = []
        for field, value in values:
            try:
                ready.append(_Write(field, value, _encoded(field, value)))
            except UnfitError as error:
                refused[field.row] = f"{field.tag}: {field} {error}"
        async with self._turn:
            for run in _runs(ready):
                if not await self._write_run(run):
                    for each in run:
                        refusal = await self._write_one(each.field, each.data)
                        if refusal is not None:
                            field = each.field
                            refused[field.row] = f"{field.tag}: the device refuses to write {field}: {refusal}"
            for each in ready:
                if each.field.read_back is not None and each.field.row not in refused:
                    reason = await self._read_back(each, each.field.read_back)
                    if reason is not None:
                        refused[each.field.row] = reason
        return refused

    async def _write_run(self, run: Sequence[_Write]) -> bool:
        """Write registers that follow each other in one request; False where each has to go alone."""
        if len(run) == 1 or Function.WRITE_MULTIPLE_REGISTERS in self._lacks:
            return False
        first = run[0].field
        refusal = await self._send(first, write_registers(first.address, b"".join(each.data for each in run)))
        if refusal is not None and refusal.code == ILLEGAL_FUNCTION:
            self._lacks.add(Function.WRITE_MULTIPLE_REGISTERS)
        return refusal is None

    async def _write_one(self, field: Field, data: bytes) -> Refusal | None:
        if field.table is Table.COIL:
            on = data != b"\0"
            return await self._send_either(field, write_coil(field.address, on=on), write_coils(field.address, [on]))
        mask = mask_of(field)
        if mask is None:
            return await self._write_registers(field, data)
        put = int.from_bytes(data) if len(data) == 2 else data[0] * (mask & -mask)
        return await self._write_part(field, mask, put)

    async def _read_back(self, write: _Write, tolerance: float) -> str | None:
        """Read what was written; why it does not count as done where the device holds something else."""
        field = write.field
        (reply,) = await self._link.exchange(self._device, [read(field.table, field.address, field.count)])
        if not isinstance(reply, bytes):
            return f"{field.tag}: {field} was written, but cannot be read back: {reply}"
        image = Image([field.data_type.kind])
        raw = np.frombuffer(bytes((reply[0] & 1,)) if field.table.is_bits else reply, np.uint8)
        Decoder([replace(field, row=0)], {0: 0}, image).decode(raw, image)
        held = image.value(0)
        if held == write.value or (
            not isinstance(held, str)
            and not isinstance(write.value, str)
            and _close(held, write.value, field, tolerance)
        ):
            return None
        return (
            f"{field.tag}: {field} was written, but holds {held} and not {write.value}: does the device limit or round "
            "it? read_back_tolerance lets it differ"
        )

    async def _send(self, field: Field, request: Request) -> Refusal | None:
        (reply,) = await self._link.exchange(self._device, [request], once=True)
        if isinstance(reply, Flaw):
            raise DeviceError(
                f"{self._device.name}: {reply}; it is not known whether {field.tag} ({field}) was written"
            )
        return reply if isinstance(reply, Refusal) else None

    async def _send_either(self, field: Field, first: Request, second: Request) -> Refusal | None:
        """Send a request, or where the device lacks its function the other that does the same."""
        function = first.pdu[0]
        if function not in self._lacks:
            refusal = await self._send(field, first)
            if refusal is None or refusal.code != ILLEGAL_FUNCTION:
                return refusal
            self._lacks.add(function)
            log.info("%s lacks function %d and is written by function %d", self._device.name, function, second.pdu[0])
        return await self._send(field, second)

    async def _write_registers(self, field: Field, data: bytes) -> Refusal | None:
        several = write_registers(field.address, data)
        if len(data) > 2:
            return await self._send(field, several)
        return await self._send_either(field, write_register(field.address, data), several)

    async def _write_part(self, field: Field, mask: int, put: int) -> Refusal | None:
        """Write some bits of a register and leave the rest of it as it is."""
        if Function.MASK_WRITE_REGISTER not in self._lacks:
            refusal = await self._send(field, mask_register(field.address, ~mask & 0xFFFF, put))
            if refusal is None or refusal.code != ILLEGAL_FUNCTION:
                return refusal
            self._lacks.add(Function.MASK_WRITE_REGISTER)
            log.warning(
                "%s has no function 22 (mask write): parts of a register are written by reading it first, and a change "
                "that the device makes in between is lost",
                self._device.name,
            )
        (reply,) = await self._link.exchange(self._device, [read(Table.HOLDING, field.address, 1)])
        if isinstance(reply, Refusal):
            return reply
        if isinstance(reply, Flaw):
            raise DeviceError(f"{self._device.name}: {reply}; {field.tag} ({field}) was not written")
        register = int.from_bytes(reply, "big") & ~mask | put
        return await self._write_registers(field, register.to_bytes(2, "big"))
