"""The factors, lines and limits of one row of a vendor's register table. No I/O.

A row is a mapping from the role of a column to its cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from drivers.modbus.datatypes import DataType
from drivers.modbus.vendor_numbers import factor_of, number_of, range_of
from drivers.modbus.vendor_types import plain

NOTHING = frozenset({"", "-", "--", "n/a", "na", "none"})
"""Cells that say nothing."""


def scaling_said(row: Mapping[str, str], *, divides: bool | None) -> tuple[Fraction | None, Fraction]:
    """The factor and the offset of a row; the factor is None where the row says none.

    `divides`: what a bare factor such as 10 does; None: nobody says it. Raises `ValueError` where columns contradict
    each other, or are not understood.
    """
    line = _line(row)
    factor = _factor(row, divides=divides)
    if line is None:
        return factor, _number(row, "offset") or Fraction(0)
    if factor not in {None, 1, line[0]}:
        raise ValueError("its factor and its line contradict each other")
    return line


def limits_said(row: Mapping[str, str]) -> tuple[Fraction | None, Fraction | None, list[str]]:
    """The lowest and the highest value, as the row counts, and what was not understood of them."""
    low, high = range_of(row.get("range", "")[:100]) or (None, None)
    remarks: list[str] = []
    for role in ("min", "max"):
        cell = _bare(row, role)
        if plain(cell) in NOTHING:
            continue
        try:
            number = number_of(cell)
        except ValueError:
            remarks.append(f"its {role} {cell!r} is not a number; it was left out")
            continue
        low, high = (number, high) if role == "min" else (low, number)
    if row.get("clamp low", "") == "1":
        low = _number(row, "scaled low")
    if row.get("clamp high", "") == "1":
        high = _number(row, "scaled high")
    return low, high, remarks


def is_raw(low: Fraction | None, high: Fraction | None, scale: Fraction, data_type: DataType) -> bool:
    """Whether limits are beyond what a register can say in its unit, so that they must be those of the register."""
    if not data_type.is_integer or data_type.is_bcd:
        return False
    bits = 16 * data_type.registers
    most = Fraction(2 ** (bits - 1 if data_type.name.startswith("int") else bits)) * abs(scale)
    return any(limit is not None and abs(limit) > most for limit in (low, high))


def _factor(row: Mapping[str, str], *, divides: bool | None) -> Fraction | None:
    found: Fraction | None = None
    for role in ("scale", "multiplier", "divisor", "decimals", "exponent"):
        cell = _bare(row, role)
        if plain(cell) in NOTHING or (role == "scale" and plain(cell) == "linear"):
            continue
        try:
            number = factor_of(cell, divides=divides) if role == "scale" else number_of(cell)
        except ValueError as error:
            said = str(error)
            raise ValueError(said if said.startswith("its ") else f"its {role} {said}") from error
        if role in {"decimals", "exponent"}:
            if number.denominator != 1 or abs(number) > 12:
                raise ValueError(f"its {role} {cell!r} is not a small whole number")
            number = Fraction(10) ** (int(number) if role == "exponent" else -int(number))
        elif number == 0:
            raise ValueError(f"its {role} is 0")
        factor = 1 / number if role == "divisor" and not cell.startswith(("/", "1/")) else number
        if found not in {None, factor}:
            raise ValueError(f"its columns of factors contradict each other at {role} {cell!r}")
        found = factor
    return found


def _line(row: Mapping[str, str]) -> tuple[Fraction, Fraction] | None:
    """Scale and offset of the straight line between two raw and two scaled values; None where there is none."""
    roles = ("raw low", "raw high", "scaled low", "scaled high")
    kind = plain(row.get("scale", ""))
    if all(plain(row.get(role, "")) in NOTHING for role in roles) or kind == "none":
        return None
    if kind not in {"", "linear"}:
        raise ValueError(f"its scaling {kind!r} is not a straight line")
    raw_low, raw_high, low, high = (_number(row, role) for role in roles)
    if raw_low is None or raw_high is None or low is None or high is None or raw_low == raw_high:
        raise ValueError(f"its line needs all of {', '.join(roles)}, and two raw values that differ")
    if plain(row.get("negate", "")) not in {*NOTHING, "0", "no", "false"}:
        low, high = -low, -high
    scale = (high - low) / (raw_high - raw_low)
    return scale, low - raw_low * scale


def _number(row: Mapping[str, str], role: str) -> Fraction | None:
    cell = _bare(row, role)
    if plain(cell) in NOTHING:
        return None
    try:
        return number_of(cell)
    except ValueError as error:
        raise ValueError(f"its {role} {error}") from error


def _bare(row: Mapping[str, str], role: str) -> str:
    """A cell without the unit that may stand beside its number."""
    cell, unit = row.get(role, "").strip(), row.get("unit", "").strip()
    return cell.removesuffix(unit).strip() if unit else cell
