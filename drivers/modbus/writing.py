"""Single values to a device: typed, checked, and confirmed by the echo of the request.

A write without an answer is not repeated as it was: where the device answers a read right after, the other function
that sets the same place to the same value is tried, as some devices pass over functions that they lack. A value is set,
never added, so a write that arrives twice does what one does. Where no function is answered the write has failed, and
nobody can say whether it arrived; the caller decides what to do about it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from drivers.contract import DeviceError, LinkError, Value
from drivers.modbus.codec import Field, UnfitError, encode, mask_of
from drivers.modbus.device import Device
from drivers.modbus.link import Link
from drivers.modbus.losses import LostError
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
from drivers.modbus.read_back import ReadBack
from drivers.modbus.write_choice import WriteChoice, lets_another_be_tried

log = logging.getLogger("skidlink.drivers.modbus")

_Outcome = Refusal | Flaw | None
"""What came of a write; None: it is done."""


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


class DeviceWriting:
    """Writes to one device."""

    def __init__(self, device: Device, link: Link, acts: Collection[int] = ()) -> None:
        """`acts`: the rows of which each write is an act of its own, so that none is sent a second time in doubt."""
        self._acts = acts
        self._device = device
        self._link = link
        self._turn = asyncio.Lock()
        self._choice = WriteChoice(device.options)
        self._read_back = ReadBack(device, link)

    @property
    def unconfirmed(self) -> Collection[int]:
        """The rows that were written, but do not show their value yet."""
        return self._read_back.rows

    @property
    def read_back_due(self) -> float:
        """When `read_back` has something to do, seconds of `time.monotonic`; infinite: never."""
        return self._read_back.due

    def forget(self) -> None:
        """Wait for no value to show any more."""
        self._read_back.forget()

    async def read_back(self) -> dict[int, str | None]:
        """Read what is due; row -> None where the device shows its value, or why it counts as refused."""
        async with self._turn:
            return await self._read_back.look()

    async def write(self, values: Sequence[tuple[Field, Value]]) -> dict[int, str]:
        """Write values in the order given; return the rows that were not taken, and why.

        Registers that follow each other go in one request; where the device does not take that, each goes alone, so
        that one that is refused costs no other. Raises `LinkError` or `DeviceError` when nobody can say what arrived.
        """
        refused: dict[int, str] = {}
        ready: list[_Write] = []
        for field, value in values:
            try:
                ready.append(_Write(field, value, _encoded(field, value)))
            except UnfitError as error:
                refused[field.row] = f"{field} {error}"
        async with self._turn:
            self._read_back.drop(field.row for field, _ in values)
            for run in self._runs(ready):
                if len(run) == 1 or not await self._write_run(run):
                    for each in run:
                        reason = await self._write_one(each.field, each.data)
                        if reason is not None:
                            refused[each.field.row] = reason
            taken = [(each.field, each.value) for each in ready if each.field.row not in refused]
            return refused | await self._read_back.expect(taken)

    def _runs(self, writes: Sequence[_Write]) -> list[list[_Write]]:
        """Put together what follows each other in time and in whole registers, as much as a request takes."""
        runs: list[list[_Write]] = []
        joinable = False
        for write in writes:
            field, before = write.field, joinable
            joinable = (
                field.table is Table.HOLDING
                and mask_of(field) is None
                and field.row not in self._acts
                and self._choice.joins(field)
            )
            if (
                joinable
                and before
                and runs[-1][-1].field.end == field.address
                and field.end - runs[-1][0].field.address <= MAX_WRITE_REGISTERS
            ):
                runs[-1].append(write)
            else:
                runs.append([write])
        return runs

    async def _write_run(self, run: Sequence[_Write]) -> bool:
        """Write registers that follow each other in one request; False where each has to go alone."""
        first = run[0].field
        outcome = await self._send(first, write_registers(first.address, b"".join(each.data for each in run)))
        if _is_lacking(outcome):
            self._lack(Function.WRITE_MULTIPLE_REGISTERS)
        return outcome is None

    async def _write_one(self, field: Field, data: bytes) -> str | None:
        """Write one value; why it was not taken, or None."""
        if field.table is Table.COIL:
            on = data != b"\0"
            return await self._write_whole(
                field,
                {
                    Function.WRITE_SINGLE_COIL: write_coil(field.address, on=on),
                    Function.WRITE_MULTIPLE_COILS: write_coils(field.address, [on]),
                },
            )
        mask = mask_of(field)
        if mask is None:
            return await self._write_registers(field, data)
        put = int.from_bytes(data) if len(data) == 2 else data[0] * (mask & -mask)
        return await self._write_part(field, mask, put)

    async def _write_registers(self, field: Field, data: bytes) -> str | None:
        requests = {Function.WRITE_MULTIPLE_REGISTERS: write_registers(field.address, data)}
        if len(data) == 2:
            requests[Function.WRITE_SINGLE_REGISTER] = write_register(field.address, data)
        return await self._write_whole(field, requests)

    async def _write_whole(self, field: Field, requests: Mapping[Function, Request]) -> str | None:
        """Write a place by the first function that the device takes there; why it took none, or None."""
        outcomes: list[tuple[Function, _Outcome]] = []
        for function in self._choice.order(field):
            outcome = await self._send(field, requests[function])
            outcomes.append((function, outcome))
            in_doubt = outcome is Flaw.SILENCE and field.row in self._acts
            if outcome is None or in_doubt or not lets_another_be_tried(outcome):
                break
        self._choice.tried(field, outcomes)
        for function, outcome in outcomes:
            if _is_lacking(outcome):
                self._lack(function)
        if outcomes[-1][1] is not None:
            return self._failure(field, outcomes)
        if len(outcomes) > 1:
            log.info(
                "%s takes %s by function %d, not by %d: from now on it is written so (write_function: %d says it)",
                self._device.name, field, outcomes[-1][0], outcomes[0][0], outcomes[-1][0],
            )  # fmt: skip
        return None

    def _failure(self, field: Field, outcomes: Sequence[tuple[Function, _Outcome]]) -> str:
        """Why a place was not written, or is not known to be, and what to do."""
        said = {str(outcome): [f for f, other in outcomes if other == outcome] for _, outcome in outcomes}
        parts: list[str] = []
        for outcome, functions in said.items():
            named = f"function{'s'[: len(functions) - 1]} {' and '.join(str(int(one)) for one in functions)}"
            if outcome == Flaw.SILENCE:
                parts.append(f"{named} without an answer within {self._device.options.timeout_ms} ms")
            else:
                parts.append(f"{named}: {outcome}")
        tried = ", ".join(parts)
        if all(isinstance(outcome, Refusal) for _, outcome in outcomes):
            return f"the device refuses to write {field} ({tried}): check its address, its limits and write_function"
        return (
            f"it is not known whether {field} was written ({tried}), though the device answers readings: check that "
            "it can be written, and by which write_function"
        )

    async def _write_part(self, field: Field, mask: int, put: int) -> str | None:
        """Write some bits of a register and leave the rest of it as it is; why it was not taken, or None."""
        if self._choice.masks(field):
            function = Function.MASK_WRITE_REGISTER
            outcome = await self._send(field, mask_register(field.address, ~mask & 0xFFFF, put))
            if outcome is None:
                return None
            passes_over = outcome is Flaw.SILENCE and field.row not in self._acts
            if field.write_function is function or not (_is_lacking(outcome) or passes_over):
                return self._failure(field, [(function, outcome)])
            self._lack(function)
        (reply,) = await self._link.exchange(self._device, [read(Table.HOLDING, field.address, 1)])
        if not isinstance(reply, bytes):
            return f"{field} was not written, as the rest of its register cannot be read: {reply}"
        register = int.from_bytes(reply, "big") & ~mask | put
        return await self._write_registers(field, register.to_bytes(2, "big"))

    async def _send(self, field: Field, request: Request) -> _Outcome:
        """Send a write once. Raises `LinkError` or `DeviceError` where the device does not answer readings either."""
        proof = read(field.table, field.address, 1)
        try:
            (reply,) = await self._link.exchange(self._device, [request], once=True, proof=proof)
        except (LinkError, DeviceError) as error:
            # A `LostError` tells what had come of several readings: nobody asks that of a write.
            kind = LinkError if isinstance(error, LostError) else type(error)
            raise kind(f"{error}; it is not known whether {field.tag} ({field}) was written") from error
        return None if isinstance(reply, bytes) else reply

    def _lack(self, function: Function) -> None:
        if not self._choice.lack(function):
            return
        if function is Function.MASK_WRITE_REGISTER:
            log.warning(
                "%s has no function 22 (mask write): parts of a register are written by reading it first, and a change "
                "that the device makes in between is lost",
                self._device.name,
            )
        else:
            log.info("%s lacks function %d and is written by another one", self._device.name, function)


def _is_lacking(outcome: _Outcome) -> bool:
    return isinstance(outcome, Refusal) and outcome.code == ILLEGAL_FUNCTION
