"""`skidlink check` and `skidlink schema`: what is wrong with a UOD, and with the skid that it describes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.text import Text

from drivers.contract import Driver, DriverError, Identifies, Image, Kind, Learns, Quality, UnansweredError, Value
from drivers.reasons import NOT_READ, reason_text
from drivers.registry import driver_class
from engine.cli.screen import Grid, console_for, log_to, plain, tell, tell_json, tell_result
from engine.cli.view import STYLES, number
from engine.core.core import Core
from engine.core.spec import FromExpression, FromPoint
from engine.uod.reader import Reading, read_uod
from engine.uod.skid import LinkSpec, Skid

SETTLED = 3
"""What is bad is known when so many more readings have found the same."""
OPEN_WITHIN_S = 30.0
"""A driver keeps its own time-outs; this is for one that does not."""


@dataclass(frozen=True, slots=True)
class PointRow:
    """What one point says online."""

    tag: str
    device: str
    raw: Value | None
    value: Value | None
    unit: str | None
    quality: str
    why: str


def check_uod(file: Path, overrides: Sequence[str], *, online: bool, as_json: bool) -> int:
    """Print all faults and, online, every point; exit code 1 when there is an error or a point is not readable."""
    reading = read_uod(file, overrides)
    troubles: list[str] = []
    rows: list[PointRow] = []
    identities: dict[str, str] = {}
    if online and reading.skid is not None:
        screen = console_for(sys.stderr)
        log_to(screen)
        with screen.status(plain(f"reading every point of {reading.skid.name} once")):
            rows, troubles, identities = asyncio.run(read_once(reading.skid))
    if as_json:
        _print_json(reading, rows, troubles, identities)
    else:
        print_faults(reading)
        if reading.skid is not None:
            tell_result(summary(reading.skid))
        for trouble in troubles:
            tell(trouble)
        if rows:
            _print_points(rows)
        for name, said in identities.items():
            tell_result(f"{name}: {said}")
    unread = any(row.quality in {Quality.BAD.name.lower(), Quality.STALE.name.lower()} for row in rows)
    return 1 if reading.skid is None or troubles or unread else 0


def print_faults(reading: Reading) -> None:
    """All faults, one a line, on the standard error."""
    for fault in reading.faults:
        tell(str(fault))
    if reading.errors:
        tell(f"{_count(len(reading.errors), 'error')}, {_count(len(reading.warnings), 'warning')}")


async def read_once(skid: Skid) -> tuple[list[PointRow], list[str], dict[str, str]]:
    """Read every point once, all links at the same time.

    The points, what went wrong with links and devices, and what the devices say they are.
    """
    answers = await asyncio.gather(*(_read_link(spec) for spec in skid.links))
    core = Core(skid.tags, [image for image, _, _ in answers])
    for index in range(len(skid.links)):
        core.take(index)
    rows: list[PointRow] = []
    for spec in skid.tags:
        if not isinstance(spec.source, FromPoint):
            continue
        row = core.table.row_of(spec.name)
        image, _, _ = answers[spec.source.link]
        read = image.quality[spec.source.row] < Quality.STALE
        rows.append(
            PointRow(
                spec.name,
                skid.links[spec.source.link].points[spec.source.row].device,
                image.value(spec.source.row) if read else None,
                core.table.value(row),
                spec.unit,
                Quality(int(core.table.quality[row])).name.lower(),
                core.table.why(row),
            )
        )
    troubles = [trouble for _, troubles, _ in answers for trouble in troubles]
    troubles += _numbers_for_texts(skid, [image for image, _, _ in answers])
    return rows, troubles, {name: said for _, _, identities in answers for name, said in identities.items()}


def _numbers_for_texts(skid: Skid, images: Sequence[Image]) -> list[str]:
    """Commands that take a number for an output of which the device says that it holds a text."""
    return [
        f"tag {skid.tags[output.tag].name}: the device holds a text there, but {command.name} takes a number: write "
        "type: string under the tag"
        for command in skid.commands
        if command.argument is not None and command.argument.kind == "number"
        for index, output in enumerate(skid.outputs)
        if command.sets(index) and images[output.link].kinds[output.row] == Kind.TEXT
    ]


async def _read_link(spec: LinkSpec) -> tuple[Image, list[str], Mapping[str, str]]:
    """Open one link, read each of its groups once, ask its devices what they are and close it."""
    driver = driver_class(spec.driver)(spec.devices, spec.points)
    troubles: list[str] = []
    identities: Mapping[str, str] = {}
    try:
        async with asyncio.timeout(OPEN_WITHIN_S):
            await driver.open()
            for group in range(len(driver.groups)):
                try:
                    await _read_group(driver, group)
                except DriverError as error:
                    troubles.append(str(error))
            if isinstance(driver, Learns):
                troubles += [f"tag {remark.tag}: {remark.message}" for remark in driver.remarks()]
            if isinstance(driver, Identifies):
                identities = await driver.identify()
    except DriverError as error:
        troubles.append(str(error))
    except TimeoutError:
        troubles.append(f"{spec.name}: the driver has not come back in {OPEN_WITHIN_S:.0f} s")
    finally:
        await driver.close()
    return driver.image, troubles, identities


async def _read_group(driver: Driver, group: int) -> None:
    """Read one group, again as long as its driver asks for that or finds out more about what is bad.

    Raises `DriverError`.
    """
    rows = driver.groups[group].rows
    found: list[bytes] = []
    while len(found) <= SETTLED or found[-SETTLED - 1 : -1] != found[-SETTLED:]:
        try:
            await driver.read(group)
        except UnansweredError:
            continue
        if not np.count_nonzero(driver.image.quality[rows] == Quality.BAD):
            return
        found.append(driver.image.reason[rows].tobytes())


def summary(skid: Skid) -> str:
    """A skid in one line."""
    derived = sum(isinstance(tag.source, FromExpression) for tag in skid.tags)
    devices = sum(len(spec.devices) for spec in skid.links)
    tags = len(skid.tags) - devices  # each device has one that says how it is doing
    return (
        f"{skid.name}: {_count(len(skid.links), 'link')}, {_count(devices, 'device')}, {_count(tags, 'tag')} "
        f"({derived} derived), {_count(len(skid.outputs), 'output')}, a tick of {skid.tick_s * 1000:g} ms"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _print_points(rows: Sequence[PointRow]) -> None:
    table = Grid("tag", "device", "raw", "value", "unit", "quality", "why")
    for column in (2, 3):
        table.columns[column].justify = "right"
        table.columns[column].overflow = "fold"  # a number that is cut is another number
    for row in rows:
        quality = Text(row.quality, STYLES[Quality[row.quality.upper()]])
        raw = "-" if row.raw is None else str(row.raw)
        why = "" if row.why == reason_text(NOT_READ) else row.why  # why that is so, its link has told above
        table.add_row(row.tag, row.device, raw, number(row.value), row.unit or "", quality, why)
    console_for(sys.stdout).print(table)


def _print_json(
    reading: Reading, rows: Sequence[PointRow], troubles: Sequence[str], identities: Mapping[str, str]
) -> None:
    answer = {
        "ok": reading.skid is not None and not troubles,
        "faults": [asdict(fault) for fault in reading.faults],
        "troubles": list(troubles),
        "points": [asdict(row) for row in rows],
        "identities": dict(identities),
    }
    tell_json(answer)


def print_schema() -> None:
    """The JSON schema of a UOD, on the standard output."""
    from engine.uod.schema import uod_schema

    tell_json(uod_schema())
