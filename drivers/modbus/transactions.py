"""Which request an answer belongs to. No I/O, no clock of its own.

Rules of this file:

* Where answers bear a transaction id, an answer is given to a request only by it, and only when device id, function,
  length and echo agree. Once one has come, one without an id is a stray.
* A request that was given up leaves a debt: its answer may still come, and is then counted and dropped. So does one
  that got another answer, an exception among them: gateways pass on late what they have already excused. Its
  transaction id is not used again while the debt stands.
* Serial lines have no transaction ids, and some devices answer every request with transaction id 0. Then one request
  alone is open, and it is sent in a form that is as long as nothing that is owed, where there is one (`mistakable`).
  What could also be the answer to a debt pays that debt. So what is in doubt is dropped, never guessed.
* A device answers in the order in which it was asked. So what was owed before a request that has been answered is not
  expected any more (it is settled), and where no other form helps, a request that can be mistaken for nothing goes
  first: that of `probe`. A line that lets answers overtake each other breaks this rule. As soon as one has, an answer
  that could be one to what is settled is in doubt (`_rivals`), too.
* An answer that comes twice is known by its bytes (`heard`). What is in doubt is asked again, in another form or as it
  was. The same answer is then believed as soon as it has come more often than what is owed, and one copy, can bring it.
* The one question that may be answered by what is late is the same question of the same exchange, repeated.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from drivers.modbus.counters import DeviceCounters, LinkCounters
from drivers.modbus.frames import Frame, FramingError
from drivers.modbus.heard import Heard
from drivers.modbus.pdu import (
    ILLEGAL_DATA_ADDRESS,
    ILLEGAL_DATA_VALUE,
    ILLEGAL_FUNCTION,
    Flaw,
    Refusal,
    Reply,
    Request,
    is_read,
)
from drivers.modbus.pending import SETTLED_LIFETIME_S, Pending
from drivers.modbus.widening import unlike

DEBT_LIFETIME_S = 60.0
"""How long the answer to a request that was given up is still reckoned with when answers bear no transaction id."""
MAX_DEBTS = 4096
DEFINITE = frozenset({ILLEGAL_FUNCTION, ILLEGAL_DATA_ADDRESS, ILLEGAL_DATA_VALUE})
"""The exceptions that say that a place cannot be read."""


@dataclass(slots=True)
class Transaction:
    """A request that waits for its answer."""

    number: int
    device_id: int
    request: Request
    slot: int
    """Its place in the caller's list."""
    sent: float
    counters: DeviceCounters
    exchange: int
    """Which of the caller's lists it belongs to."""
    is_probe: bool = False
    is_ambiguous: bool = False
    """Its answer may have been that to an earlier request, so that its own is yet to come."""
    ambiguous_until: float = 0.0
    """How long that is reckoned with."""

    def is_repeat_of(self, other: Transaction) -> bool:
        """Whether an answer to either is one to the other."""
        return self.exchange == other.exchange and self.request.pdu == other.request.pdu


@dataclass(slots=True)
class _Debt:
    """An answer that may still come."""

    transaction: Transaction
    since: float
    until: float
    """When it is not reckoned with any more, where answers bear no transaction id."""
    is_settled: bool = False
    """It would have come by now, if all answers came in order."""
    is_excused: bool = False
    """An exception has come instead."""
    is_paid: bool = False
    """It has come: an answer that nothing else can have been, not even a spoilt one."""

    def settle(self, now: float) -> None:
        """Expect it no more, as far as the order of answers tells."""
        if not self.is_settled:
            self.is_settled = True
            self.until = min(self.until, now + SETTLED_LIFETIME_S)


