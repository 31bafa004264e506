"""What a person sees while the engine runs: a live table, or plain lines where there is no terminal."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from drivers.contract import Quality, Value
from engine.engine import Engine
from engine.links import DeviceState
from engine.timing import in_words
from protocol.models import SystemStateEnum

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

    def draw(self, console: Console) -> Group:
        """The screen as it is now, cut to the height of the terminal."""
        engine = self._engine
        table = engine.scan.core.table
        rows = row_order(engine)
        foot = [self._run_line(), self._link_line(), *self._uplink_lines(), self._scan_line()]
        room = max(3, console.size.height - len(foot) - 5)
        shown = Table("tag", "value", "unit", "quality", "why", title=self._title(), expand=True, title_justify="left")
        shown.columns[1].justify = "right"
        shown.columns[4].ratio = 1
        for row in rows[:room]:
            quality = Quality(int(table.quality[row]))
            style = STYLES[quality]
            shown.add_row(
                table.names[row],
                number(table.shown(row)),
                table.units[row] or "",
                Text(quality.name.lower(), style),
                table.why(row),
            )
        if len(rows) > room:
            shown.caption = f"and {len(rows) - room} more; a taller terminal shows them"
        return Group(shown, *foot)

    def _title(self) -> str:
        skid = self._engine.skid
        return f"{skid.name}{f', {skid.location}' if skid.location else ''}   (Ctrl-C ends)"

    def _run_line(self) -> Text:
        runs = self._engine.runs
        line = Text("run      ")
        line.append(runs.state.word, "green" if runs.state.word is SystemStateEnum.Running else "yellow")
        if runs.run_id is not None:
            line.append(f"  {timedelta(seconds=int(runs.state.clocks.run))}  {runs.run_id}")
        return line

    def _link_line(self) -> Text:
        line = Text("links    ")
        for link in self._engine.links:
            line.append(f"{link.name} ", "bold")
            line.append(f"{link.state}", "green" if link.up else "red")
            ailing = [f"{device} {state}" for device, state in link.devices.items() if state is not DeviceState.UP]
            if link.up and ailing:
                line.append(f" ({', '.join(ailing)})", "yellow")
            line.append(f" {link.counters.reads} readings  {link.trouble}  ")
        return line

    def _uplink_lines(self) -> list[Text]:
        lines: list[Text] = []
        for uplink in self._engine.uplinks:
            status = uplink.status
            line = Text(f"uplink   {uplink.name} ")
            line.append(status.state, "green" if status.connected else "red")
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


class PlainView:
    """A line for each tag that has changed since the last time, for a log or a pipe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._seen: dict[int, tuple[Value | None, int]] = {}

    def print_changes(self) -> None:
        """Print what has changed; once nobody reads any more, into the void: the engine runs on without them."""
        try:
            sys.stdout.writelines(self._lines())
            sys.stdout.flush()
        except BrokenPipeError:
            void = os.open(os.devnull, os.O_WRONLY)
            os.dup2(void, sys.stdout.fileno())
            os.close(void)

    def _lines(self) -> Iterator[str]:
        table = self._engine.scan.core.table
        stamp = datetime.now().astimezone().strftime("%H:%M:%S")
        for row in self._changed([*row_order(self._engine), table.row_of("System State")]):
            quality = Quality(int(table.quality[row]))
            words = [stamp, f"{table.names[row]} = {number(table.shown(row))}", table.units[row] or ""]
            if quality is not Quality.GOOD:
                words.append(f"[{quality.name.lower()}: {table.why(row)}]")
            yield "  ".join(word for word in words if word) + "\n"

    def _changed(self, rows: Sequence[int]) -> list[int]:
        table = self._engine.scan.core.table
        changed: list[int] = []
        for row in rows:
            now = table.shown(row), int(table.reason[row])
            if self._seen.get(row) != now:
                self._seen[row] = now
                changed.append(row)
        return changed
