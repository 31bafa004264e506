"""Looking at a server's nodes: the tree below one of them, with types, access and values."""

from __future__ import annotations

import asyncio
import fnmatch
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from asyncua import ua
from asyncua.ua.attribute_ids import AttributeIds
from asyncua.ua.object_ids import ObjectIds

from drivers.contract import LinkError
from drivers.opcua.address import BrowsePath, Identifier, Step, parse_address
from drivers.opcua.browsing import Reference
from drivers.opcua.codec import KINDS, as_text, status_text
from drivers.opcua.hints import hints
from drivers.opcua.link import Link
from drivers.opcua.node_ids import standard_node, value_of
from drivers.opcua.nodes import Absent, built_in_types, data_type_of, locate

_OBJECT, _VARIABLE = int(ua.NodeClass.Object), int(ua.NodeClass.Variable)
_SERVER = standard_node(ObjectIds.Server)
_HIERARCHICAL = standard_node(ObjectIds.HierarchicalReferences)
_READ, _WRITE = 1, 2
"""Bits of an access level: OPC 10000-3 8.57."""
_SHOWN_ELEMENTS = 8
_AT_ONCE = 100
"""Nodes that are asked for in one go, with a deadline of their own."""
_MOST_BREAKS = 64
"""So many lost connections are taken for the doing of single nodes."""
_TRIES = 3
_PAUSE_S = 0.5
"""Between two tries to connect again."""
_NO_TEXTS = frozenset({"true", "false", "yes", "no", "on", "off", "y", "n", "null"})
"""What YAML reads as something else than a text."""


