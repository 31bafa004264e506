"""Modbus frames and transactions: whatever a stream brings, a value only ever reaches the request that it answers."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.modbus.counters import DeviceCounters, LinkCounters
from drivers.modbus.frames import Frame, FramingError, MbapFrames
from drivers.modbus.pdu import (
    Flaw,
    Refusal,
    Request,
    Table,
    mask_register,
    read,
    write_coil,
    write_coils,
    write_register,
    write_registers,
)
from drivers.modbus.pending import SETTLED_LIFETIME_S
from drivers.modbus.transactions import DEBT_LIFETIME_S, Transaction, Transactions


def feed(buffer: MbapFrames, data: bytes) -> list[Frame]:
    buffer.space()[: len(data)] = data
    return buffer.received(len(data))


frames = st.tuples(st.integers(0, 0xFFFF), st.integers(0, 255), st.binary(min_size=2, max_size=253))


@given(st.lists(frames, max_size=12), st.lists(st.integers(1, 300), min_size=1, max_size=40))
def test_frames_come_out_whole_wherever_the_stream_is_cut(sent: list[Frame], cuts: list[int]) -> None:
    stream = b"".join(MbapFrames().frame(*one) for one in sent)
    buffer = MbapFrames()
    received: list[Frame] = []
    while stream:
        for cut in cuts:
            received += feed(buffer, stream[:cut])
            stream = stream[cut:]
    assert received == sent


def test_a_frame_comes_with_its_last_byte() -> None:
    stream = MbapFrames().frame(7, 1, b"\x03\x02\x00\x2a")
    buffer = MbapFrames()
    assert [len(feed(buffer, stream[i : i + 1])) for i in range(len(stream))] == [0] * (len(stream) - 1) + [1]


@pytest.mark.parametrize("header", ["0001 0001 0003 01", "0001 0000 0002 01", "0001 0000 00ff 01", "4854 5450 2f31 2e"])
def test_garbage_breaks_the_stream(header: str) -> None:
    with pytest.raises(FramingError, match="what came is not Modbus TCP"):
        feed(MbapFrames(), bytes.fromhex(header) + b"\x03\x02")


def test_requests_are_as_the_specification_has_them() -> None:
    # The examples of the Application Protocol Specification V1.1b3, sections 6.1, 6.3, 6.5, 6.6, 6.11, 6.12 and 6.16.
    assert read(Table.COIL, 0x13, 0x13).pdu.hex() == "0100130013"
    assert read(Table.HOLDING, 0x6B, 3).pdu.hex() == "03006b0003"
    assert write_coil(0xAC, on=True).pdu.hex() == "0500acff00"
    assert write_register(1, b"\x00\x03").pdu.hex() == "0600010003"
    coils = [bool(int(bit)) for bit in "1011001110"]
    assert write_coils(0x13, coils).pdu.hex() == "0f0013000a02cd01"
    assert write_registers(1, b"\x00\x0a\x01\x02").pdu.hex() == "100001000204000a0102"
    assert mask_register(4, 0xF2, 0x25).pdu.hex() == "16000400f20025"


@pytest.mark.parametrize(
    ("request_", "answer", "reply"),
    [
        (read(Table.HOLDING, 0, 2), "0304 0001 0002", b"\0\1\0\2"),
        (read(Table.COIL, 0, 9), "0102 ff01", b"\xff\x01"),
        (read(Table.HOLDING, 0, 2), "8302", Refusal(2)),
        (read(Table.HOLDING, 0, 2), "0302 0001", Flaw.SHORT),
        (read(Table.HOLDING, 0, 2), "0306 0001 0002 0003", Flaw.LONG),
        (read(Table.HOLDING, 0, 2), "0304 0001", Flaw.SHORT),
        (read(Table.HOLDING, 0, 2), "0304 0001 0002 0003", Flaw.LONG),
        (read(Table.HOLDING, 0, 2), "0404 0001 0002", Flaw.FUNCTION),
        (read(Table.HOLDING, 0, 2), "8402", Flaw.FUNCTION),
        (read(Table.HOLDING, 0, 2), "0302 0001 0002", Flaw.ECHO),
        (write_register(5, b"\0\1"), "06 0005 0001", b""),
        (write_register(5, b"\0\1"), "06 0006 0001", Flaw.ECHO),
        (write_register(5, b"\0\1"), "06 0005 0002", Flaw.ECHO),
        (write_registers(5, b"\0\1\0\2"), "10 0005 0002", b""),
        (write_registers(5, b"\0\1\0\2"), "10 0005 0001", Flaw.ECHO),
        (write_coil(5, on=True), "8506", Refusal(6)),
    ],
)
def test_an_answer_is_checked_to_its_last_byte(request_: Request, answer: str, reply: bytes | Refusal | Flaw) -> None:
    assert request_.check(bytes.fromhex(answer)) == reply


@dataclass
class Peer:
    """A device whose registers tell their own address and device id, and our side of the talk with it."""

    zero: bool = False

    def __post_init__(self) -> None:
        self.link = LinkCounters()
        self.counters = DeviceCounters()
        self.transactions = Transactions(self.link, numbered=not self.zero)
        self.answers: list[Frame] = []
        """What the device has answered and the network has not yet brought."""

    @staticmethod
    def content(device_id: int, address: int, count: int) -> bytes:
        return b"".join(bytes((device_id, address + index)) for index in range(count))

    def ask(self, device_id: int, address: int, count: int) -> Transaction:
        request = read(Table.HOLDING, address, count)
        transaction = self.transactions.begin(device_id, request, 0, 0.0, self.counters)
        answer = bytes((3, 2 * count)) + self.content(device_id, address, count)
        self.answers.append((0 if self.zero else transaction.number, device_id, answer))
        return transaction

    def bring(self, answer: Frame) -> None:
        """Let an answer arrive; what it gives to a request must be that request's own registers."""
        answered = self.transactions.answered(*answer, 0.0)
        if answered is None or not isinstance(answered[1], bytes):
            return
        transaction, data = answered
        address, count = (int.from_bytes(transaction.request.pdu[i : i + 2], "big") for i in (1, 3))
        assert data == self.content(transaction.device_id, address, count)


