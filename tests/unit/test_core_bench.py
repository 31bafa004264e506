"""What the bench of the core measures is the real thing: its frames show the registers, changed ones only."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from bench.core_skidlink import Skid, memory_per_tag
from bench.register_image import SCALE


@pytest.mark.parametrize(("every", "count"), [(1, 20), (10, 2), (0, 0)])
def test_a_frame_shows_what_changed(every: int, count: int) -> None:
    skid = Skid(20)
    skid.tick()
    before = registers(skid)
    skid.registers.change(every)
    frame = skid.tick()
    expected = {name: x for name, x in registers(skid).items() if x != before[name]}
    assert len(expected) == count
    found = {tag["name"]: tag["value"] for tag in json.loads(frame)["tags"]} if frame else {}
    assert found == pytest.approx(expected)


def registers(skid: Skid) -> dict[str, float]:
    image = skid.registers
    narrow = struct.unpack_from(f">{image.narrow}H", image.data)
    wide = struct.unpack_from(f">{image.wide}f", image.data, 2 * image.narrow)
    found = {f"N{place}": raw * SCALE for place, raw in enumerate(narrow)}
    return found | {f"W{place}": float(str(np.float32(raw))) for place, raw in enumerate(wide)}


def test_a_tag_takes_less_than_a_kilobyte() -> None:
    assert memory_per_tag({"tags": 2000})["bytes"] < 1000


def test_derived_readings_are_published_too() -> None:
    skid = Skid(100, derived=10)
    tags = {tag["name"]: tag["value"] for tag in json.loads(skid.tick())["tags"]}
    assert len(tags) == 110
    assert tags["D0"] == pytest.approx(tags["N0"] - tags["N5"])
