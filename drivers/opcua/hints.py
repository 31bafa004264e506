"""What to tell an author whose node is not there: the closest parent, its children, the nearest spelling."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds

from drivers.opcua.address import Address, BrowsePath, Identifier, Step
from drivers.opcua.link import Link
from drivers.opcua.node_ids import standard_node
from drivers.opcua.nodes import follow

_SHOWN = 20
"""How many children or namespaces a hint lists."""
_HIERARCHICAL = standard_node(ObjectIds.HierarchicalReferences)
_ROOT = standard_node(ObjectIds.RootFolder)


async def hints(link: Link, missing: Sequence[Address]) -> list[str]:
    """Say of each address what the server has in its place. Raises `LinkError`."""
    paths = [address for address in missing if isinstance(address, BrowsePath)]
    parents = await _closest_parents(link, paths)
    children = dict(zip(parents, await _children(link, [node for node, _ in parents.values()]), strict=True))
    return [
        _about_path(address, parents[address.text][1], children[address.text])
        if isinstance(address, BrowsePath) and address.text in parents
        else _about_namespace(link, address)
        for address in missing
    ]


async def _closest_parents(link: Link, paths: Sequence[BrowsePath]) -> dict[str, tuple[ua.NodeId, int]]:
    """Text of a path -> the last node on it that is there, and how many steps lead to it."""
    beginnings = [(path, count) for path in paths for count in range(1, len(path.steps))]
    followed = await follow(link, [path.steps[:count] for path, count in beginnings])
    found: dict[str, tuple[ua.NodeId, int]] = {path.text: (_ROOT, 0) for path in paths}
    for (path, count), node in zip(beginnings, followed, strict=True):
        if node is not None:
            found[path.text] = (node, count)
    return found


async def _children(link: Link, nodes: Sequence[ua.NodeId]) -> list[list[Step]]:
    wanted = [
        ua.BrowseDescription(
            NodeId=node,
            BrowseDirection=ua.BrowseDirection.Forward,
            ReferenceTypeId=_HIERARCHICAL,
            IncludeSubtypes=True,
            ResultMask=ua.UInt32(ua.BrowseResultMask.BrowseName),
        )
        for node in nodes
    ]
    return [
        [Step(reference.namespace, reference.name) for reference in references]
        for references in (await link.browse(wanted) if wanted else [])
    ]


def _about_path(path: BrowsePath, depth: int, children: Sequence[Step]) -> str:
    parent = "/".join(map(str, path.steps[:depth])) or "the root folder"
    lost = path.steps[depth]
    names = [str(child) for child in children]
    if not names:
        return f"{path.text}: {parent} is there, but has nothing below it"
    same_name = [str(child) for child in children if child.name == lost.name]
    by_name = {child.name.casefold(): str(child) for child in children}
    near = same_name or [by_name[name] for name in difflib.get_close_matches(lost.name.casefold(), by_name, 1)]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (
        f"{path.text}: {parent} is there, but has no {str(lost)!r}; "
        f"{f'did you mean {near[0]!r}? It' if near else 'it'} has {', '.join(names[:_SHOWN])}{more}"
    )


def _about_namespace(link: Link, address: Address) -> str:
    namespaces = [address.namespace] if isinstance(address, Identifier) else [step.namespace for step in address.steps]
    unknown = [uri for uri in namespaces if isinstance(uri, str) and uri not in link.namespaces]
    known = ", ".join(f"{index}: {uri}" for index, uri in enumerate(link.namespaces[:_SHOWN]))
    if not unknown:
        found = "no node has this id"
        if address.text != address.text.rstrip():
            found += ", with the blank at its end (delete it, if it is not meant)"
        return f"{address.text}: {found}; the server's namespaces are {known}"
    near = difflib.get_close_matches(unknown[0], link.namespaces, 1)
    return (
        f"{address.text}: the server has no namespace {unknown[0]!r}; "
        f"{f'did you mean {near[0]!r}? It' if near else 'it'} has {known}"
    )
