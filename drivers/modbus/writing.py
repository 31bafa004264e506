"""Single values to a device: typed, checked, and confirmed by the echo of the request.

A write whose answer does not come is not repeated: nobody can say whether it arrived, and the caller decides. Devices
that lack a function (exception 01) are served by another one from then on.
"""

from __future__ import annotations

import asyncio
import logging

from drivers.contract import DeviceError
from drivers.modbus.codec import Field, UnfitError, encode, mask_of
from drivers.modbus.connection import Device
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


class DeviceWriting:
    """Writes to one device."""

    def __init__(self, device: Device, link: Link) -> None:
        self._device = device
        self._link = link
        self._turn = asyncio.Lock()
        self._lacks: set[int] = set()
        """The function codes that the device has refused as illegal."""

    async def write(self, field: Field, value: bool | int | float | str) -> str | None:
        """Write one value; return why it was refused, or None when the device has confirmed it.

        Raises `LinkError` or `DeviceError` when nobody can say whether it arrived.
        """
        if not field.table.is_writable:
            return f"{field.tag}: {field} cannot be written, the protocol has no function for it: use coil or holding"
        if field.count > MAX_WRITE_REGISTERS:
            return f"{field.tag}: {field} takes {field.count} registers, a request writes {MAX_WRITE_REGISTERS} at most"
        try:
            data = encode(field, value)
        except UnfitError as error:
            return f"{field.tag}: {field} {error}"
        async with self._turn:
            if field.table is Table.COIL:
                on = data != b"\0"
                refusal = await self._send_either(
                    field, write_coil(field.address, on=on), write_coils(field.address, [on])
                )
            elif (mask := mask_of(field)) is not None:
                put = int.from_bytes(data) if len(data) == 2 else data[0] * (mask & -mask)
                refusal = await self._write_part(field, mask, put)
            else:
                refusal = await self._write_registers(field, data)
        return None if refusal is None else f"{field.tag}: the device refuses to write {field}: {refusal}"

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
