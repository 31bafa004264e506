"""Which request an answer belongs to. No I/O, no clock of its own.

Rules of this file:

* Where answers bear a transaction id, an answer is given to a request only by it, and only when device id, function,
  length and echo agree.
* A request that was given up leaves a debt: its answer may still come, and is then counted and dropped. Its transaction
  id is not used again while the debt stands.
* Serial lines have no transaction ids, and some devices answer every request with transaction id 0. Then one request
  alone is open, and what could also be the answer to a debt pays that debt. So what is in doubt is dropped, never
  guessed.
* A device answers in the order in which it was asked. So an answer that can only be that to the open request settles
  all that was owed before it, and before a request that a debt could be mistaken for comes one that none can be: the
  request of `probe`.
* Where answers bear no transaction id and one has come that nobody waited for, the line brings answers twice: for some
  time every answer of that device is reckoned with once more, as a debt. The first one that comes twice is known by
  its length: `is_like_last` says where the next request must have another one. An answer that equals the last one of
  its device, byte for byte, may be that one once more: it settles no debt, and pays none for good.
* The one question that may be answered by what is late is the same question of the same exchange, repeated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from drivers.modbus.counters import DeviceCounters, LinkCounters
from drivers.modbus.frames import Frame, FramingError
from drivers.modbus.pdu import Flaw, Refusal, Reply, Request, place_of, read

DEBT_LIFETIME_S = 60.0
"""How long the answer to a request that was given up is still reckoned with when answers bear no transaction id."""
MAX_DEBTS = 4096


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
    is_answered: bool = False
    """Its answer has come, and may come again."""

    def is_repeat_of(self, other: Transaction) -> bool:
        """Whether an answer to either is one to the other."""
        return self.exchange == other.exchange and self.request.pdu == other.request.pdu


class Transactions:
    """The open requests of one connection, oldest first, and the answers that it still owes."""

    __slots__ = ("_answered", "_counters", "_debts", "_doubling", "_exchange", "_last", "_open", "numbered")

    def __init__(self, counters: LinkCounters, *, numbered: bool = True) -> None:
        self._counters = counters
        self._open: dict[int, Transaction] = {}
        self._debts: dict[int, tuple[float, Transaction]] = {}
        self._doubling: dict[int, float] = {}
        """device id -> until when its answers are reckoned with twice"""
        self._answered: dict[int, tuple[Request, bytes]] = {}
        """device id -> the request that it answered last, and the answer"""
        self._last = 0
        self._exchange = 0
        self.numbered = numbered
        """Whether answers bear transaction ids; else only one request may be open at a time."""

    def __len__(self) -> int:
        return len(self._open)

    def __iter__(self) -> Iterator[Transaction]:
        return iter(self._open.values())

    def new_exchange(self) -> None:
        """Begin another list of requests: what is owed to those before is no answer to these."""
        self._exchange += 1

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
        number = self._last % 0xFFFF + 1
        while number in self._open or number in self._debts:
            number = number % 0xFFFF + 1
        self._last = number
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

    def probe(self, device_id: int, request: Request, now: float) -> Request | None:
        """The request to send before this one, as a debt of the device could be taken for its answer; or None."""
        if not self._debts:
            return None
        owed = [debt.request for debt in self._owed(device_id, now) if not self._is_repeated(debt, request)]
        if all(debt.echo != request.echo for debt in owed):
            return None
        answered = self._answered.get(device_id)
        return _unlike(owed if answered is None else [answered[0], *owed])

    def is_like_last(self, device_id: int, request: Request) -> bool:
        """Whether the last answer of a device, come once more, could be taken for the answer to this request."""
        answered = self._answered.get(device_id)
        return answered is not None and answered[0].echo == request.echo and answered[0].pdu != request.pdu

    def forget(self, device_id: int) -> None:
        """Reckon with no late answer of a device any longer."""
        self._debts = {number: debt for number, debt in self._debts.items() if debt[1].device_id != device_id}

    def answered(self, number: int, device_id: int, pdu: bytes, now: float) -> tuple[Transaction, Reply] | None:
        """Find the request that an answer belongs to; None for one that is late or that nobody asked for.

        Raises `FramingError` when answers cannot be told apart.
        """
        transaction = self._open.pop(number, None)
        if transaction is None:
            if number == 0:
                transaction = self._answered_without_number(device_id, pdu, now)
            elif (debt := self._debts.pop(number, None)) is not None:
                debt[1].counters.late += 1
            else:
                self._counters.unasked += 1
            if transaction is None:
                return None
        counters = transaction.counters
        reply = transaction.request.check(pdu) if device_id == transaction.device_id else Flaw.DEVICE_ID
        if isinstance(reply, bytes):
            counters.replies += 1
            counters.round_trips.append(now - transaction.sent)
            comes_again = self._doubles(device_id, now)
            if not self.numbered:
                if self._debts and self._is_copy(device_id, pdu):
                    comes_again = True  # as it may be the last answer once more
                elif self._debts:
                    self._settle(transaction)
                self._answered[device_id] = transaction.request, pdu
            if comes_again:
                transaction.is_answered = True
                self._owe(transaction, now)
        elif isinstance(reply, Refusal):
            if not self.numbered:
                self._answered[device_id] = transaction.request, pdu
            counters.exceptions[reply.code] += 1
            counters.round_trips.append(now - transaction.sent)
        else:
            if reply is Flaw.SHORT:
                counters.short += 1
            else:
                counters.wrong += 1
            self._owe(transaction, now)  # this was another's answer: its own may still come
        return transaction, reply

    def _owe(self, transaction: Transaction, now: float) -> None:
        self._debts[transaction.number] = (now, transaction)
        if len(self._debts) > MAX_DEBTS:
            del self._debts[next(iter(self._debts))]

    def _owed(self, device_id: int, now: float) -> list[Transaction]:
        """What a device may still answer, the oldest first."""
        return [
            transaction
            for since, transaction in self._debts.values()
            if transaction.device_id == device_id and now - since < DEBT_LIFETIME_S
        ]

    def _is_repeated(self, debt: Transaction, request: Request) -> bool:
        return debt.exchange == self._exchange and debt.request.pdu == request.pdu

    def _answered_without_number(self, device_id: int, pdu: bytes, now: float) -> Transaction | None:
        """The one request that an answer without a transaction id can only belong to."""
        self.numbered = False
        if len(self._open) > 1:
            raise FramingError("the device answers with transaction id 0 while several requests are open")
        owed = [debt for debt in self._owed(device_id, now) if not isinstance(debt.request.check(pdu), Flaw)]
        is_open = next(iter(self._open.values()), None)
        if is_open is not None and is_open.device_id == device_id:
            owed = [debt for debt in owed if not debt.is_repeat_of(is_open)]
            fits = not isinstance(is_open.request.check(pdu), Flaw)
            if not owed and (fits or not self._is_copy(device_id, pdu)):
                del self._open[is_open.number]
                return is_open
        if owed and not owed[0].is_answered:
            owed[0].counters.late += 1
            if self._is_copy(device_id, pdu):
                return None  # or it is the last answer once more, and what is owed may still come
            self._answered[device_id] = owed[0].request, pdu
            if self._doubles(device_id, now):
                owed[0].is_answered = True
            else:
                del self._debts[owed[0].number]
            return None
        if owed:
            del self._debts[owed[0].number]
            self._answered[device_id] = owed[0].request, pdu
        if owed and pdu[0] & 0x80:  # any request can have this answer, so it is no sign of another one that came twice
            self._counters.unasked += 1
        else:
            self._unasked(device_id, now)
        return None

    def _is_copy(self, device_id: int, pdu: bytes) -> bool:
        """Whether an answer can be the last one of a device once more."""
        answered = self._answered.get(device_id)
        return answered is not None and answered[1] == pdu

    def _doubles(self, device_id: int, now: float) -> bool:
        return bool(self._doubling) and now < self._doubling.get(device_id, 0.0)

    def _unasked(self, device_id: int, now: float) -> None:
        self._counters.unasked += 1
        self._doubling[device_id] = now + DEBT_LIFETIME_S

    def undoubted(self, frames: list[Frame], now: float) -> list[Frame]:
        """Frames that came together, without those of which any could be the one answer that is due.

        For answers that bear no transaction id: a second answer to the request before, and this one's own, for one.
        """
        is_open = next(iter(self._open.values()), None)
        if is_open is None or self._owed(is_open.device_id, now):
            return frames
        device_id, check = is_open.device_id, is_open.request.check
        due = [frame for frame in frames if frame[1] == device_id and not isinstance(check(frame[2]), Flaw)]
        if all(frame == due[0] for frame in due):
            return frames
        for _ in due:
            self._unasked(device_id, now)
        return [frame for frame in frames if frame not in due]

    def _settle(self, answered: Transaction) -> None:
        """Forget what a device owed before a request that it has answered."""
        for number, (_, debt) in list(self._debts.items()):
            if debt.device_id == answered.device_id:
                if debt.is_repeat_of(answered):
                    return
                del self._debts[number]


def _unlike(before: list[Request]) -> Request:
    """A harmless request whose answer is like that to none before: a little less or more of the last of them."""
    echoes = {request.echo for request in before}
    table, address, count = place_of(before[-1])
    step = 8 if table.is_bits else 1
    counts = [*range(count - step, 0, -step), *range(count + step, count + step * (len(before) + 2), step)]
    return next(request for request in (read(table, address, one) for one in counts) if request.echo not in echoes)
