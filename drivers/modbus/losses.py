"""How an exchange on a connection can come to nothing."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.contract import LinkError
from drivers.modbus.pdu import Reply


class SilenceError(Exception):
    """A request has had no answer, repeats included."""


class LostError(LinkError):
    """The connection ended while requests were open."""

    def __init__(self, why: str, replies: Sequence[Reply | None], slot: int | None) -> None:
        super().__init__(why)
        self.replies = replies
        """What had come until then, in the order of the requests."""
        self.slot = slot
        """The place of the request that was waited for the longest; None where none was open."""
