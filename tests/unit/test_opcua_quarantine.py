"""Which nodes are left out of readings, for how long, and what it takes to come to that."""

from __future__ import annotations

from typing import Any

import asyncua.ua
import pytest

from drivers.opcua.quarantine import CLOSES, Quarantine

ua: Any = asyncua.ua
NODES = [(ua.NodeId(f"N{number}", 2), 13) for number in range(100)]


def test_a_node_is_left_out_for_longer_and_longer() -> None:
    quarantine, now = Quarantine(), 0.0
    rests: list[float] = []
    assert quarantine.next_trial == float("inf")
    for _ in range(9):
        quarantine.hold(NODES[0], "why", now)
        rests.append(quarantine.next_trial - now)
        assert not quarantine.due(NODES[0], quarantine.next_trial - 1)
        now = quarantine.next_trial
        assert quarantine.due(NODES[0], now)
    assert rests == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert quarantine.reason(NODES[0]) == "why"
    quarantine.release(NODES[0])
    assert quarantine.reason(NODES[0]) == ""
    assert quarantine.next_trial == float("inf")
    quarantine.hold(NODES[0], "again", now)
    assert quarantine.next_trial - now == 60


def test_whoever_has_made_requests_is_told_that_they_hold_no_longer() -> None:
    quarantine = Quarantine()
    turns = [quarantine.turn]
    quarantine.release(NODES[0])
    assert quarantine.turn == turns[0], "it was not held"
    for change in (
        lambda: quarantine.hold(NODES[0], "why", 0.0),
        lambda: quarantine.hold(NODES[1], "why", 0.0),
        lambda: quarantine.release(NODES[0]),
    ):
        change()
        turns.append(quarantine.turn)
    assert len(set(turns)) == 4


def test_all_trials_are_put_off_by_as_long_as_each_node_rests() -> None:
    quarantine = Quarantine()
    quarantine.hold(NODES[0], "why", 0.0)
    quarantine.hold(NODES[1], "why", 0.0, closes=True)
    quarantine.defer_all(500.0)
    assert quarantine.next_trial == 560
    assert [quarantine.due(node, 1000.0) for node in NODES[:2]] == [True, False]


def test_a_first_loss_is_a_doubt_and_no_suspicion() -> None:
    quarantine = Quarantine()
    assert not quarantine.doubts
    quarantine.lost(NODES, 0.0)
    assert quarantine.doubts
    assert not quarantine.suspicious
    quarantine.answered(NODES, 0.0)
    assert not quarantine.doubts


def test_the_first_of_several_trials_is_the_next_one() -> None:
    quarantine = Quarantine()
    quarantine.hold(NODES[0], "why", 0.0)
    quarantine.hold(NODES[1], "why", 30.0)
    assert quarantine.next_trial == 60
    quarantine.defer(NODES[0], 60.0)
    assert quarantine.next_trial == 90
    assert [quarantine.due(node, 100.0) for node in NODES[:3]] == [False, True, False]


@pytest.mark.parametrize("guilty", [0, 1, 49, 50, 98, 99])
@pytest.mark.parametrize("count", [1, 2, 3, 100])
def test_a_node_at_which_the_server_closes_the_connection_is_found(guilty: int, count: int) -> None:
    """In as few sessions as halving takes, and no other node is held."""
    nodes, culprit = NODES[:count], NODES[guilty % count]
    quarantine, sessions, now = Quarantine(), 0, 0.0
    while not quarantine.reason(culprit):
        sessions, now = sessions + 1, now + 10
        assert sessions < 12
        parts = quarantine.parts(nodes)
        assert len(parts) <= 8, "the others are read in few requests"
        for part in parts:
            asked = [nodes[place] for place in part]
            if culprit in asked:
                quarantine.lost(asked, now)
                break
            quarantine.answered(asked, now)
    assert sessions >= 3
    assert quarantine.reason(culprit) == CLOSES
    assert not any(quarantine.reason(node) for node in nodes if node != culprit)
    assert not quarantine.doubts
    assert quarantine.next_trial - now == 600
    quarantine.defer(culprit, now + 600)
    quarantine.lost([culprit], now + 600)
    assert quarantine.next_trial - now == 600 + 1200, "each trial costs the connection"


