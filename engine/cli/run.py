"""`skidlink run`: the engine on a UOD, its ways out, and what is shown meanwhile."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, TextIO, cast

from platformdirs import user_state_path
from rich.console import Console
from rich.live import Live

from drivers.contract import DriverError
from engine.cli.check import print_faults
from engine.cli.loop import LoopName, NoLoopError, run_in
from engine.cli.screen import console_for, log_to, tell
from engine.cli.session import Session
from engine.cli.unblocked import Unblocked
from engine.cli.view import LiveView, PlainView
from engine.engine import Engine, engine_name
from engine.file_names import file_name
from engine.floods import Flood
from engine.outputs.endings import in_sentences
from engine.runs.archive_files import ArchiveFiles
from engine.runs.archive_folder import ArchiveError, ArchiveFolder, ArchiveRule
from engine.skid_lock import SkidLock, SkidLockedError
from engine.store import Store
from engine.store_file import StoreError
from engine.timing import TIMED, in_words
from engine.uod.reader import read_uod
from engine.uod.skid import Skid
from engine.uplinks.contract import Uplink, UplinkError
from engine.uplinks.entries import undelivered_runs
from engine.uplinks.registry import uplink_class

log = logging.getLogger("skidlink.cli")

DRAW_EVERY_S = 0.25
PRINT_EVERY_S = 1.0
MOST_FAILURES = 3
"""So often a live table begins anew."""

_WAYS = ", as nobody can give commands; --aggregator HOST:PORT lets users, --control makes outputs safe without any"

Operator = Callable[[Engine], Coroutine[Any, Any, None]]
"""Somebody who works the skid while the engine runs, as in the demo."""


def run_uod(file: Path, overrides: Sequence[str], session: Session, loop: LoopName) -> int:
    """Run a UOD until stopped; exit code 1 when it has faults or the engine fails."""
    reading = read_uod(file, overrides)
    print_faults(reading)
    if reading.skid is None:
        return 1
    try:
        return run_in(loop, run_skid(reading.skid, session))
    except NoLoopError as error:
        tell(str(error))
        return 1


async def run_skid(skid: Skid, session: Session, operator: Operator | None = None) -> int:
    """Run a skid until its duration is over or a signal comes."""
    lines = Unblocked(sys.stdout)
    words = lines if session.shows_table else Unblocked(sys.stderr)
    try:
        log_to(console := console_for(cast("TextIO", words)), verbose=session.verbose)
        return await _run_shown(skid, session, operator, console, cast("TextIO", lines))
    finally:
        log_to(console_for(sys.stdout if session.shows_table else sys.stderr), verbose=session.verbose)
        for stream in {lines, words}:
            await asyncio.to_thread(stream.finish)


async def _run_shown(skid: Skid, session: Session, operator: Operator | None, console: Console, lines: TextIO) -> int:
    controls = not session.watch_only and (session.control or session.aggregator is not None or operator is not None)
    lock = SkidLock(skid)
    try:
        if controls:
            lock.take()
        store = _store(session, skid)
        engine = Engine(skid, store, _archive(session, skid, store), controls=controls)
        engine.uplinks.extend(_uplinks(session, engine))
    except (DriverError, UplinkError, StoreError, ArchiveError, SkidLockedError) as error:
        log.error("%s", error)  # noqa: TRY400  # the sentence is for its reader, a traceback is not
        lock.release()
        return 1
    if not controls and (skid.outputs or skid.heartbeats):
        log.info("outputs are left as they are: this run only watches%s", "" if session.watch_only else _WAYS)
    # The full collections to come need not look through what stays: of 100,000 objects one takes 70 ms, many ticks.
    gc.collect()
    gc.freeze()
    stop = asyncio.Event()
    stop_on_signals(stop)
    helpers = [asyncio.create_task(keep_showing(engine, session, console, lines), name="views")]
    if operator:
        helpers.append(asyncio.create_task(operator(engine), name="operator"))
    if session.duration_s is not None:
        asyncio.get_running_loop().call_later(session.duration_s, stop.set)
    try:
        await engine.run(stop)
    finally:
        for helper in helpers:
            helper.cancel()
        for result in await asyncio.gather(*helpers, return_exceptions=True):
            if isinstance(result, Exception):
                log.error("%s", result, exc_info=result)
        lock.release()
    for end, sentence in in_sentences(engine.endings):
        if end.is_known and not session.shows_table:  # the last table has it, and the engine has logged the others
            log.info("outputs at the end: %s", sentence)
    counters, timing = engine.scan.counters, engine.scan.timing
    log.info("ended after %d ticks, %d overrun, %d changes", counters.ticks, counters.overruns, counters.changes)
    for name in TIMED:
        log.log(logging.INFO if name == "tick" else logging.DEBUG, "%s: %s", name, in_words(timing, name))
    return 0


def _store(session: Session, skid: Skid) -> Store:
    """Where a run is kept for an aggregator; without one there are no runs. Raises `StoreError` where it is in use."""
    if session.aggregator is None:
        return Store()
    return Store(_state(session) / f"{_file_name(skid)}.sqlite3", sync_ms=session.kept.sync_ms)


def _archive(session: Session, skid: Skid, store: Store) -> ArchiveFiles | None:
    """Where runs are written, one folder an engine; nowhere without an aggregator. Raises `ArchiveError`."""
    archived = session.archived
    if session.aggregator is None:
        if archived.folder is not None or archived.parquet:
            log.warning("there is no archive: runs are begun through an aggregator, name it by --aggregator")
        return None
    rule = ArchiveRule(
        keep_s=archived.keep_days * 86_400,
        limit_bytes=archived.limit_mb * 2**20,
        min_free_bytes=archived.min_free_mb * 2**20,
    )

    def undelivered() -> set[str] | None:
        try:
            return store.wait_for(undelivered_runs)
        except (sqlite3.Error, TimeoutError) as error:
            log.warning("no archive is deleted, as it is not known what waits for the aggregator: %s", error)
            return None

    path = (archived.folder or _state(session) / "archives") / _file_name(skid)
    return ArchiveFiles(ArchiveFolder(path, rule, undelivered), parquet=archived.parquet)


def _state(session: Session) -> Path:
    return session.kept.folder or user_state_path("skidlink", appauthor=False)


def _file_name(skid: Skid) -> str:
    return file_name(engine_name(skid))


def _uplinks(session: Session, engine: Engine) -> list[Uplink]:
    """The ways out that the options name. Raises `UplinkError`."""
    uplinks: list[Uplink] = []
    if session.aggregator:
        from engine.uplinks.aggregator import MEMORY_BYTES, AggregatorUplink
        from engine.uplinks.outbox import Outbox

        kept = session.kept
        limit = kept.limit_mb * 2**20
        if engine.store.in_memory:
            limit = min(limit, MEMORY_BYTES)
        outbox = Outbox(engine.store, limit_bytes=limit, max_age_s=kept.days * 86_400.0)
        uplinks.append(AggregatorUplink(engine, session.aggregator, secret=session.secret, outbox=outbox))
    if session.output is not None:
        name = "stdout" if session.prints_messages else "file"
        uplinks.append(uplink_class(name)(engine, str(session.output)))
    return uplinks


async def keep_showing(engine: Engine, session: Session, console: Console, stream: TextIO | None = None) -> None:
    """Show the skid until cancelled. A view that fails says so and begins anew; a table that fails again and again
    gives way to lines. Whatever it does, the engine runs on."""
    failures, flood = 0, Flood()
    while not session.prints_messages:
        plain = not session.shows_table or failures >= MOST_FAILURES
        view = asyncio.create_task(_print_lines(engine, stream) if plain else _draw_table(engine, console), name="view")
        try:
            await asyncio.wait({view})
        finally:
            view.cancel()
            await asyncio.gather(view, return_exceptions=True)
            error = None if view.cancelled() else view.exception()
            if error is not None and flood.passes("view", time.monotonic()):
                log.error("the view failed and begins anew; the engine runs on", exc_info=error)
        failures += 1
        await asyncio.sleep(PRINT_EVERY_S)


async def _draw_table(engine: Engine, console: Console) -> None:
    """Draw the live table until cancelled; what it shows last is how the outputs were left."""
    view = LiveView(engine)
    with Live(console=console, auto_refresh=False, screen=False) as live:
        try:
            while True:
                live.update(view.draw(console), refresh=True)
                await asyncio.sleep(DRAW_EVERY_S)
        except asyncio.CancelledError:
            live.update(view.draw(console, ended=True), refresh=True)
            raise


async def _print_lines(engine: Engine, stream: TextIO | None) -> None:
    """Print a line for each change until cancelled; the last lines say how the outputs were left."""
    plain = PlainView(engine, stream)
    try:
        while True:
            await asyncio.sleep(PRINT_EVERY_S)
            plain.print_changes()
    except asyncio.CancelledError:
        plain.print_changes()
        raise


def stop_on_signals(stop: asyncio.Event) -> None:
    """SIGINT, SIGTERM and SIGHUP end the run; a second one changes nothing, because the outputs are being made safe."""
    loop = asyncio.get_running_loop()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(stop.set)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is None:
            continue  # Windows has no SIGHUP
        try:
            loop.add_signal_handler(number, stop.set)
        except NotImplementedError:  # nor has its event loop signal handlers
            signal.signal(number, on_signal)
