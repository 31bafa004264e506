"""Frames of many tags, cut into messages of a size that an aggregator takes without holding up its users."""

from __future__ import annotations

import re
from typing import Final

import orjson

from engine.uplinks.contract import TagsFrame

LIMIT_BYTES: Final = 2**20
STEP_S: Final = 0.0001
"""Between the ticks of two parts: the aggregator stores nothing that is not newer than what it stored last."""

_BETWEEN: Final = b'},{"name":'
"""Where one tag ends and the next begins. In a text every quote has a backslash, so it stands nowhere else."""
_TICK: Final = re.compile(rb'"tick_time":[^,]+')


def parts_of(frame: TagsFrame, limit: int = LIMIT_BYTES) -> list[TagsFrame]:
    """The frame itself, or frames of up to `limit` bytes, unless one tag alone is longer."""
    if len(frame.tags) <= limit:
        return [frame]
    found: list[TagsFrame] = []
    start, end = 1, len(frame.tags) - 1
    while start < end:
        cut = end if end - start <= limit else _cut(frame.tags, start, start + limit, end)
        tick = frame.tick_time + len(found) * STEP_S
        tags = b"[" + frame.tags[start:cut] + b"]"
        if found:
            tags = _TICK.sub(b'"tick_time":' + orjson.dumps(tick), tags)
        found.append(TagsFrame(tags, tick, frame.run_id))
        start = cut + 1
    return found


def _cut(tags: bytes, start: int, most: int, end: int) -> int:
    """The place of the comma after the last tag that ends before `most`, or after the first one."""
    place = tags.rfind(_BETWEEN, start, most)
    if place < 0:
        place = tags.find(_BETWEEN, most)
    return end if place < 0 else place + 1
