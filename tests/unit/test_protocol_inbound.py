"""How much may come in."""

from __future__ import annotations

import orjson
import pytest

from protocol.exceptions import PeerViolationError, ProtocolDeserializationException
from protocol.inbound import FRAMES_AT_ONCE, FRAMES_PER_S, UNREADABLE, Budget, Inbound
from protocol.models import MOST_LINES
from protocol.serialization import deserialize


def method(lines: object) -> dict[str, object]:
    namespace = "openpectus.protocol.aggregator_messages"
    return {"_type": "MethodMsg", "_ns": namespace, "method": {"version": 1, "lines": lines}}


def test_a_budget_fills_again_up_to_what_there_may_be_at_once() -> None:
    budget = Budget(10, 2)
    assert budget.spend(10, 100.0)
    assert not budget.spend(1, 100.0)
    assert budget.spend(2, 101.0)
    assert not budget.spend(1, 101.4), "four fifths of one"
    assert budget.spend(10, 200.0)
    assert not budget.spend(1, 200.0), "ten at once, however long nothing came"


def test_bytes_are_counted_over_all_frames() -> None:
    inbound, frame = Inbound(), b'"' + b"x" * (2**20 - 2) + b'"'
    for _ in range(8):
        assert inbound.read(frame, 0.0) is not None
    with pytest.raises(PeerViolationError, match="more than 1 MiB a second"):
        inbound.read(frame, 0.5)
    assert Inbound().read(frame, 0.0) is not None


@pytest.mark.parametrize("frame", [b"[" + b"[]," * 60_000 + b"0]", b"[" + b"0," * 100_001 + b"0]"])
def test_a_frame_of_too_many_parts_is_not_even_read(frame: bytes) -> None:
    with pytest.raises(PeerViolationError, match="more parts than any message has"):
        Inbound().read(frame, 0.0)


@pytest.mark.parametrize(
    "frame", [b"", b"\xff\xfe", b"[" * 50_000, b'{"a":' * 1_100 + b"1" + b"}" * 1_100, b'"\\ud800"']
)
def test_what_cannot_be_read_is_ignored_until_it_is_too_much(frame: bytes) -> None:
    inbound = Inbound()
    for _ in range(UNREADABLE):
        assert inbound.read(frame, 0.0) is None
    with pytest.raises(PeerViolationError, match="keeps sending what cannot be read"):
        inbound.read(frame, 0.0)


def test_frames_that_nobody_asked_for_are_counted() -> None:
    inbound = Inbound()
    for _ in range(FRAMES_AT_ONCE):
        inbound.count_unasked(0.0)
    for _ in range(FRAMES_PER_S):
        inbound.count_unasked(1.0)
    with pytest.raises(PeerViolationError, match="calls a second"):
        inbound.count_unasked(1.0)


def test_the_longest_method_fits_into_a_frame() -> None:
    lines = [{"id": f"{number:08x}", "content": "Pump: 50 % # as written"} for number in range(MOST_LINES)]
    read = Inbound().read(orjson.dumps(method(lines)), 0.0)
    assert len(deserialize(read).model_dump()["method"]["lines"]) == MOST_LINES


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (method([{"id": "a", "content": ""}] * (MOST_LINES + 1)), "a method has 25,000 lines at most, not 25,001"),
        (method([1] * MOST_LINES), "method.lines.0: Input should be a valid dictionary"),
        ({"_type": [["x"]], "_ns": {"a": 1}}, "no message is named 'list' in 'dict'"),
        ({"_type": "x" * 100_000, "_ns": None}, "no message is named 'xxx"),
        (method("no list"), "method.lines: Input should be a valid list"),
    ],
)
def test_a_message_that_cannot_be_read_is_told_in_one_short_sentence(message: dict[str, object], why: str) -> None:
    with pytest.raises(ProtocolDeserializationException) as found:
        deserialize(message)
    assert why in str(found.value)
    assert len(str(found.value)) < 400
