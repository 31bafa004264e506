"""What can be said about Modbus points together, before anything is connected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from drivers.contract import Point, Remark
from drivers.modbus.budget import remarks_on_time
from drivers.modbus.codec import Field, field_of
from drivers.modbus.options import DeviceOptions, PointOptions, meant_as_modicon
from drivers.modbus.plan import too_long
from drivers.modbus.wires import Wire


def fields_of(devices: Mapping[str, DeviceOptions], points: Sequence[Point]) -> list[Field]:
    """Resolve the points, one field a row."""
    return [
        field_of(row, point.tag, PointOptions.model_validate(point.options), devices[point.device].word_order)
        for row, point in enumerate(points)
    ]


def review(devices: Mapping[str, DeviceOptions], points: Sequence[Point], wire: Wire) -> list[Remark]:
    """Point out what cannot work, what has no time to, and registers that are read as two different things."""
    remarks = list(_review(devices, points))
    if not any(remark.error for remark in remarks):
        remarks += remarks_on_time(devices, points, fields_of(devices, points), wire)
    return remarks


def _review(devices: Mapping[str, DeviceOptions], points: Sequence[Point]) -> Iterator[Remark]:
    fields = fields_of(devices, points)
    options = [PointOptions.model_validate(point.options) for point in points]
    keys = [one.key for one in options]
    for point, one in zip(points, options, strict=True):
        for key in ("write_function", "read_back"):
            if getattr(one, key) and not point.write:
                yield Remark(
                    point.tag, key, f"an input is never written: {key} does nothing; make it direction: both, or take "
                    f"out {key}",
                )  # fmt: skip
    for point, field, key in zip(points, fields, keys, strict=True):
        if point.write and not field.table.is_writable:
            yield Remark(
                field.tag, key, f"{field} cannot be written: an output needs a coil or a holding register", error=True
            )
        ranges = devices[point.device].readable.get(field.table, ())
        if (
            point.read
            and ranges
            and not any(first <= field.address and field.end <= last + 1 for first, last in ranges)
        ):
            yield Remark(
                field.tag, key, f"{field} is outside of what {point.device} has as readable: correct one of them"
            )
        max_block = devices[point.device].max_block
        if point.read and not field.table.is_bits and field.count > max_block:
            yield Remark(field.tag, key, f"{field} takes {too_long(field.count, max_block)}", error=True)
    yield from _meant_otherwise(points, keys)
    read = [field for point, field in zip(points, fields, strict=True) if point.read and field.bit is None]
    read.sort(key=lambda field: (points[field.row].device, field.table, field.address, field.end))
    furthest: Field | None = None
    for field in read:
        here = (points[field.row].device, field.table)
        if furthest is None or here != (points[furthest.row].device, furthest.table) or field.address >= furthest.end:
            furthest = field
            continue
        if not _alike(field, furthest):
            message = (
                f"{field} ({field.data_type.name}) shares registers with {furthest.tag} at {furthest} "
                f"({furthest.data_type.name}): check address and type if that is not meant"
            )
            yield Remark(field.tag, keys[field.row], message)
        if field.end > furthest.end:
            furthest = field


def _meant_otherwise(points: Sequence[Point], keys: Sequence[str]) -> Iterator[Remark]:
    """Ask once for each device and table whether 40051 after `holding` is meant as the notation of Modicon."""
    found: dict[tuple[str, str], list[tuple[str, int, str]]] = {}
    for point, key in zip(points, keys, strict=True):
        number: int | None = getattr(point.options, key)
        if key != "modicon" and number is not None and (meant := meant_as_modicon(key, number)):
            found.setdefault((point.device, key), []).append((point.tag, number, meant))
    for (_, key), tags in found.items():
        tag, number, meant = tags[0]
        others = f"; the same for {len(tags) - 1} more" if len(tags) > 1 else ""
        yield Remark(
            tag,
            key,
            f"{number} is the protocol's own address, counted from 0; if the manual writes {number}, use "
            f"modicon: {number} (which is {key}: {meant}){others}",
        )


def _alike(one: Field, other: Field) -> bool:
    """Whether two fields read the same place, in ways of which none must be a mistake."""
    same_place = (one.address, one.end) == (other.address, other.end)
    halves = len(one.positions) == len(other.positions) == 1
    return same_place and (halves or (one.data_type, one.positions) == (other.data_type, other.positions))
