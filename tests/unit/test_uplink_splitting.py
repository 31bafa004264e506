"""Frames that are cut into messages of a fair size."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.uplinks.contract import TagsFrame
from engine.uplinks.splitting import STEP_S, parts_of
from protocol.pack import TagPacker

TICK = 1_800_000_000.5


def frame(tags: dict[str, Any]) -> TagsFrame:
    values = [{"name": name, "tick_time": TICK, "value": value, "value_unit": None} for name, value in tags.items()]
    return TagsFrame(json.dumps(values, separators=(",", ":")).encode(), TICK, "run")


@given(st.dictionaries(st.text(), st.text() | st.floats(allow_nan=False, allow_infinity=False), max_size=20))
def test_all_tags_arrive_once_in_order_whatever_they_hold(tags: dict[str, Any]) -> None:
    whole = frame({**tags, 'odd "name"': '},{"name":"x","tick_time":7,"value":8},'})
    parts = parts_of(whole, limit=150)
    assert [tag["name"] for part in parts for tag in json.loads(part.tags)] == [
        t["name"] for t in json.loads(whole.tags)
    ]
    assert [tag["value"] for part in parts for tag in json.loads(part.tags)] == [
        t["value"] for t in json.loads(whole.tags)
    ]


def test_each_part_is_newer_than_the_one_before() -> None:
    parts = parts_of(frame({f"T{number}": number for number in range(100_000)}))
    assert len(parts) > 5
    assert all(len(part.tags) < 1.1 * 2**20 for part in parts)
    for number, part in enumerate(parts):
        tick = TICK + number * STEP_S
        assert part.tick_time == tick
        assert {tag["tick_time"] for tag in json.loads(part.tags)} == {tick}
    assert {part.run_id for part in parts} == {"run"}


def test_a_frame_of_fair_size_goes_as_it_is() -> None:
    whole = frame({"T": 1})
    assert parts_of(whole) == [whole]


def test_what_the_packer_makes_is_cut_where_a_tag_ends() -> None:
    count = 50
    values: NDArray[np.float64] = np.arange(count, dtype=np.float64)
    packer = TagPacker([f"T{row}" for row in range(count)], ["L/h"] * count, ["input"] * count, [values], {})
    tags = packer.pack(np.arange(count), np.zeros(count, np.bool_), TICK)
    parts = parts_of(TagsFrame(tags, TICK, None), limit=1000)
    assert len(parts) > 3
    found = [tag for part in parts for tag in json.loads(part.tags)]
    assert [(tag["name"], tag["value"]) for tag in found] == [(f"T{row}", float(row)) for row in range(count)]
    assert {tag["tick_time"] for tag in found} == {part.tick_time for part in parts}
