"""Addresses to nodes of the server as it is now, and what these nodes hold.

Namespace indices, and with them node ids, may change whenever a PLC program is downloaded; so all of this is asked anew
at each connect.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds
from asyncua.ua.status_codes import StatusCodes

from drivers.opcua.address import Address, BrowsePath, Identifier, Namespace, Step
from drivers.opcua.codec import Type
from drivers.opcua.decoding import whole_number
from drivers.opcua.link import Link
from drivers.opcua.node_ids import make_node_id, qualified_name, standard_node, value_of

MISSING = (
    "the server has no such node: correct it (the log says what is near), or ask the PLC's programmer whether it is "
    "published over OPC UA"
)
UNKNOWN_AT_ITS_PATH = (
    "the server finds the node by its path, but says BadNodeIdUnknown when it is read: it is asked for again; if that "
    "does not help, restart the server, or name the node by its id"
)
NO_NAMESPACE = "the server has no such namespace: the log says which it has"
NO_VARIABLE = "the node is an object or a method and has no value: name a variable below it"

_ROOT = standard_node(ObjectIds.RootFolder)
_OBJECTS = standard_node(ObjectIds.ObjectsFolder)
_FOLDERS = 20
_CHILDREN = 500
"""So many folders are browsed at most where nodes are missing, and so many nodes in each: it takes time."""
_HIERARCHICAL = standard_node(ObjectIds.HierarchicalReferences)
_HAS_SUBTYPE = standard_node(ObjectIds.HasSubtype)
_NODE_UNKNOWN = frozenset((StatusCodes.BadNodeIdUnknown, StatusCodes.BadNodeIdInvalid))
_DEEPEST_TYPE = 16
"""Levels of subtypes after which a server's type tree is taken for a loop."""
_BUILT_IN: dict[object, Type | None] = {
    **{member.value: member for member in Type if member is not Type.Null and member is not Type.Variant},
    ObjectIds.Enumeration: Type.Int32,
    **dict.fromkeys((ObjectIds.BaseDataType, ObjectIds.Number, ObjectIds.Integer, ObjectIds.UInteger), None),
}
"""Identifier of a data type in namespace 0 -> its built-in type, None where it is abstract: OPC 10000-6 5.1.2."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the server, and what it holds."""

    id: ua.NodeId
    sends: Type | None
    """The built-in type of the values that it sends; None where the server does not tell."""
    takes: Type | None
    """The built-in type of the values that it takes."""
    is_array: bool | None
    """None where the server leaves it open."""


@dataclass(frozen=True, slots=True)
class Absent:
    """Why an address leads to no node."""

    reason: str


async def find_nodes(link: Link, addresses: Sequence[Address]) -> list[Node | Absent]:
    """Find and learn the node of each address. Raises `LinkError`."""
    located = await locate(link, addresses)
    ids = {place: found for place, found in enumerate(located) if not isinstance(found, Absent)}
    learned = dict(zip(ids, await _learn(link, list(ids.values())), strict=True))
    for place, node in learned.items():
        if isinstance(addresses[place], BrowsePath) and node == Absent(MISSING):
            learned[place] = Absent(UNKNOWN_AT_ITS_PATH)
    return [found if isinstance(found, Absent) else learned[place] for place, found in enumerate(located)]


async def browse_around(link: Link, missing: Sequence[Address]) -> None:
    """Browse where nodes may be that are missing: some gateways know a node only once its folder has been browsed.

    That is the folders below Objects, and the parents of browse paths. Raises `LinkError`.
    """
    parents = [address.steps[:-1] for address in missing if isinstance(address, BrowsePath)]
    folders = [node for node in await follow(link, list(dict.fromkeys(parents))[:_FOLDERS]) if node is not None]
    (found,) = await link.glance([_folders_of(_OBJECTS)], _FOLDERS)
    below = [reference.node for reference in found]
    await link.glance([_folders_of(node) for node in dict.fromkeys(folders + below[:_FOLDERS])], _CHILDREN)


async def locate(link: Link, addresses: Sequence[Address]) -> list[ua.NodeId | Absent]:
    """The node id of each address; that of a node id is not looked up. Raises `LinkError`."""
    located: list[ua.NodeId | Absent] = []
    paths: dict[int, BrowsePath] = {}
    for place, address in enumerate(addresses):
        if any(_index_of(link, namespace) is None for namespace in _namespaces(address)):
            located.append(Absent(NO_NAMESPACE))
        elif isinstance(address, Identifier):
            located.append(make_node_id(address.value, _index_of(link, address.namespace) or 0, address.type))
        else:
            located.append(Absent(MISSING))
            paths[place] = address
    for place, found in zip(paths, await follow(link, [path.steps for path in paths.values()]), strict=True):
        if found is not None:
            located[place] = found
    return located


