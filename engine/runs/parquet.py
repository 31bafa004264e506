"""The table of a run as a Parquet file, made when the run has ended out of the exact values that were kept meanwhile.

They are kept as lines of JSON: an object with the columns and their kinds, a list of values a row, and another object
where kinds have changed, as they do when a device has told the types of its tags.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from engine.core.table import TagKind
from engine.runs.archive_folder import UNFINISHED, ArchiveError

ROWS_AT_ONCE: Final = 1000
"""A group of rows in the file; of 200 columns they take some 50 MB of memory while it is made."""

_TYPES: Final = {
    TagKind.FLOAT32: "float64",
    TagKind.FLOAT: "float64",
    TagKind.INT: "int64",
    TagKind.UINT: "uint64",
    TagKind.BOOL: "bool_",
    TagKind.TEXT: "string",
    TagKind.CHOICE: "string",
}
"""kind -> the type of its column, as pyarrow calls it"""


def require_parquet() -> None:
    """Raise `ArchiveError` where no Parquet file can be written."""
    try:
        importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ArchiveError(
            f"--archive-parquet needs pyarrow ({error}): install it with pip install 'skidlink[parquet]'"
        ) from error


def columns_line(names: Sequence[str], kinds: Sequence[TagKind]) -> bytes:
    """The line for the columns of what follows."""
    types = [_TYPES[kind] for kind in kinds]
    return orjson.dumps({"names": list(names), "types": types}, option=orjson.OPT_APPEND_NEWLINE)


def row_line(unix: float, values: Sequence[Any]) -> bytes:
    """The line for a row; None, NaN and infinities are null."""
    return orjson.dumps([unix, *values], option=orjson.OPT_APPEND_NEWLINE)


def write_parquet(kept: Path, target: Path) -> int:
    """Make the file `target` of what was kept; it is there whole, or not at all. Returns how many rows are damaged.

    Raises `OSError`, and `ArchiveError` where no table can be made of it.
    """
    arrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    names, types, damaged = _columns(kept)
    if not names:
        raise ArchiveError("it does not say what its columns are")
    stamp = arrow.timestamp("us", tz="UTC")
    fields = [(name, getattr(arrow, kind)()) for name, kind in zip(names, types, strict=True)]
    schema = arrow.schema([("Datetime (UTC)", stamp), *fields])
    unfinished = target.with_suffix(UNFINISHED)
    try:
        with parquet.ParquetWriter(unfinished, schema) as writer:
            for rows in _batches(kept):
                columns = [[round(row[0] * 1e6) for row in rows]]
                columns += [[_fitted(row[place], kind) for row in rows] for place, kind in enumerate(types, start=1)]
                arrays = [arrow.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
                writer.write_batch(arrow.record_batch(arrays, schema=schema))
    except (ValueError, TypeError, OverflowError) as error:  # a value that is damaged, and looks like one all the same
        raise ArchiveError(str(error)) from error
    with unfinished.open("rb+") as file:
        os.fsync(file.fileno())
    unfinished.replace(target)
    return damaged


def _columns(kept: Path) -> tuple[list[str], list[str], int]:
    """The names and types of all columns; text where one has had values of different types. And the damaged rows."""
    names: list[str] = []
    types: list[str] = []
    used: list[set[str]] = []
    damaged = 0
    for columns, row in _lines(kept):
        damaged += columns is None and not row
        if columns is not None:
            names, types = columns["names"], columns["types"]
            used = used or [set[str]() for _ in names]
        for place, value in enumerate(row[1:]):
            if value is not None:
                used[place].add(types[place])
    for place, seen in enumerate(used):
        if seen:
            types[place] = seen.pop() if len(seen) == 1 else "string"
    return names, types, damaged


def _fitted(value: Any, kind: str) -> Any:
    """A value of another type as text, and a float that JSON has without a point as float."""
    if kind == "string" and value is not None:
        return str(value)
    return float(value) if kind == "float64" and value is not None else value


def _batches(kept: Path) -> Iterator[list[list[Any]]]:
    rows: list[list[Any]] = []
    for _, row in _lines(kept):
        if row:
            rows.append(row)
        if len(rows) == ROWS_AT_ONCE:
            yield rows
            rows = []
    if rows:
        yield rows


def _lines(kept: Path) -> Iterator[tuple[dict[str, list[str]] | None, list[Any]]]:
    """Each line as columns or as a row, the other being None or empty; both where a line is damaged."""
    width = 0
    with kept.open("rb") as file:
        for line in file:
            try:
                read: Any = orjson.loads(line)
            except orjson.JSONDecodeError:
                yield None, []
                continue
            match read:
                case {"names": [*names], "types": [*types]} if len(names) == len(types) and width in {0, len(names)}:
                    width = len(names)
                    yield read, []
                case [int() | float() as unix, *values] if width and len(values) == width:
                    yield None, [unix, *values]
                case _:
                    yield None, []