class Transactions:
    """The open requests of one connection, oldest first, and the answers that it still owes."""

    __slots__ = (
        "_counters", "_debts", "_doubted", "_doubts", "_exchange", "_heard", "_last_answered", "_open", "_overtakes",
        "_pending", "_proven", "last_number", "numbered", "other_id",
    )  # fmt: skip

    def __init__(self, counters: LinkCounters, *, numbered: bool = True) -> None:
        self._counters = counters
        self._open: dict[int, Transaction] = {}
        self._debts: dict[int, _Debt] = {}
        self._heard = Heard()
        self._last_answered: dict[int, Request] = {}
        """device id -> the request that it answered last"""
        self._doubted: tuple[int, bytes, bytes] | None = None
        """The last answer that was in doubt, behind its exchange and its request."""
        self._doubts = 0
        """How often it has come."""
        self._exchange = 0
        self._overtakes = False
        """An answer has come behind one to a later request."""
        self._pending = Pending()
        self._proven = False
        """An answer has borne the transaction id of its request."""
        self.last_number = 0
        self.other_id: int | None = None
        """Another device id than was asked, with which an answer has come in this exchange."""
        self.numbered = numbered
        """Whether answers bear transaction ids, as far as is known; else only one request may be open at a time."""

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Transaction]:
        return iter(self._open.values())

    def adopt(self, before: Transactions, now: float) -> None:
        """Reckon with what the connection before was owed: gateways bring it on this one, if they bring it at all."""
        self._debts = before._debts
        for debt in self._debts.values():
            debt.settle(now)
        self._heard, self._last_answered = before._heard, before._last_answered
        self._exchange, self.last_number = before._exchange, before.last_number
        self._overtakes, self._pending = before._overtakes, before._pending

    def new_exchange(self) -> None:
        """Begin another list of requests: what is owed to those before is no answer to these."""
        self._exchange += 1
        self.other_id = None

    def begin(
        self,
        device_id: int,
        request: Request,
        slot: int,
        now: float,
        counters: DeviceCounters,
        is_probe: bool = False,
    ) -> Transaction:
        """Open a transaction under an id that nothing else can be answered with."""
        number = self.last_number % 0xFFFF + 1
        while number in self._open or number in self._debts:
            number = number % 0xFFFF + 1
        self.last_number = number
        transaction = Transaction(number, device_id, request, slot, now, counters, self._exchange, is_probe)
        self._open[number] = transaction
        return transaction

    def give_up(self, transaction: Transaction, now: float) -> None:
        """Wait no longer for an answer; should it come, it is known to be late."""
        del self._open[transaction.number]
        self._owe(transaction, now)

    def give_up_all(self, now: float) -> None:
        """Wait for no answer any longer."""
        for transaction in list(self._open.values()):
            self.give_up(transaction, now)

    def mistakable(self, device_id: int, request: Request, now: float) -> dict[bytes, float]:
        """How answers begin that may come and belong to other requests: echo -> when the last of these was given up.

        What could come first, as answers come in order, has an infinite time. Empty where none is as long.
        """
        last = self._last_answered.get(device_id)
        echoes = {} if last is None or last.pdu == request.pdu else {last.echo: 0.0}
        for debt in self._owed(device_id, now):
            if not self._is_repeated(debt.transaction, request):
                echo = debt.transaction.request.echo
                echoes[echo] = max(echoes.get(echo, 0.0), debt.since if debt.is_settled else math.inf)
        for other, since in self._pending.besides(device_id, request, now):
            echoes[other.echo] = max(echoes.get(other.echo, 0.0), since)
        return echoes if request.echo in echoes else {}

    def probe(self, device_id: int, request: Request, now: float) -> Request | None:
        """The request to send before this one, as a debt of the device could be taken for its answer; or None."""
        if not self._debts:
            return None
        owed = [debt for debt in self._owed(device_id, now) if not self._is_repeated(debt.transaction, request)]
        if all(debt.is_settled or debt.transaction.request.echo != request.echo for debt in owed):
            return None
        last = self._last_answered.get(device_id)
        return unlike([*([] if last is None else [last]), *(debt.transaction.request for debt in owed)])

    def settle(self, device_id: int, now: float) -> None:
        """Expect what a device owes no more, as far as the time that it has had for it tells."""
        for debt in self._owed(device_id, now):
            debt.settle(now)

    def answered(self, number: int, device_id: int, pdu: bytes, now: float) -> tuple[Transaction, Reply] | None:
        """Find the request that an answer belongs to; None for one that is late or that nobody asked for.

        Raises `FramingError` when answers cannot be told apart.
        """
        is_other = any(transaction.device_id != device_id for transaction in self._open.values())
        found = self._by_number(number) if number else self._without_number(device_id, pdu, now)
        if found is None:
            if is_other and not number:
                self.other_id = device_id
            return None
        transaction, doubt = found
        if device_id != transaction.device_id:
            self.other_id = device_id
        counters = transaction.counters
        reply = transaction.request.check(pdu) if device_id == transaction.device_id else Flaw.DEVICE_ID
        if number and not isinstance(reply, Flaw):
            self._proven = self.numbered = True
        if doubt is not None:
            counters.doubtful += 1
            self._owe(transaction, now)
            if transaction.ambiguous_until:  # for no longer than what it may have been, else doubt would never end
                self._debts[transaction.number].settle(now)
                self._debts[transaction.number].until = transaction.ambiguous_until
            if number == 0 and not self._heard.is_known(device_id, pdu, now):
                self._heard.note(device_id, pdu, None, now)  # whosever it is, it may come once more
            return transaction, doubt
        if not isinstance(reply, Flaw):
            counters.round_trips.append(now - transaction.sent)
            if not self.numbered:
                if self._overtakes and isinstance(reply, bytes) and self._can_be_old(transaction, pdu, now):
                    self._pending.note(device_id, transaction.request, now)
                self._believe(transaction, pdu, now)
        if isinstance(reply, bytes):
            counters.replies += 1
            if transaction.is_ambiguous:  # for no longer than before, or one debt would lead to the next for ever
                self._debts[transaction.number] = _Debt(transaction, now, transaction.ambiguous_until, is_settled=True)
        elif isinstance(reply, Refusal):
            counters.exceptions[reply.code] += 1
            if not self.numbered and self._is_excuse(transaction, reply):
                self._owe(transaction, now, is_excused=True)
        else:
            if reply is Flaw.SHORT:
                counters.short += 1
            else:
                counters.wrong += 1
            self._owe(transaction, now)  # this was another's answer: its own may still come
        return transaction, reply

    def undoubted(self, frames: list[Frame], now: float) -> list[Frame]:
        """Frames that came together, without those of which any could be the one answer that is due.

        For answers that bear no transaction id: a second answer to the request before, and this one's own, for one. The
        second one is left out where it is known; else all of them are.
        """
        is_open = next(iter(self._open.values()), None)
        if is_open is None or any(not debt.is_settled for debt in self._owed(is_open.device_id, now)):
            return frames
        device_id, check = is_open.device_id, is_open.request.check
        due = [frame for frame in frames if frame[1] == device_id and not isinstance(check(frame[2]), Flaw)]
        known = [frame for frame in due if self._heard.is_doubtful(device_id, frame[2], is_open.request, now)]
        fresh = [frame for frame in due if frame not in known]
        if all(frame == due[0] for frame in due):
            return frames
        self._counters.unasked += len(known)
        if not all(frame == fresh[0] for frame in fresh):
            known += fresh
            for frame in fresh:
                self._stray(device_id, frame[2], now)
        return [frame for frame in frames if frame not in known]

    def _owe(self, transaction: Transaction, now: float, *, is_excused: bool = False) -> None:
        debt = self._debts[transaction.number] = _Debt(transaction, now, now + DEBT_LIFETIME_S)
        if is_excused:
            debt.is_excused = True
            debt.settle(now)
        if len(self._debts) > MAX_DEBTS:
            del self._debts[next(iter(self._debts))]

    def _owed(self, device_id: int, now: float) -> list[_Debt]:
        """What a device may still answer, the oldest first."""
        if not self._debts:
            return []
        return [debt for debt in self._debts.values() if debt.transaction.device_id == device_id and now < debt.until]

    def _is_repeated(self, debt: Transaction, request: Request) -> bool:
        return debt.exchange == self._exchange and debt.request.pdu == request.pdu

    def _by_number(self, number: int) -> tuple[Transaction, None] | None:
        """The request with the transaction id of an answer."""
        transaction = self._open.pop(number, None)
        if transaction is not None:
            return transaction, None
        if (debt := self._debts.pop(number, None)) is not None:
            debt.transaction.counters.late += 1
        else:
            self._counters.unasked += 1
        return None

    def _without_number(self, device_id: int, pdu: bytes, now: float) -> tuple[Transaction, Flaw | None] | None:
        """The one request that an answer without a transaction id can belong to, and whether that is in doubt."""
        is_open = next(iter(self._open.values()), None)
        if self._proven or (self.numbered and is_open is None):
            self._counters.unasked += 1
            return None
        if len(self._open) > 1:
            self.numbered = False
            raise FramingError("the device answers with transaction id 0 while several requests are open")
        if is_open is not None and is_open.device_id != device_id:
            is_open = None
        fits = is_open is not None and not isinstance(is_open.request.check(pdu), Flaw)
        owed = [debt for debt in self._owed(device_id, now) if self._can_pay(debt, pdu, is_open)]
        if self.numbered:
            owed = []  # nothing is owed without a number yet
        owed.sort(key=lambda debt: debt.is_settled)
        if is_open is not None and fits and not (owed and not owed[0].is_settled):
            del self._open[is_open.number]
            if self.numbered:
                # The first answer, and without a number. It may be a stray: another form of the request will tell.
                self.numbered = False
                is_open.exchange = -1
                return is_open, Flaw.COPY
            is_doubtful = self._is_doubtful(is_open, pdu, self._rivals(is_open, pdu, owed), now)
            is_open.is_ambiguous = is_doubtful or bool(owed)
            is_open.ambiguous_until = max((debt.until for debt in owed), default=0.0)
            return is_open, Flaw.COPY if is_doubtful else None
        if owed:
            debt = owed[0].transaction
            debt.counters.late += 1
            if not self._heard.is_known(device_id, pdu, now):  # else it may be a copy, and what is owed come next
                if owed[0].is_settled and not (owed[0].is_paid or owed[0].is_excused or debt.is_ambiguous):
                    self._overtakes = True
                owed[0].settle(now)  # not less: a spoilt answer to another request can look like this one
                is_longer = is_open is not None and is_open.request.check(pdu) is Flaw.LONG
                owed[0].is_paid = len(owed) == 1 and (is_longer or not self._open)
            self._heard.note(device_id, pdu, None, now)
            return None
        if is_open is None or self._heard.is_known(device_id, pdu, now):
            self._stray(device_id, pdu, now)
            return None
        del self._open[is_open.number]
        return is_open, None

    @staticmethod
    def _can_pay(debt: _Debt, pdu: bytes, is_open: Transaction | None) -> bool:
        """Whether an answer may be the one that is owed, and is not as well one to the open request."""
        reply = debt.transaction.request.check(pdu)
        if isinstance(reply, Flaw) or (isinstance(reply, Refusal) and debt.transaction.is_ambiguous):
            return False
        return is_open is None or not debt.transaction.is_repeat_of(is_open)

    def _rivals(self, transaction: Transaction, pdu: bytes, owed: list[_Debt]) -> int:
        """How many answers to reads of other places may be this one."""
        if not self._overtakes or pdu[0] & 0x80 or not is_read(transaction.request):
            return 0
        return sum(debt.transaction.request.pdu != transaction.request.pdu for debt in owed if not debt.is_paid)

    def _is_doubtful(self, transaction: Transaction, pdu: bytes, rivals: int, now: float) -> bool:
        """Whether an answer may be another's, or a copy; not where it has come more often than these can bring it."""
        if pdu[0] & 0x80 or not is_read(request := transaction.request):
            return False
        if not rivals and not self._heard.is_doubtful(transaction.device_id, pdu, request, now):
            return False
        doubt = transaction.exchange, request.pdu, pdu
        self._doubts = self._doubts + 1 if self._doubted == doubt else 1
        self._doubted = doubt
        return self._doubts < 2 + rivals

    def _is_excuse(self, transaction: Transaction, reply: Refusal) -> bool:
        """Whether data may still come behind an exception: it says nothing of the place, or the place has answered."""
        return reply.code not in DEFINITE or self._heard.has_answered(transaction.device_id, transaction.request)

    def _can_be_old(self, transaction: Transaction, pdu: bytes, now: float) -> bool:
        """Whether an answer may be that to an earlier request for the same place."""
        request, device_id = transaction.request.pdu, transaction.device_id
        owed = (debt for debt in self._debts.values() if now - debt.since < DEBT_LIFETIME_S)
        return self._heard.is_nobodys(device_id, pdu, now) or any(
            debt.transaction.request.pdu == request and debt.transaction.device_id == device_id for debt in owed
        )

    def _stray(self, device_id: int, pdu: bytes, now: float) -> None:
        self._counters.unasked += 1
        self._heard.note(device_id, pdu, None, now)

    def _believe(self, answered: Transaction, pdu: bytes, now: float) -> None:
        """Note an answer without a number, and that what was owed before it would have come by now."""
        if is_read(answered.request) and not pdu[0] & 0x80:
            self._heard.note(answered.device_id, pdu, answered.request, now)
        self._last_answered[answered.device_id] = answered.request
        for debt in self._debts.values():
            if debt.transaction.device_id == answered.device_id:
                if debt.transaction.is_repeat_of(answered):
                    return
                debt.settle(now)
