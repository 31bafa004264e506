"""What an author may write for a node: a NodeId, or a browse path from the root of the server.

The namespace of either may be given by its index (`2`) or, as it survives a PLC download, by its URI (`nsu=...`).
Syntax: OPC 10000-6 5.3.1.10 (NodeId), OPC 10000-4 A.2 (browse path: `/` between steps, `&` before a reserved
character), OPC 10000-6 5.1.14 (a name with its URI: `nsu=URI;Name`).
"""

from __future__ import annotations

import base64
import binascii
import difflib
import re
import uuid
from dataclasses import dataclass
from functools import cache

from asyncua import ua
from asyncua.ua.object_ids import ObjectIds

Namespace = int | str
"""Its index, or its URI."""

ROOTS = ("Objects", "Types", "Views")
"""What the root folder of every server holds: OPC 10000-5 8.2."""

_NODE_ID = re.compile(r"(?:ns=(?P<index>\d+);|nsu=(?P<uri>[^;]+);)?(?P<type>[isgb])=(?P<value>.+)", re.DOTALL)
_LOOKS_LIKE_NODE_ID = re.compile(r"(ns|nsu|svr|srv|[isgb])\s*=")
_INDEXED = re.compile(r"(\d+):(.+)", re.DOTALL)
_NODE_ID_HELP = "write for example ns=2;s=FT01, nsu=urn:skid;s=FT01 or i=2258"


@dataclass(frozen=True, slots=True)
class Identifier:
    """A node by its NodeId."""

    text: str
    """As the author wrote it."""
    namespace: Namespace
    value: int | str | uuid.UUID | bytes
    type: ua.NodeIdType


@dataclass(frozen=True, slots=True)
class Step:
    """One name of a browse path."""

    namespace: Namespace
    name: str

    def __str__(self) -> str:
        if self.namespace == 0:
            return self.name
        return (
            f"nsu={self.namespace};{self.name}" if isinstance(self.namespace, str) else f"{self.namespace}:{self.name}"
        )


@dataclass(frozen=True, slots=True)
class BrowsePath:
    """A node by the names on the way from the root folder to it."""

    text: str
    """As the author wrote it."""
    steps: tuple[Step, ...]


Address = Identifier | BrowsePath


def parse_address(text: str) -> Address:
    """Read what the author wrote. Raises `ValueError` that says what is wrong and how it is written."""
    begun = text.lstrip()
    if not begun:
        raise ValueError(f"no node is named; {_NODE_ID_HELP}, or a browse path as Objects/2:System/2:FT01")
    return _parse_identifier(begun) if _LOOKS_LIKE_NODE_ID.match(begun) else _parse_path(begun.rstrip())


def _parse_identifier(text: str) -> Identifier:
    found = _NODE_ID.fullmatch(text)
    if found is not None and found["type"] != "s":  # a blank at the end of a name is part of the name
        text = text.rstrip()
        found = _NODE_ID.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no NodeId; {_NODE_ID_HELP}")
    value = found["value"]
    namespace: Namespace = found["uri"] or int(found["index"] or 0)
    if isinstance(namespace, int) and namespace > 0xFFFF:
        raise ValueError(f"{text!r}: a namespace index is at most 65535")
    match found["type"]:
        case "i":
            if not value.isascii() or not value.isdigit() or int(value) > 0xFFFF_FFFF:
                raise ValueError(f"{text!r}: i= takes a whole number up to 4294967295; a name is written s={value}")
            return Identifier(text, namespace, int(value), ua.NodeIdType.Numeric)
        case "g":
            try:
                return Identifier(text, namespace, uuid.UUID(value), ua.NodeIdType.Guid)
            except ValueError:
                raise ValueError(f"{text!r}: g= takes a GUID as 09087e75-8e5e-499b-954f-f2a9603db28a") from None
        case "b":
            try:
                return Identifier(text, namespace, base64.b64decode(value, validate=True), ua.NodeIdType.ByteString)
            except binascii.Error:
                raise ValueError(f"{text!r}: b= takes base64, as M/RbKBsRVkePCePcx24oRA==") from None
        case _:
            return Identifier(text, namespace, value, ua.NodeIdType.String)


def _parse_path(text: str) -> BrowsePath:
    names = _split(text)
    if names[0].removeprefix("0:") == "Root":
        del names[0]
    if not names or names[0].removeprefix("0:") not in ROOTS:
        raise ValueError(
            f"browse path {text!r} begins at none of {', '.join(ROOTS)}: write it as Objects/2:System/2:FT01"
        )
    return BrowsePath(text, tuple(_parse_step(name, text) for name in names))


def _split(text: str) -> list[str]:
    """Cut at each `/` that is neither escaped by `&` nor part of a namespace URI."""
    steps: list[str] = []
    rest = text.removeprefix("/")
    while rest:
        uri_end = rest.find(";") + 1 if rest.startswith("nsu=") else 0
        end = uri_end
        while end < len(rest) and rest[end] != "/":
            end += 2 if rest[end] == "&" else 1
        steps.append(rest[:end])
        rest = rest[end + 1 :]
    return steps or [""]


def _parse_step(step: str, path: str) -> Step:
    if step.startswith("nsu="):
        uri, semicolon, name = step.removeprefix("nsu=").partition(";")
        if not uri or not semicolon or not name:
            raise ValueError(f"browse path {path!r}: {step!r} is written nsu=URI;Name")
        return Step(uri, _unescape(name))
    if indexed := _INDEXED.fullmatch(step):
        if int(indexed[1]) > 0xFFFF:
            raise ValueError(f"browse path {path!r}: in {step!r} the namespace index is at most 65535")
        return Step(int(indexed[1]), _unescape(indexed[2]))
    if not step:
        raise ValueError(f"browse path {path!r} has an empty step; a / within a name is written &/")
    if step not in _base_names():
        near = difflib.get_close_matches(step, _base_names(), 1, 0.8)
        raise ValueError(
            f"browse path {path!r}: {step!r} has no namespace, and the base namespace of OPC UA has no such name"
            f"{f' (did you mean {near[0]!r}?)' if near else ''}: put the index before it, as 2:{step}"
            f" (or 0:{step} where the server does keep it there)"
        )
    return Step(0, _unescape(step))


def _unescape(name: str) -> str:
    return re.sub(r"&(.)", r"\1", name, flags=re.DOTALL)


@cache
def _base_names() -> frozenset[str]:
    """Every browse name of namespace 0: the symbolic names of its nodes are made of them, folders with a suffix."""
    names = {part for name in vars(ObjectIds) for part in name.split("_")}
    return frozenset(names | {name.removesuffix("Folder") for name in names})
