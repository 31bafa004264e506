"""What of a tag goes out: its time, and its value when it is not good."""

from __future__ import annotations

import json

import pytest

from drivers.contract import Image, Kind, Quality
from engine.core.core import Core
from engine.core.publish import Publisher
from engine.core.spec import FromPoint, TagSpec

BEFORE = 1_800_000_000.0
"""When the tick before was."""


@pytest.mark.parametrize(
    ("source_time", "stamp"),
    [(0.05, 0.05), (-0.1, 0.1), (0.0, 0.1), (0.1, 0.1), (0.2, 0.1), (3600.0, 0.1)],
    ids=["between two ticks", "before the last", "at the last", "now", "soon", "in an hour"],
)
def test_the_time_of_a_device_counts_if_it_can_be_true_and_the_aggregator_still_takes_it(
    source_time: float, stamp: float
) -> None:
    image = Image([Kind.FLOAT])
    image.quality[:], image.source_time[:] = Quality.GOOD, BEFORE + source_time
    core = Core([TagSpec("T", FromPoint(0, 0))], [image])
    core.take(0)
    (tag,) = json.loads(Publisher(core.table).pack(core.everything(), BEFORE + 0.1, since=BEFORE))
    assert tag["tick_time"] == BEFORE + stamp