@dataclass(slots=True)
class Entry:
    """One node."""

    node: ua.NodeId
    step: Step
    depth: int
    parent: Entry | None
    variable: bool
    type: str = ""
    """Built-in type of its values, as "Double" or "Int32[3]"; "" for an object."""
    readable: bool = False
    writable: bool = False
    """By the user who looks."""
    value: str = ""
    children: list[Entry] = field(default_factory=list["Entry"])

    @property
    def path(self) -> str:
        """The steps to it from where the browse began."""
        above = self.parent.path if self.parent else ""
        return f"{above}/{self.step}" if above else str(self.step)

    @property
    def access(self) -> str:
        """ "rw", "r", "w" or ""."""
        return ("r" if self.readable else "") + ("w" if self.writable else "")

    def walk(self) -> Iterator[Entry]:
        """It and all below it, as a tree is read."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Tree:
    """What was found."""

    root: Entry
    namespaces: Sequence[str]
    cut_off: bool
    """There are more nodes than were asked for."""
    troubles: Sequence[str] = ()
    """What could not be had, one sentence a node."""

    def node_text(self, entry: Entry) -> str:
        """The node id with the URI of its namespace, which survives a PLC download."""
        index = entry.node.NamespaceIndex
        text = entry.node.to_string()
        if index == 0 or index >= len(self.namespaces):
            return text
        return f"nsu={self.namespaces[index]};{text.partition(';')[2]}"

    def find(self, pattern: str) -> list[Entry]:
        """Entries whose name or path fits a pattern as `FT*`; without * and ?, all that hold it. Case is ignored."""
        wanted = pattern.casefold() if re.search(r"[*?\[]", pattern) else f"*{pattern.casefold()}*"
        return [
            entry
            for entry in self.root.walk()
            if fnmatch.fnmatchcase(entry.step.name.casefold(), wanted)
            or fnmatch.fnmatchcase(entry.path.casefold(), wanted)
        ]


class Explorer:
    """Browses what is below a node, slice by slice; a node that cannot be had is named and costs no other."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._reopened = 0
        self._seen: set[ua.NodeId] = set()
        self._troubles: list[str] = []
        self._cut_off = False
        self._root: Entry | None = None

    @property
    def tree(self) -> Tree | None:
        """What has been found so far; None before the first node."""
        if self._root is None:
            return None
        return Tree(self._root, self._link.namespaces, self._cut_off, tuple(self._troubles))

    @property
    def count(self) -> int:
        """How many nodes have been found so far."""
        return len(self._seen)

    def found(self) -> Tree:
        """That tree. Raises `LookupError` before `explore` has found its first node."""
        if self.tree is None:
            raise LookupError("nothing has been found yet")
        return self.tree

    async def explore(self, path: str, depth: int, limit: int) -> None:
        """Find the tree below a path or node id, level by level, at most `limit` nodes.

        Raises `ValueError` when the path leads nowhere, with what is near, and `LinkError` when the server is lost.
        """
        address = parse_address(path)
        node = (await locate(self._link, [address]))[0]
        if isinstance(node, Absent) or not await _exists(self._link, node):
            raise ValueError((await hints(self._link, [address]))[0])
        root = self._root = Entry(node, _first_step(address), 0, None, variable=False)
        self._seen = {root.node}
        level = [root]
        while level and level[0].depth < depth and not self._cut_off:
            await self._each(level, lambda entries: self._find_children(entries, limit))
            level = [child for entry in level for child in entry.children]
        await self._each([entry for entry in root.walk() if entry.variable or entry is root], self._describe)

    async def _each(self, entries: Sequence[Entry], ask: Callable[[Sequence[Entry]], Awaitable[None]]) -> None:
        for begin in range(0, len(entries), _AT_ONCE):
            await self._part(entries[begin : begin + _AT_ONCE], ask)

    async def _part(self, entries: Sequence[Entry], ask: Callable[[Sequence[Entry]], Awaitable[None]]) -> None:
        """Ask for some entries; where that breaks the connection, for their halves in a new one, and so on."""
        try:
            await ask(entries)
        except LinkError as error:
            self._reopened += 1
            if self._reopened > _MOST_BREAKS:
                raise
            await self._open_anew()
            if len(entries) == 1:
                reason = str(error).removeprefix(f"{self._link.endpoint}: ")
                self._troubles.append(f"{entries[0].path}: asked for it, the connection broke: {reason}")
                return
            half = len(entries) // 2
            await self._part(entries[:half], ask)
            await self._part(entries[half:], ask)

    async def _open_anew(self) -> None:
        for left in range(_TRIES - 1, -1, -1):
            try:
                await self._link.open()
            except LinkError:
                if not left:
                    raise
                await asyncio.sleep(_PAUSE_S)
            else:
                return

    async def _find_children(self, entries: Sequence[Entry], limit: int) -> None:
        answers = await self._link.browse_each([_children_of(entry.node) for entry in entries])
        for entry, found in zip(entries, answers, strict=True):
            if found.status:
                some = f"only {len(found.references)} nodes below it were told" if found.references else "not browsed"
                self._troubles.append(f"{entry.path}: {some}: the server says {status_text(found.status)}")
            for reference in found.references:
                if reference.node in self._seen or (entry is self._root and reference.node == _SERVER):
                    continue
                if len(self._seen) == limit:
                    self._cut_off = True
                    break
                self._seen.add(reference.node)
                entry.children.append(_entry(reference, entry))

    async def _describe(self, entries: Sequence[Entry]) -> None:
        await _describe(self._link, entries)


async def _exists(link: Link, node: ua.NodeId) -> bool:
    status = (await link.read([value_of(node, AttributeIds.BrowseName)]))[0].StatusCode
    return status is None or status.is_good()


def _first_step(address: Identifier | BrowsePath) -> Step:
    if isinstance(address, Identifier):
        return Step(0, address.text)
    *_, last = address.steps
    return Step(0, "/".join(map(str, (*address.steps[:-1], last))))


def _entry(reference: Reference, parent: Entry) -> Entry:
    step = Step(reference.namespace, reference.name)
    # One whose class is not known is looked at as a variable is: its attributes tell whether it is one.
    return Entry(reference.node, step, parent.depth + 1, parent, reference.node_class in {_VARIABLE, 0})


