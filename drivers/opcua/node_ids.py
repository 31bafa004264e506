"""Short ways to asyncua's node ids, and to what is asked of a node: no I/O in this file."""

from __future__ import annotations

from typing import Any

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds


def standard_node(identifier: int) -> ua.NodeId:
    """A node of the base namespace, which every server has."""
    return make_node_id(identifier, 0, ua.NodeIdType.Numeric)


def make_node_id(identifier: Any, namespace: int, form: ua.NodeIdType) -> ua.NodeId:
    """asyncua's node id from plain values."""
    return ua.NodeId(identifier, ua.Int16(namespace), form)


def qualified_name(name: str, namespace: int) -> ua.QualifiedName:
    """A name in a namespace, to be sent: asyncua encodes the index as a signed number, which has the same bits."""
    return ua.QualifiedName(name, ua.Int16(namespace - 0x1_0000 if namespace > 0x7FFF else namespace))


def node_text(operation: Any) -> str:
    """The node id of a read or write operation, as the author may write it."""
    return operation.NodeId.to_string()


def key_of(operation: Any) -> tuple[ua.NodeId, int]:
    """What a read operation asks for: which attribute of which node."""
    return operation.NodeId, int(operation.AttributeId)


def value_of(node: ua.NodeId, attribute: AttributeIds = AttributeIds.Value) -> ua.ReadValueId:
    """What to read: an attribute of a node, its value if nothing else is said."""
    return ua.ReadValueId(node, ua.IntegerId(attribute))


SERVER_STATE = value_of(standard_node(ObjectIds.Server_ServerStatus_State))
