"""How long a device of a shared link is waited for."""

from __future__ import annotations

import pytest

from drivers.modbus.device import Device
from drivers.modbus.options import TcpDeviceOptions
from drivers.modbus.patience import LONG_EVERY, SHORTEST_TRY_S, Attempt, Patience


def device(name: str, *, trips: list[float] | None = None, spare_s: float = 1.9, retries: int = 2) -> Device:
    made = Device(name, TcpDeviceOptions(host="h", device_id=int(name[-1]), retries=retries), spare_s=spare_s)
    made.counters.round_trips.extend(trips or [])
    made.counters.replies = len(trips or [])
    return made


def tries(patience: Patience, of: Device, count: int) -> list[float]:
    found: list[float] = []
    for _ in range(count):
        attempt = patience.attempt(of)
        assert attempt.retries == 0
        assert attempt.brief
        found.append(round(attempt.timeout_s, 3))
        patience.unanswered(of)
    return found


def test_a_device_alone_has_all_its_tries_in_one_go() -> None:
    alone = device("dev1", trips=[0.01])
    patience = Patience([alone])
    assert patience.attempt(alone) == Attempt(1.0, 2) == patience.whole(alone)
    assert not patience.unanswered(alone), "there is nobody to give the line to"
    assert patience.attempt(alone) == Attempt(1.0, 2)


def test_a_silent_device_has_one_whole_try_and_then_short_ones_and_now_and_then_a_long_one() -> None:
    silent, other = device("dev1", trips=[0.02, 0.05]), device("dev2", trips=[0.01])
    patience = Patience([silent, other])
    found = tries(patience, silent, LONG_EVERY + 2)
    assert found == [1.0, *[0.15] * (LONG_EVERY - 1), 0.95, 0.15], "three times 50 ms, and half of 1.9 s"


def test_it_counts_as_silent_when_its_retries_are_used_up() -> None:
    silent, other = device("dev1"), device("dev2")
    patience = Patience([silent, other])
    for _ in range(2):
        assert [patience.unanswered(silent) for _ in range(4)] == [True, True, False, False]
        patience.answered(silent)


@pytest.mark.parametrize(
    ("mine", "others", "short_s"),
    [
        ([], [0.2], 0.6),
        ([], [0.001], SHORTEST_TRY_S),
        ([0.9], [0.001], 1.0),
        ([], [], 1.0),
        ([5.0] + [0.1] * 64, [], 0.3),
    ],
)
def test_a_short_try_is_as_long_as_what_has_been_measured_asks_for(
    mine: list[float], others: list[float], short_s: float
) -> None:
    one, other = device("dev1", trips=mine), device("dev2", trips=others)
    assert Patience([one, other]).short_s(one) == pytest.approx(short_s)


def test_devices_that_die_together_take_one_whole_timeout_before_the_others_have_their_turn() -> None:
    first, second, third = (device(f"dev{number}", trips=[0.01]) for number in (1, 2, 3))
    patience = Patience([first, second, third])
    for each in (first, second, third):
        patience.answered(each)
    assert tries(patience, first, 1) == [1.0]
    assert tries(patience, second, 3) == [0.1, 0.1, 1.0]
    assert tries(patience, first, 2) == [0.1, 0.1]
    patience.answered(third)
    assert patience.attempt(third).timeout_s == 1.0, "it has answered since"


def test_without_retries_the_one_try_is_whole() -> None:
    first, second = (device(f"dev{number}", trips=[0.01], retries=0) for number in (1, 2))
    patience = Patience([first, second])
    assert tries(patience, first, 1) == [1.0]
    assert tries(patience, second, 1) == [1.0]


def test_a_late_response_gives_the_next_try_its_whole_timeout_once() -> None:
    slow, other = device("dev1", trips=[0.01]), device("dev2", trips=[0.01])
    patience = Patience([slow, other])
    assert tries(patience, slow, 4) == [1.0, 0.1, 0.1, 0.1]
    slow.counters.late += 1
    assert tries(patience, slow, 2) == [1.0, 0.1]


def test_where_no_device_answers_nobody_is_waiting() -> None:
    one, other = device("dev1", trips=[0.01]), device("dev2", trips=[0.01])
    patience = Patience([one, other])
    patience.unanswered(other)
    assert tries(patience, one, 5) == [0.1, 0.1, 1.0, 1.0, 1.0]


def test_a_try_of_a_doubtful_place_makes_no_other_reading_stale() -> None:
    one, other = device("dev1", trips=[0.01]), device("dev2", trips=[0.01], spare_s=0.6)
    assert Patience([one, other]).guest(one) == Attempt(0.3, 0, brief=True)
    assert Patience([one]).guest(one) == Attempt(1.0, 0, brief=True)
