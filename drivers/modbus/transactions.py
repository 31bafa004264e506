"""Which request an answer belongs to. No I/O, no clock of its own.

Rules of this file:

* An answer is given to a request only by its transaction id, and only when device id, function, length and echo agree.
* A request that was given up leaves a debt: its answer may still come, and is then counted and dropped. Its transaction
  id is not used again while the debt stands.
* Some devices answer every request with transaction id 0. Such an answer is taken only when one request alone is open
  and its device owes nothing; else it pays the oldest debt. So what is in doubt is dropped, never guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drivers.modbus.counters import DeviceCounters, LinkCounters
from drivers.modbus.frames import FramingError
from drivers.modbus.pdu import Flaw, Refusal, Reply, Request

DEBT_LIFETIME_S = 60.0
"""How long the answer to a request that was given up is still reckoned with when answers bear no transaction id."""
MAX_DEBTS = 4096


@dataclass(frozen=True, slots=True)
class Transaction:
    """A request that waits for its answer."""

    number: int
    device_id: int
    request: Request
    slot: int
    """Its place in the caller's list."""
    sent: float
    counters: DeviceCounters


class Transactions:
    """The open requests of one connection, oldest first, and the answers that it still owes."""

    __slots__ = ("_counters", "_debts", "_last", "_open", "answers_zero")

    def __init__(self, counters: LinkCounters, *, answers_zero: bool = False) -> None:
        self._counters = counters
        self._open: dict[int, Transaction] = {}
        self._debts: dict[int, tuple[float, Transaction]] = {}
        self._last = 0
        self.answers_zero = answers_zero
        """Whether an answer bore transaction id 0: such a device can only have one request open at a time."""

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Transaction]:
        return iter(self._open.values())

    def begin(self, device_id: int, request: Request, slot: int, now: float, counters: DeviceCounters) -> Transaction:
        """Open a transaction under an id that nothing else can be answered with."""
        number = self._last % 0xFFFF + 1
        while number in self._open or number in self._debts:
            number = number % 0xFFFF + 1
        self._last = number
        transaction = Transaction(number, device_id, request, slot, now, counters)
        self._open[number] = transaction
        return transaction

    def give_up(self, transaction: Transaction, now: float) -> None:
        """Wait no longer for an answer; should it come, it is known to be late."""
        del self._open[transaction.number]
        self._debts[transaction.number] = (now, transaction)
        if len(self._debts) > MAX_DEBTS:
            del self._debts[next(iter(self._debts))]

    def give_up_all(self, now: float) -> None:
        """Wait for no answer any longer."""
        for transaction in list(self._open.values()):
            self.give_up(transaction, now)

    def answered(self, number: int, device_id: int, pdu: bytes, now: float) -> tuple[Transaction, Reply] | None:
        """Find the request that an answer belongs to; None for one that is late or that nobody asked for.

        Raises `FramingError` when answers cannot be told apart.
        """
        transaction = self._open.pop(number, None)
        if transaction is None:
            if number == 0:
                transaction = self._answered_zero(device_id, now)
            elif (debt := self._debts.pop(number, None)) is not None:
                debt[1].counters.late += 1
            else:
                self._counters.unasked += 1
            if transaction is None:
                return None
        counters = transaction.counters
        counters.bytes_received += len(pdu) + 7
        reply = transaction.request.check(pdu) if device_id == transaction.device_id else Flaw.DEVICE_ID
        if isinstance(reply, bytes):
            counters.replies += 1
            counters.round_trips.append(now - transaction.sent)
        elif isinstance(reply, Refusal):
            counters.exceptions[reply.code] += 1
            counters.round_trips.append(now - transaction.sent)
        else:
            if reply is Flaw.SHORT:
                counters.short += 1
            else:
                counters.wrong += 1
            self._debts[transaction.number] = (now, transaction)  # this was another's answer: its own may still come
        return transaction, reply

    def _answered_zero(self, device_id: int, now: float) -> Transaction | None:
        """The one request that an answer with transaction id 0 can only belong to."""
        self.answers_zero = True
        for number, (given_up, transaction) in self._debts.items():
            if transaction.device_id == device_id and now - given_up < DEBT_LIFETIME_S:
                del self._debts[number]
                transaction.counters.late += 1
                return None
        if not self._open:
            self._counters.unasked += 1
            return None
        if len(self._open) > 1:
            raise FramingError("the device answers with transaction id 0 while several requests are open")
        return self._open.popitem()[1]