def _children_of(node: ua.NodeId) -> ua.BrowseDescription:
    return ua.BrowseDescription(
        NodeId=node,
        BrowseDirection=ua.BrowseDirection.Forward,
        ReferenceTypeId=_HIERARCHICAL,
        IncludeSubtypes=True,
        NodeClassMask=ua.UInt32(_OBJECT | _VARIABLE),
        ResultMask=ua.UInt32(ua.BrowseResultMask.BrowseName | ua.BrowseResultMask.NodeClass),
    )


async def _describe(link: Link, entries: Sequence[Entry]) -> None:
    """Read values, types and access of variables; whatever turns out to be none stays as it is."""
    wanted = (AttributeIds.Value, AttributeIds.DataType, AttributeIds.UserAccessLevel)
    answers: list[Any] = await link.read([value_of(entry.node, attribute) for attribute in wanted for entry in entries])
    count = len(entries)
    types = await built_in_types(link, [data_type_of(answer) for answer in answers[count : 2 * count]])
    for entry, value, declared, access in zip(entries, answers[:count], types, answers[2 * count :], strict=True):
        level = 0 if access.Value is None else access.Value.Value
        if level is None or (access.StatusCode is not None and not access.StatusCode.is_good()):
            continue
        entry.variable = True
        entry.readable, entry.writable = bool(level & _READ), bool(level & _WRITE)
        entry.type = "" if declared is None else declared.name
        if value.StatusCode is not None and not value.StatusCode.is_good():
            entry.value = status_text(value.StatusCode.value).partition(" ")[0]
        elif value.Value is not None and value.Value.VariantType is not ua.VariantType.Null:
            entry.type, entry.value = _shown(value.Value)


def _shown(variant: Any) -> tuple[str, str]:
    kind = variant.VariantType
    name = kind.name
    if not variant.is_array:
        return name, _text(variant.Value, kind) if kind in KINDS else "(structure)"
    elements: list[Any] = ua.flatten(variant.Value) or []
    shown = ", ".join(
        _text(element, kind) if kind in KINDS else "(structure)" for element in elements[:_SHOWN_ELEMENTS]
    )
    return f"{name}[{len(elements)}]", f"[{shown}{', ...' if len(elements) > _SHOWN_ELEMENTS else ''}]"


def _text(value: Any, kind: Any) -> str:
    if kind is ua.VariantType.Float:
        return str(np.float32(value))  # its own shortest text, not that of the double nearest to it
    return json.dumps(value) if isinstance(value, (bool, int, float)) else as_text(value, kind)


def uod_lines(tree: Tree, entries: Sequence[Entry], device: str) -> list[str]:
    """Tags to paste below `tags:` of a UOD, one a variable that can be read and fits a tag."""
    lines: list[str] = []
    used: set[str] = set()
    for entry in entries:
        element = re.fullmatch(r"(\w+)\[(\d+)\]", entry.type)
        kind = element[1] if element else entry.type
        if not entry.readable or kind not in {found.name for found in KINDS}:
            continue
        for index in range(int(element[2])) if element else (None,):
            name = _tag_name(entry, index, used)
            used.add(name)
            parts = [f"device: {device}", f"node: {json.dumps(tree.node_text(entry), ensure_ascii=False)}"]
            parts += [] if index is None else [f"index: {index}"]
            parts += ["direction: both"] if entry.writable and index is None else []
            key = name if name[0].isalpha() and name.casefold() not in _NO_TEXTS else f'"{name}"'
            lines.append(f"  {key}: {{{', '.join(parts)}}}")
    return lines


def _tag_name(entry: Entry, index: int | None, used: set[str]) -> str:
    """The shortest end of its path that no other tag has."""
    ending = "" if index is None else f"_{index}"
    name, above = _plain(entry.step.name), entry.parent
    while name + ending in used and above is not None:
        name, above = f"{_plain(above.step.name)}_{name}", above.parent
    number = 2
    unique = name + ending
    while unique in used:
        unique, number = f"{name}{ending}_{number}", number + 1
    return unique


def _plain(name: str) -> str:
    return re.sub(r"\W+", "_", name).strip("_") or "tag"
