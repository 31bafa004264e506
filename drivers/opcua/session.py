"""One session with an OPC UA server: opened, secured, kept alive and closed, its failures in a technician's words.

Rules of this file:

* A connection that is lost stays lost. Each `open` makes a new client: one that was disconnected cannot be used again.
* Every request has a deadline of its own, so that a server that neither answers nor closes is noticed.
* Whatever breaks the link is a `LinkError`; whatever the server says about one node is in that node's answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import logging
import math
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Any

from asyncua import ua
from asyncua.client.client import Client
from asyncua.client.ua_session import UaSession

from drivers.contract import LinkError
from drivers.opcua.certificates import OwnCertificate, Pins
from drivers.opcua.deadlines import within
from drivers.opcua.decoding import DECODING_ERRORS
from drivers.opcua.faults import WrongServerError, is_elsewhere, is_strange, link_error, may_answer_beside
from drivers.opcua.foreign_log import quieten
from drivers.opcua.kept_read import KeptRead, encoded_token
from drivers.opcua.levels import Levels
from drivers.opcua.login import log_in
from drivers.opcua.node_ids import SERVER_STATE
from drivers.opcua.reach import Address, address_of, addresses, discovery_urls
from drivers.opcua.security import (
    NO_POLICY,
    POLICIES,
    Access,
    Choice,
    best_of,
    choose,
    expiry_warnings,
    is_less,
    offers_of,
    secure,
)
from drivers.opcua.strangers import who_answers
from drivers.opcua.transport import bound

_log = logging.getLogger("skidlink.drivers.opcua")
quieten()

SESSION_TIMEOUT_S = 60.0
"""After this long without a request the server may drop the session: what we ask for, the server decides."""
CHANNEL_LIFETIME_S = 3600.0
"""How long the keys of the secure channel may be used: what we ask for, the server decides."""
_RENEW_AFTER = 0.75
"""Part of its lifetime after which the secure channel is renewed: OPC 10000-4 5.6.2.1."""
_PROBES_PER_SESSION_TIMEOUT = 3
_SHORTEST_PAUSE_S = 0.1
_INNER_PARTS = ("_connection", "_request_handle", "_request_id", "_callbackmap")
"""What `Link._send` needs of asyncua's protocol beside what it shows; checked at each connect."""
_GOODBYE_S = 1.0
"""How long the server may take to let the session go."""
_MOST_WARNINGS = 100
"""Different ones: a server's own words may stand in them."""
_PINS = Pins()
_LEVELS = Levels(_PINS)


def look_s(timeout_s: float) -> float:
    """How long a stranger at the port may take to say something."""
    return min(timeout_s, 2.0)


@dataclass(frozen=True, slots=True)
class Probing:
    """How a session is seen to be dead that nobody asks anything."""

    pause_s: float = math.inf
    """After so long without an answer the server is asked whether it lives, if its session time-out is not shorter."""
    timeout_s: float = math.inf
    """How long it may take to say so, if that is not longer than any request."""