actions = st.lists(
    st.tuples(
        st.sampled_from(
            ["ask", "ask", "bring", "bring", "again", "give up", "lose", "unit", "function", "short", "long"]
        ),
        st.integers(0, 5),
        st.integers(1, 3),
    ),
    max_size=60,
)


@given(actions)
def test_no_value_reaches_another_request(script: list[tuple[str, int, int]]) -> None:
    peer = Peer()
    brought: list[Frame] = []
    for action, address, count in script:
        if action == "ask":
            peer.ask(1 + address % 2, address, count)
        elif action == "give up" and (opened := list(peer.transactions)):
            peer.transactions.give_up(opened[address % len(opened)], 0.0)
        elif action == "again" and brought:
            peer.bring(brought[address % len(brought)])
        elif peer.answers and action not in {"give up", "again"}:
            number, device_id, pdu = peer.answers.pop(address % len(peer.answers))
            changed = {
                "unit": (number, device_id + 1, pdu[:2] + bytes(byte ^ 0xFF for byte in pdu[2:])),
                "function": (number, device_id, b"\x04" + pdu[1:]),
                "short": (number, device_id, bytes((3, pdu[1] - 2)) + pdu[2:-2]),
                "long": (number, device_id, bytes((3, pdu[1] + 2)) + pdu[2:] + b"\0\0"),
                "bring": (number, device_id, pdu),
            }
            if action != "lose":
                peer.bring(changed[action])
                brought.append(changed[action])


@given(
    st.lists(st.tuples(st.sampled_from(["ask", "bring", "lose"]), st.integers(0, 5), st.integers(1, 2)), max_size=60)
)
def test_no_value_reaches_another_request_when_answers_bear_no_number(script: list[tuple[str, int, int]]) -> None:
    """One request at a time, a fresh one giving up that before it, to a device that answers in order with number 0."""
    peer = Peer(zero=True)
    for action, address, count in script:
        if action == "ask":
            peer.transactions.give_up_all(0.0)
            peer.ask(1 + address % 2, address, count)
        elif action == "bring" and peer.answers:
            peer.bring(peer.answers.pop(0))
        elif action == "lose" and peer.answers:
            peer.answers.pop(0)


