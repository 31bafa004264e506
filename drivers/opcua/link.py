"""One session with an OPC UA server: its requests, each with a deadline, and its failures in a technician's words.

Rules of this file:

* A connection that is lost stays lost. Each `open` makes a new client: one that was disconnected cannot be used again.
* Every request has a deadline of its own, so that a server that neither answers nor closes is noticed.
* Whatever breaks the link is a `LinkError`; whatever the server says about one node is in that node's answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from asyncua import ua
from asyncua.client.client import Client
from asyncua.client.ua_session import UaSession
from asyncua.ua import ua_binary
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from drivers.contract import LinkError
from drivers.opcua.certificates import OwnCertificate, Pins, own_certificate
from drivers.opcua.fastpath import DECODING_ERRORS, KeptRead, encoded_token, results_begin, values_of
from drivers.opcua.faults import link_error
from drivers.opcua.plan import batches
from drivers.opcua.security import NO_POLICY, Access, Choice, choose, expiry_warnings, log_in, offers_of, secure

_log = logging.getLogger("skidlink.drivers.opcua")
logging.getLogger("asyncua").setLevel(logging.WARNING)
logging.getLogger("asyncua.client").setLevel(logging.CRITICAL)  # its warnings and errors reach us as exceptions too

SESSION_TIMEOUT_S = 60.0
"""After this long without a request the server may drop the session: what we ask for, the server decides."""
CHANNEL_LIFETIME_S = 3600.0
"""How long the keys of the secure channel may be used: what we ask for, the server decides."""
_RENEW_AFTER = 0.75
"""Part of its lifetime after which the secure channel is renewed: OPC 10000-4 5.6.2.1."""
_PROBES_PER_SESSION_TIMEOUT = 3
_MOST_IN_FLIGHT = 16
"""Requests that may wait for their answers together: small servers queue few."""
_INNER_PARTS = ("_connection", "_request_handle", "_request_id", "_callbackmap")
"""What `Link._send` needs of asyncua's protocol beside what it shows; checked at each connect."""
_GOODBYE_S = 1.0
"""How long the server may take to let the session go."""

_binary: Any = ua_binary
"""Untyped, as it reads from streams of unknown kinds too."""
_PINS = Pins()

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")

