"""The queue of what waits to be delivered."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.uplinks.backlog import Backlog


def taken(backlog: Backlog) -> list[bytes]:
    found: list[bytes] = []
    while entry := backlog.peek():
        found.append(entry.body)
        backlog.pop(entry)
    return found


def test_first_in_first_out_and_nothing_leaves_before_it_is_popped() -> None:
    backlog = Backlog()
    for body in (b"a", b"b", b"c"):
        backlog.put(body, plot=True)
    assert backlog.peek() == backlog.peek()
    assert (len(backlog), backlog.newest) == (3, 3)
    assert taken(backlog) == [b"a", b"b", b"c"]
    assert backlog.peek() is None


def test_the_oldest_samples_make_room_for_new_ones_and_are_counted() -> None:
    backlog = Backlog(limit_bytes=3)
    for body in (b"a", b"b", b"c", b"d", b"e"):
        backlog.put(body, plot=True)
    assert backlog.dropped == 2
    assert taken(backlog) == [b"c", b"d", b"e"]


def test_events_outlive_samples() -> None:
    backlog = Backlog(limit_bytes=3)
    backlog.put(b"S", plot=False)
    for body in (b"a", b"b", b"c", b"d"):
        backlog.put(body, plot=True)
    backlog.put(b"E", plot=False)
    assert taken(backlog) == [b"S", b"d", b"E"]


def test_without_samples_the_oldest_event_goes() -> None:
    backlog = Backlog(limit_bytes=2)
    for body in (b"1", b"2", b"3"):
        backlog.put(body, plot=False)
    assert taken(backlog) == [b"2", b"3"]


def test_one_message_greater_than_the_bound_is_still_kept() -> None:
    backlog = Backlog(limit_bytes=2)
    backlog.put(b"a", plot=True)
    backlog.put(b"too great", plot=True)
    assert taken(backlog) == [b"too great"]


def test_what_was_dropped_while_in_flight_can_be_popped() -> None:
    backlog = Backlog(limit_bytes=1)
    backlog.put(b"a", plot=True)
    in_flight = backlog.peek()
    assert in_flight is not None
    backlog.put(b"b", plot=True)
    backlog.pop(in_flight)
    assert taken(backlog) == [b"b"]


@given(st.lists(st.tuples(st.sampled_from(["sample", "event", "pop"]), st.binary(max_size=9))), st.integers(1, 30))
def test_the_bound_holds_and_the_order_stays(steps: list[tuple[str, bytes]], limit: int) -> None:
    backlog = Backlog(limit_bytes=limit)
    put = popped = 0
    last = 0
    for step, body in steps:
        if step != "pop":
            backlog.put(body, plot=step == "sample")
            put += 1
        elif entry := backlog.peek():
            assert entry.number > last
            last = entry.number
            backlog.pop(entry)
            popped += 1
        assert len(backlog) == put - popped - backlog.dropped
    rest = taken(backlog)
    assert sum(map(len, rest)) <= limit or len(rest) == 1


async def test_waiting_for_something_and_for_nothing() -> None:
    backlog = Backlog()
    await backlog.emptied()
    filled = asyncio.ensure_future(backlog.filled())
    await asyncio.sleep(0)
    assert not filled.done()
    backlog.put(b"a", plot=True)
    await filled
    emptied = asyncio.ensure_future(backlog.emptied())
    await asyncio.sleep(0)
    assert not emptied.done()
    taken(backlog)
    await emptied
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await backlog.filled()
