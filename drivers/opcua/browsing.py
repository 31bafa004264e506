"""What is below each node, so that one node with a bad answer costs no other: OPC 10000-4 5.9.

Rules of this file:

* A server that fails for one node, or whose answer for it cannot be decoded, is asked for the others without it.
* What has come before a continuation point was refused is kept.
* Whatever a server says, an end is reached: references are counted, and rounds that bring none end the browse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from asyncua import ua
from asyncua.ua.status_codes import StatusCodes

from drivers.opcua.batching import TOO_MUCH
from drivers.opcua.decoding import DECODING_ERRORS
from drivers.opcua.reading import Reading

MOST_REFERENCES = 200_000
"""Of one node; what comes after is left out."""
_NO_MORE = 3
"""After so many answers without a reference the server is not asked to continue."""
_OF_THE_SESSION = frozenset(
    (
        StatusCodes.BadSessionIdInvalid,
        StatusCodes.BadSessionClosed,
        StatusCodes.BadSessionNotActivated,
        StatusCodes.BadSecureChannelIdInvalid,
        StatusCodes.BadSecureChannelClosed,
        StatusCodes.BadConnectionClosed,
        StatusCodes.BadTcpMessageTooLarge,
        StatusCodes.BadServerHalted,
        StatusCodes.BadShutdown,
        StatusCodes.BadServerNotConnected,
    )
)
"""By these a server fails whatever it is asked."""


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference of a node that was browsed: where it leads, and the browse name there if it was asked for."""

    node: ua.NodeId
    namespace: int
    name: str
    node_class: int
    """0 where it was not asked for."""


@dataclass(slots=True)
class Browsed:
    """What is known of the references of one node."""

    references: list[Reference] = field(default_factory=list[Reference])
    status: int = 0
    """Why it is not all of them, as a status code; 0: it is."""


class Browsing(Reading):
    """A session in which nodes are browsed."""

    async def browse(self, nodes: Sequence[ua.BrowseDescription]) -> list[list[Reference]]:
        """The references of each node, as far as the server tells them. Raises `LinkError`."""
        return [found.references for found in await self.browse_each(nodes)]

    async def browse_each(self, nodes: Sequence[ua.BrowseDescription]) -> list[Browsed]:
        """The references of each node, and what was missing. Raises `LinkError`."""
        async with self._deadline("browsing"):
            found = await self._in_batches("browse", nodes, self._browse)
        for place, node in enumerate(nodes if len(nodes) > 1 else ()):
            if found[place].status == StatusCodes.BadNoContinuationPoints:  # a server has few: one node at a time
                async with self._deadline("browsing"):
                    found[place : place + 1] = await self._browse([node])
        return found

    async def glance(self, nodes: Sequence[ua.BrowseDescription], most: int) -> list[list[Reference]]:
        """The first references of each node, at most so many: a folder may hold a hundred thousand.

        Raises `LinkError`.
        """

        async def request(batch: Sequence[ua.BrowseDescription]) -> list[list[Reference]]:
            wanted = ua.BrowseParameters(RequestedMaxReferencesPerNode=ua.Counter(most), NodesToBrowse=list(batch))
            answers: list[Any] = await self._session.browse(wanted)
            if points := [answer.ContinuationPoint for answer in answers if answer.ContinuationPoint]:
                released = ua.BrowseNextParameters(ReleaseContinuationPoints=True, ContinuationPoints=points)
                await self._session.browse_next(released)
            return [[_reference(reference) for reference in answer.References or ()] for answer in answers]

        async with self._deadline("browsing"):
            return await self._in_batches("browse", nodes, request)

    async def _browse(self, nodes: Sequence[ua.BrowseDescription]) -> list[Browsed]:
        """Browse nodes in one request, or where one of them breaks it in two halves, and so on."""
        try:
            answers: list[Any] = await self._session.browse(ua.BrowseParameters(NodesToBrowse=list(nodes)))
            if len(answers) != len(nodes):
                raise ua.UaError(f"{len(nodes)} operations, but {len(answers)} answers")
        except ua.UaStatusCodeError as error:
            if error.code in _OF_THE_SESSION or (error.code in TOO_MUCH and len(nodes) > 1):
                raise
            status = int(error.code)
        except DECODING_ERRORS:
            status = int(StatusCodes.BadDecodingError)
        else:
            return await self._continue(answers)
        if len(nodes) > 1:
            half = len(nodes) // 2
            return await self._browse(nodes[:half]) + await self._browse(nodes[half:])
        node: Any = nodes[0]
        asked = int(node.ResultMask)
        without = asked & ~int(ua.BrowseResultMask.NodeClass)
        if status == StatusCodes.BadDecodingError and without != asked:
            return await self._browse([replace(node, ResultMask=ua.UInt32(without))])  # a class may be what it is not
        return [Browsed(status=status)]

    async def _continue(self, answers: Sequence[Any]) -> list[Browsed]:
        """Take up answers, and ask for the rest of those that are not whole."""
        found = [Browsed() for _ in answers]
        places: Sequence[int] = range(len(answers))
        empty = 0
        while places:
            rest: dict[int, ua.ByteString] = {}
            came = 0
            for place, answer in zip(places, answers, strict=True):
                references = [_reference(reference) for reference in answer.References or ()]
                came += len(references)
                found[place].references += references
                if not answer.StatusCode.is_good():
                    found[place].status = answer.StatusCode.value
                elif answer.ContinuationPoint:
                    if len(found[place].references) >= MOST_REFERENCES:
                        found[place].status = int(StatusCodes.BadResponseTooLarge)
                    else:
                        rest[place] = answer.ContinuationPoint
            places = list(rest)
            empty = 0 if came else empty + 1
            if not rest:
                break
            try:
                if empty >= _NO_MORE:
                    raise ua.UaStatusCodeError(StatusCodes.BadNoContinuationPoints)
                points = ua.BrowseNextParameters(ContinuationPoints=list(rest.values()))
                answers = await self._session.browse_next(points)
                if len(answers) != len(rest):
                    raise ua.UaError(f"{len(rest)} continuation points, but {len(answers)} answers")
            except DECODING_ERRORS as error:
                status = error.code if isinstance(error, ua.UaStatusCodeError) else int(StatusCodes.BadDecodingError)
                if status in _OF_THE_SESSION:
                    raise
                for place in places:
                    found[place].status = status
                break
        return found


def _reference(found: Any) -> Reference:
    return Reference(found.NodeId, found.BrowseName.NamespaceIndex, found.BrowseName.Name or "", int(found.NodeClass))