async def follow(link: Link, paths: Sequence[Sequence[Step]]) -> list[ua.NodeId | None]:
    """Follow each path from the root folder; None where it leads nowhere. Raises `LinkError`."""
    if not paths:
        return []
    return await link.translate([ua.BrowsePath(_ROOT, _relative_path(link, steps)) for steps in paths])


def _relative_path(link: Link, steps: Sequence[Step]) -> ua.RelativePath:
    elements: list[Any] = [
        ua.RelativePathElement(
            _HIERARCHICAL, TargetName=qualified_name(step.name, _index_of(link, step.namespace) or 0)
        )
        for step in steps
    ]
    for element in elements:
        element.IsInverse = False
    return ua.RelativePath(elements)


def _namespaces(address: Address) -> set[Namespace]:
    return {address.namespace} if isinstance(address, Identifier) else {step.namespace for step in address.steps}


def _index_of(link: Link, namespace: Namespace) -> int | None:
    """The index that a namespace has on the server now; None where it has no such URI."""
    if isinstance(namespace, int):
        return namespace
    return link.namespaces.index(namespace) if namespace in link.namespaces else None


async def _learn(link: Link, ids: Sequence[ua.NodeId]) -> list[Node | Absent]:
    """Learn types by the values that the nodes hold, which is what is decoded; else by their data type."""
    wanted = (AttributeIds.Value, AttributeIds.DataType, AttributeIds.ValueRank)
    answers = await link.read([value_of(node, attribute) for attribute in wanted for node in ids]) if ids else []
    count = len(ids)
    values, ranks = answers[:count], answers[2 * count :]
    types = await built_in_types(link, [data_type_of(answer) for answer in answers[count : 2 * count]])
    found: list[Node | Absent] = []
    for node, value, takes, rank in zip(ids, values, types, ranks, strict=True):
        status = 0 if value.StatusCode is None else value.StatusCode.value
        if status in _NODE_UNKNOWN:
            found.append(Absent(MISSING))
        elif status == StatusCodes.BadAttributeIdInvalid:
            found.append(Absent(NO_VARIABLE))
        elif value.Value is not None and value.Value.VariantType is not Type.Null:
            sends = value.Value.VariantType
            found.append(Node(node, sends, takes or sends, bool(value.Value.is_array)))
        else:
            found.append(Node(node, takes, takes, _is_array(rank)))
    return found


async def built_in_types(link: Link, data_types: Sequence[ua.NodeId | None]) -> list[Type | None]:
    """The built-in type by which values of each data type are encoded; None for the abstract and the unknown.

    A type that is none itself is followed to its supertypes, all of them a level at a time: OPC 10000-6 5.1.2.
    """
    ancestors: dict[ua.NodeId, ua.NodeId] = {named: named for named in data_types if named is not None}
    found: dict[ua.NodeId, Type | None] = {}
    for _ in range(_DEEPEST_TYPE):
        for data_type, ancestor in ancestors.items():
            if ancestor.NamespaceIndex == 0 and ancestor.Identifier in _BUILT_IN:
                found[data_type] = _BUILT_IN[ancestor.Identifier]
        ancestors = {data_type: ancestor for data_type, ancestor in ancestors.items() if data_type not in found}
        if not ancestors:
            break
        above = await link.browse([_supertype_of(ancestor) for ancestor in ancestors.values()])
        ancestors = {
            data_type: references[0].node for data_type, references in zip(ancestors, above, strict=True) if references
        }
    return [None if data_type is None else found.get(data_type) for data_type in data_types]


def _folders_of(node: ua.NodeId) -> ua.BrowseDescription:
    return ua.BrowseDescription(
        NodeId=node,
        BrowseDirection=ua.BrowseDirection.Forward,
        ReferenceTypeId=_HIERARCHICAL,
        IncludeSubtypes=True,
        ResultMask=ua.UInt32(ua.BrowseResultMask.None_),
    )


def _supertype_of(data_type: ua.NodeId) -> ua.BrowseDescription:
    return ua.BrowseDescription(
        NodeId=data_type,
        BrowseDirection=ua.BrowseDirection.Inverse,
        ReferenceTypeId=_HAS_SUBTYPE,
        IncludeSubtypes=False,
        ResultMask=ua.UInt32(ua.BrowseResultMask.None_),
    )


def _is_array(rank: ua.DataValue) -> bool | None:
    """What a value rank says of the shape: OPC 10000-3 5.6.2."""
    found = whole_number(rank)
    return None if found is None or found in {ua.ValueRank.Any, ua.ValueRank.ScalarOrOneDimension} else found >= 0


def data_type_of(answer: ua.DataValue) -> ua.NodeId | None:
    """The data type in the answer to a read of that attribute."""
    found = None if answer.Value is None else answer.Value.Value
    return found if isinstance(found, ua.NodeId) else None
