"""Requests of many operations, cut to what the server takes at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from asyncua import ua
from asyncua.ua.status_codes import StatusCodes

from drivers.opcua.plan import batches
from drivers.opcua.records import CountError
from drivers.opcua.security import Access
from drivers.opcua.session import Probing, Session

_MOST_IN_FLIGHT = 16
"""Requests that may wait for their answers together: small servers queue few."""

Item = TypeVar("Item")
Answer = TypeVar("Answer")

TOO_MUCH = frozenset(
    (
        StatusCodes.BadTooManyOperations,
        StatusCodes.BadEncodingLimitsExceeded,
        StatusCodes.BadRequestTooLarge,
        StatusCodes.BadResponseTooLarge,
    )
)
"""By these a server refuses a request for its size. To send it again in halves is safe: a write repeats its values."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most operations that the server takes in one request; 0: any number (OPC 10000-5 6.3.11)."""

    read: int = 0
    write: int = 0
    browse: int = 0
    translate: int = 0
    monitor: int = 0


Operation = Literal["read", "write", "browse", "translate", "monitor"]


class TooMuchAtOnce(Exception):  # noqa: N818 - it asks for smaller requests; nothing is wrong
    """The server takes fewer operations in one request; `Batching.limits` knows how many."""


class Batching(Session):
    """A session that knows how many operations its server takes in one request."""

    def __init__(
        self, endpoint: str, timeout_s: float, access: Access | None = None, probing: Probing | None = None
    ) -> None:
        super().__init__(endpoint, timeout_s, access, probing)
        self.limits = Limits()
        self._in_flight = asyncio.Semaphore(_MOST_IN_FLIGHT)

    async def _in_batches(
        self,
        operation: Operation,
        items: Sequence[Item],
        request: Callable[[Sequence[Item]], Awaitable[list[Answer]]],
    ) -> list[Answer]:
        """Send as many requests as the server's limit asks for, all in flight together.

        A server may take less than it says (or say nothing): a request that it finds too large, or of which it answers
        a part only, is sent again in smaller ones, and that limit is kept until the next `open`.
        """

        async def attempt(batch: Sequence[Item]) -> list[Answer]:
            try:
                answers = await request(batch)
                if len(answers) != len(batch):
                    raise CountError(len(batch), len(answers))
            except CountError as error:
                if error.answered > len(batch) or len(batch) == 1:
                    raise
                size = self._lower(operation, len(batch), max(error.answered, 0))
            except ua.UaStatusCodeError as error:
                if error.code not in TOO_MUCH or len(batch) == 1:
                    raise
                size = self._lower(operation, len(batch))
            else:
                return answers
            return [answer for part in batches(len(batch), size) for answer in await attempt(batch[part])]

        parts = list(batches(len(items), getattr(self.limits, operation)))
        if len(parts) == 1:
            return await attempt(items)

        async def in_turn(batch: Sequence[Item]) -> list[Answer]:
            async with self._in_flight:
                return await attempt(batch)

        answers = await together([in_turn(items[part]) for part in parts])
        return [answer for part in answers for answer in part]

    def _lower(self, operation: Operation, refused: int, answered: int = 0) -> int:
        """Lower what one request may hold to what was answered of a refused one, or else to its half; return that."""
        size = answered or (refused + 1) // 2
        known = getattr(self.limits, operation)
        self.limits = replace(self.limits, **{operation: min(size, known) if known else size})
        return size


async def together(work: Sequence[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    """Run all at once; the first that fails ends the others, and its error is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part) for part in work]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
