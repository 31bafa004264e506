"""What an attack finds: values on wrong tags, old values shown as good, heartbeats and ticks that came late."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.soak.attack_points import BEAT_EVERY_S, STALE_AFTER_S, TICK_S, AttackTag
from tests.soak.shown import Span

SLACK_S = 2.0
"""A response may be under way for a second, and a message as long."""
BEAT_GAP_S = BEAT_EVERY_S + 4 * TICK_S
MOST_TEXTS = 8


@dataclass(slots=True)
class Judge:
    """Holds each published value against its own proof."""

    tags: Mapping[str, AttackTag]
    published: int = 0
    good: int = 0
    strained: int = 0
    longest_gap_s: float = 0.0
    findings: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    strain: list[Span] = field(default_factory=list[Span])
    """Times in which the computer let a process wait."""
    _standing: dict[str, Any] = field(default_factory=dict[str, Any])
    _beat: float | None = None

    def begin_life(self) -> None:
        """Forget what the engine before has shown."""
        self._standing.clear()
        self._beat = None

    def value(self, name: str) -> Any:
        """What a tag shows now; None where it shows nothing."""
        return self._standing.get(name)

    @property
    def shown(self) -> int:
        """How many of the tags show a value now."""
        return sum(self._standing.get(name) is not None for name in self.tags)

    def take(self, published: Iterable[tuple[str, Any]]) -> None:
        """Judge what a message says, as it comes."""
        for name, value in published:
            self._standing[name] = value
            tag = self.tags.get(name)
            if tag is None:
                continue
            self.published += 1
            if value is None:
                continue
            self.good += 1
            if not isinstance(value, int) or not tag.is_own(value):
                self._find("a value on a wrong tag", f"{name} = {value!r}")
            else:
                self._judge_age(tag, value)

    def settle(self) -> None:
        """Judge what stands though nothing is said of it."""
        for name, tag in self.tags.items():
            value = self._standing.get(name)
            if isinstance(value, int) and tag.is_own(value):
                self._judge_age(tag, value)

    def _judge_age(self, tag: AttackTag, value: int) -> None:
        age = tag.age_s(value)
        if age > STALE_AFTER_S + SLACK_S:
            if self.is_strained(time.monotonic() - age):
                self.strained += 1
            else:
                self._find("an old value shown as good", f"{tag.name} is {age:.1f} s old")

    def beat(self, at: float) -> None:
        """Take a heartbeat that the sound slave got, at a moment of `time.monotonic`."""
        before, self._beat = self._beat, at
        if before is None:
            return
        gap = at - before
        if self.is_strained(before - 1.0, at + 0.5):
            return
        self.longest_gap_s = max(self.longest_gap_s, gap)
        if gap > BEAT_GAP_S:
            self._find("a heartbeat that came late", f"{gap:.2f} s after the one before")

    def overrun(self, count: int, since: float) -> None:
        """Take ticks that the engine itself counted as late since a moment."""
        if count and not self.is_strained(since - 1.0):
            self._find("a tick late by more than its period", f"{count} times")

    def is_strained(self, begin: float, end: float | None = None) -> bool:
        """Whether the computer let a process wait in between."""
        return any(span.start <= (end or time.monotonic()) and span.end >= begin for span in self.strain)

    def find(self, kind: str, text: str) -> None:
        """Take a finding of another kind."""
        self._find(kind, text)

    def _find(self, kind: str, text: str) -> None:
        texts = self.findings.setdefault(kind, [])
        texts.append(text if len(texts) < MOST_TEXTS else "")
