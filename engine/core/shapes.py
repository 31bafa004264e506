"""Expressions of one shape over different tags are one group, so that they can be evaluated together.

Two expressions have the same shape when they differ in nothing but the tags and the numbers in them: `PT01 - PT02` and
`PT03 - PT04`, or `FT01 * 2` and `FT02 * 3`.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

from engine.core.checking import Checked
from engine.core.expression import Call, Node, Number, SameText, Tag
from engine.core.functions import FUNCTIONS, Type
from engine.core.table import TagKind


@dataclass(slots=True)
class Group:
    """Derived tags of one shape and one depth of dependency."""

    kind: TagKind
    ignore_quality: bool
    names: list[str] = field(default_factory=list[str])
    identities: list[str] = field(default_factory=list[str])
    """`Checked.identity` of each."""
    nodes: list[Node] = field(default_factory=list[Node])


def group(checked: Mapping[str, Checked]) -> list[Group]:
    """Group derived tags, given in the order of their dependency, so that each group only needs groups before it."""
    level: dict[str, int] = {}
    found: dict[tuple[int, Hashable], Group] = {}
    for name, each in checked.items():
        level[name] = 1 + max((level.get(tag, 0) for tag in each.inputs), default=0)
        shape = (each.kind, each.ignore_quality, _shape(each.node))
        place = found.setdefault((level[name], shape), Group(each.kind, each.ignore_quality))
        place.names.append(name)
        place.identities.append(each.identity)
        place.nodes.append(each.node)
    return [found[key] for key in sorted(found, key=lambda key: key[0])]


def _shape(node: Node) -> Hashable:
    if not isinstance(node, Call):
        return type(node)
    function = FUNCTIONS[node.name]
    parts: list[Hashable] = [node.name]
    for place, argument in enumerate(node.arguments):
        fixed = function.state is not None and function.wanted(place) is Type.CONSTANT
        parts.append(argument.value if fixed and isinstance(argument, Number) else _shape(argument))
    return tuple(parts)


def leaves(node: Node) -> list[Tag | SameText]:
    """What an expression reads, from left to right."""
    if isinstance(node, Call):
        return [leaf for argument in node.arguments for leaf in leaves(argument)]
    return [node] if isinstance(node, Tag | SameText) else []
