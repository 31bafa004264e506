"""The newest tick of a plot log that is looked through piece by piece."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.uplinks.plot_log import NewestTick

VALUES = st.one_of(st.none(), st.booleans(), st.floats(), st.text(), st.just('"tick_time": 9e99,'))
TICKS = st.one_of(st.floats(-1e6, 4e9), st.integers(0, 2**40))
LOGS = st.dictionaries(
    st.one_of(st.text(), st.just("tick_time")),
    st.lists(st.fixed_dictionaries({"value": VALUES, "tick_time": TICKS}), max_size=5),
    max_size=4,
)


def log_of(entries: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    return {"entries": {name: {"name": name, "values": values} for name, values in entries.items()}}


def searched(*pieces: bytes) -> NewestTick:
    search = NewestTick()
    for piece in pieces:
        search.take(piece)
    return search


@given(LOGS, st.integers(1, 50), st.booleans(), st.sampled_from([None, (",", ":"), (" , ", " : ")]))
def test_it_is_that_of_the_whole_however_it_is_cut(
    entries: dict[str, list[dict[str, Any]]], size: int, ascii_only: bool, separators: tuple[str, str] | None
) -> None:
    body = json.dumps(log_of(entries), ensure_ascii=ascii_only, separators=separators).encode(errors="surrogatepass")
    search = searched(*(body[start : start + size] for start in range(0, len(body), size)))
    ticks = [value["tick_time"] for values in entries.values() for value in values]
    assert search.newest == max(ticks, default=-math.inf)
    assert search.is_plot_log


@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"{}", b'{"detail": "no"}', b'{"entries": null}', b'{"entries": {"T": {"values": [']
)
def test_what_is_no_plot_log_or_not_all_of_it_is_none(body: bytes) -> None:
    assert not searched(body).is_plot_log


def test_an_empty_one_is_one() -> None:
    search = searched(b'{"entries": {}}\n')
    assert search.is_plot_log
    assert search.newest == -math.inf


def test_a_number_whose_end_has_not_come_does_not_count_yet() -> None:
    search = searched(b'{"entries": {"T": {"values": [{"value": 1, "tick_time": 17')
    assert search.newest == -math.inf
    search.take(b"95.5e1")
    assert search.newest == -math.inf
    search.take(b'}, {"value": 1, "tick_time": 3}]}}}')
    assert search.newest == 17955.0
