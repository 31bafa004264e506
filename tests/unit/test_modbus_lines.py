"""RTU and ASCII: whatever a line brings, a frame comes out whole or not at all, and reaches only its own request."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerAscii, FramerRTU
from pymodbus.pdu import DecodePDU

from drivers.modbus.counters import DeviceCounters, LinkCounters
from drivers.modbus.frames import Frame, FramingError
from drivers.modbus.lines import AsciiFrames, RtuFrames, crc16, lrc
from drivers.modbus.options import RtuDeviceOptions
from drivers.modbus.pdu import Table, read, read_identification, reply_size, write_register, write_registers
from drivers.modbus.transactions import DEBT_LIFETIME_S, Transaction, Transactions
from drivers.modbus.widening import Widening

Line = RtuFrames | AsciiFrames
LINES = [RtuFrames, AsciiFrames]
ANSWER = bytes.fromhex("03 04 0001 0002")


def feed(line: Line, data: bytes) -> list[Frame]:
    line.space()[: len(data)] = data
    return line.received(len(data))


def framed(of: type[Line], device_id: int, pdu: bytes) -> bytes:
    return of(LinkCounters()).frame(0, device_id, pdu)


def asked(of: type[Line], counters: LinkCounters | None = None, *, local_echo: bool = False) -> Line:
    """A line on which device 1 has been asked for two holding registers."""
    line = of(counters or LinkCounters(), local_echo=local_echo)
    line.frame(0, 1, read(Table.HOLDING, 7, 2).pdu)
    return line


def test_checksums_are_those_of_an_independent_implementation() -> None:
    for data in (b"\x01\x03\x00\x07\x00\x02", bytes(range(256)), b"\xff" * 20):
        assert crc16(data).to_bytes(2, "little") == FramerRTU.compute_CRC(data).to_bytes(2, "big")
        assert lrc(data) == FramerAscii.compute_LRC(data)


@given(st.integers(1, 247), st.integers(0, 65_535), st.integers(1, 125))
def test_requests_are_framed_as_an_independent_implementation_does(device_id: int, address: int, count: int) -> None:
    pdu = read(Table.HOLDING, address, count).pdu
    decoder = DecodePDU(True)
    assert framed(RtuFrames, device_id, pdu) == FramerRTU(decoder).encode(pdu, device_id, 0)
    assert framed(AsciiFrames, device_id, pdu) == FramerAscii(decoder).encode(pdu, device_id, 0)


@pytest.mark.parametrize("of", LINES)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=30))
def test_frames_come_out_whole_wherever_they_are_cut(of: type[Line], cuts: list[int]) -> None:
    line = asked(of)
    stream = framed(of, 1, ANSWER) + framed(of, 2, b"\x83\x02") + framed(of, 1, b"\x06\x00\x01\x00\x02")
    received: list[Frame] = []
    while stream:
        for cut in cuts:
            received += feed(line, stream[:cut])
            stream = stream[cut:]
    assert received == [(0, 1, ANSWER), (0, 2, b"\x83\x02"), (0, 1, b"\x06\x00\x01\x00\x02")]


@pytest.mark.parametrize("of", LINES)
@given(st.binary(max_size=12), st.binary(max_size=6), st.integers(1, 20))
def test_garbage_before_and_after_costs_no_answer(of: type[Line], before: bytes, after: bytes, cut: int) -> None:
    line = asked(of)
    if of is RtuFrames and before[:2] in {b"\x01\x03", b"\x01\x83"}:
        before = b"\0" + before  # what begins like the answer is waited for, and costs a repeat
    stream = before + framed(of, 1, ANSWER) + after
    received: list[Frame] = []
    for start in range(0, len(stream), cut):
        received += feed(line, stream[start : start + cut])
    assert (0, 1, ANSWER) in received


@pytest.mark.parametrize("of", LINES)
@given(st.integers(0, 63), st.integers(0, 7))
def test_a_flipped_bit_is_found(of: type[Line], place: int, bit: int) -> None:
    counters = LinkCounters()
    line = asked(of, counters)
    frame = bytearray(framed(of, 1, ANSWER))
    frame[place % len(frame)] ^= 1 << bit
    assert (0, 1, ANSWER) not in feed(line, bytes(frame)) or bytes(frame).upper() == framed(of, 1, ANSWER)


@given(st.binary(max_size=300))
def test_no_bytes_make_it_fail(data: bytes) -> None:
    for of in LINES:
        line = asked(of)
        try:
            for _, device_id, pdu in feed(line, data):
                assert 0 <= device_id <= 255
                assert len(pdu) >= 1
        except FramingError:
            assert data.startswith(framed(of, 1, read(Table.HOLDING, 7, 2).pdu))


@pytest.mark.parametrize("of", LINES)
def test_the_rest_of_an_old_answer_is_dropped_with_the_next_request(of: type[Line]) -> None:
    line = asked(of)
    assert feed(line, framed(of, 1, ANSWER)[:-1]) == []
    line.frame(0, 1, read(Table.HOLDING, 9, 2).pdu)
    assert feed(line, framed(of, 1, ANSWER)) == [(0, 1, ANSWER)]


@pytest.mark.parametrize("of", LINES)
def test_an_echo_is_taken_away_where_it_is_told(of: type[Line]) -> None:
    write = write_register(7, b"\0\1").pdu
    counters = LinkCounters()
    line = of(counters, local_echo=True)
    sent = line.frame(0, 1, write)
    assert [feed(line, sent[i : i + 1]) for i in range(len(sent))] == [[]] * len(sent)
    assert feed(line, framed(of, 1, write)) == [(0, 1, write)]
    assert counters.garbled == 0


@pytest.mark.parametrize("of", LINES)
def test_an_echo_that_nobody_told_of_is_recognised(of: type[Line]) -> None:
    with pytest.raises(FramingError, match="local_echo: true"):
        feed(asked(of), framed(of, 1, read(Table.HOLDING, 7, 2).pdu))


@pytest.mark.parametrize("of", LINES)
def test_a_missing_echo_is_no_loss(of: type[Line]) -> None:
    line = asked(of, local_echo=True)
    assert feed(line, framed(of, 1, ANSWER)) == [(0, 1, ANSWER)]


def test_an_answer_tells_its_length() -> None:
    identification = bytes.fromhex("2b 0e 01 01 00 00 02 00 03 414243 01 01 58")
    for pdu, size in [
        (b"\x83", 2), (b"\x03\x04", 6), (b"\x01\x01", 3), (b"\x06", 5), (b"\x10", 5), (b"\x16", 7),
        (identification, 15), (b"\x03\x03", None), (b"\x03\xfc", None), (b"\x44", None), (b"\x2b\x0d", None),
    ]:  # fmt: skip
        assert reply_size(pdu) == size
    assert read_identification(1).check(identification) == identification[3:]
    for end in range(2, len(identification)):
        size = reply_size(identification[:end])
        assert size is not None
        assert size > end


@dataclass
class Slave:
    """A device in step with nobody: it answers in order, and the line decides when."""

    link: LinkCounters = field(default_factory=LinkCounters)
    counters: DeviceCounters = field(default_factory=DeviceCounters)
    answers: list[bytes] = field(default_factory=list[bytes])
    """What it has answered and the line has not yet brought."""
    widening: Widening | None = None

    def __post_init__(self) -> None:
        self.transactions = Transactions(self.link, numbered=False)

    def ask(self, address: int, count: int) -> Transaction:
        """Ask for registers, first by a probe where one is wanted; the probe's answer is waited for as any other."""
        request = read(Table.HOLDING, address, count)
        if self.widening is not None:
            request = self.widening.of(request, self.transactions.mistakable(1, request, 0.0))
            address, count = (int.from_bytes(request.pdu[i : i + 2], "big") for i in (1, 3))
        probe = self.transactions.probe(1, request, 0.0)
        if probe is not None:
            request = probe
            address, count = (int.from_bytes(probe.pdu[i : i + 2], "big") for i in (1, 3))
        transaction = self.transactions.begin(1, request, 0, 0.0, self.counters, is_probe=probe is not None)
        self.answers.append(bytes((3, 2 * count)) + b"".join(bytes((0, address + i)) for i in range(count)))
        return transaction

    def bring(self, spoilt: str = "") -> bool:
        """Let the next answer arrive; whether it was given to the open request, which it then must belong to.

        `spoilt`: what is wrong with it.
        """
        pdu = self.answers.pop(0)
        device_id = 1
        if spoilt == "unit":
            device_id, pdu = 2, pdu[:2] + bytes(byte ^ 0xFF for byte in pdu[2:])
        elif spoilt == "function":
            pdu = b"\x04" + pdu[1:]
        elif spoilt == "short":
            pdu = pdu[:-2]
        elif spoilt == "exception":
            pdu = b"\x83\x02"
        answered = self.transactions.answered(0, device_id, pdu, 0.0)
        if answered is None or not isinstance(answered[1], bytes):
            return False
        transaction, data = answered
        address, count = (int.from_bytes(transaction.request.pdu[i : i + 2], "big") for i in (1, 3))
        assert data == b"".join(bytes((0, address + i)) for i in range(count))
        return True

    def give_up(self) -> None:
        self.transactions.give_up_all(0.0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                ["exchange", "ask", "ask", "bring", "bring", "lose", "unit", "function", "short", "exception"]
            ),
            st.integers(0, 5),
            st.integers(1, 2),
        ),
        max_size=80,
    )
)
def test_no_value_reaches_another_request_when_answers_come_late_or_never(script: list[tuple[str, int, int]]) -> None:
    slave = Slave()
    for action, address, count in script:
        if action == "exchange":
            slave.give_up()
            slave.transactions.new_exchange()
        elif action == "ask":
            slave.give_up()
            slave.ask(10 * address, count)
        elif slave.answers and action == "lose":
            slave.answers.pop(0)
        elif slave.answers:
            slave.bring("" if action == "bring" else action)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["exchange", "ask", "ask", "ask", "bring", "bring", "twice", "twice", "lose"]),
            st.integers(0, 5),
            st.integers(1, 2),
        ),
        max_size=80,
    )
)
def test_no_value_reaches_another_request_when_answers_come_twice(script: list[tuple[str, int, int]]) -> None:
    """The second time is at any moment before the next answer, once the line has shown that it does so."""
    slave = Slave()
    assert slave.transactions.answered(0, 1, b"\3\2\0\7", 0.0) is None
    last = b""
    for action, address, count in script:
        if action == "exchange":
            slave.give_up()
            slave.transactions.new_exchange()
        elif action == "ask":
            slave.give_up()
            slave.ask(10 * address, count)
        elif slave.answers and action == "lose":
            slave.answers.pop(0)
        elif slave.answers:
            if action == "twice" and slave.answers[0] is not last:
                slave.answers.insert(0, slave.answers[0])
            last = slave.answers[0]
            slave.bring()


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["exchange", "ask", "ask", "ask", "bring", "bring", "twice", "twice", "lose"]),
            st.integers(0, 5),
            st.integers(1, 2),
        ),
        max_size=80,
    )
)
def test_no_value_reaches_another_request_from_the_first_answer_that_comes_twice_on(
    script: list[tuple[str, int, int]],
) -> None:
    slave = Slave(widening=Widening(RtuDeviceOptions(port="/dev/null")))
    last = b""
    for action, address, count in script:
        if action == "exchange":
            slave.give_up()
            slave.transactions.new_exchange()
        elif action == "ask":
            slave.give_up()
            slave.ask(10 * address, count)
        elif slave.answers and action == "lose":
            slave.answers.pop(0)
        elif slave.answers:
            if action == "twice" and slave.answers[0] is not last:
                slave.answers.insert(0, slave.answers[0])
            last = slave.answers[0]
            slave.bring()


