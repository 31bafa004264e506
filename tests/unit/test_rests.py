"""When devices that do not answer are tried again."""

from __future__ import annotations

import numpy as np
import pytest

from drivers.contract import Group
from engine.rests import LONGEST_REST_S, LONGEST_WRITE_REST_S, REST_SHARE, Rests

GROUPS = [Group(device, 100, np.array([row], np.intp)) for row, device in enumerate(["a", "b", "c"])]
DUE = [10.0, 10.0, 10.0]


def test_a_device_to_be_asked_again_has_no_rest_and_goes_before_those_that_are_silent() -> None:
    rests = Rests()
    rests.silent("a", 0.0, "a does not answer")
    assert rests.to_try(GROUPS, DUE, 10.0) == 0
    rests.unanswered("b", 9.9)
    assert rests.to_try(GROUPS, DUE, 10.0) == 1
    assert rests.to_try(GROUPS, DUE, 9.9) is None, "not before its turn"
    assert rests.found_silent == {"a": "a does not answer"}


def test_a_silent_device_is_not_tried_in_its_rest() -> None:
    rests = Rests()
    rests.silent("a", 10.0, "")
    assert rests.to_try(GROUPS, DUE, 10.0) is None
    assert not rests.is_over("a", 10.0)
    assert rests.to_try(GROUPS, DUE, 10.5) == 0
    assert rests.is_over("a", 10.5)


def test_the_tries_of_silent_devices_take_a_share_of_the_time_as_long_as_another_device_answers() -> None:
    rests = Rests()
    rests.silent("a", 0.0, "")
    rests.silent("b", 0.0, "")
    rests.spare(10.0, 11.0)
    spared_until = 11.0 + REST_SHARE
    assert rests.ready(GROUPS, DUE) == [spared_until, spared_until, 10.0]
    assert rests.to_try(GROUPS, DUE, spared_until - 0.01) is None
    rests.unanswered("c", 10.0)
    assert rests.to_try(GROUPS, DUE, 11.0) == 2
    rests.silent("c", 10.0, "")
    assert rests.to_try(GROUPS, DUE, 11.0) is not None, "nobody waits"


@pytest.mark.parametrize(("only_written", "longest_s"), [(False, LONGEST_REST_S), (True, LONGEST_WRITE_REST_S)])
def test_rests_grow_and_begin_anew_after_an_answer(only_written: bool, longest_s: float) -> None:
    rests = Rests()
    for _ in range(2):
        rests.silent("a", 0.0, "", only_written=only_written)
        assert rests.is_over("a", 0.4)
        for _ in range(12):
            rests.silent("a", 0.0, "", only_written=only_written)
        assert not rests.is_over("a", 0.49 * longest_s)
        assert rests.is_over("a", longest_s)
        rest = rests.answered("a")
        assert rest is not None
        assert rest.failures == 13
        assert rests.answered("a") is None
