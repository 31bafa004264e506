"""The skid's OPC UA server, a process of its own."""

# asyncua names its own types for plain ints, strings and datetimes, and takes the plain ones everywhere.
# pyright: reportArgumentType=false, reportPrivateImportUsage=false, reportUnknownMemberType=false
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from __future__ import annotations

import gc
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import AttributeService

from uod_examples.skid.channel import Channel, WriteRefusedError, main
from uod_examples.skid.model import Value
from uod_examples.skid.nodes import FOLDER, NAMESPACE, NODES, SkidNode

log = logging.getLogger("skidlink.skid.opcua")

_ADMIN = User(role=UserRole.Admin)


class _Attributes(AttributeService):
    """asyncua's attribute service, but that a client's write to a node of the skid goes to the skid."""

    def __init__(self, skid: OpcUaSkidServer, channel: Channel, space: Any) -> None:
        super().__init__(space)
        self._skid = skid
        self._channel = channel

    async def write(self, params: ua.WriteParameters, user: User = _ADMIN) -> list[ua.StatusCode]:
        """Write node by node. The server itself is an admin and writes to its nodes as usual."""
        if user.role is UserRole.Admin:
            return await super().write(params, user)
        outcome: list[ua.StatusCode] = []
        for wanted in params.NodesToWrite:
            node = self._skid.by_id.get(wanted.NodeId)
            if node is not None and wanted.AttributeId == ua.AttributeIds.Value:
                outcome.append(ua.StatusCode(await self._set(node, wanted.Value.Value)))
            else:
                outcome += await super().write(ua.WriteParameters(NodesToWrite=[wanted]), user)
        return outcome

    async def _set(self, node: SkidNode, variant: ua.Variant | None) -> int:
        """Hand a value to the skid; the status code says how that went."""
        if node.name in self._skid.faults:
            return self._skid.faults[node.name]
        if not node.writable:
            return ua.StatusCodes.BadNotWritable
        if variant is None or variant.is_array or variant.VariantType != ua.VariantType[node.type]:
            return ua.StatusCodes.BadTypeMismatch
        try:
            await self._channel.write({node.name: variant.Value})
        except WriteRefusedError as error:
            log.info("write to %s refused: %s", node.name, error)
            return ua.StatusCodes.BadOutOfRange
        except TimeoutError:
            return ua.StatusCodes.BadNoCommunication
        return ua.StatusCodes.Good


class OpcUaSkidServer:
    """The skid on OPC UA. Its address space is built when it first holds values."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._server = Server()
        self._values: Mapping[str, Value] = {}
        self._time = datetime.now(UTC)
        self.by_id: dict[ua.NodeId, SkidNode] = {}
        self.faults: dict[str, int] = {}
        """node -> status code that it shows instead of its value"""

    async def start(self) -> int:
        server = self._server
        gc.disable()  # it would walk the thousands of nodes of the standard again and again while they are made
        try:
            await server.init()
        finally:
            gc.enable()
        server.set_server_name("Skidlink simulated skid")
        server.set_endpoint("opc.tcp://127.0.0.1:0")
        server.set_match_discovery_endpoint_url(True)  # clients come through a proxy, by another port
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        server.set_identity_tokens([ua.AnonymousIdentityToken])
        index = await server.register_namespace(NAMESPACE)
        folder = await server.nodes.objects.add_object(ua.NodeId(FOLDER, index), ua.QualifiedName(FOLDER, index))
        for node in NODES:
            kind = ua.VariantType[node.type]
            node_id = ua.NodeId(node.name, index)
            blank = ua.get_default_value(kind)
            variable = await folder.add_variable(
                node_id, ua.QualifiedName(node.name, index), blank, kind, ua.NodeId(kind.value)
            )
            if node.writable:
                await variable.set_writable()
            self.by_id[node_id] = node
        server.iserver.attribute_service = _Attributes(self, self._channel, server.iserver.aspace)
        await server.start()
        assert server.bserver is not None  # noqa: S101 - it has just been started
        return int(server.bserver.port)

    async def hold(self, values: Mapping[str, Value], time: float) -> None:
        self._values = values
        self._time = datetime.fromtimestamp(time, UTC)
        await self._show()

    async def fail(self, **what: Any) -> None:
        """Show a status code, such as "BadSensorFailure", in place of a node's value, and answer writes with it."""
        name, status = str(what["name"]), str(what["status"])
        code = getattr(ua.StatusCodes, status, None)
        if not isinstance(code, int):
            raise ValueError(f"OPC UA has no status code {status!r}")  # noqa: TRY004 - its name is wrong, not its type
        if all(node.name != name for node in NODES):
            raise ValueError(f"the skid has no node {name!r}; it has {', '.join(node.name for node in NODES)}")
        self.faults[name] = code
        await self._show()

    async def heal(self) -> None:
        self.faults.clear()
        await self._show()

    async def _show(self) -> None:
        """Bring all nodes up to date: what subscriptions report and what reads find."""
        for node_id, node in self.by_id.items():
            variant = ua.Variant(node.raw(self._values), ua.VariantType[node.type])
            status = ua.StatusCode(self.faults.get(node.name, ua.StatusCodes.Good))
            shown = ua.DataValue(variant, status, SourceTimestamp=self._time, ServerTimestamp=self._time)
            await self._server.write_attribute_value(node_id, shown)


if __name__ == "__main__":
    main(OpcUaSkidServer)
