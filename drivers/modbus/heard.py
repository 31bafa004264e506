"""The answers of the last minute, to know one that a line brings once more. No I/O, no clock of its own.

Where answers bear no transaction id, one that comes a second time looks like the answer to whatever is open then, if
it is as long. But it equals the first one to the last byte. So an answer that a device has already given to another
request is in doubt, unless it is also what this request was answered with last: then it tells no more than is known.
"""

from __future__ import annotations

from drivers.modbus.pdu import Request

LIFETIME_S = 60.0
"""How long a line may take to bring an answer once more."""
MOST = 4096
"""How many answers are kept; a slow line has fewer in a minute."""
_PLACE = 5
"""The bytes of a request that say what it is about: function, address, and the count or the value."""


class Heard:
    """What the devices of one line have answered."""

    __slots__ = ("_answers", "_last")

    def __init__(self) -> None:
        self._answers: dict[tuple[int, bytes], tuple[float, bytes | None]] = {}
        """device id and answer -> when it came last, and to which request; None: nobody knows; the oldest first"""
        self._last: dict[tuple[int, bytes], bytes] = {}
        """device id and request -> its last answer"""

    def note(self, device_id: int, pdu: bytes, request: Request | None, now: float) -> None:
        """Note an answer, and which request it is taken to belong to."""
        place = None if request is None else request.pdu[:_PLACE]
        answers = self._answers
        answers.pop((device_id, pdu), None)
        answers[device_id, pdu] = now, place
        oldest = next(iter(answers))
        if len(answers) > MOST or now - answers[oldest][0] > LIFETIME_S:
            del answers[oldest]
        if place is not None:
            if len(self._last) > MOST:
                self._last.clear()
            self._last[device_id, place] = pdu

    def is_known(self, device_id: int, pdu: bytes, now: float) -> bool:
        """Whether the device has given this very answer, to whatever request."""
        known = self._answers.get((device_id, pdu))
        return known is not None and now - known[0] <= LIFETIME_S

    def is_nobodys(self, device_id: int, pdu: bytes, now: float) -> bool:
        """Whether the device has given this very answer, and nobody knows to which request."""
        known = self._answers.get((device_id, pdu))
        return known is not None and known[1] is None and now - known[0] <= LIFETIME_S

    def is_doubtful(self, device_id: int, pdu: bytes, request: Request, now: float) -> bool:
        """Whether an answer may be that to another request come once more."""
        known = self._answers.get((device_id, pdu))
        if known is None or now - known[0] > LIFETIME_S:
            return False
        place = request.pdu[:_PLACE]
        return known[1] != place and self._last.get((device_id, place)) != pdu

    def has_answered(self, device_id: int, request: Request) -> bool:
        """Whether the device has answered this request before."""
        return (device_id, request.pdu[:_PLACE]) in self._last