def test_a_late_answer_is_counted_and_dropped_and_its_number_not_used_again() -> None:
    peer = Peer()
    first = peer.ask(1, 0, 1)
    peer.transactions.give_up(first, 0.0)
    second = peer.ask(1, 4, 1)
    assert second.number != first.number
    late, due = peer.answers
    assert peer.transactions.answered(*late, 0.0) is None
    assert peer.counters.late == 1
    assert peer.transactions.answered(*due, 0.0) == (second, b"\x01\x04")
    assert peer.transactions.answered(*due, 0.0) is None
    assert peer.link.unasked == 1


def test_an_answer_of_another_device_is_refused_and_the_right_one_still_reckoned_with() -> None:
    peer = Peer()
    transaction = peer.ask(1, 0, 1)
    assert peer.transactions.answered(transaction.number, 2, b"\x03\x02\x02\x00", 0.0) == (transaction, Flaw.DEVICE_ID)
    assert peer.transactions.answered(*peer.answers[0], 0.0) is None
    assert (peer.counters.wrong, peer.counters.late, peer.counters.replies) == (1, 1, 0)


def test_numbers_in_use_are_passed_over_when_they_come_round() -> None:
    peer = Peer()
    kept = peer.ask(1, 0, 1)
    peer.transactions.give_up(kept, 0.0)
    for _ in range(0xFFFF):
        answered = peer.transactions.answered(peer.ask(1, 0, 1).number, 1, b"\x03\x02\x01\x00", 0.0)
        assert answered is not None
        assert answered[0].number not in {0, kept.number}


def test_answers_without_number_are_taken_again_when_the_debt_is_old() -> None:
    peer = Peer(zero=True)
    peer.transactions.give_up(peer.ask(1, 0, 1), 0.0)
    transaction = peer.ask(1, 4, 1)
    assert peer.transactions.answered(0, 1, b"\x03\x02\x01\x04", DEBT_LIFETIME_S) == (transaction, b"\x01\x04")


def test_answers_without_number_to_several_requests_break_the_link() -> None:
    peer = Peer()
    peer.zero = True
    peer.ask(1, 0, 1)
    peer.ask(1, 4, 1)
    with pytest.raises(FramingError, match="transaction id 0 while several requests are open"):
        peer.transactions.answered(*peer.answers[0], 0.0)


def test_an_answer_without_number_is_a_stray_where_one_has_borne_its_own() -> None:
    """Even where it fits to the last byte: the connection has shown that its answers are numbered."""
    peer = Peer()
    first = peer.ask(1, 0, 1)
    assert peer.transactions.answered(first.number, 1, b"\x03\x02\x01\x00", 0.0) == (first, b"\x01\x00")
    second = peer.ask(1, 4, 1)
    assert peer.transactions.answered(0, 1, b"\x03\x02\x01\x00", 0.0) is None
    assert peer.transactions.answered(second.number, 1, b"\x03\x02\x01\x04", 0.0) == (second, b"\x01\x04")
    assert peer.link.unasked == 1
    assert peer.transactions.numbered


def test_the_first_answer_without_number_is_not_believed_before_a_second_one() -> None:
    peer = Peer()
    request = read(Table.HOLDING, 4, 1)
    first = peer.ask(1, 4, 1)
    assert peer.transactions.answered(0, 1, b"\x03\x02\x01\x00", 0.0) == (first, Flaw.COPY)
    assert not peer.transactions.numbered
    assert peer.transactions.mistakable(1, request, 0.0), "another form of it will tell, or a probe"
    assert peer.transactions.probe(1, request, 0.0) is not None


def test_a_connection_that_numbers_after_all_is_told_by_its_first_number() -> None:
    peer = Peer()
    first = peer.ask(1, 4, 1)
    assert peer.transactions.answered(0, 1, b"\x03\x02\x01\x00", 0.0) == (first, Flaw.COPY)
    again = peer.ask(1, 4, 2)
    assert peer.transactions.answered(first.number, 1, b"\x03\x02\x01\x04", 0.0) is None
    assert peer.transactions.answered(again.number, 1, b"\x03\x04\x01\x04\x01\x05", 0.0) is not None
    assert peer.transactions.numbered