def test_answers_that_come_together_where_one_is_due_are_not_trusted() -> None:
    slave = Slave()
    slave.ask(10, 1)
    first, other = (0, 1, b"\3\2\0\12"), (0, 1, b"\3\2\0\13")
    assert slave.transactions.undoubted([first, first], 0.0) == [first, first]
    assert slave.transactions.undoubted([first, (0, 2, other[2])], 0.0) == [first, (0, 2, other[2])]
    assert slave.transactions.undoubted([first, other], 0.0) == []
    assert slave.link.unasked == 2


def test_after_a_time_out_a_probe_tells_late_from_due() -> None:
    slave = Slave()
    slave.ask(0, 2)
    slave.give_up()
    slave.transactions.new_exchange()
    probe = slave.ask(50, 2)
    assert probe.is_probe
    assert probe.request == read(Table.HOLDING, 0, 1)
    assert [slave.bring(), slave.bring()] == [False, True]
    assert slave.counters.late == 1
    due = slave.ask(50, 2)
    assert not due.is_probe
    assert slave.bring()


def test_the_same_question_repeated_takes_either_answer() -> None:
    slave = Slave()
    slave.ask(0, 2)
    slave.give_up()
    assert not slave.ask(0, 2).is_probe
    assert slave.bring()
    slave.transactions.new_exchange()
    assert slave.ask(0, 2).is_probe, "what is still owed is no answer to a later exchange"