class Session:
    """A session that is opened and closed any number of times."""

    def __init__(
        self, endpoint: str, timeout_s: float, access: Access | None = None, probing: Probing | None = None
    ) -> None:
        self.endpoint = endpoint
        self.timeout_s = timeout_s
        self.sends_kept = False
        """Whether `_send` works with the asyncua that is installed."""
        self._access = access or Access()
        self._probing = probing or Probing()
        self._choice = Choice(NO_POLICY, ua.MessageSecurityMode.None_, b"")
        """How this session is secured."""
        self._asked_at = endpoint
        """The URL at which the server has told of its endpoints."""
        self._reached: Address | None = None
        """Where the last session was."""
        self._has_been_up = False
        self._heard = 0.0
        """When the server last answered."""
        self._own: OwnCertificate | None = None
        """Our certificate, as far as the server has asked for one."""
        self._warned: set[str] = set()
        self._client: Client | None = None
        self._upkeep: asyncio.Task[None] | None = None
        self._lost: LinkError | None = None
        """What the upkeep found; the next request raises it."""
        self._token = b""
        """The session's authentication token, encoded."""

    async def open(self) -> None:
        """Connect and log in. Raises `LinkError`."""
        await self.close()
        self._lost = None
        choice = await self._choose()
        client = await self._enter(choice)
        try:
            async with self._deadline("logging in"):
                await log_in(client, self.endpoint, self._access, choice, _PINS)
            if choice.secured:
                self._remember(choice)
            self._token = encoded_token(client.uaclient.session.authentication_token)
            self.sends_kept = self._knows_inner_parts()
        except BaseException:
            await self.close()
            raise
        self._has_been_up = True
        self._upkeep = asyncio.create_task(self._keep(client), name=f"upkeep of {self.endpoint}")

    async def _choose(self) -> Choice:
        """Ask the server what it offers, and choose; make our certificate if it is the first time."""
        offers = await self._discover()
        seen, before = _PINS.known(self.endpoint) is not None, _LEVELS.known(self.endpoint)
        try:
            choice = choose(
                offers, self._access, seen_secured=seen, before=before, kept=str(_LEVELS.path(self.endpoint))
            )
        except ValueError as error:
            raise LinkError(f"{self.endpoint}: {error}") from None
        self._own = await asyncio.to_thread(self._access.own_certificate) if choice.secured else None
        self._choice = choice
        self._look_at_expiry()
        if self._own is not None and self._own.new:
            _log.warning("%s: a client certificate was made: %s", self.endpoint, self._own.advice)
        if not choice.secured and self._access.security == "auto":
            self._warn_once(
                "the server offers no security: whoever is on the network can read and change what is read and "
                "written. Switch it on on the server; security: none says that it is meant, and ends this message"
            )
        return choice

    async def _discover(self) -> list[Choice]:
        """Ask for the endpoints where the author says; a server without sessions in clear may answer beside it only."""
        failures: list[LinkError] = []
        urls = discovery_urls(self.endpoint)
        for url in sorted(urls, key=lambda each: each != self._asked_at):  # what has answered before comes first
            client = self._client = self._new_client(url)
            try:
                async with self._deadline("connecting"):
                    await client.connect_socket()
                    await client.send_hello()
                    await client.open_secure_channel()
                    offers = offers_of(await client.get_endpoints(), self.endpoint)
            except LinkError as error:
                failures.append(error)
                if not may_answer_beside(error.__cause__):
                    break
            else:
                self._asked_at = url
                return offers
            finally:
                await self.close()
        raise await self._named(failures[0])

    async def _named(self, error: LinkError) -> LinkError:
        """A failure of the first connection; where what answers there is no OPC UA server, with what it is."""
        address = address_of(self.endpoint)
        if self._has_been_up or address is None or not is_strange(error.__cause__):
            return error
        found = await who_answers(address, look_s(self.timeout_s))
        return LinkError(f"{self.endpoint}: {found}") if found else error

    async def _enter(self, choice: Choice) -> Client:
        """Open a session at the URL of the endpoint that was chosen, without a user yet. Raises `LinkError`."""
        url = choice.url if address_of(choice.url) else self.endpoint
        places = addresses(self.endpoint, url, keep_host=self._access.keep_host)
        first = places[0]
        places.sort(key=lambda place: place != self._reached)  # where the last session was comes first
        failed: dict[Address, str] = {}
        for place in places:
            client = self._client = self._new_client(url)
            try:
                if choice.secured and self._own is not None:
                    await secure(client, self.endpoint, choice, self._own, _PINS)
                async with self._deadline("connecting"):
                    await client.uaclient.connect_socket(place.host, place.port)
                    await client.send_hello()
                # The steps of `Client.connect`, without its background tasks: to reconnect is our caller's work.
                async with self._deadline("opening a session"):
                    await client.open_secure_channel()
                    await self._create_session(client, choice)
            except LinkError as error:
                await self.close()
                if place == places[-1] or not is_elsewhere(error):
                    raise
                # Without the advice behind it, which is about an address that the author did write.
                failed[place] = str(error).removeprefix(f"{self.endpoint}: ").partition(": ")[0]
            except BaseException:
                await self.close()
                raise
            else:
                self._reached = place
                if first in failed:
                    self._warn_once(
                        f"the server says that its sessions are at {url}, where they are not ({failed[first]}). "
                        f"{place} is used instead. Correct the host name in the server's settings, or write "
                        "keep_host: true"
                    )
                return client
        raise LinkError(f"{self.endpoint}: no address of the server could be tried")

    async def _create_session(self, client: Client, choice: Choice) -> None:
        """Create a session, and see that it is with the server that was asked. Raises `WrongServerError`."""
        try:
            answer: Any = await client.create_session()
        except ua.UaError as error:
            if "No matching endpoints" not in str(error):
                raise
            return  # some servers do not repeat their endpoints here; what they offered before holds
        self._compare(choice, answer.ServerEndpoints or ())
        own = {str(found.Server.ApplicationUri) for found in answer.ServerEndpoints or ()} - {"", "None"}
        if choice.application and own and choice.application not in own:
            raise WrongServerError(f"another server answers there, {', '.join(sorted(own))}")

    def _compare(self, choice: Choice, endpoints: Sequence[Any]) -> None:
        """Say so where a server lists better security in its session than it did in clear (OPC 10000-4 5.7.2)."""
        if not choice.secured or self._access.mode is not None:
            return
        listed = [offer for offer in offers_of(endpoints, self.endpoint) if offer.secured and offer.policy in POLICIES]
        if listed and is_less(choice, (better := best_of(listed)).level, self._access):
            self._warn_once(
                f"the server offers {better}, too, but did not say so before the session: somebody in between may "
                f"have hidden it, and the session has {choice}. Look at the network, or name policy and mode in "
                "security and security_mode"
            )

    def _remember(self, choice: Choice) -> None:
        """Keep how this session is secured, if it is better than what is known."""
        before = _LEVELS.known(self.endpoint)
        if before is None or (choice.level != before and not is_less(choice, before, Access())):
            _LEVELS.keep(self.endpoint, choice.level, choice.certificate)

    def _warn_once(self, message: str) -> None:
        if message not in self._warned and len(self._warned) < _MOST_WARNINGS:
            self._warned.add(message)
            _log.warning("%s: %s", self.endpoint, message)

    def _look_at_expiry(self) -> None:
        """Warn once of each certificate that has ended, and once of each that soon will."""
        for warning in expiry_warnings(self._own, self._choice):
            self._warn_once(warning)

    def _knows_inner_parts(self) -> bool:
        """Whether this asyncua is inside as `_send` needs it; if not, all requests go its own way."""
        missing = [name for name in _INNER_PARTS if not hasattr(self._protocol, name)]
        if missing:
            self._warn_once(f"this version of asyncua has no {', '.join(missing)}: reading is slower")
        return not missing

    def _new_client(self, url: str) -> Client:
        client = Client(url, timeout=self.timeout_s)
        client.name = client.description = "Skidlink"
        client.session_timeout = int(SESSION_TIMEOUT_S * 1000)
        client.secure_channel_timeout = int(CHANNEL_LIFETIME_S * 1000)
        bound(client)
        return client

    async def close(self) -> None:
        """Let the session go, within about a second; never raises."""
        upkeep, self._upkeep = self._upkeep, None
        client, self._client = self._client, None
        if client is None:
            return
        protocol = client.uaclient.protocol
        transport = None if protocol is None else protocol.transport
        try:
            if upkeep is not None:
                upkeep.cancel()
                await asyncio.wait([upkeep])
                if not upkeep.cancelled() and (broken := upkeep.exception()):
                    _log.error("%s: the upkeep of the session ended", self.endpoint, exc_info=broken)
            if transport is not None:
                async with within(min(self.timeout_s, _GOODBYE_S)):
                    await client.close_session()
                    await client.close_secure_channel()
        except (OSError, *DECODING_ERRORS) as error:
            _log.debug("%s: the server did not answer the goodbye: %r", self.endpoint, error)
        finally:
            client.disconnect_socket()
            if transport is not None:
                transport.abort()  # else what a black hole has not taken keeps the socket open
        await asyncio.sleep(0)  # the transport closes its socket in the loop's next turn

    def broken(self, doing: str, error: Exception, timeout_s: float | None = None) -> LinkError:
        """What an error while `doing` means to the caller of this link."""
        advice = "" if self._own is None else self._own.advice
        ended = "; ".join(expiry_warnings(self._own, self._choice, datetime.timedelta(0)))
        _log.debug("%s: %s", self.endpoint, doing, exc_info=error)
        return link_error(self.endpoint, doing, error, timeout_s or self.timeout_s, advice, ended)

    @property
    def _session(self) -> UaSession:
        return self._require_open().uaclient.session

    def _require_open(self) -> Client:
        if self._lost is not None:
            raise self._lost
        if self._client is None:
            raise LinkError(f"{self.endpoint}: not connected: open the link first")
        return self._client

    @property
    def _protocol(self) -> Any:
        """asyncua's end of the socket; untyped, as `_send` needs its inner parts."""
        self._require_open()
        protocol = None if self._client is None else self._client.uaclient.protocol
        if protocol is None:
            raise ConnectionError("the connection is closed")
        return protocol

    @contextlib.asynccontextmanager
    async def _deadline(self, doing: str, timeout_s: float | None = None) -> AsyncGenerator[None]:
        """Bound the time of a request, and turn whatever breaks it into `LinkError`."""
        seconds = timeout_s or self.timeout_s
        try:
            async with within(seconds):
                yield
            self._heard = time.monotonic()
        except (OSError, *DECODING_ERRORS) as error:
            raise self.broken(doing, error, seconds) from error

    def _send(self, kept: KeptRead) -> asyncio.Future[Any]:
        """Send a kept request by the way of asyncua's own, which knows no request but those that it encodes itself."""
        protocol = self._protocol
        if protocol.transport is None:
            raise ConnectionError("the connection is closed")
        protocol._request_handle += 1
        body = kept.body(self._token, protocol._request_handle)
        protocol.revolve_security_token()
        message = protocol._connection.message_to_binary(body, request_id=protocol._request_id + 1)
        protocol._request_id += 1
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        protocol._callbackmap[protocol._request_id] = answer
        protocol.transport.write(message)
        return answer

    async def _keep(self, client: Any) -> None:
        """Keep session and secure channel alive through long pauses between requests, and notice if they are not."""
        pause = min(client.session_timeout / 1000 / _PROBES_PER_SESSION_TIMEOUT, self._probing.pause_s)
        pause = max(pause, _SHORTEST_PAUSE_S)
        renewal = time.monotonic() + client.secure_channel_timeout / 1000 * _RENEW_AFTER
        while self._lost is None:
            await asyncio.sleep(max(min(self._heard + pause, renewal) - time.monotonic(), 0))
            self._look_at_expiry()
            try:
                if time.monotonic() >= renewal:
                    async with self._deadline("renewing the keys of the session"):
                        await client.open_secure_channel(renew=True)
                        client.uaclient.revolve_security_token()
                        renewal = time.monotonic() + client.secure_channel_timeout / 1000 * _RENEW_AFTER
                elif time.monotonic() >= self._heard + pause:
                    async with self._deadline(
                        "keeping the session alive", min(self.timeout_s, self._probing.timeout_s)
                    ):
                        await self._session.read(ua.ReadParameters(NodesToRead=[SERVER_STATE]))
            except LinkError as error:
                self._lost = error
