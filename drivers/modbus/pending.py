"""The requests that an old answer may have been believed for, on lines whose answers overtake each other. No I/O.

Their own answers may still come. That decides in which form others are sent, and never puts an answer in doubt: on
values that do not change, doubt would never end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from drivers.modbus.pdu import Request

SETTLED_LIFETIME_S: Final = 5.0
"""How long an answer is reckoned with that would have come already, if all answers came in order."""


class Pending:
    """The requests of all devices of a line, each with the time at which an answer was believed."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since: dict[tuple[int, bytes], tuple[Request, float]] = {}

    def note(self, device_id: int, request: Request, now: float) -> None:
        """Note a request whose believed answer may have been an old one, and forget those of which nothing comes."""
        self._since = {key: noted for key, noted in self._since.items() if now - noted[1] < SETTLED_LIFETIME_S}
        self._since[device_id, request.pdu] = request, now

    def besides(self, device_id: int, request: Request, now: float) -> Iterator[tuple[Request, float]]:
        """The other requests of a device to which an answer may still come, and since when."""
        for (of, pdu), (other, since) in self._since.items():
            if of == device_id and pdu != request.pdu and now - since < SETTLED_LIFETIME_S:
                yield other, since
