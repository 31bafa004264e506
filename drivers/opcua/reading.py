"""Reading in a session: what one node breaks costs that node only.

Rules of this file:

* A server may fail a whole request because of one of its nodes: by an answer that cannot be decoded, by an error in the
  place of an answer, by closing the connection. Such a request is split until the node is known (`quarantine`).
* A server that fails every request is no case for it: it has to answer a reading of its own state meanwhile.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from typing import Any

from asyncua import ua
from asyncua.ua.status_codes import StatusCodes

from drivers.contract import LinkError
from drivers.opcua.batching import TOO_MUCH, Batching, TooMuchAtOnce, together
from drivers.opcua.codec import UNDECODABLE, status_text
from drivers.opcua.decoding import DECODING_ERRORS, values_of
from drivers.opcua.kept_read import KeptRead
from drivers.opcua.node_ids import SERVER_STATE, key_of
from drivers.opcua.quarantine import Quarantine
from drivers.opcua.records import CountError, int32, results_begin
from drivers.opcua.security import Access
from drivers.opcua.session import Probing

_ANSWER_TOO_LARGE = frozenset((StatusCodes.BadResponseTooLarge, StatusCodes.BadEncodingLimitsExceeded))
"""By these a server says that an answer would be too large: one node may be the cause, or there are too many."""
_OF_ONE_NODE = _ANSWER_TOO_LARGE | frozenset(
    (
        StatusCodes.BadDecodingError,
        StatusCodes.BadEncodingError,
        StatusCodes.BadInternalError,
        StatusCodes.BadUnexpectedError,
        StatusCodes.BadOutOfMemory,
        StatusCodes.BadNotSupported,
        StatusCodes.BadNotImplemented,
        StatusCodes.BadNotReadable,
        StatusCodes.BadNodeIdInvalid,
        StatusCodes.BadNodeIdUnknown,
        StatusCodes.BadAttributeIdInvalid,
    )
)
"""By these a server may fail a request of which it could have answered all but one operation."""
_UNDECODABLE = "the answer of the server cannot be decoded with this node in it: it is left out, and tried again later"
_UNANSWERED = "the server does not answer for this node: it is left out, and tried again later"


class Unreadable(Exception):  # noqa: N818 - it asks for another way; nothing is wrong yet
    """The answer to a kept request is none; `Reading.read` finds out which node is the cause."""


class Reading(Batching):
    """A session in which nodes are read."""

    def __init__(
        self, endpoint: str, timeout_s: float, access: Access | None = None, probing: Probing | None = None
    ) -> None:
        super().__init__(endpoint, timeout_s, access, probing)
        self.quarantine = Quarantine()

    async def read(
        self,
        nodes: Sequence[ua.ReadValueId],
        timestamps: ua.TimestampsToReturn = ua.TimestampsToReturn.Neither,
        timeout_s: float | None = None,
        *,
        trial: bool = False,
    ) -> list[ua.DataValue]:
        """Read attributes. A node that cannot be decoded, or breaks the answer, gets the status BadDecodingError.

        Nodes in quarantine are not asked for, but in a `trial`. Raises `LinkError`.
        """
        held = {place for place, node in enumerate(nodes) if not trial and self.quarantine.reason(key_of(node))}
        asked = [place for place in range(len(nodes)) if place not in held]
        answers = dict.fromkeys(held, UNDECODABLE)
        if held and not asked:
            async with self._deadline("reading", timeout_s):  # a lost link has to be noticed all the same
                await self._ask([SERVER_STATE], timestamps)
        for part in self.quarantine.parts([key_of(nodes[place]) for place in asked]):
            places = [asked[number] for number in part]
            wanted = [nodes[place] for place in places]
            async with self._answered_for(wanted, timeout_s):
                answers |= zip(places, await self._read(wanted, timestamps), strict=True)
        return [answers[place] for place in range(len(nodes))]

    async def exchange(self, requests: Sequence[KeptRead], timeout_s: float) -> list[bytes]:
        """Send kept requests, all in flight together, and give the bytes of their answers, none of them an error.

        Raises `TooMuchAtOnce`, with `limits` lowered, when the server takes fewer operations in a request than these
        have, and `Unreadable` where one of their nodes may be at fault; else `LinkError`.
        """
        async with self._answered_for([node for kept in requests for node in kept.nodes], timeout_s):
            if len(requests) == 1:
                bodies = [await self._exchange(requests[0])]
            else:
                bodies = await together([self._exchange(kept) for kept in requests])
        if self.quarantine.doubts:
            self.quarantine.answered([key_of(node) for kept in requests for node in kept.nodes], time.monotonic())
        return bodies

    async def _exchange(self, kept: KeptRead) -> bytes:
        try:
            async with self._in_flight:
                body = bytes(await self._send(kept))
            answered = int32(body, results_begin(body))[0]
            if answered != kept.count:
                raise CountError(kept.count, answered)
        except CountError as error:
            if not 0 <= error.answered < kept.count or kept.count == 1:
                raise Unreadable from error
            self._lower("read", kept.count, error.answered)
            raise TooMuchAtOnce from error
        except ua.UaStatusCodeError as error:
            if error.code in _OF_ONE_NODE or (error.code in TOO_MUCH and kept.count == 1):
                raise Unreadable from error
            if error.code not in TOO_MUCH:
                raise
            self._lower("read", kept.count)
            raise TooMuchAtOnce from error
        except DECODING_ERRORS as error:
            raise Unreadable from error
        return body

    async def _read(self, nodes: Sequence[ua.ReadValueId], timestamps: ua.TimestampsToReturn) -> list[ua.DataValue]:
        """Read nodes in as few requests as the server takes."""
        if not nodes:
            return []

        async def request(batch: Sequence[ua.ReadValueId]) -> list[ua.DataValue]:
            return await self._split(batch, timestamps)

        answers = await self._in_batches("read", nodes, request)
        if self.quarantine.suspicious:
            self.quarantine.answered([key_of(node) for node in nodes], time.monotonic())
            self._lower_to_most()
        return answers

    async def _split(
        self, nodes: Sequence[ua.ReadValueId], timestamps: ua.TimestampsToReturn, *, alive: bool = False
    ) -> list[ua.DataValue]:
        """Read nodes in one request, or where one of them breaks it in two halves, and so on."""
        held = self.quarantine.turn
        try:
            answers = await self._ask(nodes, timestamps)
        except CountError as error:
            if len(nodes) > 1 and error.answered < len(nodes):
                raise
            failure, reason = error, _UNANSWERED
        except ua.UaStatusCodeError as error:
            if error.code not in _OF_ONE_NODE and not (error.code in TOO_MUCH and len(nodes) == 1):
                raise
            failure = error
            reason = f"the server fails all readings with this node in it, and says {status_text(error.code)}"
        except DECODING_ERRORS as error:
            failure, reason = error, _UNDECODABLE
        else:
            if len(nodes) == 1:
                self.quarantine.release(key_of(nodes[0]))
            return answers
        if not alive:
            await self._require_alive(failure)
        if len(nodes) == 1:
            self.quarantine.hold(key_of(nodes[0]), reason, time.monotonic())
            return [UNDECODABLE]
        half = (len(nodes) + 1) // 2
        answers = [
            answer
            for part in (nodes[:half], nodes[half:])
            for answer in await self._split(part, timestamps, alive=True)
        ]
        too_large = isinstance(failure, ua.UaStatusCodeError) and failure.code in _ANSWER_TOO_LARGE
        if too_large and self.quarantine.turn == held:
            self._lower("read", len(nodes))  # there were too many of them; else one node was to blame
        return answers

    async def _ask(self, nodes: Sequence[ua.ReadValueId], timestamps: ua.TimestampsToReturn) -> list[ua.DataValue]:
        wanted: Any = ua.ReadRequest()
        wanted.Parameters = ua.ReadParameters(TimestampsToReturn=timestamps, NodesToRead=list(nodes))
        return values_of(bytes(await self._protocol.send_request(wanted, self.timeout_s)), len(nodes))

    async def _require_alive(self, failure: Exception) -> None:
        """Raises `failure` when the server fails any reading, whatever is read."""
        try:
            await self._ask([SERVER_STATE], ua.TimestampsToReturn.Neither)
        except DECODING_ERRORS:
            raise failure from None

    def _lower_to_most(self) -> None:
        """Ask for no more at once than the server bears, as far as the quarantine has found out."""
        most, known = self.quarantine.most, self.limits.read
        if most and (not known or known > most):
            self.limits = replace(self.limits, read=most)

    @contextlib.asynccontextmanager
    async def _answered_for(self, nodes: Sequence[ua.ReadValueId], timeout_s: float | None) -> AsyncGenerator[None]:
        """Bound the time of a reading, and remember what was being read when the server broke it off."""
        try:
            async with self._deadline("reading", timeout_s):
                yield
        except LinkError as error:
            read = [key_of(node) for node in nodes if node != SERVER_STATE]
            if read and isinstance(error.__cause__, (TimeoutError, ConnectionError)):
                silent = isinstance(error.__cause__, TimeoutError)
                self.quarantine.lost(read, time.monotonic(), silent=silent)
            raise
