"""What a technician reads when a link breaks."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import asyncua.ua
import pytest

from drivers.opcua.deadlines import within
from drivers.opcua.faults import link_error

ua: Any = asyncua.ua


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "no answer within 2 s while connecting"),
        (socket.gaierror(-2, "Name or service not known"), "the host name is not known"),
        (UnicodeError("label too long"), "not one that a network can have"),
        (ConnectionRefusedError(), "nothing listens at this port"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "check network, cable and address"),
        (ConnectionResetError("reset"), "was the server stopped or restarted"),
        (ua.UaStatusCodeError(ua.StatusCodes.BadTooManySessions), "BadTooManySessions"),
        (ua.UaStatusCodeError(ua.StatusCodes.BadTooManySessions), "close other clients"),
        (ua.UaStatusCodeError(ua.StatusCodes.BadIdentityTokenRejected), "give user and its password"),
        (ua.UaStatusCodeError(ua.StatusCodes.BadInternalError), "BadInternalError"),
        (ua.UaStatusCodeError(ua.StatusCodes.BadCertificateRevoked), "have a new certificate made for this client"),
        (ua.UaStatusCodeError(ua.StatusCodes.BadSecurityPolicyRejected), "neither here nor at /discovery"),
        (OSError(errno.EHOSTDOWN, "Host is down"), "check network, cable and address"),
        (ua.UaError("No matching endpoints: 1, none"), "response is not valid"),
        (ValueError("odd"), "is the server's software up to date"),
    ],
)
def test_every_failure_names_the_endpoint_and_a_way_out(error: Exception, words: str) -> None:
    text = str(link_error("opc.tcp://plc:4840", "connecting", error, 2.0))
    assert text.startswith("opc.tcp://plc:4840: ")
    assert words in text


class AnsweredTooError(asyncio.CancelledError):
    """As wait_for2 raises it where an answer and a cancellation come in one turn."""


async def answered_too() -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise AnsweredTooError from None


async def test_an_answer_that_comes_as_its_time_is_over_is_a_time_out() -> None:
    with pytest.raises(TimeoutError):
        async with within(0.0):
            await answered_too()


async def test_a_task_that_is_cancelled_meanwhile_ends_as_cancelled() -> None:
    started = asyncio.Event()

    async def work() -> None:
        async with within(60.0):
            started.set()
            await answered_too()

    task = asyncio.create_task(work())
    await started.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
