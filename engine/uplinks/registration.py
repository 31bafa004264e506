"""Asking the aggregator for an engine id, over REST, and what its refusals mean."""

from __future__ import annotations

import logging
from typing import Any, Final

import httpx
import orjson

from engine.uplinks.address import Address
from engine.uplinks.rest import ask
from protocol.aggregator_messages import RegisterEngineReplyMsg
from protocol.engine_messages import RegisterEngineMsg
from protocol.exceptions import ConnectError, ProtocolException
from protocol.serialization import decode, encode

log = logging.getLogger("skidlink.engine.uplinks.aggregator")

SECRET_WAIT_S: Final = 10.0
"""Somebody has to change the secret on one of the two sides."""
TAKEN_WAIT_S: Final = 0.5
"""A connection that died is given up by the aggregator after up to 50 s."""
LONGEST_NAME: Final = 2000
"""Characters of what an aggregator calls itself or us. An engine id is the names of computer and UOD, percent-encoded:
a letter of an Eastern script is nine characters there."""


class RefusedError(Exception):
    """The aggregator does not let us in; the message says what to do."""

    def __init__(self, message: str, wait_s: float) -> None:
        super().__init__(message)
        self.wait_s = wait_s
        """How long to wait before it is worth another try."""


async def register(http: httpx.AsyncClient, address: Address, message: RegisterEngineMsg) -> str:
    """Register, and return our engine id.

    The aggregator lets in whoever names its own version, so its version is what we say. Where that cannot be had, it
    is asked to ignore ours, and the log says so. Raises `ConnectError`, or `RefusedError` with what to do about it.
    """
    version = await _version(http, address)
    asked = message.model_copy(update={"engine_version": version, "ignore_version_error": not version})
    reply = await _post(http, address, asked)
    if not reply.success and reply.version_match is False:
        log.warning(
            "%s is version %s and does not let in version %r; asking it to ignore that",
            address,
            reply.aggregator_build_number,
            version,
        )
        named = {"engine_version": reply.aggregator_build_number, "ignore_version_error": True}
        reply = await _post(http, address, message.model_copy(update=named))
    if reply.success and reply.engine_id is not None:
        return reply.engine_id
    raise _refusal(address, message, reply)


def _refusal(address: Address, message: RegisterEngineMsg, reply: RegisterEngineReplyMsg) -> RefusedError:
    if reply.secret_match is False:
        cure = (
            "give the one that it was started with, or none if it has none"
            if message.secret
            else "it wants one: give it by --secret-file or SKIDLINK_AGGREGATOR_SECRET"
        )
        return RefusedError(f"{address} does not accept our secret; {cure}", SECRET_WAIT_S)
    if reply.version_match is None:
        return RefusedError(
            f"{address} has an engine {reply.engine_id} connected already: another one with the same computer and UOD "
            "name, or our own last connection, which it gives up within a minute; trying on",
            TAKEN_WAIT_S,
        )
    return RefusedError(f"{address} refuses us and does not say why ({reply}); see its log", SECRET_WAIT_S)


async def _version(http: httpx.AsyncClient, address: Address) -> str:
    """The version of the aggregator, or "" where it does not tell."""
    answer = await ask(http, "GET", address.http("/version"))
    try:
        found: Any = orjson.loads(answer.body) if answer.is_success else None
    except orjson.JSONDecodeError:  # an aggregator before /version answers with its web page
        found = None
    return found if isinstance(found, str) and len(found) <= LONGEST_NAME else ""


async def _post(http: httpx.AsyncClient, address: Address, message: RegisterEngineMsg) -> RegisterEngineReplyMsg:
    answer = await ask(http, "POST", address.http("/engine-rest"), encode(message))
    if not answer.is_success:
        raise ConnectError(f"a registration is answered with {answer.status}: {answer.text}")
    try:
        reply = decode(answer.body)
    except ProtocolException as error:
        raise ConnectError(f"a registration is not answered as an Open Pectus aggregator does it: {error}") from error
    if not isinstance(reply, RegisterEngineReplyMsg):
        raise ConnectError(f"a registration is answered with {str(reply)[:LONGEST_NAME]}")
    if len(reply.engine_id or "") + len(reply.aggregator_build_number) > LONGEST_NAME:
        raise ConnectError(f"a registration is answered with names of more than {LONGEST_NAME} characters")
    return reply
