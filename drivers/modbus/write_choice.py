"""By which function a place of a device is written: what its author says, or what has worked. No I/O.

Devices differ: some lack function 06, some 16, some pass over one of them in silence for one register only. What a
device answers to is remembered, for all of it where it refuses a function as illegal, else for the one place.
"""

from __future__ import annotations

from collections.abc import Sequence

from drivers.modbus.codec import Field
from drivers.modbus.options import DeviceOptions
from drivers.modbus.pdu import (
    ILLEGAL_DATA_ADDRESS,
    ILLEGAL_DATA_VALUE,
    ILLEGAL_FUNCTION,
    Flaw,
    Function,
    Refusal,
    Table,
)

COILS = (Function.WRITE_SINGLE_COIL, Function.WRITE_MULTIPLE_COILS)
REGISTERS = (Function.WRITE_SINGLE_REGISTER, Function.WRITE_MULTIPLE_REGISTERS)
_NOT_DONE = frozenset({ILLEGAL_FUNCTION, ILLEGAL_DATA_ADDRESS, ILLEGAL_DATA_VALUE})
"""The exceptions after which nothing has been written, so that another function may be tried."""


class WriteChoice:
    """The functions of one device."""

    def __init__(self, options: DeviceOptions) -> None:
        self._options = options
        self._lacks: set[Function] = set()
        """The functions that the device has refused as illegal."""
        self._worked: dict[tuple[Table, int], Function] = {}
        """place -> the function by which it was written, where another one was tried in vain"""
        self._silent: dict[tuple[Table, int], Function] = {}
        """place -> the function that was tried last, where none was answered"""

    def order(self, field: Field) -> Sequence[Function]:
        """The functions to write a whole register or coil by, or several registers, the first choice first."""
        said = field.write_function or self._options.write_function_of(field.table, field.count)
        if said is not None and said is not Function.MASK_WRITE_REGISTER:
            return (said,)
        able = COILS if field.table is Table.COIL else REGISTERS if field.count == 1 else REGISTERS[1:]
        able = [function for function in able if function not in self._lacks] or able
        place = field.table, field.address
        if (before := self._silent.get(place)) is not None:
            # Each try costs a time-out in which nothing is read: one a write, in turns.
            return [function for function in able if function is not before][:1] or able
        worked = self._worked.get(place)
        return sorted(able, key=lambda function: function is not worked)

    def masks(self, field: Field) -> bool:
        """Whether part of a register is written by function 22."""
        if field.write_function is not None:
            return field.write_function is Function.MASK_WRITE_REGISTER
        return Function.MASK_WRITE_REGISTER not in self._lacks

    def joins(self, field: Field) -> bool:
        """Whether a whole register may be written together with its neighbours."""
        return Function.WRITE_MULTIPLE_REGISTERS in self.order(field)

    def lack(self, function: Function) -> bool:
        """Note that the device has no such function; whether that is news."""
        news = function not in self._lacks
        self._lacks.add(function)
        return news

    def tried(self, field: Field, replies: Sequence[tuple[Function, Refusal | Flaw | None]]) -> None:
        """Note what came of the functions by which a place was to be written, in their order; None: it was done."""
        place = field.table, field.address
        function, last = replies[-1]
        if last is None:
            if self._silent.pop(place, None) is not None or len(replies) > 1:
                self._worked[place] = function
        elif all(reply is Flaw.SILENCE for _, reply in replies):
            self._silent[place] = function
        else:
            self._silent.pop(place, None)


def lets_another_be_tried(reply: Refusal | Flaw) -> bool:
    """Whether a place may be written by another function after this reply: nothing was done, or the same once more."""
    return reply.code in _NOT_DONE if isinstance(reply, Refusal) else reply is Flaw.SILENCE
