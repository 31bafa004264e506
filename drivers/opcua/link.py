"""What is asked of an OPC UA server in a session, each request with a deadline, split by the limits of the server."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from asyncua import ua
from asyncua.ua import ua_binary
from asyncua.ua.object_ids import ObjectIds

from drivers.opcua.batching import Limits, Operation
from drivers.opcua.browsing import Browsing
from drivers.opcua.decoding import elements_of, whole_number
from drivers.opcua.node_ids import standard_node, value_of
from drivers.opcua.security import Access
from drivers.opcua.session import Probing

_binary: Any = ua_binary
"""Untyped, as it reads from streams of unknown kinds too."""

_WHOLE = 0xFFFF_FFFF
"""Remaining path index of a browse path that was followed to its end: OPC 10000-4 5.9.4.2."""

_LIMIT_NODES: dict[Operation, int] = {
    "read": ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    "write": ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite,
    "browse": ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
    "translate": ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerTranslateBrowsePathsToNodeIds,
    "monitor": ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
}


class Link(Browsing):
    """A session, and the requests in it."""

    def __init__(
        self, endpoint: str, timeout_s: float, access: Access | None = None, probing: Probing | None = None
    ) -> None:
        super().__init__(endpoint, timeout_s, access, probing)
        self.namespaces: Sequence[str] = ()
        """The server's namespace URIs by index, as they were at the last `open`."""

    async def open(self) -> None:
        """Connect, and learn what holds as long as the session: namespaces and limits. Raises `LinkError`."""
        self.limits = Limits()
        await super().open()
        try:
            await self.learn_server()
        except BaseException:
            await self.close()
            raise

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
        body = bytes(await self._protocol.send_request(request, 0))
        self._heard = time.monotonic()
        return body

    async def unsubscribe(self, subscriptions: Sequence[int]) -> None:
        """Have the server drop subscriptions; one that it does not know is as good as dropped. Raises `LinkError`."""
        request: Any = ua.DeleteSubscriptionsRequest()
        request.Parameters.SubscriptionIds = list(subscriptions)
        async with self._deadline("subscribing"):
            await self._protocol.send_request(request, self.timeout_s)

    async def learn_namespaces(self) -> None:
        """Ask for the server's namespaces, which a PLC download may renumber. Raises `LinkError`."""
        answers: list[Any] = await self.read([value_of(standard_node(ObjectIds.Server_NamespaceArray))])
        self.namespaces = ["" if uri is None else str(uri) for uri in elements_of(answers[0])]

    async def learn_server(self) -> None:
        """Ask for what holds for the server as a whole. Raises `LinkError`."""
        await self.learn_namespaces()
        answers: list[Any] = await self.read([value_of(standard_node(node)) for node in _LIMIT_NODES.values()])
        limits = [max(whole_number(answer) or 0, 0) for answer in answers]
        self.limits = Limits(**dict(zip(_LIMIT_NODES, limits, strict=True)))
        self._lower_to_most()