def test_what_a_connection_was_owed_is_no_answer_on_the_next_one() -> None:
    """Gateways keep the line while the network breaks: the answer of the device comes on the new connection."""
    for zero in (False, True):
        peer = Peer(zero=zero)
        lost = peer.ask(1, 0, 1)
        peer.transactions.give_up_all(0.0)
        before, peer.transactions = peer.transactions, Transactions(peer.link, numbered=not zero)
        peer.transactions.adopt(before, 0.0)
        size = 1
        if zero:
            assert peer.transactions.mistakable(1, read(Table.HOLDING, 4, 1), 0.0), "so it asks for more"
            size = 2
        due = peer.ask(1, 4, size)
        assert due.number == lost.number + 1
        assert peer.transactions.answered(*peer.answers[0], 0.0) is None
        assert peer.transactions.answered(*peer.answers[1], 0.0) == (due, b"\x01\x04\x01\x05"[: 2 * size])


def test_a_number_is_not_used_again_at_once() -> None:
    """A second copy of an answer comes soon after the first: then its number must be nobody's."""
    peer = Peer()
    numbers: list[int] = []
    for address in range(50):
        transaction = peer.ask(1, address % 5, 1)
        numbers.append(transaction.number)
        answer = peer.answers.pop()
        assert peer.transactions.answered(*answer, 0.0) is not None
        peer.ask(1, (address + 1) % 5, 1)
        assert peer.transactions.answered(*answer, 0.0) is None
        assert peer.transactions.answered(*peer.answers.pop(), 0.0) is not None
    assert numbers == sorted(set(numbers))


def test_a_debt_is_paid_once_and_only_by_its_own_kind() -> None:
    peer = Peer(zero=True)
    peer.transactions.give_up(peer.ask(1, 0, 2), 0.0)
    other = peer.ask(1, 8, 3)
    late, due = peer.answers
    assert peer.transactions.answered(*late, 0.0) is None
    assert peer.counters.late == 1
    assert peer.transactions.answered(*due, 0.0) == (other, due[2][2:])
    assert peer.transactions.answered(*due, 0.0) is None
    assert (peer.counters.late, peer.link.unasked) == (1, 1)


def test_what_may_be_overtaken_is_believed_only_when_it_comes_more_often_than_what_is_owed_can() -> None:
    """A line that lets answers overtake each other brings that to place 0 while place 8, as long, is asked for."""
    peer = Peer(zero=True)
    peer.transactions.give_up(peer.ask(1, 30, 4), 0.0)
    first = peer.answers.pop()
    peer.transactions.give_up(peer.ask(1, 0, 2), 0.0)
    overtaken = peer.answers.pop()
    peer.transactions.new_exchange()
    probe = peer.ask(1, 0, 1)
    assert peer.transactions.answered(*peer.answers.pop(), 0.0) == (probe, b"\x01\x00")
    assert peer.transactions.answered(*first, 0.0) is None, "which shows that the line does so"
    due = peer.ask(1, 8, 2)
    assert peer.transactions.answered(*overtaken, 0.0) == (due, Flaw.COPY)
    assert peer.transactions.answered(*overtaken, 0.0) is None, "the copy of it pays what is owed now"
    for is_believed in (False, False, True):
        again = peer.ask(1, 8, 2)
        answered = peer.transactions.answered(*peer.answers.pop(), 0.0)
        assert answered == (again, b"\x01\x08\x01\x09" if is_believed else Flaw.COPY)
    later = peer.ask(1, 16, 2)
    assert peer.transactions.answered(*peer.answers.pop(), SETTLED_LIFETIME_S) == (later, b"\x01\x10\x01\x11")


def test_an_answer_that_has_come_late_beyond_doubt_casts_none_on_the_next() -> None:
    peer = Peer(zero=True)
    peer.transactions.give_up(peer.ask(1, 0, 2), 0.0)
    peer.transactions.new_exchange()
    probe = peer.ask(1, 0, 1)
    late, short = peer.answers
    assert peer.transactions.answered(*late, 0.0) is None
    assert peer.transactions.answered(*short, 0.0) == (probe, b"\x01\x00")
    due = peer.ask(1, 8, 2)
    assert peer.transactions.answered(*peer.answers[-1], 0.0) == (due, b"\x01\x08\x01\x09")
