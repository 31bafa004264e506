"""What a run can be told in which state, and what its clocks come to."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.runs.state import Clocks, ControlWord, RefusedError, RunState
from protocol.models import SystemStateEnum


def told(*words: str) -> RunState:
    state = RunState()
    for word in words:
        state.tell(ControlWord(word), 0.0)
    return state


@pytest.mark.parametrize(
    ("words", "state"),
    [
        ((), "Stopped"),
        (("Start",), "Running"),
        (("Start", "Pause"), "Paused"),
        (("Start", "Hold"), "Holding"),
        (("Start", "Pause", "Unpause"), "Running"),
        (("Start", "Hold", "Unhold"), "Running"),
        (("Start", "Hold", "Pause"), "Paused"),
        (("Start", "Pause", "Hold"), "Paused"),
        (("Start", "Pause", "Hold", "Unpause"), "Holding"),
        (("Start", "Pause", "Hold", "Unhold"), "Paused"),
        (("Start", "Pause", "Hold", "Unpause", "Unhold"), "Running"),
        (("Start", "Pause", "Hold", "Stop"), "Stopped"),
        (("Start", "Pause", "Hold", "Stop", "Start"), "Running"),
        (("Start", "Restart"), "Restarting"),
    ],
)
def test_the_state_in_one_word(words: tuple[str, ...], state: str) -> None:
    assert told(*words).word == state


@pytest.mark.parametrize(
    ("words", "word", "why"),
    [
        *(((), word, f"no run is active; {word} needs one") for word in ControlWord if word != "Start"),
        (("Start",), "Start", "active already"),
        (("Start",), "Unpause", "not paused"),
        (("Start",), "Unhold", "not held"),
        (("Start", "Pause"), "Pause", "paused already"),
        (("Start", "Hold"), "Hold", "held already"),
        *((("Start", "Restart"), word, "being restarted") for word in ControlWord),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(words: tuple[str, ...], word: str, why: str) -> None:
    state = told(*words)
    before = state.word
    with pytest.raises(RefusedError, match=why):
        state.tell(ControlWord(word), 1.0)
    assert state.word == before


def test_the_clocks_count_what_they_are_named_for() -> None:
    state = RunState()
    for now, word in ((10.0, "Start"), (11.0, "Hold"), (13.0, "Pause"), (17.0, "Unhold"), (25.0, "Unpause")):
        state.tell(ControlWord(word), now)
    state.count(41.0)
    state.tell(ControlWord.STOP, 41.0)
    state.count(100.0)
    assert state.clocks == Clocks(run=31.0, process=17.0, block=19.0), "the last run stays to be seen"
    state.tell(ControlWord.START, 200.0)
    state.count(200.5)
    assert state.clocks == Clocks(run=0.5, process=0.5, block=0.5)


def test_a_run_that_is_taken_up_goes_on_held_from_where_it_was() -> None:
    state = RunState()
    state.take_up(Clocks(run=100.0, process=80.0, block=90.0), 5.0)
    state.count(7.0)
    assert (state.word, state.clocks) == ("Holding", Clocks(102.0, 80.0, 92.0))
    state.tell(ControlWord.UNHOLD, 7.0)
    state.count(8.0)
    assert (state.word, state.clocks) == ("Running", Clocks(103.0, 81.0, 93.0))


@given(st.lists(st.tuples(st.sampled_from(ControlWord), st.floats(0.0, 100.0)), max_size=60))
def test_no_sequence_of_words_breaks_the_clocks(words: list[tuple[ControlWord, float]]) -> None:
    """Against a plain model: what was shown in each stretch of time decides what the clocks have counted."""
    state, now = RunState(), 0.0
    counted = {SystemStateEnum.Running: 0.0, SystemStateEnum.Holding: 0.0, SystemStateEnum.Paused: 0.0}
    for word, seconds in words:
        began = state.active
        with contextlib.suppress(RefusedError):  # then the state goes on as it was
            state.tell(word, now)
        if state.restarting:
            state.begin(now)
            began = False
        if state.active and not began:
            counted = dict.fromkeys(counted, 0.0)
        now += seconds
        state.count(now)
        if state.word in counted:
            counted[state.word] += seconds
    running, holding, paused = counted.values()
    assert state.clocks.run == pytest.approx(running + holding + paused)
    assert state.clocks.process == pytest.approx(running)
    assert state.clocks.block == pytest.approx(running + holding)