_WHOLE = 0xFFFF_FFFF
"""Remaining path index of a browse path that was followed to its end: OPC 10000-4 5.9.4.2."""
_TOO_MUCH = frozenset(
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

_LIMIT_NODES: dict[Operation, int] = {
    "read": ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    "write": ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite,
    "browse": ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
    "translate": ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
    "monitor": ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
}


@dataclass(frozen=True, slots=True)
class Reference:
    """One reference of a node that was browsed: where it leads, and the browse name there if it was asked for."""

    node: ua.NodeId
    namespace: int
    name: str
    node_class: int
    """0 where it was not asked for."""


class TooMuchAtOnce(Exception):  # noqa: N818 - it asks for smaller requests; nothing is wrong
    """The server takes fewer operations in one request; `Link.limits` knows how many."""


class Link:
    """A session that is opened and closed any number of times."""

    def __init__(self, endpoint: str, timeout_s: float, access: Access | None = None) -> None:
        self.endpoint = endpoint
        self._access = access or Access()
        self._own: OwnCertificate | None = None
        """Our certificate, as far as the server has asked for one."""
        self._warned: set[str] = set()
        self.limits = Limits()
        self.namespaces: Sequence[str] = ()
        """The server's namespace URIs by index, as they were at the last `open`."""
        self.timeout_s = timeout_s
        self._client: Client | None = None
        self._upkeep: asyncio.Task[None] | None = None
        self._lost: LinkError | None = None
        """What the upkeep found; the next request raises it."""
        self.sends_kept = False
        """Whether `exchange` works with the asyncua that is installed."""
        self._token = b""
        """The session's authentication token, encoded."""
        self._in_flight = asyncio.Semaphore(_MOST_IN_FLIGHT)

    async def open(self) -> None:
        """Connect, and learn what holds as long as the session: namespaces and limits. Raises `LinkError`."""
        await self.close()
        self._lost = None
        self.limits = Limits()
        choice = await self._choose()
        self._client = client = self._new_client()
        try:
            async with self._deadline("connecting"):
                # The steps of `Client.connect`, without its background tasks: to reconnect is our caller's work.
                if choice.secured and self._own is not None:
                    await secure(client, self.endpoint, choice, self._own, _PINS)
                await client.connect_socket()
                await client.send_hello()
                await client.open_secure_channel()
                await client.create_session()
                await log_in(client, self.endpoint, self._access, choice, _PINS)
            self._token = encoded_token(client.uaclient.session.authentication_token)
            self.sends_kept = self._knows_inner_parts()
            await self.learn_server()
        except BaseException:
            await self.close()
            raise
        self._upkeep = asyncio.create_task(self._keep(client), name=f"upkeep of {self.endpoint}")

    async def _choose(self) -> Choice:
        """Ask the server what security it offers, and choose; make our certificate if it is the first time."""
        if self._access.security == "none":
            return Choice(NO_POLICY, ua.MessageSecurityMode.None_, b"")
        self._client = client = self._new_client()
        try:
            async with self._deadline("connecting"):
                await client.connect_socket()
                await client.send_hello()
                await client.open_secure_channel()
                offers = offers_of(await client.get_endpoints())
        finally:
            await self.close()
        try:
            choice = choose(offers, self._access, seen_secured=_PINS.known(self.endpoint) is not None)
        except ValueError as error:
            raise LinkError(f"{self.endpoint}: {error}") from None
        self._own = await asyncio.to_thread(own_certificate) if choice.secured else None
        for warning in expiry_warnings(self._own, choice):
            if warning not in self._warned:
                self._warned.add(warning)
                _log.warning("%s: %s", self.endpoint, warning)
        if self._own is not None and self._own.new:
            _log.warning("%s: a client certificate was made: %s", self.endpoint, self._own.advice)
        return choice

    def _knows_inner_parts(self) -> bool:
        """Whether this asyncua is inside as `_send` needs it; if not, all requests go its own way."""
        missing = [name for name in _INNER_PARTS if not hasattr(self._protocol, name)]
        if missing and "asyncua" not in self._warned:
            self._warned.add("asyncua")
            _log.warning("%s: this version of asyncua has no %s: reading is slower", self.endpoint, ", ".join(missing))
        return not missing

    def _new_client(self) -> Client:
        client = Client(self.endpoint, timeout=self.timeout_s)
        client.name = client.description = "Skidlink"
        client.session_timeout = int(SESSION_TIMEOUT_S * 1000)
        client.secure_channel_timeout = int(CHANNEL_LIFETIME_S * 1000)
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
                async with asyncio.timeout(min(self.timeout_s, _GOODBYE_S)):
                    await client.close_session()
                    await client.close_secure_channel()
        except (OSError, *DECODING_ERRORS) as error:
            _log.debug("%s: the server did not answer the goodbye: %r", self.endpoint, error)
        finally:
            client.disconnect_socket()
            if transport is not None:
                transport.abort()  # else what a black hole has not taken keeps the socket open
        await asyncio.sleep(0)  # the transport closes its socket in the loop's next turn

    async def read(
        self,
        nodes: Sequence[ua.ReadValueId],
        timestamps: ua.TimestampsToReturn = ua.TimestampsToReturn.Neither,
        timeout_s: float | None = None,
    ) -> list[ua.DataValue]:
        """Read attributes. A node whose answer cannot be decoded gets the status BadDecodingError.

        Raises `LinkError`.
        """

        async def request(batch: Sequence[ua.ReadValueId]) -> list[ua.DataValue]:
            wanted: Any = ua.ReadRequest()
            wanted.Parameters = ua.ReadParameters(TimestampsToReturn=timestamps, NodesToRead=list(batch))
            return values_of(bytes(await self._protocol.send_request(wanted, self.timeout_s)))

        async with self._deadline("reading", timeout_s):
            return await self._in_batches("read", nodes, request)

    async def exchange(self, requests: Sequence[KeptRead], timeout_s: float) -> list[bytes]:
        """Send kept requests, all in flight together, and give the bytes of their answers, none of them an error.

        Raises `TooMuchAtOnce`, with `limits` lowered, when the server takes fewer operations in a request than these
        have; else `LinkError`.
        """

        async def attempt(kept: KeptRead) -> bytes:
            async with self._in_flight:
                body = bytes(await self._send(kept))
            try:
                results_begin(body)
            except ua.UaStatusCodeError as error:
                if error.code not in _TOO_MUCH or kept.count == 1:
                    raise
                self._lower("read", kept.count)
                raise TooMuchAtOnce from error
            return body

        async with self._deadline("reading", timeout_s):
            if len(requests) == 1:
                return [await attempt(requests[0])]
            return await _together([attempt(kept) for kept in requests])

    async def write(self, values: Sequence[ua.WriteValue]) -> list[ua.StatusCode]:
        """Write attributes, one request after another so that their order holds. Raises `LinkError`."""

        async def request(batch: Sequence[ua.WriteValue]) -> list[ua.StatusCode]:
            return await self._session.write(ua.WriteParameters(list(batch)))

        async with self._deadline("writing"):
            answers: list[ua.StatusCode] = []
            while len(answers) < len(values):
                size = self.limits.write or len(values)
                answers += await self._in_batches("write", values[len(answers) :][:size], request)
            return answers

    async def translate(self, paths: Sequence[ua.BrowsePath]) -> list[ua.NodeId | None]:
        """Find the node at the end of each browse path; None where it leads nowhere. Raises `LinkError`."""

        async def request(batch: Sequence[ua.BrowsePath]) -> list[ua.NodeId | None]:
            answers: list[Any] = await self._session.translate_browsepaths_to_nodeids(list(batch))
            return [
                next((target.TargetId for target in answer.Targets or () if target.RemainingPathIndex == _WHOLE), None)
                for answer in answers
            ]

        async with self._deadline("looking up nodes"):
            return await self._in_batches("translate", paths, request)

    async def browse(self, nodes: Sequence[ua.BrowseDescription]) -> list[list[Reference]]:
        """The references of each node, all of them; none where the server refuses. Raises `LinkError`."""

        async def request(batch: Sequence[ua.BrowseDescription]) -> list[list[Reference]]:
            session = self._session
            found: list[list[Reference]] = [[] for _ in batch]
            answers: list[Any] = await session.browse(ua.BrowseParameters(NodesToBrowse=list(batch)))
            places: Sequence[int] = range(len(batch))
            while places:
                rest: dict[int, ua.ByteString] = {}
                for place, answer in zip(places, answers, strict=True):
                    found[place] += [_reference(reference) for reference in answer.References or ()]
                    if answer.ContinuationPoint:
                        rest[place] = answer.ContinuationPoint
                places = list(rest)
                if rest:
                    points = ua.BrowseNextParameters(ContinuationPoints=list(rest.values()))
                    answers = await session.browse_next(points)
            return found

        async with self._deadline("browsing"):
            return await self._in_batches("browse", nodes, request)

    def broken(self, doing: str, error: Exception) -> LinkError:
        """What an error while `doing` means to the caller of this link."""
        return link_error(self.endpoint, doing, error, self.timeout_s, self._about_certificate)

    @property
    def _about_certificate(self) -> str:
        return "" if self._own is None else self._own.advice

    async def subscribe(self, wanted: ua.CreateSubscriptionParameters) -> Any:
        """Create a subscription, and say what the server has made of it. Raises `LinkError`.

        It is asked for its notifications by `publish`: asyncua's own loop would decode each value by itself.
        """
        request: Any = ua.CreateSubscriptionRequest()
        request.Parameters = wanted
        async with self._deadline("subscribing"):
            body = await self._protocol.send_request(request, self.timeout_s)
            answer = _binary.struct_from_binary(ua.CreateSubscriptionResponse, body)
            answer.ResponseHeader.ServiceResult.check()
            return answer.Parameters

    async def monitor(
        self,
        subscription: int,
        items: Sequence[ua.MonitoredItemCreateRequest],
        timestamps: ua.TimestampsToReturn,
    ) -> list[Any]:
        """Add items to a subscription; say what the server has made of each. Raises `LinkError`."""

        async def request(batch: Sequence[ua.MonitoredItemCreateRequest]) -> list[Any]:
            wanted = ua.CreateMonitoredItemsParameters(
                SubscriptionId=ua.IntegerId(subscription),
                TimestampsToReturn=timestamps,
                ItemsToCreate=list(batch),
            )
            return list(await self._session.create_monitored_items(wanted))

        async with self._deadline("subscribing"):
            return await self._in_batches("monitor", items, request)

    async def publish(self, acknowledged: Sequence[ua.SubscriptionAcknowledgement]) -> bytes:
        """Wait for the next notification of any subscription, however long it takes: its bytes.

        Raises what asyncua raises, as it is.
        """
        request: Any = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements = list(acknowledged)
        return bytes(await self._protocol.send_request(request, 0))

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
            async with asyncio.timeout(seconds):
                yield
        except (OSError, *DECODING_ERRORS) as error:
            raise link_error(self.endpoint, doing, error, seconds, self._about_certificate) from error

    async def _in_batches(
        self,
        operation: Operation,
        items: Sequence[_Item],
        request: Callable[[Sequence[_Item]], Awaitable[list[_Answer]]],
    ) -> list[_Answer]:
        """Send as many requests as the server's limit asks for, all in flight together.

        A server may take less than it says (or say nothing): a request that it finds too large is sent in halves, and
        that limit is kept until the next `open`.
        """

        async def attempt(batch: Sequence[_Item]) -> list[_Answer]:
            try:
                answers = await request(batch)
            except ua.UaStatusCodeError as error:
                if error.code not in _TOO_MUCH or len(batch) == 1:
                    raise
                half = self._lower(operation, len(batch))
                return await attempt(batch[:half]) + await attempt(batch[half:])
            if len(answers) != len(batch):
                raise ua.UaError(f"{len(batch)} operations, but {len(answers)} answers")
            return answers

        parts = list(batches(len(items), getattr(self.limits, operation)))
        if len(parts) == 1:
            return await attempt(items)

        async def in_turn(batch: Sequence[_Item]) -> list[_Answer]:
            async with self._in_flight:
                return await attempt(batch)

        answers = await _together([in_turn(items[part]) for part in parts])
        return [answer for part in answers for answer in part]

    def _lower(self, operation: Operation, refused: int) -> int:
        """Halve what one request may hold, as the server has refused so many; return the half."""
        half = (refused + 1) // 2
        known = getattr(self.limits, operation)
        self.limits = replace(self.limits, **{operation: min(half, known) if known else half})
        return half

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

    async def learn_server(self) -> None:
        """Ask for what holds for the server as a whole. Raises `LinkError`."""
        wanted = [ObjectIds.Server_NamespaceArray, *_LIMIT_NODES.values()]
        answers: list[Any] = await self.read([value_of(standard_node(node)) for node in wanted])
        namespaces, *limits = [None if answer.Value is None else answer.Value.Value for answer in answers]
        self.namespaces = namespaces or ()
        self.limits = Limits(**{name: limit or 0 for name, limit in zip(_LIMIT_NODES, limits, strict=True)})

    async def _keep(self, client: Any) -> None:
        """Keep session and secure channel alive through long pauses between requests."""
        pause = max(client.session_timeout / 1000 / _PROBES_PER_SESSION_TIMEOUT, 0.1)
        renewal = time.monotonic() + client.secure_channel_timeout / 1000 * _RENEW_AFTER
        while self._lost is None:
            await asyncio.sleep(min(pause, max(renewal - time.monotonic(), 0)))
            try:
                async with self._deadline("keeping the session alive"):
                    await self._session.read(ua.ReadParameters(NodesToRead=[SERVER_STATE]))
                    if time.monotonic() >= renewal:
                        await client.open_secure_channel(renew=True)
                        client.uaclient.revolve_security_token()
                        renewal = time.monotonic() + client.secure_channel_timeout / 1000 * _RENEW_AFTER
            except LinkError as error:
                self._lost = error


def standard_node(identifier: int) -> ua.NodeId:
    """A node of the base namespace, which every server has."""
    return make_node_id(identifier, 0, ua.NodeIdType.Numeric)


def make_node_id(identifier: Any, namespace: int, form: ua.NodeIdType) -> ua.NodeId:
    """asyncua's node id from plain values."""
    return ua.NodeId(identifier, ua.Int16(namespace), form)


def node_text(operation: Any) -> str:
    """The node id of a read or write operation, as the author may write it."""
    return operation.NodeId.to_string()


def value_of(node: ua.NodeId, attribute: AttributeIds = AttributeIds.Value) -> ua.ReadValueId:
    """What to read: an attribute of a node, its value if nothing else is said."""
    return ua.ReadValueId(node, ua.IntegerId(attribute))


async def _together(work: Sequence[Coroutine[Any, Any, _Answer]]) -> list[_Answer]:
    """Run all at once; the first that fails ends the others, and its error is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(part) for part in work]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]


def _reference(found: Any) -> Reference:
    return Reference(found.NodeId, found.BrowseName.NamespaceIndex, found.BrowseName.Name or "", int(found.NodeClass))


SERVER_STATE = value_of(standard_node(ObjectIds.Server_ServerStatus_State))
