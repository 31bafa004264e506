"""The key `write_function` of devices and points: which functions it may name, checked where it is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, cast

from pydantic import BeforeValidator

from drivers.modbus.pdu import Table


def _several(value: object) -> object:
    """A single function as a list of one. Raises `ValueError` for what does not write a whole register or coil."""
    functions: list[object] = list(cast("list[object]", value)) if isinstance(value, list | tuple) else [value]
    for function in functions:
        if function not in (5, 6, 15, 16):
            raise ValueError(f"{function!r} is not a function that writes a register (6, 16) or a coil (5, 15)")
    return functions


WriteFunctions = Annotated[tuple[Literal[5, 6, 15, 16], ...], BeforeValidator(_several)]


def require_one_each(functions: Sequence[int]) -> None:
    """Raise `ValueError` where two functions do the same."""
    for pair in ((5, 15), (6, 16)):
        if all(function in functions for function in pair):
            raise ValueError(
                f"write_function has both of {pair[0]} and {pair[1]}: give one of them, or leave it out to have the "
                "other one tried where the first fails"
            )


def require_able(function: int, table: Table, count: int, *, is_part: bool) -> None:
    """Raise `ValueError` for a function that cannot write a point; `is_part`: of a register."""
    if not table.is_writable:
        what = "a discrete input" if table.is_bits else "an input register"
        raise ValueError(f"no function of the protocol writes {what}: leave out write_function")
    if table.is_bits:
        what, able = "a coil", "5 or 15"
    elif is_part:
        what, able = "part of a register", "22, or 6 or 16 to have the register read, changed and written"
    elif count == 1:
        what, able = "a register", "6 or 16"
    else:
        what, able = f"{count} registers", "16"
    if str(function) not in able.replace(",", "").split():
        raise ValueError(f"function {function} does not write {what}: use write_function {able}, or leave it out")
