"""What a person sees while the engine runs: a live table, or plain lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TextIO

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, Group
from rich.text import Text

from drivers.contract import Quality, Value
from drivers.reasons import NOT_READ
from engine.cli.screen import Grid, plain
from engine.core.table import Table
from engine.engine import Engine
from engine.links import DeviceState
from engine.outputs.endings import in_sentences
from engine.timing import in_words
from engine.visible import visible, visible_cell
from protocol.models import SystemStateEnum

_TABLE_LINES = 5
"""Title, head, rule, caption and the line of the prompt."""
_LONGEST_NAME, _LONGEST_VALUE, _LONGEST_UNIT = 32, 24, 12
_LEAST_WHY = 16
_GAPS = 12
"""Columns between the columns, at most."""
STYLES = {Quality.GOOD: "green", Quality.UNCERTAIN: "yellow", Quality.STALE: "magenta", Quality.BAD: "red"}


def number(value: Value | None) -> str:
    """A value as people read it: six significant digits, but no digit before the point is lost."""
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.1f}" if 1e6 <= abs(value) < 1e15 else f"{value:.6g}"


def row_order(engine: Engine) -> list[int]:
    """The tags' rows in the order of the UOD."""
    table = engine.scan.core.table
    return [table.row_of(spec.name) for spec in engine.skid.tags]


