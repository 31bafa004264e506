"""Holds what an engine publishes against what the skid's servers have shown. Pure; times as in `shown`.

Rules of this file:

* A value that is published, and every value that stands as the last one, must be what its server has shown within the
  time in which a value is of use: else it is wrong, or stale and shown as good. This holds always.
* Where all has been well for a while it must be what the server has shown within one reading and one tick: else a
  change is lost. Where the computer itself had no time to spare, this is not judged, and said so.
* Silence counts: what stands is judged at every message, and where none comes, too.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.soak.points import AFTER, BEFORE, DIFFERENCE, STALE_AFTER_S, TICK_S, SoakTag
from tests.soak.points import Shown as Value
from tests.soak.shown import Shown, Span

USEFUL_S = STALE_AFTER_S + 0.5
"""How long after its server has shown it a value may stand; beyond its limit a tick and a server's own pace."""
PROMPT_S = TICK_S + 0.5
"""How long after a change the old value may stand on a sound link, beyond the time between two readings of it."""
KEPT = 20
"""Faults that are told of one kind."""
UNTOLD: Any = object()


@dataclass(slots=True)
class Verdict:
    """What has been judged, and what was found."""

    published: int = 0
    """Values that were published and held against the skid."""
    standing: int = 0
    """Times that a standing value was held against the skid ..."""
    prompt: int = 0
    """... and to the shorter time of a sound link."""
    strained: int = 0
    """Times that the shorter time was not judged, as the computer was too busy."""
    nulls: int = 0
    faults: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    counts: Counter[str] = field(default_factory=Counter[str])

    def found(self, kind: str, text: str) -> None:
        self.counts[kind] += 1
        kept = self.faults.setdefault(kind, [])
        if len(kept) < KEPT:
            kept.append(text)


@dataclass(slots=True)
class _Suspect:
    """A lost change, unless the computer turns out to have been busy."""

    tag: SoakTag
    shown: Value
    time: float


class Referee:
    """Follows one engine and the servers that it reads."""

    def __init__(self, tags: Sequence[SoakTag], servers: Mapping[str, Shown]) -> None:
        self.verdict = Verdict()
        self.standing: dict[str, Any] = {}
        """Tag -> the value that was published last."""
        self.sick: dict[str, list[Span]] = {bus: [] for bus in servers}
        """Bus -> when something was wrong with it, until it was known to be well again."""
        self.sick_tags: dict[str, list[Span]] = {}
        """Tag -> the same, of a tag whose own place was refused."""
        self.strain: list[Span] = []
        """When the computer had too much to do."""
        self._tags = {tag.name: tag for tag in tags}
        self._servers = servers
        self._suspects: list[_Suspect] = []
        self.judged_at = -math.inf

    def take(self, published: Mapping[str, Value], low: float, high: float) -> None:
        """Judge a message whose tick was between two times, and all that stands after it."""
        self.standing.update(published)
        for name, shown in published.items():
            self.check(name, shown, low, high)
        self.judge(low, high)

    def check(self, name: str, shown: Value, low: float, high: float) -> None:
        """Judge one value that is published."""
        tag = self._tags.get(name)
        if tag is None:
            return
        self.verdict.published += 1
        if shown is None:
            self.verdict.nulls += 1
        elif not self.was_shown(tag, shown, low - USEFUL_S - tag.every_s, high, exactly=True):
            self.verdict.found("wrong", self._text(tag, shown, high, "was published"))

    def judge(self, low: float, high: float) -> None:
        """Judge all that stands at a tick between two times."""
        self.judged_at = high
        for tag in self._tags.values():
            shown = self.standing.get(tag.name, UNTOLD)
            if shown is UNTOLD:
                continue
            self._judge_standing(tag, shown, low, high)
        self._judge_difference(low)
        self.settle(low)

    def settle(self, now: float) -> None:
        """Decide upon suspects, once it is known whether the computer was busy."""
        decided = [suspect for suspect in self._suspects if suspect.time < now - 1.0]
        self._suspects = [suspect for suspect in self._suspects if suspect.time >= now - 1.0]
        for suspect in decided:
            if self.strained(suspect.time - 3.0, suspect.time + 1.0):
                self.verdict.strained += 1
            else:
                self.verdict.found("lost", self._text(suspect.tag, suspect.shown, suspect.time, "still stands"))

    def well(self, bus: str, start: float, end: float) -> bool:
        """Whether nothing was wrong with a bus all the time."""
        return not _overlaps(self.sick[bus], start, end)

    def strained(self, start: float, end: float) -> bool:
        """Whether the computer had too much to do at some time."""
        return _overlaps(self.strain, start, end)

    def forget(self, before: float) -> None:
        """Let go of what has long passed."""
        for bus, spans in self.sick.items():
            self.sick[bus] = [span for span in spans if span.end >= before]
        for tag, spans in self.sick_tags.items():
            self.sick_tags[tag] = [span for span in spans if span.end >= before]
        self.strain = [span for span in self.strain if span.end >= before]

    def _judge_standing(self, tag: SoakTag, shown: Value, low: float, high: float) -> None:
        self.verdict.standing += 1
        prompt_s = PROMPT_S + tag.every_s
        start = low - prompt_s - 1.0
        well = self.well(tag.bus, start, high) and not _overlaps(self.sick_tags.get(tag.name, ()), start, high)
        if well:
            self.verdict.prompt += 1
            if not self.was_shown(tag, shown, low - prompt_s, high):
                self._suspects.append(_Suspect(tag, shown, high))
        elif shown is not None and not self.was_shown(tag, shown, low - USEFUL_S - tag.every_s, high):
            self.verdict.found("stale", self._text(tag, shown, high, "still stands"))

    def _judge_difference(self, time: float) -> None:
        difference, before, after = (self.standing.get(name, UNTOLD) for name in (DIFFERENCE, BEFORE, AFTER))
        if UNTOLD in (difference, before, after):
            return
        if before is None or after is None:
            right = difference is None
        else:
            right = difference is not None and math.isclose(difference, before - after, rel_tol=1e-6, abs_tol=1e-6)
        if not right:
            self.verdict.found("derived", f"at {time:.2f} {before} - {after} stands as {difference}")

    def was_shown(self, tag: SoakTag, shown: Value, start: float, end: float, *, exactly: bool = False) -> bool:
        """Whether a tag's server has shown just this to its clients at some time between two."""
        last: Any = UNTOLD
        for values in self._servers[tag.bus].between(start, end, tag.place.name):
            held = tag.shown(values)
            if held == last:
                continue
            last = held
            if tag.matches(shown, held, exactly=exactly):
                return True
        return False

    def _text(self, tag: SoakTag, shown: Value, time: float, what: str) -> str:
        frames = self._servers[tag.bus].between(time - USEFUL_S, time, tag.place.name)
        held = list(dict.fromkeys(str(tag.shown(values)) for values in frames))
        more = f", ... {held[-1]}" if len(held) > 4 else ""
        return f"{tag.name}: {shown} {what} at {time:.2f}; the skid showed {', '.join(held[:4]) or 'nothing'}{more}"


def _overlaps(spans: Sequence[Span], start: float, end: float) -> bool:
    return any(span.start <= end and span.end >= start for span in spans)
