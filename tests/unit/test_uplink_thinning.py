"""Samples that wait are merged, pair by pair: which ones, in what order, and for how long."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator, Sequence

import pytest

from engine.store import Store
from engine.uplinks import thinning
from engine.uplinks.entries import Entry, Kind, insert
from engine.uplinks.thinning import Thinning


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    store = Store()
    yield store.recall(lambda db: db)
    asyncio.run(store.close())


def sample(db: sqlite3.Connection, number: int, run: str = "A", **tags: int) -> None:
    values = [{"name": name, "tick_time": number, "value": value} for name, value in tags.items()]
    insert(db, Entry(number, Kind.SAMPLE, run, number, json.dumps({"tags": values}).encode()), number)


def rows(db: sqlite3.Connection) -> Sequence[tuple[int, int]]:
    return db.execute("SELECT number, merged FROM entry ORDER BY number").fetchall()


@pytest.mark.parametrize("at_a_time", [2, 3, 7, 1000])
def test_all_of_the_older_half_is_thinned_alike(
    at_a_time: int, db: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thinning, "AT_A_TIME", at_a_time)
    for number in range(1, 101):
        sample(db, number, T=number)
    found = Thinning()
    while len(rows(db)) > 76:
        assert found.merge_some(db)
    older = [(number, merged) for number, merged in rows(db) if number <= 50]
    assert {merged for _, merged in older} <= {0, 1}, "none twice before all once"
    assert [number for number, _ in rows(db) if number > 50] == list(range(51, 101)), "the newer half is whole"
    while found.merge_some(db):
        pass
    assert len(rows(db)) <= 4, "in the end there is next to nothing left"
    assert rows(db)[-1][0] == 100
    left, again = rows(db), Thinning()
    while again.merge_some(db):
        pass
    assert rows(db) == left


def test_runs_are_never_merged_with_each_other(db: sqlite3.Connection) -> None:
    for number in range(1, 41):
        sample(db, number, "AB"[number // 3 % 2], T=number)
    found = Thinning()
    while found.merge_some(db):
        pass
    for number, tags in db.execute("SELECT number, body FROM entry").fetchall():
        assert [tag["value"] for tag in json.loads(tags)["tags"]] == [number]
    assert len(rows(db)) < 30


def test_no_last_value_is_lost_and_each_keeps_its_own_tick(db: sqlite3.Connection) -> None:
    sample(db, 1, A=1, B=1)
    sample(db, 2, B=2)
    sample(db, 3, C=3)
    for number in range(4, 9):
        sample(db, number, D=number)
    found = Thinning()
    while found.merge_some(db):
        pass
    (body,) = db.execute("SELECT body FROM entry ORDER BY number").fetchone()
    told = [(tag["name"], tag["tick_time"]) for tag in json.loads(body)["tags"]]
    assert told[:3] == [("A", 1), ("B", 2), ("C", 3)]


def test_a_damaged_sample_is_left_for_its_turn(db: sqlite3.Connection) -> None:
    for number in range(1, 9):
        sample(db, number, T=number)
    db.execute("UPDATE entry SET body = x'00' WHERE number = 2")
    found = Thinning()
    while found.merge_some(db):
        pass
    assert 2 in [number for number, _ in rows(db)]


def test_where_nothing_waits_there_is_nothing_to_thin(db: sqlite3.Connection) -> None:
    assert not Thinning().merge_some(db)
    insert(db, Entry(1, Kind.EVENT, "A", 0.0, b"{}"), 0.0)
    assert not Thinning().merge_some(db)