@pytest.mark.parametrize("silent", [True, False])
@pytest.mark.parametrize("guilty", [(0, 1), (1, 3), (13, 14), (20, 77), (0, 99), (5, 50, 95), (0, 1, 2, 3)])
@pytest.mark.parametrize("count", [5, 100, 3 * 100])
def test_several_nodes_that_break_answers_are_all_found(guilty: tuple[int, ...], count: int, silent: bool) -> None:
    """Each in as few sessions as halving takes: what is known of one is not lost while another one is found."""
    nodes = [(ua.NodeId(f"N{number}", 2), 13) for number in range(count)]
    culprits = {nodes[number % count] for number in guilty}
    quarantine, sessions, done = Quarantine(), 0, False
    while not done:
        sessions, done = sessions + 1, True
        assert sessions <= len(culprits) * (2 + count.bit_length()) + 1
        asked_for = [node for node in nodes if not quarantine.reason(node)]
        for part in quarantine.parts(asked_for):
            asked = [asked_for[place] for place in part]
            if not culprits.isdisjoint(asked):
                quarantine.lost(asked, 0.0, silent=silent)
                done = False
                break
            quarantine.answered(asked, 0.0)
    assert {node for node in nodes if quarantine.reason(node)} == culprits
    assert not quarantine.doubts


def test_connections_that_are_lost_for_other_reasons_hold_no_node() -> None:
    quarantine = Quarantine()
    for turn in range(20):
        quarantine.lost(NODES, float(turn))
        for part in quarantine.parts(NODES):
            quarantine.answered([NODES[place] for place in part], float(turn))
        assert not quarantine.doubts
    for turn in range(20):
        quarantine.lost(NODES[turn : turn + 1], float(turn))
        assert not quarantine.suspicious, "another node each time"
    assert not any(map(quarantine.reason, NODES))


def test_every_node_is_asked_for_once_however_they_are_parted() -> None:
    quarantine = Quarantine()
    assert quarantine.parts(NODES) == [list(range(100))]
    for _ in range(2):
        quarantine.lost(NODES[40:60], 0.0)
    parts = quarantine.parts(NODES)
    assert sorted(place for part in parts for place in part) == list(range(100))
    assert [len(part) for part in parts] == [10] * 10, "none is larger than a half of what is suspected"


def closing_at(size: int, quarantine: Quarantine, now: float, readings: int) -> int:
    """Read all nodes of a server that closes the connection at larger requests; how often it does."""
    closed = 0
    for reading in range(readings):
        parts = quarantine.parts(NODES)
        if not quarantine.suspicious and quarantine.most:
            parts = [list(range(begin, min(begin + quarantine.most, 100))) for begin in range(0, 100, quarantine.most)]
        for part in parts:
            asked = [NODES[place] for place in part]
            if len(asked) > size:
                quarantine.lost(asked, now + reading)
                closed += 1
                break
            if quarantine.doubts:
                quarantine.answered(asked, now + reading)
    return closed


@pytest.mark.parametrize("size", [1, 7, 30, 60, 99])
def test_a_server_that_closes_the_connection_at_large_requests_gets_smaller_ones(size: int) -> None:
    quarantine = Quarantine()
    assert closing_at(size, quarantine, 0.0, 40) <= 22
    assert size / 2 - 1 <= quarantine.most <= size
    assert closing_at(size, quarantine, 100.0, 40) == 0
    assert not any(map(quarantine.reason, NODES)), "no node is to blame"


def test_a_network_that_breaks_now_and_then_makes_requests_no_smaller() -> None:
    quarantine = Quarantine()
    for turn in range(10):
        for _ in range(2):
            quarantine.lost(NODES, 1000.0 * turn)
        for part in quarantine.parts(NODES):
            quarantine.answered([NODES[place] for place in part], 1000.0 * turn)
    assert quarantine.most == 0