class LiveView:
    """A table of all tags that is drawn anew some times a second."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._started = time.monotonic()
        self._ordered: Table | None = None
        """The table of the tags whose rows are in `_rows`; a device that tells its types brings another one."""
        self._rows: list[int] = []

    def draw(self, console: Console, *, ended: bool = False) -> Group:
        """The screen as it is now, cut to the height of the terminal; `ended`: the last one, with the outputs."""
        engine = self._engine
        table = engine.scan.core.table
        if table is not self._ordered:
            self._ordered, self._rows = table, row_order(engine)
        rows = self._rows
        foot = [self._run_line(), *self._link_lines(), *self._uplink_lines(), self._scan_line()]
        if ended:
            told = in_sentences(engine.endings)
            foot += [Text(f"outputs  {visible(line)}", "green" if end.is_known else "bold red") for end, line in told]
        taken = sum(len(line.wrap(console, console.width)) for line in foot)
        room = max(3, console.size.height - taken - _TABLE_LINES)
        shown = Grid(title=plain(self._title(ended=ended)), box=SIMPLE_HEAD, show_edge=False, expand=True)
        shown.title_justify = "left"
        for name in ("tag", "value", "unit", "quality"):
            shown.add_column(name, no_wrap=True, overflow="ellipsis", justify="right" if name == "value" else "left")
        shown.columns[1].overflow = "fold"  # a number that is cut is another number
        shown.add_column("why", ratio=1)
        cells = [self._cells(row) for row in rows[:room]]
        width = console.width - _spent(cells)
        count = 0
        for tag, value, unit, quality, why in cells:
            reason = visible_cell(why, 2 * max(width, _LEAST_WHY))
            room -= len(Text(reason).wrap(console, max(width, _LEAST_WHY))) if reason else 1
            if room < 0:
                break
            shown.add_row(tag, value, unit, Text(quality.name.lower(), STYLES[quality]), reason)
            count += 1
        if count < len(rows):
            ailing = int((table.quality[rows[count:]] != Quality.GOOD).sum())
            also = f", {ailing} of them not good" if ailing else ""
            shown.caption = f"and {len(rows) - count} more{also}; a taller terminal shows them"
        return Group(shown, *foot)

    def _cells(self, row: int) -> tuple[str, str, str, Quality, str]:
        table = self._engine.scan.core.table
        value = visible_cell(number(table.shown(row)), _LONGEST_VALUE)
        name, unit = visible_cell(table.names[row], _LONGEST_NAME), visible_cell(table.units[row] or "", _LONGEST_UNIT)
        return name, value, unit, Quality(int(table.quality[row])), table.why(row)

    def _title(self, *, ended: bool) -> str:
        skid = self._engine.skid
        return f"{skid.name}{f', {skid.location}' if skid.location else ''}   ({'ended' if ended else 'Ctrl-C ends'})"

    def _run_line(self) -> Text:
        runs = self._engine.runs
        line = Text("run      ")
        line.append(runs.state.word, "green" if runs.state.word is SystemStateEnum.Running else "yellow")
        if runs.run_id is not None:
            line.append(f"  {timedelta(seconds=int(runs.state.clocks.run))}  {visible_cell(runs.run_id)}")
        return line

    def _link_lines(self) -> list[Text]:
        lines: list[Text] = []
        for link in self._engine.links:
            line = Text("link     ")
            line.append(f"{visible_cell(link.name)} ", "bold")
            line.append(f"{link.state}", "green" if link.up else "red")
            ailing = [f"{device} {state}" for device, state in link.devices.items() if state is not DeviceState.UP]
            if link.up and ailing:
                line.append(f" ({visible_cell(', '.join(ailing))})", "yellow")
            trouble = link.trouble.removeprefix(f"{link.name}: ")
            line.append(f" {link.counters.reads} readings  {visible_cell(trouble)}".rstrip())
            lines.append(line)
        return lines

    def _uplink_lines(self) -> list[Text]:
        lines: list[Text] = []
        for uplink in self._engine.uplinks:
            status = uplink.status
            line = Text(f"uplink   {visible_cell(uplink.name)} ")
            line.append(visible_cell(status.state), "green" if status.connected else "red")
            line.append(
                f"  sent {status.sent}, queued {status.queued}, refused {status.refused}, dropped {status.dropped}"
            )
            lines.append(line)
        return lines

    def _scan_line(self) -> Text:
        counters = self._engine.scan.counters
        seconds = time.monotonic() - self._started
        return Text(
            f"scan     {counters.ticks} ticks in {seconds:.0f} s, {counters.overruns} overrun, "
            f"{in_words(self._engine.scan.timing, 'tick')}, {counters.changes} changes"
        )


def _spent(cells: Sequence[tuple[str, str, str, Quality, str]]) -> int:
    """How many columns of the terminal the table needs beside the reasons, at most."""
    widest = [max((cell_len(str(row[column])) for row in cells), default=0) for column in range(3)]
    return sum(max(width, len("quality")) for width in widest) + len("uncertain") + _GAPS


class PlainView:
    """A line for each tag that has changed since the last time, for a log or a pipe."""

    def __init__(self, engine: Engine, stream: TextIO | None = None) -> None:
        """`stream` is where the lines go; the standard output if it is not given."""
        self._engine = engine
        self._stream = stream
        self._seen: dict[int, tuple[Value | None, int]] = {}

    def print_changes(self) -> None:
        """Print what has changed."""
        stream = self._stream or sys.stdout
        stream.writelines(self._lines())
        stream.flush()

    def _lines(self) -> Iterator[str]:
        table = self._engine.scan.core.table
        stamp = datetime.now().astimezone().strftime("%H:%M:%S")
        for row in self._changed([*row_order(self._engine), table.row_of("System State")]):
            quality = Quality(int(table.quality[row]))
            value = visible_cell(number(table.shown(row)))
            words = [stamp, f"{table.names[row]} = {value}", table.units[row] or ""]
            if quality is not Quality.GOOD:
                words.append(f"[{quality.name.lower()}: {table.why(row)}]")
            yield visible("  ".join(word for word in words if word)) + "\n"

    def _changed(self, rows: Sequence[int]) -> list[int]:
        table = self._engine.scan.core.table
        changed: list[int] = []
        for row in rows:
            now = table.shown(row), int(table.reason[row])
            if row not in self._seen and now[1] == NOT_READ:
                continue  # that is no news; why it is so, its link has told
            if self._seen.get(row) != now:
                self._seen[row] = now
                changed.append(row)
        return changed