def test_an_answer_of_another_shape_settles_what_was_owed_before() -> None:
    slave = Slave()
    slave.ask(0, 2)
    slave.give_up()
    slave.answers.clear()
    slave.transactions.new_exchange()
    assert not slave.ask(50, 3).is_probe
    assert slave.bring()
    assert not slave.ask(60, 2).is_probe


def test_an_exception_that_may_be_late_is_dropped() -> None:
    slave = Slave()
    slave.ask(0, 2)
    slave.give_up()
    slave.transactions.new_exchange()
    slave.ask(50, 3)
    assert slave.transactions.answered(0, 1, b"\x83\x02", 0.0) is None
    assert slave.counters.late == 1


def test_probes_are_unlike_all_that_is_owed() -> None:
    slave = Slave()
    for request in (write_register(7, b"\0\1"), write_registers(8, b"\0" * 4), read(Table.HOLDING, 7, 1)):
        slave.transactions.begin(1, request, 0, 0.0, slave.counters)
        slave.give_up()
    slave.transactions.new_exchange()
    probe = slave.transactions.probe(1, write_register(7, b"\0\1"), 0.0)
    assert probe == read(Table.HOLDING, 7, 2)
    slave.transactions.settle(1, 0.0)
    assert slave.transactions.probe(1, write_register(7, b"\0\1"), 0.0) is None


def test_a_debt_is_not_for_ever() -> None:
    slave = Slave()
    slave.ask(0, 2)
    slave.give_up()
    slave.transactions.new_exchange()
    assert slave.transactions.probe(1, read(Table.HOLDING, 9, 2), DEBT_LIFETIME_S) is None
