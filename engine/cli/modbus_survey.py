"""What `skidlink modbus` does with links: surveys of them, and guesses at registers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from drivers.contract import DriverError, LinkError
from drivers.modbus.address import Reach, place, reach
from drivers.modbus.driver import Modbus
from drivers.modbus.dump import dumped
from drivers.modbus.guesses import Guess, guesses, matches, remarks
from drivers.modbus.options import DeviceOptions
from drivers.modbus.pdu import Table
from drivers.modbus.survey import Found, Survey
from drivers.modbus.vendor_numbers import as_plain, number_of
from drivers.registry import driver_class
from engine.cli.screen import UNCUT, Grid, console_for, plain, tell, tell_json, tell_result
from engine.uod.reader import read_uod
from uod_examples.skid.replay import ReplayError, replay


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run a command to its end; what a driver cannot do is said in one line, without a traceback."""
    try:
        return asyncio.run(work)
    except DriverError as error:
        tell(str(error))
        return 1
    except KeyboardInterrupt:
        return 130


def _ids(text: str) -> list[int]:
    """Read "1-10,247". Raises `DriverError`."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdigit() or not (last or first).isdigit() or int(last or first) > 255:
            raise DriverError(f"{text!r} are no device ids: write them as 1-10,247")
        found += range(int(first), int(last or first) + 1)
    return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """What a scan looks at."""

    ids: str | None
    """None: those that devices usually have on such a link."""
    last: int
    requests: int
    timeout_ms: int
    dump: Path | None
    as_json: bool


async def scan(link: str, options: ScanOptions) -> int:
    """Find devices and what they let be read; exit code 1 where there are none, or where the scan could not end.

    What was found is printed however the scan ends.
    """
    way = reach(link)
    ids = options.ids or ("0-32,255" if way.is_addressed_by_host else "1-32")
    survey = Survey(way, _ids(ids), timeout_ms=options.timeout_ms)
    trouble = ""
    cells: dict[int, dict[str, dict[int, int]]] = {}
    try:
        await _look(survey, options, cells)
    except LinkError as error:
        trouble = f"the scan ended early: {str(error).removeprefix(f'{survey.link.name}: ')}"
    except asyncio.CancelledError:
        trouble = "the scan ended early, as it was interrupted"
    found = [each for each in survey.found if not each.is_doubtful and not each.answers_as_another]
    said = _said_of(survey, ids, trouble)
    if options.as_json:
        tell_json({"link": survey.link.name, "devices": [_as_json(each) for each in found], "remarks": said})
    else:
        _print_found(found, options.last)
        for line in said:
            tell(f"{survey.link.name}: {line}")
    if options.dump and cells:
        await asyncio.to_thread(options.dump.write_text, dumped(survey.link.name, cells), encoding="utf-8")
        tell(f"kept in {options.dump}; replay it: skidlink modbus replay {options.dump}")
    return 0 if found and not trouble else 1


async def _look(survey: Survey, options: ScanOptions, cells: dict[int, dict[str, dict[int, int]]]) -> None:
    """Scan with a bar on a terminal, or a line a part in a file or pipe."""
    screen = console_for(sys.stderr)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:

        def begin(what: str, total: int) -> Callable[[int], None]:
            task = progress.add_task(what, total=total)
            if not screen.is_terminal:
                screen.print(f"{what} ({total})", highlight=False)
            return lambda done: progress.advance(task, done)

        async with survey.opened():
            step = begin("device ids", len(survey.devices))
            await survey.present(lambda _: step(1))
            found = [each for each in survey.found if not each.is_doubtful and not each.answers_as_another]
            for each in found:
                step = begin(f"addresses of device id {each.device_id}", len(Table) * (options.last + 1))
                await survey.explore(each, list(Table), options.last, options.requests, step)
                if options.dump:
                    cells[each.device_id] = await survey.cells(each)
            for each in found:
                await survey.identify(each)


def _said_of(survey: Survey, ids: str, trouble: str) -> list[str]:
    """What is to be said beside the devices that were found."""
    said = [trouble] if trouble else []
    doubtful = [str(each.device_id) for each in survey.found if each.is_doubtful]
    others = [str(each.device_id) for each in survey.found if each.answers_as_another]
    if doubtful:
        said.append(
            "left out, as every request to them is answered with exception 04 (device failure): device ids "
            f"{', '.join(doubtful)}; some servers say that of ids that nobody has"
        )
    if others:
        said.append(
            f"what answers to device ids {', '.join(others)} says that it is another one: use the device id that it "
            "has (0 is usual where a device looks at no id)"
        )
    if survey.closed_at:
        places = "; ".join(survey.closed_at[:5]) + ("; ..." if len(survey.closed_at) > 5 else "")
        said.append(f"the connection was closed {len(survey.closed_at)} times, and opened again, at {places}")
    if not survey.found and not trouble:
        said.append(f"no device answers under {ids}: try a longer --timeout-ms")
    return said


def _as_json(found: Found) -> dict[str, Any]:
    return {
        "device_id": found.device_id,
        "identity": found.identity,
        "readable": {table.value: ranges for table, ranges in found.ranges.items()},
        "complete": not found.unfinished,
    }


def _print_found(found: list[Found], last: int) -> None:
    grid = Grid("device id", "identity", "table", "readable")
    for each in found:
        identity = ", ".join(each.identity.values()) or "-"
        tables = list(dict.fromkeys((*each.ranges, *each.unfinished)))
        if not tables:
            grid.add_row(str(each.device_id), identity, "-", f"nothing up to {last}")
        for table in tables:
            ranges = each.ranges.get(table, [])
            said = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges) or "nothing so far"
            more = " (the search ended early: raise --requests)" if table in each.unfinished else ""
            grid.add_row(str(each.device_id), identity, str(table), said + more)
    if found:
        console_for(sys.stdout).print(grid)


@dataclass(frozen=True, slots=True)
class ProbeOptions:
    """What a probe looks at."""

    expect: Fraction | None
    device: str | None
    device_id: int
    tag: str
    timeout_ms: int
    as_json: bool


def expected(text: str) -> Fraction:
    """Read a number as people type it, with a point or a comma. Raises `ValueError`."""
    return number_of(text.strip())


async def probe(where: str, address: str, options: ProbeOptions) -> int:
    """Show what is around an address, and what gives the expected value; exit code 1 where nothing does."""
    table, at = place(address)
    order, device_id, name = "ABCD", options.device_id, options.device
    if Path(where).suffix in {".yaml", ".yml", ".py"}:
        way, name, of_uod = _device_of(Path(where), name)
        device_id, order = of_uod.device_id, of_uod.word_order
    else:
        way, name = reach(where), name or "device"
    survey = Survey(way, [device_id], timeout_ms=options.timeout_ms, retries=1)
    errors = console_for(sys.stderr)
    with errors.status(plain(f"reading {table} {at} and what is around it")):
        async with survey.opened():
            words = await survey.words(device_id, table, at - 4, at + 9)
    found = list(guesses(words, table, at))
    likely = [] if options.expect is None else matches(words, table, at, options.expect)[:5]
    lines = [
        {"value": guess.shown, "line": guess.uod_line(options.tag, name), "remarks": remarks(guess, at, order)}
        for guess in likely
    ]
    if options.as_json:
        values = [
            {"type": guess.data_type.name, "order": guess.order, "value": guess.value if guess.is_finite else None}
            for guess in found
        ]
        tell_json({"table": table.value, "address": at, "words": words, "values": values, "matches": lines})
        return 0 if (found if options.expect is None else likely) else 1
    screen = console_for(sys.stdout)
    raw = Grid("address", "hex", "unsigned", "signed", title=f"{survey.link.name}, device id {device_id}, {table}")
    for here in range(max(0, at - 4), at + 10):
        word = words.get(here)
        cells = ("no value", "", "") if word is None else (f"{word:04X}", str(word), str(word - (word >> 15 << 16)))
        raw.add_row(f"{'> ' if here == at else ''}{here}", *cells)
    screen.print(raw)
    grid = Grid("type", "order", "value", title=f"{table} {at} as")
    for guess in found:
        grid.add_row(guess.data_type.name, guess.order, _shown(guess))
    screen.print(grid)
    if options.expect is None:
        return 0 if found else 1
    for guess, line in zip(likely, lines, strict=True):
        tell_result(f"{guess.shown} at {guess.table} {guess.address}, {guess.data_type.name}")
        for remark in line["remarks"]:
            tell_result(f"  {remark}")
        tell_result(f"  {line['line']}", most=UNCUT)
    if not likely:
        wanted = as_plain(options.expect)
        tell_result(f"nothing at or beside {table} {at} gives {wanted}: try another address or table")
    return 0 if likely else 1


def _shown(guess: Guess) -> str:
    if isinstance(guess.value, str):
        return repr(guess.value)
    return guess.shown if guess.is_finite and not isinstance(guess.value, bool) else str(guess.value)


def _device_of(uod: Path, name: str | None) -> tuple[Reach, str, DeviceOptions]:
    """A Modbus device of a UOD. Raises `DriverError` where there is none."""
    skid = read_uod(uod, []).skid
    if skid is None:
        raise DriverError(f"{uod} has errors: see skidlink check {uod}")
    found: dict[str, tuple[type[Modbus], DeviceOptions]] = {}
    for link in skid.links:
        driver = driver_class(link.driver)
        if issubclass(driver, Modbus):
            found |= {
                each: (driver, options) for each, options in link.devices.items() if isinstance(options, DeviceOptions)
            }
    if not found or (name is not None and name not in found):
        raise DriverError(
            f"{uod} has no Modbus device{'' if name is None else f' named {name}'}; it has {', '.join(found) or 'none'}"
        )
    name = name or next(iter(found))
    driver, options = found[name]
    return Reach(driver, options.model_dump(exclude_unset=True)), name, options


def run_replay(file: Path, port: int) -> int:
    """Serve a dump until Ctrl-C; exit code 1 where the file is none or the port is taken."""

    def ready(port: int, device_ids: list[int]) -> None:
        ids = ", ".join(map(str, device_ids))
        tell_result(f"Modbus TCP 127.0.0.1:{port}, device ids {ids}")
        tell_result("Ctrl-C ends")
        sys.stdout.flush()

    try:
        asyncio.run(replay(file, port, ready))
    except KeyboardInterrupt:
        return 0
    except (ReplayError, OSError, RuntimeError) as error:
        tell(str(error))
    return 1
