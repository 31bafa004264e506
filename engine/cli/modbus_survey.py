"""What `skidlink modbus` does with links: surveys of them, and guesses at registers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from drivers.contract import DriverError
from drivers.modbus.address import Reach, place, reach
from drivers.modbus.driver import Modbus
from drivers.modbus.dump import dumped
from drivers.modbus.guesses import guesses, matches, remarks
from drivers.modbus.options import DeviceOptions
from drivers.modbus.pdu import Table
from drivers.modbus.survey import Found, Survey
from drivers.registry import driver_class
from engine.cli.screen import Grid, console_for, tell, tell_result
from engine.uod.reader import read_uod
from uod_examples.skid.replay import ReplayError, replay


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run a command to its end; what a driver cannot do is said in one line, without a traceback."""
    try:
        return asyncio.run(work)
    except DriverError as error:
        tell(str(error))
        return 1


def _ids(text: str) -> list[int]:
    """Read "1-10,247". Raises `DriverError`."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdigit() or not (last or first).isdigit() or int(last or first) > 255:
            raise DriverError(f"{text!r} are no device ids: write them as 1-10,247")
        found += range(int(first), int(last or first) + 1)
    return list(dict.fromkeys(found))


async def scan(link: str, ids: str, last: int, requests: int, timeout_ms: int, dump: Path | None) -> int:
    """Find devices and what they let be read; exit code 1 where there are none."""
    wanted = _ids(ids)
    survey = Survey(reach(link), wanted, timeout_ms=timeout_ms)
    screen = console_for(sys.stderr)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=screen, transient=True, disable=not screen.is_terminal) as progress:

        def begin(what: str, total: int) -> Callable[[int], None]:
            """A bar on a terminal, a line in a file or pipe."""
            task = progress.add_task(what, total=total)
            if not screen.is_terminal:
                screen.print(f"{what} ({total})", highlight=False)
            return lambda done: progress.advance(task, done)

        async with survey.opened():
            step = begin("device ids", len(wanted))
            answering = await survey.present(lambda _: step(1))
            found = [each for each in answering if not each.is_doubtful]
            for each in found:
                step = begin(f"addresses of device id {each.device_id}", len(Table) * (last + 1))
                await survey.explore(each, list(Table), last, requests, step)
            cells = {each.device_id: await survey.cells(each) for each in found} if dump else {}
            for each in found:
                await survey.identify(each)
    _print_found(found, last)
    if dump:
        await asyncio.to_thread(dump.write_text, dumped(survey.link.name, cells), encoding="utf-8")
        tell(f"kept in {dump}; replay it: skidlink modbus replay {dump}")
    doubtful = [str(each.device_id) for each in answering if each.is_doubtful]
    if doubtful:
        tell(
            f"{survey.link.name}: left out, as every question to them is answered with exception 04 (device failure): "
            f"device ids {', '.join(doubtful)}; some servers say that of ids that nobody has"
        )
    elif not found:
        tell(f"{survey.link.name}: no device answers under {ids}: try a longer --timeout-ms")
    return 0 if found else 1


def _print_found(found: list[Found], last: int) -> None:
    grid = Grid("device id", "identity", "table", "readable")
    for each in found:
        identity = ", ".join(each.identity.values()) or "-"
        for table, ranges in each.ranges.items() or [("-", [])]:
            said = ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges) or f"nothing up to {last}"
            more = "" if each.complete else " (the search ended early: raise --requests)"
            grid.add_row(str(each.device_id), identity, str(table), said + more)
    if found:
        console_for(sys.stdout).print(grid)


async def probe(
    where: str, address: str, expect: float | None, name: str | None, device_id: int, tag: str, timeout_ms: int
) -> int:
    """Show what is around an address, and what gives the expected value; exit code 1 where nothing does."""
    table, at = place(address)
    order = "ABCD"
    if Path(where).suffix in {".yaml", ".yml", ".py"}:
        way, name, options = _device_of(Path(where), name)
        device_id, order = options.device_id, options.word_order
    else:
        way, name = reach(where), name or "device"
    survey = Survey(way, [device_id], timeout_ms=timeout_ms, retries=1)
    async with survey.opened():
        words = await survey.words(device_id, table, at - 4, at + 9)
    screen = console_for(sys.stdout)
    raw = Grid("address", "hex", "unsigned", "signed", title=f"{survey.link.name}, device id {device_id}, {table}")
    for here in range(max(0, at - 4), at + 10):
        word = words.get(here)
        cells = ("refused", "", "") if word is None else (f"{word:04X}", str(word), str(word - (word >> 15 << 16)))
        raw.add_row(f"{'> ' if here == at else ''}{here}", *cells)
    screen.print(raw)
    found = list(guesses(words, table, at))
    values = Grid("type", "order", "value", title=f"{table} {at} as")
    for guess in found:
        shown = repr(guess.value) if isinstance(guess.value, str) else str(guess.value)
        values.add_row(guess.data_type.name, guess.order, shown)
    screen.print(values)
    if expect is None:
        return 0 if found else 1
    likely = matches(words, table, at, expect)
    for guess in likely[:5]:
        screen.print(f"{guess.scaled:g}", f"at {guess.table} {guess.address}, {guess.data_type.name}")
        for remark in remarks(guess, at, order):
            screen.print(f"  {remark}")
        screen.print(f"  {guess.uod_line(tag, name)}", soft_wrap=True, highlight=False, markup=False)
    if not likely:
        screen.print(f"nothing at or beside {table} {at} gives {expect:g}: try another address or table")
    return 0 if likely else 1


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
